"""Compares rendered pictures with golden ones, and shows the difference where they disagree.

Golden images lie in tests/golden. LIKENESS_WRITE_GOLDEN=1 in the environment writes them anew instead of comparing:
look at them before they are committed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

GOLDEN = Path(__file__).parent / "golden"
DIFFERENCES = Path(__file__).resolve().parents[1] / "out" / "golden_differences"
WRITE_VARIABLE = "LIKENESS_WRITE_GOLDEN"
# pixels to either side over which both pictures are averaged: noise of single pixels differs between processors
_BLUR_PX = 1
# differences are drawn this many times stronger, around middle grey
_DIFFERENCE_GAIN = 4.0


@dataclass(frozen=True)
class Disagreement:
    """How far two pictures are apart once blurred, in parts of 255: the mean, and the 99th percentile of the pixels."""

    mean: float
    high: float


def assert_golden(picture: np.ndarray, name: str, mean: float, high: float) -> None:
    """Compare a picture with the golden one; on failure golden, picture and difference lie in out/golden_differences.

    Args:
        picture: (H,W,3) 0-1, row 0 at the bottom, as stored in the file.
        name: of the golden image, without ending.
        mean, high: the most that `Disagreement` may be.
    """
    golden_file = GOLDEN / f"{name}.png"
    if os.environ.get(WRITE_VARIABLE):
        golden_file.parent.mkdir(exist_ok=True)
        write_picture(picture, golden_file)
        return
    golden = read_picture(golden_file)
    found = disagreement(picture, golden)
    if found.mean <= mean and found.high <= high:
        return
    DIFFERENCES.mkdir(parents=True, exist_ok=True)
    shown = DIFFERENCES / f"{name}.png"
    difference = np.clip(0.5 + _DIFFERENCE_GAIN * (picture - golden), 0, 1)
    write_picture(np.concatenate([golden, picture, difference], axis=1), shown)
    raise AssertionError(f"{name}: {found} of at most {mean} and {high}; golden, found, difference: {shown}")


def disagreement(first: np.ndarray, second: np.ndarray) -> Disagreement:
    """How far two (H,W,3) pictures are apart.

    Raises:
        AssertionError: their sizes differ.
    """
    assert first.shape == second.shape, f"{first.shape} is not {second.shape}"
    apart = 255 * np.abs(_blurred(first) - _blurred(second))
    return Disagreement(float(apart.mean()), float(np.percentile(apart, 99)))


def _blurred(picture: np.ndarray) -> np.ndarray:
    """Mean of the square of pixels around each."""
    width = 2 * _BLUR_PX + 1
    windows = np.lib.stride_tricks.sliding_window_view(picture, (width, width), axis=(0, 1))
    return windows.mean((-2, -1))


def read_picture(path: Path) -> np.ndarray:
    """(H,W,3) 0-1 as stored, row 0 at the bottom."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    result = pixels.reshape(image.size[1], image.size[0], 4)[..., :3]
    bpy.data.images.remove(image)
    return result


def write_picture(picture: np.ndarray, path: Path) -> None:
    """Write (H,W,3) 0-1 as an 8-bit PNG."""
    height, width = picture.shape[:2]
    image = bpy.data.images.new(path.stem, width, height, alpha=False)
    image.colorspace_settings.name = "Non-Color"
    image.pixels.foreach_set(np.dstack([picture, np.ones((height, width))]).astype(np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)
