"""Distils the wrinkle prior fast: its lines do not move, so that only their depths need to be fitted, at the vertices.

The prior is a sum of reliefs times depths that vary smoothly over the surface. Least squares are linear in what is
fitted: fitting each texel's displacement is fitting the depth there. The depth is fitted at the head's vertices, where
tension is known, and carried to the texels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ml_backend.wrinkles.distil import WrinkleScale, full_tensions
from ml_backend.wrinkles.expression_samples import expression_samples
from ml_backend.wrinkles.line_chart import smoothed_on_patch
from ml_backend.wrinkles.prior import WrinkleLayer, WrinklePrior
from ml_backend.wrinkles.tension import vertex_tension
from ml_backend.wrinkles.wrinkle_surface import WrinkleSurface

# Pull of the maps towards the neutral one, in squared weights: places that no expression ever compresses by more than
# a twentieth of the full compression keep half of what they would get.
RIDGE = 0.002
# No map is deeper than this times a fully folded line: strengths above 1 would otherwise bring chasms out of places
# that the samples hardly compress. The eyes' corners, whose tension is smallest, show a smile to 55 % with 6, 83 % with
# 12 and 89 % with 20.
MAX_DEPTH_FACTOR = 12.0
# Rounds of averaging with the neighbours (line_chart) of what a depth is fitted to. Beside the mouth, the eyes and
# between the brows tension changes its sign from one vertex to the next: of 0, 1, 2 and 4, 1 has the smallest error.
FIT_ROUNDS = 1
# The depth of a line at half an expression, as part of that at the whole one, is at most this where the one compresses
# a place and the other stretches it, as a smile does beside the mouth: what is mostly shown at the half would fade
# towards the whole. The prior itself has 0.6 to 0.7; less makes up for what neighbours add.
HALF_OF_WHOLE = 0.5
# the error is measured at every n-th texel of every n-th row
ERROR_STRIDE = 8


@dataclass(frozen=True)
class ExpressionTensions:
    """Sampled expressions of a person.

    Attributes:
        posed: (B, V, 3) metres; tension: (B, V).
        weight: (B,) how much an error in each of them counts.
        growing: (K, 2) pairs of samples: an expression at a half and at 1.
    """

    posed: torch.Tensor
    tension: torch.Tensor
    weight: torch.Tensor
    growing: torch.Tensor


@dataclass(frozen=True)
class DistilledPrior:
    """The prior as maps.

    Attributes:
        rest_m: (N, N) metres, the lines at rest, without pores.
        compressed_m, expanded_m: (N, N) differences to the map at rest at full compression and at full stretch.
        scale: the tensions of full compression and stretch.
        error_um: root of the mean squared difference to the prior, over the sampled expressions, each alike, and the
            texels that have lines; error_map_m: (N / ERROR_STRIDE squared) metres, the same by place, 0 where no lines
            are.
    """

    rest_m: np.ndarray
    compressed_m: np.ndarray
    expanded_m: np.ndarray
    scale: WrinkleScale
    error_um: float
    error_map_m: np.ndarray


def sampled_tension_scale(surface: WrinkleSurface) -> tuple[WrinkleScale, ExpressionTensions]:
    """Sample a person's expressions, and find the tensions at which the maps shall show whole."""
    sampled = expression_samples()
    strengths = sampled.strengths
    keys = surface.arkit_keys
    posed = surface.neutral + (strengths @ keys.flatten(1)).reshape(len(strengths), *keys.shape[1:])
    tension = vertex_tension(surface.neutral, posed, surface.edges)
    face = surface.masks["face"] > 0.5
    return full_tensions(tension[:, face]), ExpressionTensions(posed, tension, sampled.weight, sampled.growing)


def depth_changes(prior: WrinklePrior, samples: ExpressionTensions) -> tuple[np.ndarray, ...]:
    """For every family of lines, (B, P) metres that the samples deepen it by at its chart's vertices."""
    return tuple(layer.depth_change_m(samples.posed) for layer in prior.layers)


def distil_prior(
    prior: WrinklePrior,
    scale: WrinkleScale,
    samples: ExpressionTensions,
    rest_gain: np.ndarray | None = None,
    line_gain: np.ndarray | None = None,
    changes: tuple[np.ndarray, ...] | None = None,
) -> DistilledPrior:
    """Distil a person's prior.

    Args:
        prior: drawn for the surface that the samples were posed on.
        scale, samples: of `sampled_tension_scale`.
        rest_gain, line_gain: (V,) factors of the lines at rest and of what expressions add; 1 where None.
        changes: `depth_changes` of both, where they are known already.
    """
    changes = depth_changes(prior, samples) if changes is None else changes
    ones = np.ones(len(prior.surface.neutral))
    rest_gain, line_gain = (ones if gain is None else gain for gain in (rest_gain, line_gain))
    size = prior.size_px
    maps = np.zeros((3, size**2), np.float32)
    squares = _SquaredErrors(samples, scale, size)
    for layer, layer_change in zip(prior.layers, changes, strict=True):
        vertex = layer.chart.vertex
        change = torch.from_numpy(layer_change * line_gain[vertex])
        fitted = _fitted_depths(layer, change, samples, scale)
        rest = layer.rest_depth_m * rest_gain[vertex]
        for image, depth in zip(maps, (rest, fitted.compressed, fitted.expanded), strict=True):
            image[layer.index] += layer.relief * layer.on_texels(depth).astype(np.float32)
        squares.add(layer, change, fitted)
    return DistilledPrior(*maps.reshape(3, size, size), scale, *squares.summed())


@dataclass(frozen=True)
class _Depths:
    """Depths (P,) at a chart's vertices, metres more than at rest, of the two maps."""

    compressed: np.ndarray
    expanded: np.ndarray


def _fitted_depths(
    layer: WrinkleLayer, change_m: torch.Tensor, samples: ExpressionTensions, scale: WrinkleScale
) -> _Depths:
    """Least squares of a family's depths at its vertices, exact at rest.

    A vertex's tension jumps from one to the next; a depth that followed it would show the mesh. So each depth is
    fitted to its neighbourhood: the sums of the normal equations are smoothed over the patch before they are divided.
    """
    tension = samples.tension[:, layer.chart.vertex]
    compressed, expanded = (weight.double() for weight in scale.weights(tension))
    folded = (change_m / layer.depth_m).clamp(0, 1)
    counts = samples.weight.double()[:, None] * layer.system.missed_weight**folded

    def fitted(weight: torch.Tensor) -> np.ndarray:
        counted = counts * weight
        sums = torch.stack([(counted * change_m).sum(0), (counted * weight).sum(0) + RIDGE], 1).numpy()
        top, bottom = smoothed_on_patch(layer.chart.neighbours, sums, FIT_ROUNDS).T
        limit = MAX_DEPTH_FACTOR * layer.depth_m
        return np.clip(top / bottom, -limit, limit)

    depths = _Depths(fitted(compressed), fitted(expanded))
    return _growing(layer, depths, change_m, compressed.numpy(), expanded.numpy(), samples.growing.numpy())


def _growing(
    layer: WrinkleLayer,
    depths: _Depths,
    change_m: torch.Tensor,
    compressed: np.ndarray,
    expanded: np.ndarray,
    growing: np.ndarray,
) -> _Depths:
    """Depths that do not fade while an expression that folds the family grows.

    Args:
        depths: fitted; change_m, compressed, expanded: (B, P) of the samples; growing: (K, 2) pairs of them.
    """
    half, whole = growing.T
    folds = (change_m[whole] > 0.3 * layer.depth_m).numpy()

    def kept(shown: np.ndarray, depth: np.ndarray, other: np.ndarray, other_depth: np.ndarray) -> np.ndarray:
        """(P,) 0-1, the part of a map's depth that may stay; it shows the half, and the other map the whole."""
        now, later = shown[half] * depth, other[whole] * np.maximum(other_depth, 0)
        turns = folds & (now > 0) & (other[whole] > 0)
        part = np.where(turns, np.minimum(1, HALF_OF_WHOLE * later / np.maximum(now, 1e-9)), 1).min(0, initial=1)
        return smoothed_on_patch(layer.chart.neighbours, part[:, None], 1)[:, 0]

    return _Depths(
        depths.compressed * kept(compressed, depths.compressed, expanded, depths.expanded),
        depths.expanded * kept(expanded, depths.expanded, compressed, depths.compressed),
    )


class _SquaredErrors:
    """Adds up, on a coarse grid of texels, what playback misses in every sampled expression."""

    def __init__(self, samples: ExpressionTensions, scale: WrinkleScale, size_px: int) -> None:
        self._samples, self._scale, self._size_px = samples, scale, size_px
        self._coarse = size_px // ERROR_STRIDE
        self._missed = np.zeros((len(samples.tension), self._coarse**2), np.float32)
        self._has_lines = np.zeros(self._coarse**2, bool)

    def add(self, layer: WrinkleLayer, change_m: torch.Tensor, fitted: _Depths) -> None:
        """Take in a family: its change of depth (B, P) against playback of what was fitted."""
        rows, columns = layer.index // self._size_px, layer.index % self._size_px
        on_grid = (rows % ERROR_STRIDE == ERROR_STRIDE // 2) & (columns % ERROR_STRIDE == ERROR_STRIDE // 2)
        place = (rows // ERROR_STRIDE * self._coarse + columns // ERROR_STRIDE)[on_grid]
        corners, weights = layer.corners[on_grid], layer.barycentric[on_grid]

        def carried(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.einsum("...tk,tk->...t", values[..., corners], weights))

        tension = carried(self._samples.tension[:, layer.chart.vertex].numpy())
        compressed, expanded = self._scale.weights(tension)
        played = compressed * carried(fitted.compressed) + expanded * carried(fitted.expanded)
        self._missed[:, place] += layer.relief[on_grid] * (carried(change_m.numpy()) - played).numpy()
        self._has_lines[place] = True

    def summed(self) -> tuple[float, np.ndarray]:
        """Error in micrometres over the places with lines, and the (M, M) picture in metres."""
        squared = (self._missed**2).mean(0)
        error_um = 1e6 * float(np.sqrt(squared[self._has_lines].mean())) if self._has_lines.any() else 0.0
        return error_um, np.sqrt(squared).reshape(self._coarse, self._coarse)
