"""Hair of the scalp: is there any, where, and of which colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.texture.log_colour import luminance, plus_colour
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.skin_colour import SkinColour
from ml_backend.texture.skin_evidence import Regions
from ml_backend.texture.texel_map import TexelMap

# Local spread of brightness (logarithm) over some millimetres: skin stays below the first, hair exceeds the second.
STRAND_CONTRAST = (0.10, 0.22)
STRAND_WINDOW_M = 0.0015
# Brightness over the skin's, in logarithms, from which smooth texels are shine.
SHINE_BRIGHTNESS = (0.0, 0.3)
# Evidence spreads over unseen scalp about this far before the mean takes over.
SPREAD_M = 0.02
# Hairiness of a vertex above which hair grows there, and above which it hides the skin.
HAIRY = (0.3, 0.6)
# Less seen scalp than this (mean weight of its vertices) decides nothing: hair of the brows' colour is painted then.
MIN_SEEN = 0.02
# A glimpse of less still tells a bald head, where its surest texels (of this weight) look no more like hair than this.
GLIMPSE_WEIGHT = 0.3
BALD_GLIMPSE = 0.10
# Hair grows from black over brown, red and blond to grey and white: its logarithm of green lies this far under that of
# red, and over the mean of red and blue by no more than the second plus the third times how far these lie apart (blond
# hair, sRGB 200, 170, 120, just passes); blue is no stronger than green.
GREEN_UNDER_RED, GREEN_OVER_MEAN, GREEN_OF_BLOND = 0.06, 0.02, 0.20
# Fewer texels than this give no colour.
MIN_COLOUR_TEXELS = 50
# Gloss and shadow make hair vary by this much at most, in logarithms; more is background.
LARGEST_VARIATION = 0.6
# Logarithms by which green or blue outweigh red before a colour cannot be hair, and brightness that makes it matter.
UNNATURAL_HUE = (0.05, 0.20)
BLACK_LOG = (-4.0, -2.8)
# Spread of the hair's colour and brightness, logarithm; and what is left out around a lock that falls over the face.
HAIR_CHROMA_SIGMA, HAIR_LUMINANCE_SIGMA = 0.15, 0.45
LOCK_MARGIN_M = 0.0022
# A lock of the face's middle must hang together with this much hair around it; a few texels may be a shadow.
MIN_LOCK_M2 = 1.5e-5
# Depth of strands, in logarithms: the photo's, within these bounds.
STRAND_DEPTH = (0.10, 0.32)


@dataclass(frozen=True)
class ScalpView:
    """The scalp as the photo shows it.

    Attributes:
        texels: the UV grid; smoother: of the head's surface.
        areas: the head's regions on the texels; scalp: (V,) the scalp's mask.
        log_albedo: (N, N, 3) of the photo; likeness: (N, N) 0-1, how much a texel looks like bare skin.
        seen: (N, N) 0-1, how surely the photo shows the head there.
        skin_brightness: mean logarithm of the person's skin.
    """

    texels: TexelMap
    smoother: SurfaceSmoother
    areas: Regions
    scalp: np.ndarray
    log_albedo: np.ndarray
    likeness: np.ndarray
    seen: np.ndarray
    skin_brightness: float


@dataclass(frozen=True)
class HairEvidence:
    """What the photo says about hair.

    Attributes:
        looks_like_hair: (N, N) 0-1 on the texels, meaningful where the photo is seen.
        hairiness: (V,) 0-1 on the vertices, continued over the unseen scalp.
        log_colour: (3,) logarithmic linear RGB; log_colours: (V, 3) the same, as it varies over the scalp.
        strand_depth: spread of brightness between strands, logarithm.
    """

    looks_like_hair: np.ndarray
    hairiness: np.ndarray
    log_colour: np.ndarray
    log_colours: np.ndarray
    strand_depth: float


def find_hair(view: ScalpView, brow_log_colour: np.ndarray) -> HairEvidence:
    """Decide where hair grows and what colour it has.

    Args:
        view: the scalp in the photo.
        brow_log_colour: (3,) the colour to fall back on.

    Returns:
        The evidence; a bald head has a hairiness near 0.
    """
    count = len(view.scalp)
    brightness = luminance(view.log_albedo)
    contrast = _strand_contrast(brightness, view.areas.texels_per_m)
    stranded = smooth_step(contrast, *STRAND_CONTRAST)
    # bright and smooth beside the scalp is shine on the forehead, not white hair
    shine = smooth_step(brightness - view.skin_brightness, *SHINE_BRIGHTNESS) * (1.0 - view.areas.scalp)
    looks = np.maximum((1.0 - view.likeness) * (1.0 - shine), stranded).astype(np.float32)
    weight = view.seen * view.areas.skin * smooth_step(view.areas.scalp, 0.3, 0.8)
    weight = weight * (1.0 - _unnatural(view.log_albedo))
    vertex_looks, vertex_weight = view.texels.vertex_means(looks[..., None], weight)
    on_scalp = view.scalp > 0.5
    seen = vertex_weight[on_scalp].mean() if on_scalp.any() else 0.0
    if seen < MIN_SEEN:
        brow_log_colour = _natural(brow_log_colour)
        everywhere = np.broadcast_to(brow_log_colour, (count, 3))
        glimpsed = looks[weight > GLIMPSE_WEIGHT]
        bald = len(glimpsed) > MIN_COLOUR_TEXELS and glimpsed.mean() < BALD_GLIMPSE
        hairiness = np.full_like(view.scalp, 0.0 if bald else 1.0)
        return HairEvidence(looks, hairiness, brow_log_colour, everywhere, STRAND_DEPTH[0])
    mean = np.average(vertex_looks[:, 0], weights=vertex_weight + 1e-9)
    hairiness = view.smoother.fit(vertex_looks, vertex_weight, SPREAD_M, prior=mean, prior_weight=0.05)[:, 0]
    # strands with skin between them tell that there is hair, but not its colour
    hair_weight = weight * (1.0 - view.likeness)
    sure = hair_weight > 0.4
    colour = _robust_median(view.log_albedo[sure]) if sure.sum() > MIN_COLOUR_TEXELS else brow_log_colour
    vertex_colours, vertex_weight = view.texels.vertex_means(view.log_albedo, hair_weight)
    bounded = np.clip(vertex_colours, colour - LARGEST_VARIATION, colour + LARGEST_VARIATION)
    colours = view.smoother.fit(bounded, vertex_weight, SPREAD_M, prior=colour, prior_weight=0.2)
    depth = float(np.clip(np.average(contrast, weights=hair_weight + 1e-9), *STRAND_DEPTH))
    return HairEvidence(looks, smooth_step(hairiness, *HAIRY), _natural(colour), _natural(colours), depth)


def _natural(log_colour: np.ndarray) -> np.ndarray:
    """(..., 3) a colour of hair with green and blue lowered where they outweigh red; black hair takes on any tint."""
    red, green, blue = np.moveaxis(log_colour, -1, 0)
    blue = np.minimum(blue, red)
    between = 0.5 * (red + blue) + GREEN_OVER_MEAN + GREEN_OF_BLOND * (red - blue)
    green = np.minimum(green, np.minimum(red - GREEN_UNDER_RED, between))
    return np.stack([red, green, np.minimum(blue, green)], axis=-1).astype(np.float32)


def hair_over_face(log_albedo: np.ndarray, log_colour: np.ndarray, skin: SkinColour, texels_per_m: float) -> np.ndarray:
    """How surely a texel shows the person's hair and not their skin.

    Args:
        log_albedo: (N, N, 3) of the photo.
        log_colour: (3,) of the hair; skin: colour of the skin.
        texels_per_m: texel scale.

    Returns:
        (N, N) 0-1, with a margin around every lock.
    """
    from_skin = cv2.magnitude(skin.chroma_distance(log_albedo), skin.luminance_offset(log_albedo))
    off_hair = plus_colour(log_albedo, -log_colour)
    red, green, blue = cv2.split(off_hair)
    colour = cv2.magnitude(red - green, blue - green) / HAIR_CHROMA_SIGMA
    from_hair = cv2.magnitude(colour, luminance(off_hair) / HAIR_LUMINANCE_SIGMA)
    sure = smooth_step(from_skin - from_hair, 0.0, 2.0) * smooth_step(from_skin, 2.5, 4.0)
    size = 2 * max(1, round(LOCK_MARGIN_M * texels_per_m)) + 1
    grown = cv2.dilate(sure.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    # a blur's rounding may carry it a little beyond 1
    return np.minimum(cv2.GaussianBlur(grown, (0, 0), LOCK_MARGIN_M * texels_per_m), 1.0)


def falling_locks(locks: np.ndarray, inner: np.ndarray, natural: np.ndarray, texels_per_m: float) -> np.ndarray:
    """Locks that fall into the middle of the face: they hang together with hair around it.

    Args:
        locks: (N, N) 0-1, looks like hair.
        inner: (N, N) 0-1, the middle of the face, where shadows can look like hair too.
        natural: (N, N) 0-1, dark by nature: brows and lashes join no locks.
        texels_per_m: texel scale.

    Returns:
        (N, N) 0-1, `locks` around the middle, and in it those that reach out of it.
    """
    small = [cv2.resize(field, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for field in (locks, inner, natural)]
    sure = ((small[0] > 0.5) & (small[2] < 0.5)).astype(np.uint8)
    count, label = cv2.connectedComponents(sure, connectivity=8)
    outside = np.bincount(label[(sure > 0) & (small[1] < 0.2)], minlength=count)
    hanging = outside * (2.0 / texels_per_m) ** 2 >= MIN_LOCK_M2
    hanging[0] = False
    grown = cv2.dilate(hanging[label].astype(np.float32), np.ones((3, 3), np.uint8))
    grown = cv2.resize(grown, locks.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return locks * np.maximum(grown * (1.0 - natural), 1.0 - inner)


def _unnatural(log_albedo: np.ndarray) -> np.ndarray:
    """(N, N) 0-1: greener or bluer than hair grows; leaves and sky behind a head are commoner than dyed hair."""
    red, green, blue = cv2.split(log_albedo)
    red_over_green, blue_over_green = red - green, blue - green
    coloured = np.maximum(-red_over_green, blue_over_green - np.maximum(red_over_green, 0.0))
    # in black hair the camera's noise decides the hue
    return smooth_step(coloured, *UNNATURAL_HUE) * smooth_step(luminance(log_albedo), *BLACK_LOG)


def _strand_contrast(brightness: np.ndarray, texels_per_m: float) -> np.ndarray:
    """(N, N) spread of brightness inside hair; a single edge, such as a hairline beside skin, does not count."""
    small = cv2.resize(brightness, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    sigma = 0.5 * STRAND_WINDOW_M * texels_per_m
    mean = cv2.GaussianBlur(small, (0, 0), sigma)
    spread = np.sqrt(np.maximum(cv2.GaussianBlur(small * small, (0, 0), sigma) - mean * mean, 0.0))
    reach = max(1, round(2.0 * sigma))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.resize(cv2.erode(spread, kernel), brightness.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _robust_median(colours: np.ndarray) -> np.ndarray:
    """(3,) median of the colours within two spreads of the median, so that background leaves no tint."""
    median = np.median(colours, axis=0)
    distance = np.abs(colours - median).max(axis=1)
    near = distance <= 2.0 * np.median(distance) + 1e-6
    return np.median(colours[near], axis=0).astype(np.float32)
