"""The procedural wrinkle prior: displacement of the skin for any pose of the head, until a learned model gives it.

D(pose) = pores + sum over the families of lines of relief · (depth at rest + depth · fold(pose)), where `fold` is the
shortening across the lines against what the family's full expressions do on this head. Lines stay where they are;
they deepen and fade.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.head.triangle_geometry import triangle_areas
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.wrinkles.draw_lines import dimple_relief, line_relief, person_lines, random_of
from ml_backend.wrinkles.line_chart import LineChart, line_chart, patch_frames
from ml_backend.wrinkles.line_systems import LINE_SYSTEMS, LineSystem
from ml_backend.wrinkles.pores import pore_relief
from ml_backend.wrinkles.strain import TangentFrames
from ml_backend.wrinkles.wrinkle_surface import SkinTexels, WrinkleSurface

# no displacement goes beyond this
MAX_DISPLACEMENT_M = 0.01
# A place is folded fully at the shortening that the strongest of the family's expressions brings it on this head: heads
# differ in how far their expressions go, and what a full one means must not. At least this part of the shortening that
# the given share of the family's area stays below, itself at least the minimum: lines end where nothing folds.
LEAST_OF_FULL, FULL_FOLD_QUANTILE, MIN_FULL_FOLD = 0.15, 0.9, 0.04
# fold = (1 + c) x / (c + x) for a shortening of x times the full one: skin gives way less and less. The depth of folds
# that keep the surface's length grows with the root of the shortening (Cerda and Mahadevan 2003); c = 0.8 stays near
# that root from a fifth of full upwards and is straight at rest.
FOLD_SATURATION = 0.8
MAX_FOLD = 1.3
# stretch that smooths what lies in the skin at rest, and the part it smooths away: chosen by eye
FLAT_AT_STRETCH, FLATTENED = 0.15, 0.7
# lines end softly towards the border of their area, between these parts of its half axes
AREA_FADE = (0.45, 1.0)
# nothing is folded in these regions; lines fade where their masks rise
SMOOTH_REGIONS = ("lips", "inner_mouth", "eyelids", "scalp", "ears", "brows")
REGION_FADE = (0.10, 0.60)
# chart coordinates are smoothed over this length, or lines would have corners at the triangles' edges
COORDINATE_SMOOTHING_M = 0.0028
# texels on a side that share a coordinate while it is smoothed
COORDINATE_REDUCTION = 4
# how much deeper or shallower than usual one person's family is: chosen by eye
PERSON_DEPTH = (0.75, 1.15)


@dataclass(frozen=True)
class WrinkleLayer:
    """One family of lines on a person's texels.

    Attributes:
        system: the family; chart: its coordinates; frames: of its neutral triangles.
        full_fold: (P,) the shortening at which each of the chart's vertices is folded fully.
        depth_m: valley to ridge of a fully folded line; rest_depth_m: of the same line at rest.
        index: (T,) flat texels; corners: (T, 3) into the chart's vertices; barycentric: (T, 3).
        relief: (T,) at full depth, faded at the border of the area.
    """

    system: LineSystem
    chart: LineChart
    frames: TangentFrames
    full_fold: np.ndarray
    depth_m: float
    rest_depth_m: float
    index: np.ndarray
    corners: np.ndarray
    barycentric: np.ndarray
    relief: np.ndarray

    def depth_change_m(self, posed: torch.Tensor) -> np.ndarray:
        """How much deeper the lines are than at rest.

        Args:
            posed: (B, V, 3) metres, all vertices of the head.

        Returns:
            (B, P) metres at the chart's vertices; negative where stretch smooths them.
        """
        vertices = posed[:, torch.from_numpy(self.chart.vertex)]
        shortening = self.chart.shortening(vertices, self.frames, self.system)
        relative = shortening.by_muscles / self.full_fold
        fold = np.minimum((1 + FOLD_SATURATION) * relative / (FOLD_SATURATION + relative), MAX_FOLD)
        # what is folded is not smoothed
        flat = FLATTENED * np.clip(-shortening.measured / FLAT_AT_STRETCH, 0, 1) * (1 - np.minimum(fold, 1))
        return self.depth_m * fold - self.rest_depth_m * flat

    def on_texels(self, vertex_values: np.ndarray) -> np.ndarray:
        """(..., T) values of the chart's vertices (..., P) at the texels."""
        return np.einsum("...tk,tk->...t", vertex_values[..., self.corners], self.barycentric)


@dataclass(frozen=True)
class WrinklePrior:
    """A person's wrinkles and pores as a function of the pose.

    Attributes:
        surface: the person's neutral; size_px: N, of the maps.
        layers: the families of lines.
        pores_m: (N, N) float32, the relief of pores.
    """

    surface: WrinkleSurface
    size_px: int
    layers: tuple[WrinkleLayer, ...]
    pores_m: np.ndarray

    def lines_at_rest(self) -> np.ndarray:
        """(N, N) float32 metres: what of the lines stays when the face rests."""
        return self._summed([np.full(len(layer.chart.vertex), layer.rest_depth_m) for layer in self.layers])

    def line_change(self, posed: torch.Tensor, gain: np.ndarray | None = None) -> np.ndarray:
        """What a pose adds to the lines at rest.

        Args:
            posed: (V, 3) metres; gain: (V,) factor of the change; 1 where None.

        Returns:
            (N, N) float32 metres.
        """
        gain = np.ones(len(posed)) if gain is None else gain
        return self._summed([gain[layer.chart.vertex] * layer.depth_change_m(posed[None])[0] for layer in self.layers])

    def displacement(self, posed: torch.Tensor) -> np.ndarray:
        """The whole of D for a pose.

        Args:
            posed: (V, 3) metres, any rigid frame.

        Returns:
            (N, N) float32 metres outwards along the normal, within MAX_DISPLACEMENT_M.
        """
        total = self.pores_m + self.lines_at_rest() + self.line_change(posed)
        return np.clip(total, -MAX_DISPLACEMENT_M, MAX_DISPLACEMENT_M)

    def _summed(self, depths_m: list[np.ndarray]) -> np.ndarray:
        """(N, N) the sum over the layers of relief times depth, given at the charts' vertices."""
        total = np.zeros(self.size_px**2, np.float32)
        for layer, depth_m in zip(self.layers, depths_m, strict=True):
            total[layer.index] += layer.relief * layer.on_texels(depth_m).astype(np.float32)
        return total.reshape(self.size_px, self.size_px)


def wrinkle_prior(surface: WrinkleSurface, texels: SkinTexels, seed: int, age: float) -> WrinklePrior:
    """Draw a person's wrinkles.

    Args:
        surface: the person's neutral and what moves it; texels: where it lies in the maps.
        seed: the person's; the same one gives the same lines.
        age: 0 (smooth skin) to 1 (old skin).
    """
    charts = [(system, line_chart(system, surface)) for system in LINE_SYSTEMS]
    near = np.zeros(len(surface.neutral), bool)
    for system, chart in charts:
        if chart is not None:
            near[chart.vertex[_near_area(system, chart)]] = True
    folded = texels.select(near[texels.vertices[:, 0]])
    layers = [_layer(system, chart, surface, folded, seed, age) for system, chart in charts if chart is not None]
    return WrinklePrior(surface, texels.size_px, tuple(layers), pore_relief(surface, texels, seed, age))


def _layer(
    system: LineSystem, chart: LineChart, surface: WrinkleSurface, texels: SkinTexels, seed: int, age: float
) -> WrinkleLayer:
    frames = patch_frames(chart, surface)
    patch_of = np.full(len(surface.neutral), -1, np.int64)
    wanted = _near_area(system, chart)
    patch_of[chart.vertex[wanted]] = wanted
    chosen = np.flatnonzero((patch_of >= 0)[texels.vertices[:, 0]])
    corners = patch_of[texels.vertices.take(chosen, 0)]
    whole = np.flatnonzero((corners[:, 1] >= 0) & (corners[:, 2] >= 0))
    chosen, corners = chosen[whole], corners.take(whole, 0)
    index, barycentric = texels.index[chosen], texels.barycentric.take(chosen, 0)
    triangles = chart.triangles.numpy()
    shown = triangles[np.isin(triangles, wanted).all(1)]
    area_m2 = triangle_areas(surface.neutral.numpy()[chart.vertex], shown).sum()
    texel_m = float(np.sqrt(area_m2 / max(len(index), 1)))
    coordinates = np.column_stack([chart.along_m, chart.across_m, chart.metres_per_across]).astype(np.float32)
    # corner by corner: einsum over both is half as fast
    on_texels = sum(coordinates.take(corners[:, k], 0) * barycentric[:, k, None] for k in range(3))
    along, across, metres = _smoothed(on_texels, index, texels.size_px, COORDINATE_SMOOTHING_M / texel_m).T
    fade = _area_fade(system, along, across) * _region_fade(surface, chart.vertex, corners, barycentric)
    kept = np.flatnonzero(fade > 0)
    if system.cobbled:
        relief = dimple_relief(system, seed, along[kept], across[kept])
    else:
        relief = line_relief(person_lines(system, seed), along[kept], across[kept], metres[kept], texel_m)
    depth = system.max_depth_m * random_of(seed, system.name + " depth").uniform(*PERSON_DEPTH)
    return WrinkleLayer(
        system=system,
        chart=chart,
        frames=frames,
        full_fold=_full_fold(system, chart),
        depth_m=depth * (system.young_depth + (1 - system.young_depth) * age),
        # lines begin to stay in the second half of life (Luebberding et al. 2014: not before 40 at the glabella)
        rest_depth_m=depth * system.static_depth * age**2,
        index=index[kept],
        corners=corners.take(kept, 0),
        barycentric=barycentric.take(kept, 0),
        relief=(relief * fade[kept]).astype(np.float32),
    )


def _near_area(system: LineSystem, chart: LineChart) -> np.ndarray:
    """The chart's vertices whose triangles reach into the area, or so near that its border is smoothed with them."""
    margin = 2 * COORDINATE_SMOOTHING_M
    near = np.abs(chart.along_m) < system.half_along_m + margin
    near &= np.abs(chart.across_m) < system.half_across_m + margin
    triangles = chart.triangles.numpy()
    return np.unique(triangles[near[triangles].any(1)])


def _full_fold(system: LineSystem, chart: LineChart) -> np.ndarray:
    """(P,) the shortening of full folds, > 0."""
    names = system.full_expressions or system.expressions
    strongest = chart.own_shortening[[system.expressions.index(name) for name in names]].max(0)
    inside = _area_fade(system, chart.along_m, chart.across_m) > 0.2
    usual = float(np.quantile(strongest[inside], FULL_FOLD_QUANTILE)) if inside.any() else 0.0
    return np.maximum(strongest, LEAST_OF_FULL * max(usual, MIN_FULL_FOLD))


def _area_fade(system: LineSystem, along_m: np.ndarray, across_m: np.ndarray) -> np.ndarray:
    """1 in the middle of the area, 0 outside of it."""
    along, across = np.abs(along_m) / system.half_along_m, np.abs(across_m) / system.half_across_m
    # rounder than a box, fuller than an ellipse
    radius = np.cbrt(along * along * along + across * across * across)
    return 1 - smooth_step(radius, *AREA_FADE)


def _region_fade(
    surface: WrinkleSurface, vertex: np.ndarray, corners: np.ndarray, barycentric: np.ndarray
) -> np.ndarray:
    """(T,) 0 in the regions that are never folded."""
    masks = [surface.masks[name].numpy()[vertex] for name in SMOOTH_REGIONS if name in surface.masks]
    highest = np.max(masks, axis=0) if masks else np.zeros(len(vertex), np.float32)
    return 1 - smooth_step(np.einsum("tk,tk->t", highest[corners], barycentric), *REGION_FADE)


def _smoothed(values: np.ndarray, index: np.ndarray, size_px: int, spread_px: float) -> np.ndarray:
    """Values (T, C <= 3) of texels averaged with their neighbours' on the texture, weighted within what is given."""
    rows, columns = np.divmod(index, size_px)
    top, left = rows.min(), columns.min()
    height, width = rows.max() - top + 1, columns.max() - left + 1
    place = (rows - top) * width + (columns - left)
    image = np.zeros((height * width, 4), np.float32)
    image[place] = np.column_stack([values, np.ones(len(values), np.float32)])
    image = image.reshape(height, width, 4)
    small_size = (max(1, width // COORDINATE_REDUCTION), max(1, height // COORDINATE_REDUCTION))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(spread_px / COORDINATE_REDUCTION, 0.3))
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth = smooth.reshape(-1, 4).take(place, 0)
    return smooth[:, :3] / np.maximum(smooth[:, 3:], 1e-3)
