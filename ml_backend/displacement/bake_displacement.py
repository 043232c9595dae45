"""Fine relief from a photo: wrinkles, folds and pores as offsets along the normal.

A learned model will take this module's place; all that others use is `bake_displacement` and `BakedDisplacement`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.bake_texture import BakedTexture
from ml_backend.texture.log_colour import largest_channel
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.photographed_head import PhotographedHead, photo_on_texels, photographed_head
from ml_backend.texture.skin_evidence import region_mask
from ml_backend.tracking.face_tracker import TrackedFace

# Sizes of the relief's bands, metres (standard deviations of Gaussians): pores to crow's feet to nasolabial folds.
# Anything coarser belongs to the mesh.
BAND_EDGES_M = (0.00025, 0.0005, 0.0010, 0.0020, 0.0040)
# Depth in mm for one logarithmic unit of darkness, for each metre of a band's size: a crow's foot 1 mm wide that is
# a fifth darker than its surroundings lies about 0.1 mm deep (relief of 0.05-0.3 mm is reported for facial wrinkles).
DEPTH_MM_PER_LOG_AND_M = 550.0
# No offset goes beyond this; larger ones are shadows or hairs taken for folds.
MAX_OFFSET_MM = 0.3
# A band finer than the photo's pixels holds noise and compression only; between these sizes, in pixels, it comes in.
RESOLVED_PX = (0.5, 1.1)
# Melanin darkens red by this part of what it darkens blue: absorption ~ wavelength^-3.33 (Jacques 2013), at 620 and
# 450 nm.
MELANIN_RED_PER_BLUE = 0.34
# Bands of at least this size hold wrinkles; finer ones pores, which stay as they are in every expression.
WRINKLES_FROM_M = 0.0005
# A photo that resolves bands of this size shows an expression's wrinkles, if the person has them.
EVIDENT_M = 0.0010
# Beard stubble reads as pits: most of it is left out.
BEARD_KEPT = 0.3
# Detail of the half that is not seen is taken from the other, a little weaker.
MIRRORED_KEPT = 0.8
# The relief fades over this distance towards lips, eyes, brows and hair.
FADE_M = 0.003


@dataclass(frozen=True)
class BakedDisplacement:
    """Fine relief.

    Attributes:
        offset_mm: (N, N) float32, millimetres outwards along the normal, on the head's UVs (row 0 is v = 1).
        wrinkle_mm: (N, N) float32, the part of it that is coarser than pores: wrinkles and folds.
        evidence: (N, N) float32 0-1, how surely a wrinkle of 1 mm would show in `wrinkle_mm` if the photo had one.
    """

    offset_mm: np.ndarray
    wrinkle_mm: np.ndarray
    evidence: np.ndarray


def bake_displacement(
    pixels: np.ndarray,
    face: TrackedFace,
    head: HeadModel,
    fit: CoarseFit,
    texture: BakedTexture,
    size_px: int = 1024,
) -> BakedDisplacement:
    """Read fine relief off the brightness of visible skin.

    Args:
        pixels: (H, W, 3) uint8 sRGB, the photo that the fit was made on.
        face: the tracker's landmarks on it.
        head, fit: the fitted head.
        texture: of the same photo and fit; says where skin is seen.
        size_px: rows and columns of the map.

    Returns:
        The relief; zero in lips, eyes, brows and hair, within MAX_OFFSET_MM.

    Source: "dark is deep": Glencross et al., A perceptually validated model for surface depth hallucination (2008),
    and the mesoscopic augmentation of Beeler et al., High-quality single-shot capture of facial geometry (2010);
    the separation from pigment is our own derivation.
    """
    landmarks_px = np.asarray(face.landmarks_px, dtype=np.float32)[:, :2]
    scene = texture.scene
    if scene.texels.size_px != size_px:
        scene = photographed_head(head, fit, landmarks_px, size_px, pixels.shape[:2])
    log_photo = photo_on_texels(pixels, scene, size_px)
    seen = cv2.resize(texture.skin_visibility, (size_px, size_px), interpolation=cv2.INTER_AREA)
    seen = seen * smooth_step(scene.projection.facing, 0.25, 0.6)
    keep = _keep(scene, seen)
    # dark features are left out of the means too, or the skin beside a brow would stand out
    bands = _relief_bands_mm(log_photo, seen * smooth_step(keep, 0.0, 0.2), scene)
    pores, wrinkles = (_with_mirrored(band * smooth_step(keep, 0.2, 1.0), seen, scene) for band in bands)
    offset, pores = _bounded(pores + wrinkles), _bounded(pores)
    resolved = float(smooth_step(np.float64(EVIDENT_M * scene.posed.px_per_m), *RESOLVED_PX))
    return BakedDisplacement(offset, offset - pores, (resolved * smooth_step(keep, 0.2, 1.0)).astype(np.float32))


def _bounded(relief_mm: np.ndarray) -> np.ndarray:
    return (MAX_OFFSET_MM * np.tanh(relief_mm / MAX_OFFSET_MM)).astype(np.float32)


def _relief_bands_mm(log_photo: np.ndarray, seen: np.ndarray, scene: PhotographedHead) -> tuple[np.ndarray, np.ndarray]:
    """Millimetres of pores and of wrinkles, (N, N) each: the sum of the bands' darkness, each times its size."""
    texels_per_m = scene.areas.texels_per_m
    red = _smoothed_levels(log_photo[..., 0], seen, texels_per_m)
    blue = _smoothed_levels(log_photo[..., 2], seen, texels_per_m)
    pigment_part = MELANIN_RED_PER_BLUE / (1.0 - MELANIN_RED_PER_BLUE)
    pores, wrinkles = np.zeros((2, *log_photo.shape[:2]), np.float32)
    for band, size_m in enumerate(BAND_EDGES_M[:-1]):
        red_band = red[band] - red[band + 1]
        # the camera's colour is coarser than its brightness: read pigment one level up
        colour_band = min(band + 1, len(BAND_EDGES_M) - 2)
        colour = (blue[colour_band] - blue[colour_band + 1]) - (red[colour_band] - red[colour_band + 1])
        shading = red_band - pigment_part * colour
        resolved = float(smooth_step(np.float64(size_m * scene.posed.px_per_m), *RESOLVED_PX))
        part = pores if size_m < WRINKLES_FROM_M else wrinkles
        part += resolved * DEPTH_MM_PER_LOG_AND_M * size_m * _cored(shading, seen)
    return pores, wrinkles


def _smoothed_levels(channel: np.ndarray, seen: np.ndarray, texels_per_m: float) -> list[np.ndarray]:
    """The channel smoothed to each of BAND_EDGES_M within the seen skin, coarse levels worked out at reduced size."""
    side = channel.shape[0]
    mean = float(channel[seen > 0.2].mean()) if (seen > 0.2).any() else 0.0
    weighted, weight = (channel - mean) * seen, seen
    levels, reduction = [], 1
    for size_m in BAND_EDGES_M:
        sigma = size_m * texels_per_m
        while sigma / reduction > 4.0:
            weighted, weight = (cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
                                for image in (weighted, weight))  # fmt: skip
            reduction *= 2
        spread = max(sigma / reduction, 0.3)
        total = cv2.GaussianBlur(weight, (0, 0), spread)
        level = cv2.GaussianBlur(weighted, (0, 0), spread) / np.maximum(total, 1e-3)
        levels.append(cv2.resize(level, (side, side), interpolation=cv2.INTER_CUBIC) if reduction > 1 else level)
    return levels


def _cored(band: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The band with what is no stronger than its own ordinary noise taken out, softly."""
    sure = seen > 0.5 * seen.max()
    noise = 0.7 * float(np.median(np.abs(band[sure]))) if sure.any() else 0.0
    return band * band**2 / (band**2 + noise**2 + 1e-12)


def _keep(scene: PhotographedHead, seen: np.ndarray) -> np.ndarray:
    """(N, N) 0-1: 0 in lips, eyes, brows, nostrils and hair, little in beards, fading smoothly."""
    features, areas, texels = scene.features, scene.areas, scene.texels
    names = ("lips", "brows", "eyelids", "inner_mouth")
    masked = largest_channel(texels.interpolate(np.column_stack([region_mask(scene.head, name) for name in names])))
    smooth_parts = np.maximum.reduce([features.dark_by_nature, features.opening, masked, areas.scalp])
    reach = max(1, round(0.5 * FADE_M * areas.texels_per_m))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    grown = cv2.GaussianBlur(cv2.dilate(smooth_parts, kernel), (0, 0), 0.5 * reach)
    free = np.minimum(1.0 - smooth_step(grown, 0.05, 0.6), 1.0 - smooth_step(smooth_parts, 0.0, 0.3))
    beard = 1.0 + (BEARD_KEPT - 1.0) * cv2.GaussianBlur(features.beard, (0, 0), 2.0 * reach)
    return free * beard * smooth_step(seen, 0.3, 0.95) * areas.skin


def _with_mirrored(relief: np.ndarray, seen: np.ndarray, scene: PhotographedHead) -> np.ndarray:
    """Relief of the unseen half from the seen one."""
    unseen = (1.0 - smooth_step(seen, 0.1, 0.6)) * scene.areas.skin
    return relief + MIRRORED_KEPT * unseen * scene.texels.mirrored(relief)
