"""An eye cut out of a photo and magnified, so that rings and outlines cut small eyes smoothly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.texture.face_contours import fill_contours
from ml_backend.tracking import landmark_topology as topology

# pixels that an iris radius has at least once it is magnified
MAGNIFIED_RADIUS_PX = 24.0
# The patch shows this much around the iris's centre, and the opening counts from this far inside the lids' margins, in
# iris radii.
REACH = 1.2
MARGIN = 0.12


@dataclass(frozen=True)
class EyePatch:
    """A magnified eye.

    Attributes:
        colour: (h, w, 3) linear RGB.
        distance: (h, w) from the iris's centre, in its radii.
        opening: (h, w) whether it lies between the lids.
        radius_px: of the iris here; photo_radius_px: in the photo.
    """

    colour: np.ndarray
    distance: np.ndarray
    opening: np.ndarray
    radius_px: float
    photo_radius_px: float


def eye_patch(pixels: np.ndarray, landmarks_px: np.ndarray, left: bool, least_radius_px: float) -> EyePatch | None:
    """Cut an eye out of a photo.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        landmarks_px: (478, 2).
        left: the person's left eye, else the right.
        least_radius_px: of an iris that is worth reading, in the photo.

    Returns:
        The eye; None where it is smaller, or reaches beyond the photo.
    """
    centre_index, *ring = topology.LEFT_IRIS if left else topology.RIGHT_IRIS
    contour = topology.LEFT_EYE if left else topology.RIGHT_EYE
    centre = landmarks_px[centre_index]
    radius = float(np.median(np.linalg.norm(landmarks_px[ring] - centre, axis=1)))
    if radius <= least_radius_px:
        return None
    shown = np.concatenate([landmarks_px[list(contour)], [centre - REACH * radius, centre + REACH * radius]])
    low, high = np.floor(shown.min(axis=0) - 1).astype(int), np.ceil(shown.max(axis=0) + 1).astype(int)
    if (low < 0).any() or high[0] > pixels.shape[1] or high[1] > pixels.shape[0]:
        return None
    zoom = max(1.0, MAGNIFIED_RADIUS_PX / radius)
    colour = cv2.resize(linear_from_srgb_u8(pixels[low[1] : high[1], low[0] : high[0]]), None, fx=zoom, fy=zoom)
    local, scaled = (landmarks_px - low) * zoom, radius * zoom
    rows, columns = np.mgrid[: colour.shape[0], : colour.shape[1]] + 0.5
    distance = np.hypot(columns - local[centre_index, 0], rows - local[centre_index, 1]) / scaled
    opening = fill_contours(local, (contour,), *colour.shape[:2], grow=-MARGIN * scaled) > 0.5
    return EyePatch(colour, distance, opening, scaled, radius)
