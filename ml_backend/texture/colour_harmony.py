"""Photos of one person brought to the same colours: what differs smoothly between them is light and camera."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ml_backend.texture.mesh_smoothing import SurfaceSmoother

# Spread of logarithms between photos of the same skin that is no reason for doubt (noise, make-up, a fit's small
# errors); shine and cast shadows, which differ by more, lose their say.
AGREEMENT = 0.12
# Rounds of reweighting: own choice; the start is a median already.
ROUNDS = 4
# A photo's colours follow those of all photos over this distance, metres: longer than lips and moles, shorter than a
# cheek; and keep their difference this much further where it is alone, tending to its mean.
HARMONY_LENGTH_M = 0.012
HARMONY_PRIOR_WEIGHT = 0.004
# A photo's common weights count as 1 from this quantile of theirs on.
SURE_QUANTILE = 0.9
# How firmly a photo keeps to the level of its own skin's mean colour, as a part of the head that two photos share.
LEVEL_PRIOR = 1e-3


def harmonise(colours: np.ndarray, weights: np.ndarray, skin_logs: np.ndarray, smoother: SurfaceSmoother) -> np.ndarray:
    """Find what to take from each photo so that all agree.

    Args:
        colours: (P, V, 3) logarithmic albedo that P photos show at the vertices.
        weights: (P, V) 0 or more, of plain skin.
        skin_logs: (P, 3) mean logarithmic colour of the skin in each photo.
        smoother: of the head's surface.

    Returns:
        (P, V, 3) float32 logarithms to take from each photo: a constant and a smooth field, whose weighted mean over
        the photos is about 0.

    Source: own derivation: levels by pairs, a robust mean over the photos, then a screened Poisson field towards it for
    each photo, as gradient-domain blending has it (Perez et al. 2003).
    """
    levels = photo_levels(colours, weights, skin_logs)
    centred = colours - levels[:, None]
    common = robust_mean(centred, weights)
    smooth = np.zeros_like(colours)
    total = weights.sum(axis=0)
    for photo, weight in enumerate(weights):
        # only where others see the same skin is there anything to follow
        shared = np.minimum(weight, total - weight)
        shared = np.clip(shared / max(float(np.quantile(shared, SURE_QUANTILE)), 1e-6), 0.0, 1.0)
        smooth[photo] = smoother.fit(
            centred[photo] - common, shared, HARMONY_LENGTH_M, prior=0.0, prior_weight=HARMONY_PRIOR_WEIGHT
        )
    return (levels[:, None] + smooth).astype(np.float32)


def photo_levels(colours: np.ndarray, weights: np.ndarray, skin_logs: np.ndarray) -> np.ndarray:
    """Each photo's colour level, from the medians of all differences of two photos.

    Args:
        colours, weights, skin_logs: those of `harmonise`.

    Returns:
        (P, 3) logarithms with a weighted mean of 0.

    Source: own derivation: least squares of the levels' differences, weighted by what two photos share.
    """
    count, most = len(colours), max(float(weights.max()), 1e-9)
    normal, right = LEVEL_PRIOR * np.eye(count), LEVEL_PRIOR * skin_logs.astype(np.float64)
    for one, other in combinations(range(count), 2):
        shared = np.minimum(weights[one], weights[other])
        used = shared > 0
        if not used.any():
            continue
        difference = weighted_median((colours[one] - colours[other])[used], shared[used])
        common = float(shared.mean()) / most
        normal[one, one] += common
        normal[other, other] += common
        normal[one, other] -= common
        normal[other, one] -= common
        right[one] += common * difference
        right[other] -= common * difference
    levels = np.linalg.solve(normal, right)
    return levels - np.average(levels, axis=0, weights=weights.sum(axis=1) + 1e-9)


def robust_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The colour that most photos show.

    Args:
        values: (P, K, 3) logarithms; weights: (P, K) 0 or more.

    Returns:
        (K, 3); 0 where no photo shows anything.

    Source: an M-estimate with Welsch's weights, reweighted from the weighted median of the brightness.
    """
    brightness = values.mean(axis=2)
    # the first distance is in brightness alone: shine and shadow change little else
    trust = weights * np.exp(-0.5 * ((brightness - weighted_median(brightness, weights)) / AGREEMENT) ** 2)
    for _ in range(ROUNDS):
        mean = _mean(values, trust)
        trust = weights * agreement(values - mean)
    return _mean(values, trust)


def agreement(difference: np.ndarray) -> np.ndarray:
    """(...,) 0-1 from a difference (..., 3) of logarithms: Welsch's weight, exp(-d² / 2 AGREEMENT²)."""
    squared = np.einsum("...c,...c->...", difference, difference) / 3.0
    return np.exp(squared * (-0.5 / AGREEMENT**2))


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted median over the first axis.

    Args:
        values: (P, K); weights: (P, K) or (P,), 0 or more.

    Returns:
        (K,); the lower of two equal halves' borders.
    """
    weights = np.broadcast_to(weights if weights.ndim == values.ndim else weights[:, None], values.shape)
    order = np.argsort(values, axis=0, kind="stable")
    reached = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    first = (reached >= 0.5 * reached[-1:]).argmax(axis=0)
    place = np.take_along_axis(order, first[None], axis=0)
    return np.take_along_axis(values, place, axis=0)[0]


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.maximum(weights.sum(axis=0), 1e-9)
    return np.einsum("pk,pkc->kc", weights, values) / total[:, None]
