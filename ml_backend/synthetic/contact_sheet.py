"""A contact sheet of synthetic faces."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ml_backend.synthetic.sample import SyntheticFaces, SyntheticSample


def contact_sheet(faces: SyntheticFaces, indices: list[int], columns: int = 8, landmarks: bool = False) -> np.ndarray:
    """Lay samples side by side.

    Args:
        faces: the stream; indices: which of its samples; columns: in a row.
        landmarks: also draw the 68 landmarks and outline the skin mask.

    Returns:
        (H, W, 3) uint8 sRGB, rows of `columns` samples, the last one filled up with white.
    """
    tiles = []
    for index in indices:
        sample = faces.sample(index)
        tiles.append(with_landmarks(sample) if landmarks else sample.image)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.vstack(rows)


def with_landmarks(sample: SyntheticSample) -> np.ndarray:
    """(H, W, 3) uint8: a sample's image, its 68 landmarks in green, the border of its skin mask in blue."""
    image = sample.image.copy()
    outlines, _ = cv2.findContours(sample.skin_mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, (60, 90, 255), 1)
    for x, y in (sample.landmarks_68 + 1) * len(image) / 2 - 0.5:
        cv2.circle(image, (round(16 * float(x)), round(16 * float(y))), 20, (60, 255, 60), -1, cv2.LINE_AA, 4)
    return image


def main(arguments: list[str] | None = None) -> None:
    """Write a contact sheet: `python -m ml_backend.synthetic.contact_sheet FILE`."""
    from ml_backend.head.albedo_model import load_albedo_model
    from ml_backend.head.head_file import load_head
    from ml_backend.synthetic.settings import SyntheticSettings

    parser = argparse.ArgumentParser(description="Write a contact sheet of synthetic faces.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="first sample")
    parser.add_argument("--images-per-person", type=int, default=2)
    parser.add_argument("--image-px", type=int, default=224)
    parser.add_argument("--landmarks", action="store_true", help="draw landmarks and skin mask")
    parser.add_argument("--plain", action="store_true", help="without camera effects")
    given = parser.parse_args(arguments)
    settings = SyntheticSettings(seed=given.seed, images_per_person=given.images_per_person, image_px=given.image_px)
    settings = replace(settings, effects=not given.plain)
    faces = SyntheticFaces(load_head(None), load_albedo_model(), settings)
    indices = list(range(given.first, given.first + given.count))
    sheet = contact_sheet(faces, indices, given.columns, given.landmarks)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85] if given.file.suffix in (".jpg", ".jpeg") else []
    given.file.write_bytes(cv2.imencode(given.file.suffix, sheet[..., ::-1], quality)[1].tobytes())


if __name__ == "__main__":
    main()
