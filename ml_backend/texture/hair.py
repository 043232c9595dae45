"""Hair of the scalp: is there any, of which colour, and a soft-edged painting of it that has no seams."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.texture.colour import luminance
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.skin_evidence import Regions
from ml_backend.texture.texel_map import TexelMap

# Local spread of brightness (logarithm) over some millimetres: skin stays below the first, hair exceeds the second.
STRAND_CONTRAST = (0.10, 0.22)
STRAND_WINDOW_M = 0.003
# Evidence spreads over unseen scalp about this far before the mean takes over.
SPREAD_M = 0.02
# The hairline wanders by this much around the head's own, metres.
HAIRLINE_REACH_M = 0.012
# Less seen scalp than this (mean weight of its vertices) decides nothing: hair of the brows' colour is painted then.
MIN_SEEN = 0.02
# Gloss and shadow make hair vary by this much at most, in logarithms; more is background.
LARGEST_VARIATION = 0.6
# Depth of the painted strands, in logarithms, and the grid their noise is drawn on (polar angle x azimuth).
STRAND_DEPTH = 0.22
STRAND_GRID = (96, 1536)


@dataclass(frozen=True)
class HairEvidence:
    """What the photo says about hair.

    Attributes:
        looks_like_hair: (N, N) 0-1 on the texels, meaningful where the photo is seen.
        hairiness: (V,) 0-1 on the vertices, continued over the unseen scalp.
        log_colour: (3,) logarithmic linear RGB; log_colours: (V, 3) the same, as it varies over the scalp.
    """

    looks_like_hair: np.ndarray
    hairiness: np.ndarray
    log_colour: np.ndarray
    log_colours: np.ndarray


def find_hair(
    texels: TexelMap,
    smoother: SurfaceSmoother,
    log_albedo: np.ndarray,
    likeness: np.ndarray,
    seen: np.ndarray,
    regions: Regions,
    scalp: np.ndarray,
    brow_log_colour: np.ndarray,
) -> HairEvidence:
    """Decide where hair grows and what colour it has.

    Args:
        texels: the UV grid; smoother: of the head's surface.
        log_albedo: (N, N, 3); likeness: (N, N) how much a texel looks like skin, judged strictly.
        seen: (N, N) 0-1, how well the photo sees each texel.
        regions: the head's regions on the texels; scalp: (V,) mask.
        brow_log_colour: (3,) the colour to fall back on.

    Returns:
        The evidence; a bald head has a hairiness near 0.
    """
    contrast = _local_spread(luminance(log_albedo), STRAND_WINDOW_M * regions.texels_per_m)
    looks = np.maximum(1.0 - likeness, smooth_step(contrast, *STRAND_CONTRAST)).astype(np.float32)
    weight = seen * regions.skin * smooth_step(regions.scalp, 0.3, 0.8)
    vertex_looks, vertex_weight = texels.vertex_means(looks[..., None], weight, len(scalp))
    if vertex_weight[scalp > 0.5].mean() < MIN_SEEN:
        colours = np.broadcast_to(brow_log_colour, (len(scalp), 3))
        return HairEvidence(looks, np.ones_like(scalp), brow_log_colour, colours)
    mean = np.average(vertex_looks[:, 0], weights=vertex_weight + 1e-9)
    hairiness = smoother.fit(vertex_looks, vertex_weight, SPREAD_M, prior=mean, prior_weight=0.05)[:, 0]
    hairiness = smooth_step(hairiness, 0.3, 0.6)
    hair_weight = weight * looks
    colour = _robust_median(log_albedo[hair_weight > 0.25]) if (hair_weight > 0.25).sum() > 50 else brow_log_colour
    vertex_colours, vertex_weight = texels.vertex_means(log_albedo, hair_weight, len(scalp))
    bounded = np.clip(vertex_colours, colour - LARGEST_VARIATION, colour + LARGEST_VARIATION)
    colours = smoother.fit(bounded, vertex_weight, SPREAD_M, prior=colour, prior_weight=0.2)
    return HairEvidence(looks, hairiness, colour, colours)


def paint_hair(
    texels: TexelMap,
    evidence: HairEvidence,
    log_albedo: np.ndarray,
    seen: np.ndarray,
    regions: Regions,
    smoother: SurfaceSmoother,
    scalp: np.ndarray,
    vertices: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Paint the hair: the photo's where it is seen, strands of the same colour elsewhere.

    Args:
        texels, log_albedo, seen, regions, smoother, scalp: as for `find_hair`.
        evidence: what was found.
        vertices: (V, 3) of the neutral head, metres; strands run from the crown down.

    Returns:
        (N, N, 3) logarithmic albedo and (N, N) 0-1 how much of it covers the skin.
    """
    strands = texels.interpolate(vertices)
    strands = strand_noise(strands, vertices, scalp)
    wide = smoother.fit(scalp[:, None], np.ones_like(scalp), HAIRLINE_REACH_M)
    fields = texels.interpolate(np.column_stack([wide[:, 0], evidence.hairiness]))
    grown = smooth_step(fields[..., 0] + 0.18 * strands, 0.38, 0.66) * fields[..., 1]
    near_scalp = smooth_step(fields[..., 0], 0.12, 0.40)
    observed = cv2.GaussianBlur(evidence.looks_like_hair, (0, 0), 0.0015 * regions.texels_per_m) * near_scalp
    # deep inside the scalp the vertices' verdict counts, so that a glint does not become a bald patch
    observed = np.maximum(observed, grown * smooth_step(fields[..., 0], 0.8, 0.95))
    trust = cv2.GaussianBlur(smooth_step(seen, 0.1, 0.5).astype(np.float32), (0, 0), 0.004 * regions.texels_per_m)
    cover = (grown + (observed - grown) * trust) * regions.skin
    colours = texels.interpolate(evidence.log_colours)
    painted = colours + (STRAND_DEPTH * strands)[..., None]
    photo = _evened(log_albedo, colours, 0.010 * regions.texels_per_m)
    usable = trust * smooth_step(evidence.looks_like_hair, 0.2, 0.6)
    usable = cv2.GaussianBlur(usable.astype(np.float32), (0, 0), 0.001 * regions.texels_per_m)
    return painted + (photo - painted) * usable[..., None], cover


def strand_noise(positions: np.ndarray, vertices: np.ndarray, scalp: np.ndarray) -> np.ndarray:
    """Streaks that run from the crown outwards, a function of the place on the head and therefore without seams.

    Args:
        positions: (N, N, 3) metres.
        vertices: (V, 3); scalp: (V,) mask: give the centre of the streaks' sphere.

    Returns:
        (N, N) about -1 to 1.
    """
    on_scalp = vertices[scalp > 0.5] if (scalp > 0.5).any() else vertices
    centre = on_scalp.mean(axis=0) - np.array([0.0, 0.04, 0.0])
    # the whorl sits some 35 degrees behind the top of the head
    axis = np.array([0.0, 0.82, -0.57])
    side, front = np.array([1.0, 0.0, 0.0]), np.cross([1.0, 0.0, 0.0], axis)
    away = positions - centre.astype(np.float32)
    length = np.linalg.norm(away, axis=-1) + 1e-6
    polar = np.arccos(np.clip(away @ axis / length, -1.0, 1.0)) / np.pi
    azimuth = np.arctan2(away @ side, away @ front) / (2.0 * np.pi) + 0.5
    rows, columns = STRAND_GRID
    random = np.random.default_rng(7)
    noise = np.zeros(STRAND_GRID, np.float32)
    for width, weight in ((1.0, 1.0), (3.0, 0.8), (10.0, 0.5)):
        layer = random.standard_normal((rows, columns)).astype(np.float32)
        wrapped = np.tile(layer, (1, 3))
        blurred = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=width, sigmaY=3.0)[:, columns : 2 * columns]
        noise += weight * blurred / blurred.std()
    noise /= 2.0 * noise.std()
    where = np.stack([azimuth * columns, polar * (rows - 1)], axis=-1).astype(np.float32)
    padded = np.concatenate([noise, noise[:, :1]], axis=1)
    return np.clip(cv2.remap(padded, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), -1.5, 1.5)


def _evened(log_albedo: np.ndarray, log_colours: np.ndarray, sigma: float) -> np.ndarray:
    """Photographed hair with its glossy unevenness halved, so that it meets the painted strands."""
    small = cv2.resize(log_albedo, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    low = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    low = cv2.resize(low, (log_albedo.shape[1], log_albedo.shape[0]), interpolation=cv2.INTER_LINEAR)
    bounded = np.clip(low - log_colours, -LARGEST_VARIATION, LARGEST_VARIATION)
    return log_colours + 0.7 * bounded + np.clip(log_albedo - low, -0.9, 0.9)


def _local_spread(image: np.ndarray, sigma: float) -> np.ndarray:
    mean = cv2.GaussianBlur(image, (0, 0), sigma)
    return np.sqrt(np.maximum(cv2.GaussianBlur(image * image, (0, 0), sigma) - mean * mean, 0.0))


def _robust_median(colours: np.ndarray) -> np.ndarray:
    """(3,) median of the colours within two spreads of the median, so that background leaves no tint."""
    median = np.median(colours, axis=0)
    distance = np.abs(colours - median).max(axis=1)
    near = distance <= 2.0 * np.median(distance) + 1e-6
    return np.median(colours[near], axis=0).astype(np.float32)
