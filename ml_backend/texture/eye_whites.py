"""The whites of the eyes in a photo: nearly the same in all people, they tell of the light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.texture.face_contours import fill_contours
from ml_backend.texture.log_colour import log_from_linear
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.tracking import landmark_topology as topology

# Linear RGB of the sclera of a healthy adult as the socket and the lashes let it be seen, faintly warm. In 20 eyes of
# ten photos the white between iris and corner was 0.65 as bright as the cheek (median), above it, under the upper lid,
# 0.41.
SCLERA = np.array([0.46, 0.42, 0.395], np.float32)
# Iris radius in photo pixels, and the area of white over the iris radius squared, from which whites begin to count and
# where they count fully.
READABLE_IRIS_PX = (2.5, 6.0)
READABLE_AREA = (0.25, 0.8)
# The white is looked for between these distances from the iris's centre, in its radii: nearer is its dark border,
# further away the pink corner; and this far inside the lids' margins.
WHITE_RING = (1.2, 2.0)
MARGIN = 0.12
# Quantiles of brightness between which a white is clean: veins, lashes and the lids' shadow are darker, wet glints
# brighter.
CLEAN = (0.5, 0.95)
# A white brighter than this in its lightest channel is burnt out and says nothing.
BURNT_OUT = 0.95
# pixels of an iris radius that small eyes are magnified to, so that rings and outlines cut them smoothly
MAGNIFIED_RADIUS_PX = 24.0


@dataclass(frozen=True)
class EyeWhites:
    """Whites of the eyes as a photo shows them: (3,) mean logarithmic linear RGB, and 0-1 how readable they are."""

    log_colour: np.ndarray
    readable: float


def read_eye_whites(pixels: np.ndarray, landmarks_px: np.ndarray) -> EyeWhites | None:
    """Read the whites of both eyes.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        landmarks_px: (478, 2).

    Returns:
        Their mean by how readable they are; None where neither eye shows any.
    """
    eyes = [_white(pixels, landmarks_px, left) for left in (True, False)]
    total = sum(readable for _, readable in eyes)
    if total < 1e-3:
        return None
    return EyeWhites(sum(colour * readable for colour, readable in eyes) / total, total / 2.0)


def _white(pixels: np.ndarray, landmarks_px: np.ndarray, left: bool) -> tuple[np.ndarray, float]:
    """(3,) mean logarithmic colour of an eye's white, and 0-1 how readable it is."""
    nothing = np.zeros(3), 0.0
    centre_index, *ring = topology.LEFT_IRIS if left else topology.RIGHT_IRIS
    opening = topology.LEFT_EYE if left else topology.RIGHT_EYE
    centre = landmarks_px[centre_index]
    radius = float(np.median(np.linalg.norm(landmarks_px[ring] - centre, axis=1)))
    around = landmarks_px[list(opening)]
    low, high = np.floor(around.min(axis=0) - 1).astype(int), np.ceil(around.max(axis=0) + 1).astype(int)
    if radius < READABLE_IRIS_PX[0] or (low < 0).any() or high[0] > pixels.shape[1] or high[1] > pixels.shape[0]:
        return nothing
    zoom = max(1.0, MAGNIFIED_RADIUS_PX / radius)
    patch = cv2.resize(linear_from_srgb_u8(pixels[low[1] : high[1], low[0] : high[0]]), None, fx=zoom, fy=zoom)
    local, scaled = (landmarks_px - low) * zoom, radius * zoom
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]] + 0.5
    distance = np.hypot(columns - local[centre_index, 0], rows - local[centre_index, 1]) / scaled
    inside = fill_contours(local, (opening,), *patch.shape[:2], grow=-MARGIN * scaled) > 0.5
    white = patch[inside & (distance > WHITE_RING[0]) & (distance < WHITE_RING[1])]
    if len(white) < READABLE_AREA[0] * scaled**2:
        return nothing
    brightness = white.mean(axis=1)
    low_quantile, high_quantile = np.quantile(brightness, CLEAN)
    clean = white[(brightness >= low_quantile) & (brightness <= high_quantile)]
    colour = np.median(clean, axis=0)
    if colour.max() > BURNT_OUT:
        return nothing
    readable = smooth_step(np.float64(radius), *READABLE_IRIS_PX)
    readable *= smooth_step(np.float64(len(white) / scaled**2), *READABLE_AREA)
    return log_from_linear(colour[None, None]).reshape(3).astype(np.float64), float(readable)
