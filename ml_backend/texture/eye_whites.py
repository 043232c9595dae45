"""The whites of the eyes in a photo: nearly the same in all people, they tell of the light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_backend.texture.eye_patch import eye_patch
from ml_backend.texture.log_colour import log_from_linear
from ml_backend.texture.photo_projection import smooth_step

# Linear RGB of the sclera of a healthy adult as the socket and the lashes let it be seen, faintly warm. In 20 eyes of
# ten photos the white between iris and corner was 0.65 as bright as the cheek (median), above it, under the upper lid,
# 0.41.
SCLERA = np.array([0.46, 0.42, 0.395], np.float32)
# Iris radius in photo pixels, and the area of white over the iris radius squared, from which whites begin to count and
# where they count fully.
READABLE_IRIS_PX = (2.5, 6.0)
READABLE_AREA = (0.25, 0.8)
# The white is looked for between these distances from the iris's centre, in its radii: nearer is its dark border,
# further away the pink corner.
WHITE_RING = (1.2, 2.0)
# Quantiles of brightness between which a white is clean: veins, lashes and the lids' shadow are darker, wet glints
# brighter.
CLEAN = (0.5, 0.95)
# A white brighter than this in its lightest channel is burnt out and says nothing.
BURNT_OUT = 0.95


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
    eye = eye_patch(pixels, landmarks_px, left, READABLE_IRIS_PX[0])
    if eye is None:
        return nothing
    white = eye.colour[eye.opening & (eye.distance > WHITE_RING[0]) & (eye.distance < WHITE_RING[1])]
    area = len(white) / eye.radius_px**2
    if area < READABLE_AREA[0]:
        return nothing
    brightness = white.mean(axis=1)
    low, high = np.quantile(brightness, CLEAN)
    colour = np.median(white[(brightness >= low) & (brightness <= high)], axis=0)
    if colour.max() > BURNT_OUT:
        return nothing
    readable = smooth_step(np.float64(eye.photo_radius_px), *READABLE_IRIS_PX)
    readable *= smooth_step(np.float64(area), *READABLE_AREA)
    return log_from_linear(colour[None, None]).reshape(3).astype(np.float64), float(readable)
