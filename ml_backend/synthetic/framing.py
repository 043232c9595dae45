"""Where the face crop of a synthetic sample lies: the crop of the tracker, with the tracker's jitter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ml_backend.learned.face_crop import CROP_SIDE
from ml_backend.synthetic.settings import SyntheticSettings
from ml_backend.tracking import landmark_topology as topology


@dataclass(frozen=True)
class CropCamera:
    """A scaled-orthographic camera in units of half crops: x = scale X + tx, y = -scale Y + ty, in [-1, 1], y down."""

    scale_per_m: float
    tx: float
    ty: float

    def ndc(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) of points (..., 3), metres."""
        flipped = points[..., :2] * np.array([1, -1], points.dtype)
        return flipped * points.dtype.type(self.scale_per_m) + np.array([self.tx, self.ty], points.dtype)

    def pixels(self, points: np.ndarray, size_px: float) -> np.ndarray:
        """(..., 3) pixels of an image of the crop, and depth (smaller is nearer), of points (..., 3)."""
        seen = (self.ndc(points) + 1) * np.float32(size_px / 2)
        return np.concatenate([seen, -points[..., 2:]], -1)


def roll_of(landmarks_478: np.ndarray) -> float:
    """How far the face stands clockwise from upright in the image plane, radians.

    Args:
        landmarks_478: (478, >= 2) metres, model axes (Y up). Up runs from the mouth's middle to the eyes'.
    """
    eyes = (landmarks_478[list(topology.RIGHT_EYE)].mean(0) + landmarks_478[list(topology.LEFT_EYE)].mean(0)) / 2
    up = eyes - landmarks_478[[topology.MOUTH_RIGHT, topology.MOUTH_LEFT]].mean(0)
    return math.atan2(up[0], up[1])


def about_view_axis(angle: float) -> np.ndarray:
    """(3, 3) float64 rotation that turns what is seen clockwise by an angle, radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def crop_camera(
    landmarks_478: np.ndarray, roll: float, random: np.random.Generator, settings: SyntheticSettings
) -> CropCamera:
    """The crop's camera.

    Args:
        landmarks_478: (478, 3) metres, of the head as it stands in the crop; roll: clockwise from upright, radians.
    """
    upright = landmarks_478[:, :2] @ about_view_axis(-roll)[:2, :2].T
    low, high = upright.min(0), upright.max(0)
    side = CROP_SIDE * float((high - low).max()) * float(random.uniform(*settings.side_jitter))
    middle = about_view_axis(roll)[:2, :2] @ ((low + high) / 2)
    middle = middle + side * random.uniform(-settings.centre_jitter, settings.centre_jitter, 2)
    scale = 2 / side
    return CropCamera(scale, float(-scale * middle[0]), float(scale * middle[1]))
