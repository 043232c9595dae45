"""Hair that falls over the face: locks, single coloured strands, and what of brows and eyes they hide."""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.texture.hair import HairEvidence
from ml_backend.texture.log_colour import chroma, luminance, plus_colour
from ml_backend.texture.morphology import disc
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.photographed_head import PhotographedHead
from ml_backend.texture.skin_colour import SkinColour

# Spread of the hair's colour and brightness, logarithm; and what is left out around a lock that falls over the face.
HAIR_CHROMA_SIGMA, HAIR_LUMINANCE_SIGMA = 0.15, 0.45
LOCK_MARGIN_M = 0.0022
# A lock of the face's middle must hang together with this much hair around it; a few texels may be a shadow.
MIN_LOCK_M2 = 1.5e-5
# Hair that is redder or yellower than the skin by this much (logarithms of R/G less B/G; not brown or black hair) tints
# the skin under single strands. Plain skin varies by 0.1, and strands a pixel wide are a tenth hair.
TINTING_HUE = 0.85
STRAND_TINT = (0.06, 0.12)
STRAND_WIDTH_M, STRAND_SOFTNESS_M = 0.006, 0.0006
# Around locks, where hair is thin and light shines through it, tint that is no line counts within this distance.
NEAR_LOCK_M = 0.006
# JPEG stores colour at half the size: a strand's tint smears this far around it, in the photo's pixels.
SMEARED_PX = 2.0
# A strand over one brow makes it this much more tinted than the other.
BROW_TINT = (0.08, 0.20)
# A lock lies over a part of a brow where more than this share of the skin is under hair both above and below, in the
# layout, at this distance, give or take the second, beyond the brow's own half height. Fringes end above a brow.
COVERED_SHARE = (0.40, 0.70)
COVERED_REACH_M, COVERED_SPREAD_M = 0.011, 0.005
# At the ends of a brow, hair above and beyond will do, this much further away; where less skin than this is seen there,
# the place lies within the brow.
END_REACH, END_SKIN = 1.4, 0.15


def hair_on_face(
    log_albedo: np.ndarray, hair: HairEvidence, skin: SkinColour, scene: PhotographedHead, beard: float
) -> np.ndarray:
    """Where the hair of the head hides the face; brows and beards, which look the same, stay where no lock covers them.

    Args:
        log_albedo: (N, N, 3) of the photo.
        hair: on the scalp; skin: colour of the skin.
        scene: the head in the photo.
        beard: 0-1, how surely the person has one.

    Returns:
        (N, N) 0-1.
    """
    features, seen, per_m = scene.features, scene.projection.confidence, scene.areas.texels_per_m
    natural = np.maximum(features.dark_by_nature, beard * features.beard)
    looks = hair_over_face(log_albedo, hair.lock_log_colour, skin, per_m)
    locks = falling_locks(looks, np.maximum(features.core, natural), natural, per_m)
    if not hair.colour_seen:
        return locks
    locks = np.maximum(locks, covered_features(locks, np.maximum(features.brows, features.eyes), seen, per_m))
    tint = hair_tint(log_albedo, hair.lock_log_colour, skin)
    if tint is None:
        return locks
    seen = seen * (1.0 - scene.areas.scalp)
    margin_m = LOCK_MARGIN_M + SMEARED_PX / scene.posed.px_per_m
    strands = tinted_strands(tint, locks * seen, features.brows, per_m, margin_m) * seen
    # red lips and nostrils have a tint of their own
    red = cv2.dilate(np.maximum(features.lips, features.nostrils), disc(margin_m * per_m))
    strands *= 1.0 - red
    # a strand runs on over brows and eyes, which hide where it does
    strands *= falling_locks(np.maximum(locks, strands), features.oval, np.zeros_like(natural), per_m)
    other_brow = scene.texels.mirrored(np.dstack([tint, seen]))
    tinted = smooth_step(tint - other_brow[..., 0], *BROW_TINT)
    tinted = cv2.dilate(tinted, disc(LOCK_MARGIN_M * per_m)) * other_brow[..., 1] * features.brows
    return np.maximum(locks, strands * np.maximum(1.0 - natural, tinted))


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
    return _with_margin(sure, LOCK_MARGIN_M * texels_per_m)


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


def hair_tint(log_albedo: np.ndarray, log_colour: np.ndarray, skin: SkinColour) -> np.ndarray | None:
    """How far the hue of each texel lies on the way from the skin's to the hair's, brightness left aside.

    Args:
        log_albedo: (N, N, 3) of the photo.
        log_colour: (3,) of the hair; skin: colour of the skin.

    Returns:
        (N, N) 0 for skin, 1 for hair, or None where the hair is not so much redder or yellower.
    """
    toward = chroma(log_colour) - skin.chroma_mean
    distance = float(np.hypot(*toward))
    if toward[0] - toward[1] < TINTING_HUE:
        return None
    # JPEG stores colour at half the size anyway
    red, green, blue = cv2.split(cv2.resize(log_albedo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    to_red, to_blue = (float(part) / distance**2 for part in toward)
    none = float(skin.chroma_mean @ toward) / distance**2
    tint = (red - green) * np.float32(to_red) + (blue - green) * np.float32(to_blue) - np.float32(none)
    return cv2.resize(tint, log_albedo.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def tinted_strands(
    tint: np.ndarray, locks: np.ndarray, brows: np.ndarray, texels_per_m: float, margin_m: float = LOCK_MARGIN_M
) -> np.ndarray:
    """Single strands of coloured hair, too thin to look like hair: lines of skin that is tinted towards the hair's hue.

    Args:
        tint: (N, N) of `hair_tint`; folds are dark, but not of the hair's hue.
        locks: (N, N) 0-1, sure hair; the skin beside it is judged more strictly.
        brows: (N, N) 0-1, lines themselves: only what crosses them, from top to bottom of the layout, counts there.
        texels_per_m: texel scale; margin_m: left out around every strand.

    Returns:
        (N, N) 0-1.
    """
    small = cv2.resize(np.clip(tint, -0.5, 1.0), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.5 * STRAND_SOFTNESS_M * texels_per_m)
    around = disc(0.25 * STRAND_WIDTH_M * texels_per_m)
    lines = small - cv2.morphologyEx(small, cv2.MORPH_OPEN, around)
    crossing = small - cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((1, len(around)), np.uint8))
    size = small.shape[::-1]
    near = cv2.dilate(cv2.resize(locks, size, interpolation=cv2.INTER_AREA), disc(0.5 * NEAR_LOCK_M * texels_per_m))
    beside = np.maximum(lines, near * small)
    lines = beside + (crossing - beside) * cv2.resize(brows, size, interpolation=cv2.INTER_AREA)
    sure = _with_margin(smooth_step(lines, *STRAND_TINT), 0.5 * margin_m * texels_per_m)
    return cv2.resize(sure, locks.shape[::-1], interpolation=cv2.INTER_LINEAR)


def covered_features(locks: np.ndarray, dark: np.ndarray, seen: np.ndarray, texels_per_m: float) -> np.ndarray:
    """What of the brows and eyes lies under a lock, told by the skin around: their own darkness says nothing.

    Args:
        locks: (N, N) 0-1, hair over skin; dark: (N, N) 0-1, brows and eyes.
        seen: (N, N) 0-1, how well the photo sees each texel.
        texels_per_m: texel scale.

    Returns:
        (N, N) 0-1, 0 outside `dark`.
    """
    around = seen * (1.0 - dark)
    size = tuple(side // 4 for side in locks.shape[::-1])
    sigma, reach = (0.25 * texels_per_m * length for length in (COVERED_SPREAD_M, COVERED_REACH_M))
    fields = [cv2.resize(field, size, interpolation=cv2.INTER_AREA) for field in (around * locks, around)]
    blurred = cv2.GaussianBlur(cv2.merge(fields), (0, 0), sigma)

    def share(right: float, down: float, nothing: float) -> np.ndarray:
        moved = cv2.warpAffine(blurred, np.float32([[1, 0, right], [0, 1, down]]), size)
        return moved[..., 0] / (moved[..., 1] + nothing)

    # between brow and eye there is little skin: next to nothing still decides, nothing at all does not
    above, below = share(0, reach, 1e-3), share(0, -reach, 1e-3)
    beyond = np.maximum(*(share(side * END_REACH, 0, END_SKIN) for side in (reach, -reach)))
    covered = np.minimum(above, np.maximum(below, beyond))
    return smooth_step(cv2.resize(covered, locks.shape[::-1], interpolation=cv2.INTER_LINEAR), *COVERED_SHARE) * dark


def _with_margin(sure: np.ndarray, margin: float) -> np.ndarray:
    grown = cv2.dilate(sure.astype(np.float32), disc(margin))
    # a blur's rounding may carry it a little beyond 1
    return np.minimum(cv2.GaussianBlur(grown, (0, 0), margin), 1.0)
