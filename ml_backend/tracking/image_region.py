"""Turned squares of an image: cut one out for a network, and carry the network's points back.

Pixel i of a crop reads the image at `i * side / size` from the square's corner, whole numbers being the centres of the
image's pixels: MediaPipe's way, which the networks were trained with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class ImageRegion:
    """A turned square.

    Attributes:
        centre: (2,) pixels.
        side: pixels.
        roll: radians; the square's own x axis points there, 0 to the right, positive clockwise on the screen.
    """

    centre: np.ndarray
    side: float
    roll: float

    def turned(self, angle: float) -> ImageRegion:
        """The same square with its axes turned further by `angle` radians."""
        return ImageRegion(self.centre, self.side, self.roll + angle)

    def enlarged(self, factor: float) -> ImageRegion:
        """A square `factor` times as wide around the same centre."""
        return ImageRegion(self.centre, self.side * factor, self.roll)

    def image_from_unit(self) -> np.ndarray:
        """(2,3): image position = matrix @ (x, y, 1), x and y from 0 to 1 along the square's sides."""
        cos, sin = math.cos(self.roll) * self.side, math.sin(self.roll) * self.side
        linear = np.array([[cos, -sin], [sin, cos]])
        return np.column_stack([linear, self.centre - linear @ [0.5, 0.5]])

    def to_image(self, unit_points: np.ndarray) -> np.ndarray:
        """Points (...,2) of the square (0-1 along its sides) in the image (pixels)."""
        matrix = self.image_from_unit()
        return unit_points @ matrix[:, :2].T + matrix[:, 2]

    def cut(self, image: np.ndarray, size: int, *, repeat_border: bool) -> np.ndarray:
        """Cut the square out.

        Args:
            image: (H,W,3) uint8.
            size: side of the result, pixels.
            repeat_border: outside the image, repeat its border (else black).

        Returns:
            (size,size,3) uint8.
        """
        matrix = self.image_from_unit()
        matrix[:, :2] /= size
        border = cv2.BORDER_REPLICATE if repeat_border else cv2.BORDER_CONSTANT
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=border)


def whole_image_region(image: np.ndarray) -> ImageRegion:
    """The smallest upright square around an image (H,W,3)."""
    height, width = image.shape[:2]
    return ImageRegion(np.array([width / 2, height / 2]), float(max(width, height)), 0.0)


def overlapping_tiles(image: np.ndarray, share: float) -> list[ImageRegion]:
    """Squares that cover an image (H,W,3), each `share` of its long side wide; neighbours overlap by at least half."""
    side = share * max(image.shape[:2])
    centres = []
    for extent in image.shape[:2]:
        count = 1 + max(0, math.ceil((extent - side) / (side / 2)))
        centres.append(np.linspace(side / 2, extent - side / 2, count) if count > 1 else [extent / 2])
    return [ImageRegion(np.array([x, y]), side, 0.0) for y in centres[0] for x in centres[1]]


def region_around(low: np.ndarray, high: np.ndarray, direction: np.ndarray, factor: float) -> ImageRegion:
    """A square around a box.

    Args:
        low, high: (2,) corners of the box, pixels.
        direction: (2,) of any length; becomes the square's x axis.
        factor: its side over the box's longer side.
    """
    side = factor * float(max(high - low))
    return ImageRegion((low + high) / 2, side, math.atan2(direction[1], direction[0]))
