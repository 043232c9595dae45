"""Light taken out of the photo's colours: shading, shine, and what a smooth light cannot explain."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ml_backend.rendering.spherical_harmonics import basis
from ml_backend.texture.log_colour import LOG_FLOOR, chroma, in_colour, luminance, over
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.photo_projection import smooth_step

# Shading below this part of the face's median is not believed: dividing by it would blow up noise in cast shadows.
SHADING_FLOOR = 0.30
# Part of a highlight that is removed: all of it leaves grey patches where the photo is clipped.
SHINE_REMOVED = 0.75
# A texel must be this much less saturated than its surroundings, in linear RGB over skin brightness, to count as shine.
SHINE_MARGIN = 0.01
# The surroundings reach this far (Gaussian), as a part of the texture's side: wider than a highlight on a cheek.
SHINE_SURROUNDINGS = 0.07
# Shine over brightness between which a texel's colour is no longer believed.
COLOUR_LOST = (0.08, 0.35)
# Skin darker than its surroundings by more than this, in logarithms, lies in a fold; this part of the rest is removed.
FOLD_DEPTH = 0.07
FOLD_REMOVED = 0.75
FOLD_SURROUNDINGS_M = 0.014
# Plain skin differs in hue from place to place (ruddy cheeks, a sallow jaw) by about this much, in logarithms of R/G
# and B/G; more, over this distance, is coloured light or a dark photo's noise.
HUE_RANGE = 0.10
HUE_LENGTH_M = 0.005
# Size of what counts as left-over light, metres: larger than moles, brows and lips, smaller than half a face.
LIGHT_LENGTH_M = 0.020
# How much of the left-over brightness goes: what differs between the halves is light (faces are nearly symmetric),
# what both share may be the person's complexion or beard.
LOPSIDED_REMOVED = 0.9
SHARED_REMOVED = 0.55
BEARD_SHARED_REMOVED = 0.15
# Left-over colour casts are weaker than brightness, and rosy cheeks are real.
LOPSIDED_CHROMA_REMOVED = 0.7
SHARED_CHROMA_REMOVED = 0.35


def log_shading(normals: np.ndarray, light: torch.Tensor, reference: np.ndarray) -> np.ndarray:
    """Logarithm of the estimated shading, softly kept away from zero.

    Args:
        normals: (V, 3) posed, model space.
        light: (9, 3) spherical harmonics.
        reference: (V,) weights of the vertices whose median brightness sets the floor.

    Returns:
        (V, 3).
    """
    shading = (basis(torch.from_numpy(normals)) @ light.cpu()).numpy().astype(np.float64)
    used = reference > 0.3
    typical = np.median(shading[used if used.any() else slice(None)], axis=0)
    floor = SHADING_FLOOR * np.maximum(typical, 0.05)
    # a smooth maximum: as good as the shading itself well above the floor
    soft = 0.5 * (shading + floor + np.sqrt((shading - floor) ** 2 + (0.5 * floor) ** 2))
    return np.log(soft).astype(np.float32)


def without_shine(log_albedo: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Lower the highlights of skin.

    Args:
        log_albedo: (N, N, 3) on the texels.
        confidence: (N, N) 0-1, where skin is.

    Returns:
        (N, N, 3); never darker than the surroundings.

    Source: the dichromatic model (Shafer 1985): shine adds the light's colour, here white after de-lighting, so the
    smallest channel rises most against the colour of the skin around it.
    """
    linear = cv2.exp(log_albedo) - np.float32(LOG_FLOOR)
    around = _local_mean(linear, confidence, SHINE_SURROUNDINGS * log_albedo.shape[0])
    red, blue = linear[..., 0], linear[..., 2]
    ratio = np.clip(around[..., 2] / np.maximum(around[..., 0], 1e-3), 0.05, 0.85)
    brightness = np.maximum(luminance(around), 1e-3)
    shine = (blue - ratio * red) / (1.0 - ratio) - SHINE_MARGIN * brightness
    excess = np.maximum(luminance(linear) - brightness, 0.0)
    shine = np.clip(shine, 0.0, excess)
    # clipped highlights carry no colour: brightness far above the surroundings is shine whatever its tint
    shine = np.maximum(shine, np.maximum(excess - 0.5 * brightness, 0.0)) * SHINE_REMOVED
    shine = cv2.GaussianBlur(shine.astype(np.float32), (0, 0), log_albedo.shape[0] / 1024.0) * confidence
    lowered = np.maximum(linear - in_colour(shine), 0.25 * linear)
    # what a highlight leaves has lost its colour: it takes that of the skin around
    recoloured = around * in_colour(luminance(lowered) / brightness)
    lost = smooth_step(shine / brightness, *COLOUR_LOST)
    return cv2.log(over(lowered, recoloured, lost) + np.float32(LOG_FLOOR))


def with_softer_folds(log_albedo: np.ndarray, plain: np.ndarray, texels_per_m: float) -> np.ndarray:
    """Lighten folds: the darkness in them is shadow of the photo's expression, and their relief goes to displacement.

    Args:
        log_albedo: (N, N, 3).
        plain: (N, N) 0-1 seen skin without brows, lids, lips and beard.
        texels_per_m: texel scale.

    Returns:
        (N, N, 3).
    """
    sigma = FOLD_SURROUNDINGS_M * texels_per_m
    around = _local_mean(log_albedo, plain, sigma)
    # a wide fold darkens its own surroundings: a second mean leaves out what lies under the first
    brightness = luminance(log_albedo)
    dark = (brightness < luminance(around)).astype(np.uint8)
    around = _local_mean(cv2.copyTo(around, dark, log_albedo.copy()), plain, sigma)
    depth = np.maximum(luminance(around) - brightness, 0.0)
    lighter = FOLD_REMOVED * np.maximum(depth - FOLD_DEPTH, 0.0)
    # shadow in a fold is lit by the skin around it and redder: the colour follows in the same measure
    return over(log_albedo, around, lighter / np.maximum(depth, 1e-3) * plain)


def with_even_hue(
    log_albedo: np.ndarray, plain: np.ndarray, chroma_mean: np.ndarray, texels_per_m: float
) -> np.ndarray:
    """Hold the hue of plain skin near the person's own; brightness and fine detail stay.

    Args:
        log_albedo: (N, N, 3).
        plain: (N, N) 0-1 seen skin without brows, lids, lips and beard.
        chroma_mean: (2,) the person's log(R/G) and log(B/G).
        texels_per_m: texel scale.

    Returns:
        (N, N, 3); smooth differences are bent towards HUE_RANGE at most.
    """
    offset = chroma(_local_mean(log_albedo, plain, HUE_LENGTH_M * texels_per_m)) - chroma_mean.astype(np.float32)
    red, blue = ((part - HUE_RANGE * np.tanh(part * np.float32(1.0 / HUE_RANGE))) * plain for part in cv2.split(offset))
    even = (red + blue) / np.float32(3.0)
    return log_albedo - cv2.merge([red - even, -even, blue - even])


def _local_mean(image: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """Weighted mean of an image around every pixel, worked out at an eighth of its size."""
    size = image.shape[1] // 8, image.shape[0] // 8
    small_weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(image * in_colour(weight), size, interpolation=cv2.INTER_AREA)
    total = cv2.GaussianBlur(small_weight, (0, 0), sigma / 8)
    mean = cv2.GaussianBlur(small, (0, 0), sigma / 8) / np.maximum(total, 1e-4)[..., None]
    return cv2.resize(mean, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)


def left_over_light(
    smoother: SurfaceSmoother, difference: np.ndarray, weight: np.ndarray, mirror: np.ndarray, beard: np.ndarray
) -> np.ndarray:
    """What shading remains in de-lit skin, judged against the albedo model and the other half of the face.

    Args:
        smoother: of the head's surface.
        difference: (V, 3) logarithmic albedo of the photo minus that of the albedo model.
        weight: (V,) 0-1 plain visible skin (no brows, lips, eyes).
        mirror: (V,) vertex on the other side.
        beard: (V,) 0-1 where hair on the face may darken both halves alike.

    Returns:
        (V, 3) to subtract from the logarithmic albedo; its mean over the visible skin is 0.
    """
    mean = np.average(difference, axis=0, weights=weight + 1e-6)
    smooth = smoother.fit(difference, weight, LIGHT_LENGTH_M, prior=mean, prior_weight=5e-3) - mean
    # a half that was not seen says nothing about differences between the halves
    both = np.sqrt(np.maximum(np.minimum(weight, weight[mirror]), 0.0))
    both = smoother.fit(both[:, None], np.ones_like(both), 0.5 * LIGHT_LENGTH_M)
    lopsided = 0.5 * (smooth - smooth[mirror]) * smooth_step(both, 0.1, 0.5)
    shared = smooth - lopsided
    brightness_kept = SHARED_REMOVED + (BEARD_SHARED_REMOVED - SHARED_REMOVED) * beard[:, None]
    lopsided_light, shared_light = luminance(lopsided)[:, None], luminance(shared)[:, None]
    light = LOPSIDED_REMOVED * lopsided_light + brightness_kept * shared_light
    casts = LOPSIDED_CHROMA_REMOVED * (lopsided - lopsided_light) + SHARED_CHROMA_REMOVED * (shared - shared_light)
    light = light + casts
    return light - np.average(light, axis=0, weights=weight + 1e-6)
