"""A soft-edged painting of the scalp's hair that has no seams: the photo's hair, its mirror image, invented strands."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from ml_backend.texture.hair import LARGEST_VARIATION, HairEvidence, ScalpView
from ml_backend.texture.log_colour import coarsely_blurred, in_colour, luminance, over
from ml_backend.texture.morphology import disc
from ml_backend.texture.photo_projection import smooth_step

# The hairline wanders by this much around the head's own, metres.
HAIRLINE_REACH_M = 0.012
HAIRLINE_SOFTNESS_M = 0.0012
# A hairline thins out over this distance (Gaussian, some 20 mm in all) into single strands: noise along them, times the
# second figure, shifts the border at which a strand ends, and the third is the softness of a strand's end and sides,
# all as parts of the cover; short hairs between them, finer than texels, shade the skin by the last: with half of it
# the strands stood apart like the teeth of a comb.
THINNING_M = 0.009
THINNING_STRANDS = 0.16
STRAND_EDGE = 0.45
THINNING_SHADE = 0.60
# Likeness to hair between which a place that the photo shows goes from bare skin to hair.
BARE_SKIN = (0.1, 0.4)
# Hairiness of the surroundings from which photographed hair is believed.
LONELY_HAIR = (0.0, 0.3)
# Glossy spots up to this size lie within hair, not on bare skin.
GLINT_RADIUS_M = 0.004
# Photographed and painted hair meet over this distance.
BLEND_M = 0.004
# Gloss larger than this is evened out of photographed hair, and this part of it stays.
GLOSS_M = 0.010
GLOSS_KEPT = 0.7
# The grid on which the noise of strands is drawn: polar angle x azimuth, 0.15 mm of a hairline each; then its layers:
# width, length, weight. Coarse ones stand for locks; at a hairline they would be the teeth of a comb, where strands
# are 0.5 to 1.5 mm apart.
STRAND_GRID = (128, 4096)
LOCK_LAYERS = ((2.7, 1.0, 1.0), (3.2, 4.0, 1.0), (8.0, 4.0, 0.7), (27.0, 4.0, 0.4))
TIP_LAYERS = ((1.0, 2.0, 1.0), (1.7, 5.0, 0.7))
# The whorl that strands run from sits some 35 degrees behind the top of the head.
WHORL = np.array([0.0, 0.82, -0.57]) / np.hypot(0.82, 0.57)


def paint_hair(view: ScalpView, evidence: HairEvidence, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Paint the hair: the photo's where it is seen, the other half's where that is, else strands of the same colour.

    Args:
        view: the scalp in the photo.
        evidence: what was found there.
        vertices: (V, 3) of the neutral head, metres; strands run from the crown down.

    Returns:
        (N, N, 3) logarithmic albedo and (N, N) 0-1 how much of it covers the skin.
    """
    texels, per_m = view.texels, view.areas.texels_per_m
    strands, tips = cv2.split(strand_noise(texels.interpolate(vertices), vertices, view.scalp))
    wide = view.smoother.fit(view.scalp[:, None], np.ones_like(view.scalp), HAIRLINE_REACH_M)
    fields = texels.interpolate(np.column_stack([wide[:, 0], evidence.hairiness, evidence.log_colours]))
    grown = smooth_step(fields[..., 0], 0.38, 0.66) * fields[..., 1]
    # where no hair grows around, what looks like it is light or dirt
    observed = smooth_step(fields[..., 1], *LONELY_HAIR) * smooth_step(fields[..., 0], 0.12, 0.40)
    observed = observed * _without_glints(evidence.looks_like_hair, per_m)
    trust = cv2.GaussianBlur(smooth_step(view.seen, 0.1, 0.5).astype(np.float32), (0, 0), BLEND_M * per_m)
    usable = trust * smooth_step(evidence.looks_like_hair, 0.2, 0.6)
    usable = cv2.GaussianBlur(usable.astype(np.float32), (0, 0), 0.25 * BLEND_M * per_m)

    colours = fields[..., 2:]
    detail = _evened_detail(view.log_albedo, colours, GLOSS_M * per_m)
    mirrored_observed, mirrored_trust, mirrored_usable = cv2.split(
        texels.mirrored(cv2.merge([observed, trust, usable]))
    )
    cover = _mixed(_mixed(grown, mirrored_observed, mirrored_trust), observed, trust)
    painted = over(in_colour(evidence.strand_depth * strands), texels.mirrored(detail), mirrored_usable)
    thinned = thinned_hairline(cover, tips, view.areas.skin, THINNING_M * per_m)
    # where the photo shows skin beside hair, its own hairline is the right one
    bare = trust * (1.0 - smooth_step(evidence.looks_like_hair, *BARE_SKIN))
    cover = _mixed(thinned, np.minimum(thinned, cover), bare)
    return colours + over(painted, detail, usable), cover * view.areas.skin


def thinned_hairline(cover: np.ndarray, tips: np.ndarray, skin: np.ndarray, sigma: float) -> np.ndarray:
    """Let the border of hair run out in strands.

    Args:
        cover: (N, N) 0-1, hair with any border.
        tips: (N, N) about -1 to 1, how much further each strand reaches.
        skin: (N, N) 0-1, where the layout shows skin: its own borders are no hairlines.
        sigma: width of the border, texels.

    Returns:
        (N, N) 0-1; unchanged far from borders.
    """
    size = tuple(side // 4 for side in cover.shape[::-1])
    fields = (cover * skin).astype(np.float32), skin.astype(np.float32)
    layers = [cv2.resize(field, size, interpolation=cv2.INTER_AREA) for field in fields]
    hair, total = (cv2.GaussianBlur(layer, (0, 0), sigma / 4) for layer in layers)
    soft = cv2.resize(hair / np.maximum(total, 1e-3), cover.shape[::-1], interpolation=cv2.INTER_LINEAR)
    reaching = smooth_step(soft + THINNING_STRANDS * tips, 0.5 - STRAND_EDGE, 0.5 + STRAND_EDGE)
    ragged = reaching * smooth_step(soft, 0.02, 0.25)
    ragged = np.maximum(ragged, THINNING_SHADE * smooth_step(soft, 0.05, 0.60))
    # well inside, the cover itself: no strand opens a view of the skin there
    return ragged + (np.maximum(ragged, cover) - ragged) * smooth_step(soft, 0.70, 0.95)


def _mixed(below: np.ndarray, above: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    return below + (above - below) * opacity


def strand_noise(positions: np.ndarray, vertices: np.ndarray, scalp: np.ndarray) -> np.ndarray:
    """Streaks that run from the crown outwards, a function of the place on the head and therefore without seams.

    Args:
        positions: (N, N, 3) metres.
        vertices: (V, 3); scalp: (V,) mask: give the centre of the streaks' sphere.

    Returns:
        (N, N, 2) about -1 to 1: of locks and strands together, and of single strands alone.
    """
    on_scalp = vertices[scalp > 0.5] if (scalp > 0.5).any() else vertices
    centre = on_scalp.mean(axis=0) - np.array([0.0, 0.04, 0.0])
    side = np.array([1.0, 0.0, 0.0])
    front = np.cross(side, WHORL)
    axes = np.stack([side, front, WHORL])
    # the fourth column moves the centre to the origin
    rightwards, forwards, up = cv2.split(cv2.transform(positions, np.column_stack([axes, -axes @ centre])))
    level = cv2.magnitude(rightwards, forwards)
    # both angles by OpenCV, within 0.01 degrees: a tenth of the finest strands
    polar = cv2.phase(up, level)
    azimuth = cv2.phase(-forwards, -rightwards)
    columns = azimuth * np.float32(STRAND_GRID[1] / (2.0 * np.pi))
    rows = polar * np.float32((STRAND_GRID[0] - 1) / np.pi)
    noise = cv2.remap(_strand_grid(), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(noise, -1.5, 1.5)


@cache
def _strand_grid() -> np.ndarray:
    """(rows, columns + 1, 2) noise, periodic in azimuth (its last column repeats the first) with spreads of a half."""
    random = np.random.default_rng(7)
    both = np.dstack([_streaks(random, LOCK_LAYERS), _streaks(random, TIP_LAYERS)])
    return np.concatenate([both, both[:, :1]], axis=1)


def _streaks(random: np.random.Generator, layers: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    rows, columns = STRAND_GRID
    noise = np.zeros(STRAND_GRID, np.float32)
    for width, length, weight in layers:
        border = int(4 * width) + 1
        wrapped = np.pad(random.standard_normal((rows, columns)).astype(np.float32), ((0, 0), (border, border)), "wrap")
        blurred = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=width, sigmaY=length)[:, border : border + columns]
        noise += weight * blurred / blurred.std()
    return noise / (2.0 * noise.std())


def _without_glints(looks: np.ndarray, texels_per_m: float) -> np.ndarray:
    """(N, N) the look of hair with small holes closed, so that gloss does not become a bald patch, and soft borders."""
    small = cv2.resize(looks, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, disc(0.25 * GLINT_RADIUS_M * texels_per_m))
    closed = cv2.resize(closed, looks.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(np.maximum(looks, closed), (0, 0), HAIRLINE_SOFTNESS_M * texels_per_m)


def _evened_detail(log_albedo: np.ndarray, log_colours: np.ndarray, sigma: float) -> np.ndarray:
    """(N, N, 3) photographed hair over its colour, with large gloss reduced, so that it meets the painted strands."""
    low = coarsely_blurred(log_albedo, sigma)
    # gloss is the light's colour, and in black hair the camera's noise: only its brightness counts
    gloss = np.clip(luminance(low - log_colours), -LARGEST_VARIATION, LARGEST_VARIATION)
    return in_colour(GLOSS_KEPT * gloss) + np.clip(log_albedo - low, -0.9, 0.9)
