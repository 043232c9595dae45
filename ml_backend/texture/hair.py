"""Hair of the scalp: is there any, where, and of which colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.texture.log_colour import luminance
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.morphology import disc
from ml_backend.texture.pale_halo import NO_HALO, PaleHalo
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.skin_evidence import Regions
from ml_backend.texture.texel_map import TexelMap

# Local spread of brightness (logarithm) over some millimetres: skin stays below the first, hair exceeds the second.
STRAND_CONTRAST = (0.10, 0.22)
STRAND_WINDOW_M = 0.0015
# Brightness over the skin's, in logarithms, from which smooth texels are shine.
SHINE_BRIGHTNESS = (0.0, 0.3)
# White or grey hair: its logarithm of red over the other two is smaller than the skin's by this much, over some
# millimetres; the differences between its channels are less than these parts of the skin's, and it is not dark.
PALER_THAN_SKIN = (0.18, 0.36)
BODY_OF_SKIN = (0.60, 0.85)
PALE_BRIGHTNESS = (-0.60, -0.20)
PALE_LENGTH_M = 0.0020
# Evidence spreads over unseen scalp about this far before the mean takes over.
SPREAD_M = 0.02
# Hairiness of a vertex above which hair grows there, and above which it hides the skin.
HAIRY = (0.3, 0.6)
# How firmly unseen scalp keeps to the mean of what is seen, and to hair that stands out around the head: hairlines
# recede, so that a bare forehead tells little about what is behind it.
UNSEEN_WEIGHT, HALO_WEIGHT = 0.05, 0.60
# Hairiness of the seen scalp, between which that tells whether there is hair, and no longer what stands out around it.
TOLD_BY_SCALP = (0.25, 0.50)
# Less seen scalp than this (mean weight of its vertices) decides nothing: hair of the brows' colour is painted then.
MIN_SEEN = 0.02
# A glimpse of less still tells a bald head, where its surest texels (of this weight) look no more like hair than this.
GLIMPSE_WEIGHT = 0.3
BALD_GLIMPSE = 0.10
# Hair grows from black over brown, red and blond to grey and white: its logarithm of green lies this far under that of
# red, and over the mean of red and blue by no more than the second plus the third times how far these lie apart (blond
# hair, sRGB 200, 170, 120, just passes); blue is no stronger than green.
GREEN_UNDER_RED, GREEN_OVER_MEAN, GREEN_OF_BLOND = 0.06, 0.02, 0.20
# Fewer texels than this, that are hair this surely, give no colour; the second is asked where the first are too few.
MIN_COLOUR_TEXELS = 50
HAIR_SURE = (0.4, 0.15)
# This part of them, the most like skin, is left out.
LIKE_SKIN = 0.2
# Gloss and shadow make hair vary by this much at most, in logarithms; more is background.
LARGEST_VARIATION = 0.6
# Logarithms by which green or blue outweigh red before a colour cannot be hair, and brightness that makes it matter.
UNNATURAL_HUE = (0.05, 0.20)
BLACK_LOG = (-4.0, -2.8)
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
        skin_log: (3,) mean logarithmic colour of the person's skin.
        halo: white or grey hair around the head's outline.
    """

    texels: TexelMap
    smoother: SurfaceSmoother
    areas: Regions
    scalp: np.ndarray
    log_albedo: np.ndarray
    likeness: np.ndarray
    seen: np.ndarray
    skin_log: np.ndarray
    halo: PaleHalo = NO_HALO


@dataclass(frozen=True)
class HairEvidence:
    """What the photo says about hair.

    Attributes:
        looks_like_hair: (N, N) 0-1 on the texels, meaningful where the photo is seen.
        hairiness: (V,) 0-1 on the vertices, continued over the unseen scalp.
        log_colour: (3,) logarithmic linear RGB; log_colours: (V, 3) the same, as it varies over the scalp.
        strand_depth: spread of brightness between strands, logarithm.
        lock_log_colour: (3,) of thin locks, through which skin shines.
        colour_seen: the colours are the photo's, and not guessed from the brows.
    """

    looks_like_hair: np.ndarray
    hairiness: np.ndarray
    log_colour: np.ndarray
    log_colours: np.ndarray
    strand_depth: float
    lock_log_colour: np.ndarray
    colour_seen: bool


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
    shine = smooth_step(brightness - float(view.skin_log.mean()), *SHINE_BRIGHTNESS) * (1.0 - view.areas.scalp)
    pale = pale_hair(view.log_albedo, view.skin_log, view.areas.texels_per_m)
    looks = np.maximum.reduce([(1.0 - view.likeness) * (1.0 - shine), stranded, pale]).astype(np.float32)
    weight = view.seen * view.areas.skin * smooth_step(view.areas.scalp, 0.3, 0.8)
    weight = weight * (1.0 - _unnatural(view.log_albedo))
    vertex_looks, vertex_weight = view.texels.vertex_means(looks[..., None], weight)
    # strands with skin between them tell that there is hair, but not its colour
    hair_weight = weight * np.maximum(1.0 - view.likeness, pale)
    colour, colour_seen = _hair_colour(view.log_albedo, hair_weight, view.skin_log)
    colour = colour if colour_seen else brow_log_colour
    on_scalp = view.scalp > 0.5
    seen = vertex_weight[on_scalp].mean() if on_scalp.any() else 0.0
    mean = np.average(vertex_looks[:, 0], weights=vertex_weight + 1e-9)
    # dark hair before a bright wall is no white hair: the halo speaks where nothing else tells of hair
    sureness = view.halo.sureness * float(1.0 - smooth_step(mean, *TOLD_BY_SCALP))
    if seen < MIN_SEEN and sureness == 0.0:
        colour = _natural(colour)
        everywhere = np.broadcast_to(colour, (count, 3))
        glimpsed = looks[weight > GLIMPSE_WEIGHT]
        bald = len(glimpsed) > MIN_COLOUR_TEXELS and glimpsed.mean() < BALD_GLIMPSE
        hairiness = np.full_like(view.scalp, 0.0 if bald else 1.0)
        return HairEvidence(looks, hairiness, colour, everywhere, STRAND_DEPTH[0], colour, colour_seen)
    prior_weight = UNSEEN_WEIGHT + (HALO_WEIGHT - UNSEEN_WEIGHT) * sureness
    prior = max(mean, sureness)
    hairiness = view.smoother.fit(vertex_looks, vertex_weight, SPREAD_M, prior=prior, prior_weight=prior_weight)[:, 0]
    colour = colour + (view.halo.log_colour(view.skin_log) - colour) * np.float32(sureness)
    colour_seen = colour_seen or sureness > 0.5
    surely_hair = view.log_albedo[hair_weight > HAIR_SURE[0]]
    lock_colour = _robust_median(surely_hair) if len(surely_hair) > MIN_COLOUR_TEXELS else colour
    vertex_colours, vertex_weight = view.texels.vertex_means(view.log_albedo, hair_weight)
    bounded = np.clip(vertex_colours, colour - LARGEST_VARIATION, colour + LARGEST_VARIATION)
    colours = view.smoother.fit(bounded, vertex_weight, SPREAD_M, prior=colour, prior_weight=0.2)
    depth = float(np.clip(np.average(contrast, weights=hair_weight + 1e-9), *STRAND_DEPTH))
    hairy = smooth_step(hairiness, *HAIRY)
    return HairEvidence(looks, hairy, _natural(colour), _natural(colours), depth, _natural(lock_colour), colour_seen)


def pale_hair(log_albedo: np.ndarray, skin_log: np.ndarray, texels_per_m: float) -> np.ndarray:
    """White and grey hair, which is often as bright as skin: it is paler, and shine would have to be brighter.

    Args:
        log_albedo: (N, N, 3) of the photo; skin_log: (3,) of the person's skin.
        texels_per_m: texel scale.

    Returns:
        (N, N) 0-1.

    Source: the dichromatic model (Shafer 1985): shine adds white light to the skin's colour, so that the differences
    between the channels stay those of skin in the same light; in white hair they are small.
    """
    small = cv2.resize(log_albedo, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.25 * PALE_LENGTH_M * texels_per_m)
    red, green, blue = cv2.split(small)
    redness = float(skin_log[0] - 0.5 * (skin_log[1] + skin_log[2]))
    paler = redness - (red - 0.5 * (green + blue))
    red, green, blue = cv2.split(cv2.exp(small))
    skin_red, skin_green, skin_blue = np.exp(skin_log)
    body = (red - 0.5 * (green + blue)) / max(float(skin_red - 0.5 * (skin_green + skin_blue)), 1e-3)
    bright = smooth_step(luminance(small) - float(skin_log.mean()), *PALE_BRIGHTNESS)
    pale = smooth_step(paler, *PALER_THAN_SKIN) * (1.0 - smooth_step(body, *BODY_OF_SKIN)) * bright
    return cv2.resize(pale, log_albedo.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _hair_colour(log_albedo: np.ndarray, weight: np.ndarray, skin_log: np.ndarray) -> tuple[np.ndarray, bool]:
    """(3,) of the texels that show hair, without those most like skin, which shines through; are there enough?"""
    for sure in HAIR_SURE:
        colours = log_albedo[weight > sure]
        if len(colours) > MIN_COLOUR_TEXELS:
            from_skin = np.abs(colours - skin_log).max(axis=1)
            return _robust_median(colours[from_skin >= np.quantile(from_skin, LIKE_SKIN)]), True
    return skin_log, False


def _natural(log_colour: np.ndarray) -> np.ndarray:
    """(..., 3) a colour of hair with green and blue lowered where they outweigh red; black hair takes on any tint."""
    red, green, blue = np.moveaxis(log_colour, -1, 0)
    blue = np.minimum(blue, red)
    between = 0.5 * (red + blue) + GREEN_OVER_MEAN + GREEN_OF_BLOND * (red - blue)
    green = np.minimum(green, np.minimum(red - GREEN_UNDER_RED, between))
    return np.stack([red, green, np.minimum(blue, green)], axis=-1).astype(np.float32)


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
    return cv2.resize(cv2.erode(spread, disc(2.0 * sigma)), brightness.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _robust_median(colours: np.ndarray) -> np.ndarray:
    """(3,) median of the colours within two spreads of the median, so that background leaves no tint."""
    median = np.median(colours, axis=0)
    distance = np.abs(colours - median).max(axis=1)
    near = distance <= 2.0 * np.median(distance) + 1e-6
    return np.median(colours[near], axis=0).astype(np.float32)
