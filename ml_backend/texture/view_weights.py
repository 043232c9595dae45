"""How much each photo of a person says about each texel, and which photo shows the face best."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.texture.log_colour import largest_channel, luminance
from ml_backend.texture.morphology import disc
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.photographed_head import PhotographedHead
from ml_backend.texture.read_view import ReadView
from ml_backend.texture.skin_evidence import Regions, region_mask

# The logarithm of a channel at 70% and 95% of white: what is nearly clipped has lost its colour and its brightness.
CLIPPED, CLIPPED_KEPT = (-0.36, -0.05), 0.05
# Brightness, logarithm, at 1% and 5% of white: below, 8 bits are too few; the darkest keeps this much of its say.
DIM, DIM_KEPT = (-4.6, -3.0), 0.1
# Light on a texel against the median light on the skin, logarithm: what lies in shade is worse known than what is lit.
SHADED, SHADED_KEPT = (-1.2, -0.2), 0.1
# Exposure below the first is not shown (light of less than 0.4 of the usual, or clipped): the other half of the face,
# which other photos may show in full light, tells more.
HELD = (0.12, 0.35)
# Photo pixels per texel of the half-size grid, along a side, beyond which nothing is gained.
ENOUGH_PIXELS = 1.5
# Coarse colours gain from resolution by this power of the pixels only: pixels average noise, not the fit's errors.
COARSE_PART = 0.25
# A blurred photo is told by the strength of edges at 1 to 2 pixels against those at 2 to 4, at lips, lids and brows.
# A step has a ratio of 1, a step blurred by 4 pixels one of 0.35, by very many 0.25 (Gaussians' differences).
EDGE_SCALES_PX = (1.0, 2.0, 4.0)
BLURRED_RATIO, SHARP_RATIO = 0.25, 0.80
# Edges are read at this quantile, so that noise on plain skin counts for nothing.
EDGE_QUANTILE, MIN_EDGE_TEXELS = 0.9, 100
LEAST_SHARPNESS = 0.10
# Features come from one photo out to this distance from lips, lids, brows and nostrils, and fade over the second.
FEATURE_MARGIN_M, FEATURE_FADE_M = 0.002, 0.003
FEATURES = ("lips", "eyelids", "brows")
# Hair is told from skin out to this distance from the scalp, worked out on a grid this much coarser.
NEAR_SCALP_M, NEAR_SCALP_GRID = 0.020, 8
# Jaw angle, radians, and size of the expression's coefficients at which a photo's claim to show the features is halved.
HALF_JAW, HALF_EXPRESSION = 0.15, 2.0


@dataclass(frozen=True)
class ViewWeight:
    """What a photo says.

    Attributes:
        confidence: (N, N) float32 0-1, skin that is well enough exposed to be shown at all.
        skin: (N, N) float32 0-1, weight of its colour; scalp: the same for what covers the scalp.
        resolution: 0-1, what the weights of the finest colours have to be multiplied by.
        sharpness: 0-1, against a photo that is sharp to the pixel.
        frontal: how well it shows the whole face at rest; compares photos of one person.
    """

    confidence: np.ndarray
    skin: np.ndarray
    scalp: np.ndarray
    resolution: float
    sharpness: float
    frontal: float


def weigh_view(view: ReadView, fit: CoarseFit) -> ViewWeight:
    """Weigh a photo by visibility, angle, resolution, sharpness and exposure.

    Args:
        view: what was read off the photo.
        fit: of the photo; says its expression.

    Returns:
        Weights on the texels.

    Source: own derivation: the inverse variance of a mean over the pixels that show a texel, which grow in number with
    the resolution and the cosine of the angle, times ramps for what an exposure can hold.
    """
    projection, areas = view.scene.projection, view.scene.areas
    side = view.scene.texels.size_px
    log_photo = cv2.resize(view.log_photo, (side, side), interpolation=cv2.INTER_AREA)
    sharpness = edge_sharpness(luminance(log_photo), view.scene)
    pixels = view.scene.posed.px_per_m / areas.texels_per_m * sharpness
    resolution = float(np.clip(pixels / ENOUGH_PIXELS, 0.0, 1.0)) ** 2
    believed = resolution**COARSE_PART * np.clip(projection.facing, 0.0, 1.0) ** 2
    held = exposure(log_photo, luminance(view.skin.log_albedo), view.skin.confidence)
    # black hair is dim in every photo: its exposure tells nothing
    scalp = view.scalp.seen * believed * areas.skin * _near_scalp(areas)
    return ViewWeight(
        (view.skin.confidence * smooth_step(held, *HELD)).astype(np.float32),
        (view.skin.confidence * believed * held).astype(np.float32),
        scalp.astype(np.float32),
        resolution ** (1.0 - COARSE_PART),
        sharpness,
        _frontal(view, fit) * resolution**COARSE_PART,
    )


def exposure(log_photo: np.ndarray, albedo_brightness: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """How well a photo's exposure holds each texel.

    Args:
        log_photo: (N, N, 3) on the texels; albedo_brightness: (N, N) the same over the light, mean logarithm.
        confidence: (N, N) 0-1, where skin is.

    Returns:
        (N, N) 0-1: low where clipped, too dark for 8 bits, or in the shade.
    """
    brightness = luminance(log_photo)
    light = brightness - albedo_brightness
    plain = confidence > 0.5
    median = float(np.median(light[plain])) if plain.any() else 0.0
    held = 1.0 - (1.0 - CLIPPED_KEPT) * smooth_step(largest_channel(log_photo), *CLIPPED)
    for value, ramp, kept in ((brightness, DIM, DIM_KEPT), (light - median, SHADED, SHADED_KEPT)):
        held = held * (kept + (1.0 - kept) * smooth_step(value, *ramp))
    return held


def edge_sharpness(brightness: np.ndarray, scene: PhotographedHead) -> float:
    """How sharp a photo is.

    Args:
        brightness: (N, N) logarithm, of the photo on the texels.
        scene: says where lips, lids and brows are.

    Returns:
        LEAST_SHARPNESS-1; 1 where the photo is sharp to its own pixels, or shows no edges to tell.
    """
    edges = (scene.features.dark_by_nature > 0.5) & (scene.projection.confidence > 0.7)
    if edges.sum() < MIN_EDGE_TEXELS:
        return 1.0
    # a photo finer than the texels is judged by the texels
    texels_per_px = max(scene.areas.texels_per_m / scene.posed.px_per_m, 1.0)
    fine, middle, coarse = (cv2.GaussianBlur(brightness, (0, 0), scale * texels_per_px) for scale in EDGE_SCALES_PX)
    strengths = [np.quantile(np.abs(band[edges]), EDGE_QUANTILE) for band in (fine - middle, middle - coarse)]
    ratio = strengths[0] / max(strengths[1], 1e-3)
    return float(np.clip((ratio - BLURRED_RATIO) / (SHARP_RATIO - BLURRED_RATIO), LEAST_SHARPNESS, 1.0))


def feature_share(scene: PhotographedHead) -> np.ndarray:
    """(N, N) 0-1: lips, lids, brows and nostrils with their surroundings, where a photo shows them."""
    there = np.maximum(scene.features.dark_by_nature, _marked(scene, FEATURES))
    per_m = scene.areas.texels_per_m
    grown = cv2.dilate(there.astype(np.float32), disc((FEATURE_MARGIN_M + FEATURE_FADE_M) * per_m))
    grown = cv2.GaussianBlur(grown, (0, 0), 0.5 * FEATURE_FADE_M * per_m)
    return grown * scene.projection.confidence


def _near_scalp(areas: Regions) -> np.ndarray:
    """(N, N) 0-1: the scalp and the skin beside it."""
    scalp = cv2.resize(areas.scalp, None, fx=1 / NEAR_SCALP_GRID, fy=1 / NEAR_SCALP_GRID, interpolation=cv2.INTER_AREA)
    grown = cv2.dilate(scalp, disc(NEAR_SCALP_M * areas.texels_per_m / NEAR_SCALP_GRID))
    return cv2.resize(grown, areas.scalp.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _marked(scene: PhotographedHead, names: tuple[str, ...]) -> np.ndarray:
    """(N, N) 0-1: any of some regions of the head."""
    masks = np.column_stack([region_mask(scene.head, name) for name in names])
    return largest_channel(scene.texels.interpolate(masks))


def _frontal(view: ReadView, fit: CoarseFit) -> float:
    """0-1: how much of the features is seen on both halves, less where the mouth is open or the face is moved."""
    texels = view.scene.texels
    confidence = view.skin.confidence.astype(np.float32)
    features = _marked(view.scene, (*FEATURES, "nose")) * view.scene.areas.skin
    shown = np.minimum(confidence, texels.mirrored(confidence)) * features
    jaw, expression = float(fit.pose[6:9].norm()), float(fit.expression.norm())
    at_rest = 1.0 / (1.0 + (jaw / HALF_JAW) ** 2) / (1.0 + (expression / HALF_EXPRESSION) ** 2)
    return float(shown.sum() / max(features.sum(), 1.0)) ** 2 * at_rest
