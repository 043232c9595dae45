"""Distils any displacement that depends on the expression into three maps that tension blends.

Played back: D = neutral + w_c (compressed - neutral) + w_e (expanded - neutral) with the weights of
`addon/exchange/tension.py`. For each texel the three values are those that come nearest to the source over many
expressions, in the sense of least squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
import torch

# Added to the sums of squared weights; far below what a sample in which a place moves at all brings (1e-4).
EXACT_RIDGE = 1e-12
# Full compression and stretch are what this part of all moved places stays below. Tension counts millimetres, so that
# it is small where the mesh is fine, as around the eyes: with 0.95 lines there would need maps that are many times too
# deep for other places. Of 0.5, 0.65, 0.8 and 0.95 on the open head, 0.5 has a little less error (10.9 against 11.1
# micrometres) and 0.65 the more even depths.
FULL_QUANTILE = 0.65


@dataclass(frozen=True)
class WrinkleScale:
    """What tension a map belongs to.

    Attributes:
        full_compression, full_stretch: tension and -tension at which the maps show whole, > 0.
    """

    full_compression: float
    full_stretch: float

    def weights(self, tension: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (...) of the compressed and of the expanded map, 0-1, as `wrinkle_weights`."""
        return (tension / self.full_compression).clamp(0, 1), (-tension / self.full_stretch).clamp(0, 1)


@dataclass(frozen=True)
class WrinkleMaps:
    """Three displacement maps and what they leave unsaid.

    Attributes:
        neutral, compressed, expanded: (...) in the source's unit.
        error_um: root of the mean squared difference to the source over the expressions, all places together.
        error_map: (...) the same for each place, in the source's unit.
        scale: the tensions of the maps.
    """

    neutral: torch.Tensor
    compressed: torch.Tensor
    expanded: torch.Tensor
    error_um: float
    error_map: torch.Tensor
    scale: WrinkleScale

    def played(self, tension: torch.Tensor) -> torch.Tensor:
        """The displacement that playback shows at a tension (...)."""
        compressed, expanded = self.scale.weights(tension)
        return self.neutral + compressed * (self.compressed - self.neutral) + expanded * (self.expanded - self.neutral)


def distil(
    detail: Callable[[torch.Tensor], torch.Tensor],
    tension_maps: Iterable[torch.Tensor],
    scale: WrinkleScale,
    metres_per_unit: float = 1.0,
    ridge: float = EXACT_RIDGE,
) -> WrinkleMaps:
    """Distil a displacement that is a function of the tension map.

    Args:
        detail: tension map T_UV (...) -> displacement (...).
        tension_maps: (...) of the sampled expressions, one at a time.
        scale: the tensions at which the maps show whole.
        metres_per_unit: of the displacement, for `error_um`.
        ridge: see `distil_samples`.
    """
    batches = ((tension[None], detail(tension)[None]) for tension in tension_maps)
    return distil_samples(batches, scale, metres_per_unit, ridge)


def distil_samples(
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    scale: WrinkleScale,
    metres_per_unit: float = 1.0,
    ridge: float = EXACT_RIDGE,
    at_rest: torch.Tensor | None = None,
    sample_weights: Sequence[float] = (),
) -> WrinkleMaps:
    """Distil batches of tensions and displacements; only their sums are kept.

    Args:
        batches: tensions (B, ...) and displacements (B, ...) of some expressions at a time.
        scale: the tensions at which the maps show whole.
        metres_per_unit: of the displacement, for `error_um`.
        ridge: pull of the compressed and expanded maps towards the neutral one, in squared weights; where the
            samples never compress or stretch a place, its maps equal the neutral one.
        at_rest: (...) the displacement at rest where it is known; it is then the neutral map as it stands.
        sample_weights: how much each batch counts; 1 where there is none.

    Returns:
        The maps.

    Raises:
        ValueError: there is no sample.

    Source: own derivation. w_c and w_e are never above 0 together, so that D = n + w_c c + w_e e (c, e: differences to
    the neutral) has the normal equations [N Σw_c Σw_e; Σw_c Σw_c² 0; Σw_e 0 Σw_e²] (n c e)ᵀ = (ΣD Σw_cD Σw_eD)ᵀ,
    solved by eliminating c and e. The squared error is ΣD² - (n c e)·(right side), and more where n is given.
    """
    sums = None
    for (tension, displacement), weight in zip(batches, chain(sample_weights, repeat(1.0)), strict=False):
        sums = sums or _Sums(displacement[0])
        sums.add(*scale.weights(tension), displacement, weight)
    if sums is None:
        raise ValueError("there is no expression to distil")
    neutral, compressed, expanded = sums.solved(ridge, at_rest)
    squared = sums.squared_error(neutral, compressed, expanded)
    return WrinkleMaps(
        neutral, neutral + compressed, neutral + expanded,
        float(squared.mean().sqrt()) * metres_per_unit * 1e6, squared.sqrt(), scale,
    )  # fmt: skip


class _Sums:
    """The sums of the normal equations, float64: the error is a small difference of large sums."""

    def __init__(self, like: torch.Tensor) -> None:
        zero = torch.zeros_like(like, dtype=torch.float64)
        self.count = 0.0
        self.c, self.e, self.cc, self.ee = (zero.clone() for _ in range(4))
        self.d, self.cd, self.ed, self.dd = (zero.clone() for _ in range(4))

    def add(self, compressed: torch.Tensor, expanded: torch.Tensor, displacement: torch.Tensor, weight: float) -> None:
        """Take in a batch of expressions, each of which counts `weight` times."""
        c, e, d = compressed.double(), expanded.double(), displacement.double()
        self.count += weight * len(d)
        for total, values in ((self.c, c), (self.e, e), (self.d, d)):
            total.add_(values.sum(0), alpha=weight)
        for total, one, other in (
            (self.cc, c, c), (self.ee, e, e), (self.cd, c, d), (self.ed, e, d), (self.dd, d, d),
        ):  # fmt: skip
            total.add_((one * other).sum(0), alpha=weight)

    def solved(self, ridge: float, at_rest: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Neutral map, and the differences of the other two to it."""
        cc, ee = self.cc + ridge, self.ee + ridge
        if at_rest is None:
            left = self.count - self.c**2 / cc - self.e**2 / ee
            right = self.d - self.c * self.cd / cc - self.e * self.ed / ee
            # a place that every sample compresses alike says nothing of its rest: nearly the mean, then
            neutral = torch.where(left > 1e-9 * self.count, right / left.clamp(min=1e-300), self.d / self.count)
        else:
            neutral = at_rest.double()
        return neutral, (self.cd - self.c * neutral) / cc, (self.ed - self.e * neutral) / ee

    def squared_error(self, n: torch.Tensor, c: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """Mean squared difference between the samples and the maps."""
        total = self.dd + self.count * n**2 + c**2 * self.cc + e**2 * self.ee
        total = total - 2 * (n * self.d + c * self.cd + e * self.ed)
        total = total + 2 * n * (c * self.c + e * self.e)
        return (total / self.count).clamp(min=0)


def full_tensions(tensions: torch.Tensor, quantile: float = FULL_QUANTILE, least: float = 0.02) -> WrinkleScale:
    """The tensions at which the maps show whole: what the given quantile of compressed and stretched places reach.

    Args:
        tensions: (B, P) of sampled expressions.
        quantile: higher, and the maps are seldom shown whole; lower, and strong expressions look like weaker ones.
        least: of what counts as compressed or stretched at all, and of the result.
    """
    values = tensions.reshape(-1).double().numpy()

    def full(positive: np.ndarray) -> float:
        moved = positive[positive > least]
        return float(np.quantile(moved, quantile)) if len(moved) else least

    return WrinkleScale(full(values), full(-values))
