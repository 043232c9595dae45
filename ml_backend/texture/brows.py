"""Brows: the colour of their hair, and hair painted where the photo shows neither brow."""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.head.head_model import HeadModel
from ml_backend.texture.face_contours import fill_contours
from ml_backend.texture.log_colour import luminance, over
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.photographed_head import PhotographedHead
from ml_backend.tracking import landmark_topology as topology

# The brows' hair is read at this quantile of what lies in their outlines, skin among it; brows that the photo does not
# show are this much darker than the skin, logarithm.
BROW_QUANTILE = 0.08
MIN_BROW_TEXELS = 100
# Brows that may lie under a lock by more than the rest of this tell no colour.
CLEAR = 0.95
DARKER_BROWS = -1.2
# Trust of a texel, or of its mirror image, between which a painted brow gives way to the photographed one.
SHOWN = (0.15, 0.75)
# The outline's border: hair becomes sparse over this distance, and a brow covers this much of its skin where no photo
# tells how dense it is.
BROW_SOFTNESS_M = 0.0016
USUAL_DENSITY = 0.65
DENSITY_RANGE = (0.25, 0.85)
# The skin that brows are compared with lies this near to them, texels.
SURROUNDINGS = (15, 15)
# Single hairs: spread of their cover, and their width and length.
HAIR_SPREAD = 0.45
HAIR_WIDTH_M, HAIR_LENGTH_M = 0.0003, 0.0022


def brow_colour(log_albedo: np.ndarray, skin_log: np.ndarray, scene: PhotographedHead, clear: np.ndarray) -> np.ndarray:
    """Colour of the brows' hair: the darker part of what lies in their outlines.

    Args:
        log_albedo: (N, N, 3) of the photo; skin_log: (3,) the person's skin.
        scene: the head in the photo.
        clear: (N, N) 0-1, where no lock covers the brows.

    Returns:
        (3,) float32, logarithm of linear RGB.
    """
    brows = (scene.features.brows > 0.9) & (scene.projection.confidence > 0.5) & (clear > CLEAR)
    # their inner ends, where no lock of hair falls, if these are seen
    inner = brows & (scene.features.core > 0.8)
    brows = inner if inner.sum() > MIN_BROW_TEXELS else brows
    if not brows.any():
        return (skin_log + DARKER_BROWS).astype(np.float32)
    return np.quantile(log_albedo[brows], BROW_QUANTILE, axis=0).astype(np.float32)


def paint_brows(
    skin_log: np.ndarray, scene: PhotographedHead, confidence: np.ndarray, hair_log: np.ndarray
) -> np.ndarray:
    """Continue the brows where the photo shows neither of them.

    Args:
        skin_log: (N, N, 3) completed skin; scene: the head in the photo.
        confidence: (N, N) 0-1, how far the photo's skin, and brow, is shown.
        hair_log: (3,) colour of the brows' hair.

    Returns:
        (N, N, 3).
    """
    outline = brow_outline(scene.head, scene.texels.size_px, BROW_SOFTNESS_M * scene.areas.texels_per_m)
    if not outline.any():
        return skin_log
    rows, columns = np.nonzero(cv2.dilate(outline, np.ones(SURROUNDINGS, np.uint8)))
    window = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    shown = np.maximum(confidence, scene.texels.mirrored(confidence.astype(np.float32)))[window]
    brows = outline[window] * scene.areas.skin[window]
    shown = smooth_step(shown, *SHOWN)
    below = skin_log[window]
    density = _density(below, brows * shown, hair_log)
    hairs = _hairs(brows.shape, scene.areas.texels_per_m)
    opacity = np.clip(brows * (1.0 - shown) * density * (1.0 + HAIR_SPREAD * hairs), 0.0, 1.0)
    result = skin_log.copy()
    result[window] = over(below, np.broadcast_to(hair_log.astype(np.float32), below.shape), opacity)
    return result


def brow_outline(head: HeadModel, size_px: int, softness: float) -> np.ndarray:
    """The brows as they lie on the head's texture.

    Args:
        head: the head model.
        size_px: N, rows and columns; softness: of the border, texels.

    Returns:
        (N, N) 0-1, symmetric as far as the layout is.
    """
    uv = head.landmarks_478.on(head.uv[None], head.uv_triangles)[0].cpu().numpy()
    places = np.stack([uv[:, 0] * size_px, (1.0 - uv[:, 1]) * size_px], axis=1)
    filled = fill_contours(places, (topology.LEFT_BROW, topology.RIGHT_BROW), size_px, size_px)
    return cv2.GaussianBlur(filled, (0, 0), max(softness, 0.5))


def _density(skin_log: np.ndarray, shown: np.ndarray, hair_log: np.ndarray) -> float:
    """How much of the skin a photographed brow covers, 0-1."""
    sure = shown > 0.6
    if sure.sum() < MIN_BROW_TEXELS:
        return USUAL_DENSITY
    brightness = luminance(skin_log)
    around = (cv2.dilate(shown, np.ones(SURROUNDINGS, np.uint8)) > 0.6) & (shown < 0.05)
    skin = float(np.median(brightness[around])) if around.any() else float(brightness[sure].max())
    depth = skin - float(hair_log.mean())
    if depth < 0.05:
        return DENSITY_RANGE[0]
    return float(np.clip((skin - brightness[sure].mean()) / depth, *DENSITY_RANGE))


def _hairs(shape: tuple[int, int], texels_per_m: float) -> np.ndarray:
    """Noise of short hairs along the rows, with a spread of 1; the same every time."""
    noise = np.random.default_rng(11).standard_normal(shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), HAIR_LENGTH_M * texels_per_m / 2, sigmaY=HAIR_WIDTH_M * texels_per_m)
    return noise / max(float(noise.std()), 1e-6)
