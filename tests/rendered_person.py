"""A folder of rendered photos of one person, for tests."""

from __future__ import annotations

from pathlib import Path

import cv2

from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.synthetic.sample import SyntheticFaces
from ml_backend.synthetic.settings import SyntheticSettings


def write_person(folder: Path, count: int, image_px: int = 320) -> None:
    """Make a folder with photos 0.png, 1.png, … of one person, and broken.jpg, which is no photo.

    The head turns moderately, and nothing is before the face.
    """
    folder.mkdir()
    settings = SyntheticSettings(
        image_px=image_px, seed=77, images_per_person=4, max_yaw=0.4, max_pitch=0.2, occluded_share=0.0,
        glasses_share=0.0, effects=False,
    )  # fmt: skip
    faces = SyntheticFaces(load_head(), load_albedo_model(), settings)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), faces.sample(number).image[..., ::-1])
    (folder / "broken.jpg").write_bytes(b"no photo")
