"""The whole skin from the part that was seen: the other half of the face first, then the albedo model."""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.texture.log_colour import in_colour, over
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.morphology import disc
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.skin_evidence import Regions
from ml_backend.texture.texel_map import TexelMap

# The model's colours follow the person's over this distance, and keep the last difference this much further.
MATCH_LENGTH_M = 0.008
MATCH_PRIOR_WEIGHT = 0.004
# The photo's colour is blended in over about this distance from its border inwards, its detail at the border itself.
COLOUR_BLEND_M = 0.005
# Holes in the seen skin up to this radius (eyes, mouth) are not borders.
HOLE_M = 0.016
# Grid on which that is worked out.
BLEND_STEP_M = 0.001
# The albedo model's ears are redder and darker than people's; this part of their difference from the skin within this
# distance of them stays.
EAR_CONTRAST_KEPT = 0.4
EAR_SURROUNDINGS_M = 0.012
# A mirrored texel is believed a little less than a seen one.
MIRROR_TRUST = 0.9


def complete_skin(
    texels: TexelMap,
    smoother: SurfaceSmoother,
    log_albedo: np.ndarray,
    confidence: np.ndarray,
    typical: np.ndarray,
    log_model: np.ndarray,
    mirror_vertex: np.ndarray,
    prior: np.ndarray,
    texels_per_m: float,
) -> np.ndarray:
    """Fill what the photo does not show.

    Args:
        texels: the UV grid; smoother: of the head's surface.
        log_albedo: (N, N, 3) of the photo, light taken out; confidence: (N, N) 0-1.
        typical: (N, N) 0-1, low where the photo's colour tells nothing about the skin beside (brows, grazing light).
        log_model: (N, N, 3) of the albedo model.
        mirror_vertex: (V,).
        prior: (3,) difference between photo and model where nothing is known.
        texels_per_m: texel scale.

    Returns:
        (N, N, 3) skin without gaps; well inside the trusted area, `log_albedo` itself.
    """
    difference, weight = texels.vertex_means(log_albedo - log_model, confidence * typical)
    other, other_weight = difference[mirror_vertex], MIRROR_TRUST * weight[mirror_vertex] * (1.0 - weight)
    total = weight + other_weight
    merged = (weight[:, None] * difference + other_weight[:, None] * other) / np.maximum(total, 1e-6)[:, None]
    matched = smoother.fit(merged, total, MATCH_LENGTH_M, prior=prior, prior_weight=MATCH_PRIOR_WEIGHT)
    filled = log_model + texels.interpolate(matched)

    reflected = texels.mirrored(log_albedo)
    reflected_confidence = MIRROR_TRUST * texels.mirrored(confidence)
    lift = _matching_lift(texels, smoother, log_albedo - reflected, np.minimum(confidence, reflected_confidence))
    mirrored = smooth_step(reflected_confidence, 0.05, 0.75)
    filled = over(filled, reflected + lift, mirrored)
    return _blend(filled, log_albedo, confidence, texels_per_m)


def with_calm_ears(log_model: np.ndarray, areas: Regions) -> np.ndarray:
    """The albedo model with its ears nearer to the colour of the skin around them.

    Args:
        log_model: (N, N, 3); areas: the head's regions on the same grid.

    Returns:
        (N, N, 3); the ears' own shading and detail stay.
    """
    small = cv2.resize(np.dstack([areas.ears * areas.skin, areas.skin * (1.0 - areas.scalp)]), None, fx=0.25, fy=0.25)
    kernel = disc(EAR_SURROUNDINGS_M * areas.texels_per_m / 4)
    around = np.clip(cv2.dilate(small[..., 0], kernel) - small[..., 0], 0.0, 1.0) * small[..., 1]
    if min(small[..., 0].sum(), around.sum()) < 1.0:
        return log_model
    colours = cv2.resize(log_model, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    ear, skin = (np.average(colours.reshape(-1, 3), axis=0, weights=w.ravel()) for w in (small[..., 0], around))
    shift = ((1.0 - EAR_CONTRAST_KEPT) * (skin - ear)).astype(np.float32)
    return log_model + in_colour(areas.ears) * shift


def _blend(below: np.ndarray, above: np.ndarray, confidence: np.ndarray, texels_per_m: float) -> np.ndarray:
    """Lay `above` over `below`: detail as far as it is trusted, colour only further inside the trusted area.

    At its border the photo's colour is wrong before its detail is: shadows of hair, light past the outline. Holes of
    the trusted area (eyes, mouth, nostrils) are no border: lips and lids keep their colour.
    """
    share = in_colour(confidence)
    step = max(1, round(BLEND_STEP_M * texels_per_m))
    size = tuple(side // step for side in confidence.shape)
    closed = cv2.resize(confidence, size[::-1], interpolation=cv2.INTER_AREA)
    kernel = disc(HOLE_M / BLEND_STEP_M)
    closed = cv2.morphologyEx(closed, cv2.MORPH_CLOSE, kernel)
    wide = smooth_step(cv2.GaussianBlur(closed, (0, 0), COLOUR_BLEND_M / BLEND_STEP_M), 0.45, 0.95)
    small_share = cv2.resize(confidence, size[::-1], interpolation=cv2.INTER_AREA)
    weighted = cv2.resize((above - below) * share, size[::-1], interpolation=cv2.INTER_AREA)
    sigma = COLOUR_BLEND_M / BLEND_STEP_M
    total = cv2.GaussianBlur(small_share, (0, 0), sigma)[..., None]
    colour = cv2.GaussianBlur(weighted, (0, 0), sigma) / np.maximum(total, 1e-3)
    excess = cv2.resize(colour * (1.0 - wide)[..., None], confidence.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return below + (above - below - excess) * share


def _matching_lift(
    texels: TexelMap, smoother: SurfaceSmoother, difference: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """(N, N, 3) smooth difference between the halves where both are seen, continued over what only one shows."""
    at_vertices, vertex_weight = texels.vertex_means(difference, weight)
    return texels.interpolate(smoother.fit(at_vertices, vertex_weight, MATCH_LENGTH_M, prior=0.0, prior_weight=0.05))


def skin_grain(detail: np.ndarray, confidence: np.ndarray, share: np.ndarray, seed: int, sigma: float) -> np.ndarray:
    """Noise as strong as the visible skin's fine detail, for the parts that were not seen.

    Args:
        detail: (N, N) fine brightness detail of the photo, logarithm.
        confidence: (N, N) 0-1 where it is skin.
        share: (N, N) 0-1 where noise is wanted.
        seed: of the noise, so that the same photo gives the same texture.
        sigma: size of the grain, texels.

    Returns:
        (N, N) to add to the logarithm.
    """
    sure = confidence > 0.9
    # the median: moles, lashes and hairs are far stronger than pores
    strength = 1.5 * float(np.median(np.abs(detail[sure]))) if sure.any() else 0.0
    tile = np.random.default_rng(seed).standard_normal((512, 512)).astype(np.float32)
    tile = cv2.GaussianBlur(tile, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    tile *= strength / max(float(tile.std()), 1e-6)
    times = -(-detail.shape[0] // 512)
    return np.tile(tile, (times, times))[: detail.shape[0], : detail.shape[1]] * share
