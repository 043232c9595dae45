"""A picture in the making: the canvas that hair, glasses, clothes and hands are drawn on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from ml_backend.rendering.spherical_harmonics import basis
from ml_backend.synthetic.framing import CropCamera
from ml_backend.synthetic.light import Light

# nothing is darker than a little bounced light
LEAST_SHADING = 0.015


@dataclass(frozen=True)
class Picture:
    """What is drawn on; the arrays are changed in place.

    Attributes:
        canvas: (H, W, 3) float32 linear radiance; skin: (H, W) float32 0-1, visible skin.
        depth_m: (H, W) float32 of the head, inf beside it; camera: of the crop; light: on everything.
        skull: (3, 4) rigid motion of the skull from the neutral head, metres.
    """

    canvas: np.ndarray
    skin: np.ndarray
    depth_m: np.ndarray
    camera: CropCamera
    light: Light
    skull: np.ndarray

    @property
    def size_px(self) -> int:
        """Rows and columns."""
        return len(self.canvas)

    @property
    def px_per_m(self) -> float:
        """Scale of the picture."""
        return self.camera.scale_per_m * self.size_px / 2

    def with_skull(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points of the neutral head (..., 3) where the skull carries them, metres."""
        return (points @ self.skull[:, :3].T + self.skull[:, 3]).astype(np.float32)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) pixels and depth of points (..., 3), metres."""
        return self.camera.pixels(points, self.size_px)

    def shown(self, image_points: np.ndarray, within_m: float = 0.002) -> np.ndarray:
        """(...) whether the head does not hide points (..., 3) of pixels and depth."""
        column, row = (np.clip(image_points[..., axis], 0, self.size_px - 1).astype(int) for axis in (0, 1))
        return image_points[..., 2] <= self.depth_m[row, column] + within_m

    def lines(self, segments: np.ndarray, colour: np.ndarray, width_px: int) -> None:
        """Draw opaque lines (K, M, 2) of pixels in a linear colour (3,)."""
        fixed = list(np.round((segments - 0.5) * 16).astype(np.int32))
        cv2.polylines(self.canvas, fixed, False, colour.tolist(), width_px, cv2.LINE_8, 4)
        cv2.polylines(self.skin, fixed, False, 0.0, width_px, cv2.LINE_8, 4)

    def below(self, row: int) -> Picture:
        """The same picture from a row on; only to be filled."""
        return replace(self, canvas=self.canvas[row:], skin=self.skin[row:], depth_m=self.depth_m[row:])

    def fill(self, opacity: np.ndarray, colour: np.ndarray, hides_skin: bool = True) -> None:
        """Lay a linear colour (3,) or (H, W, 3) over the canvas with an opacity (H, W)."""
        canvas, skin = self.canvas, self.skin
        canvas += (colour - canvas) * opacity[..., None]
        if hides_skin:
            skin *= 1 - opacity


def shading(normals: np.ndarray, light: Light) -> np.ndarray:
    """(..., 3) irradiance at unit normals (..., 3)."""
    found = basis(torch.from_numpy(np.ascontiguousarray(normals, np.float32))).numpy() @ light.coefficients
    return np.maximum(found, LEAST_SHADING)


def rigid_motion(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The rigid motion between two sets of points.

    Args:
        start, end: (K, 3).

    Returns:
        (3, 4) rotation and shift with the least squared error.

    Source: Kabsch, A solution for the best rotation to relate two sets of vectors (1976).
    """
    middle_start, middle_end = start.mean(0), end.mean(0)
    u, _, vt = np.linalg.svd((end - middle_end).T @ (start - middle_start))
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return np.concatenate([rotation, (middle_end - rotation @ middle_start)[:, None]], 1)
