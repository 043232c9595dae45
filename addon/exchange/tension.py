"""Tension of a surface: how much shorter (compression, > 0) or longer (stretch, < 0) the edges at a vertex have become.

This module is the definition: t(v) = mean over the edges j at v of tanh(k (|neutral edge j| - |current edge j|) / 2).
The same formula stands in torch (`ml_backend/wrinkles/tension.py`) and as Geometry Nodes (`addon/wrinkles`), and how
tension chooses between an avatar's displacement maps is told here too.

Source: "Learning Person-Specific Animatable Face Models from In-the-Wild Images via a Shared Base Model", eq. 3: the
mean over edges of (exp(k|e'|) - exp(k|e|)) / (exp(k|e'|) + exp(k|e|)), which is tanh(k (|e'| - |e|) / 2). As printed, k
stands outside of the exponent and would cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# k, for each metre of length. An edge that loses 1 mm, a quarter of the 4 mm that is usual on a head of 4,000 to 5,000
# vertices, shall give one half: k = ln 3 / 1 mm. Over the 52 ARKit shapes of the open head that is what the strongest
# twentieth of the shortened edges reaches (0.9 mm); the strongest hundredth (1.8 mm) gives 0.76, so that tanh still
# tells strong expressions apart, and an edge that loses 0.1 mm gives 0.05.
TENSION_PER_M = 1100.0

# Names of the point attributes that carry tension in Blender.
TENSION_ATTRIBUTE = "tension"
COMPRESS_ATTRIBUTE = "tension_compress"
STRETCH_ATTRIBUTE = "tension_stretch"


@dataclass(frozen=True)
class TensionMasks:
    """Tension as two masks, each 0-1.

    Attributes:
        compress: (...) where the surface is compressed; stretch: (...) where it is stretched.
    """

    compress: np.ndarray
    stretch: np.ndarray


@dataclass(frozen=True)
class WrinkleWeights:
    """How much of each wrinkle map replaces the neutral one, 0-1.

    Attributes:
        compressed: (...) weight of the map at full compression; expanded: (...) of the map at full stretch.
    """

    compressed: np.ndarray
    expanded: np.ndarray


def polygon_edges(polygons: np.ndarray) -> np.ndarray:
    """The edges of a mesh, each once.

    Args:
        polygons: (Q,4) vertex indices, -1 as the fourth corner of a triangle.

    Returns:
        (E,2) int64, the lower vertex first, in rising order.
    """
    corners = np.asarray(polygons, np.int64)
    following = np.roll(corners, -1, axis=1)
    triangle = corners[:, 3] < 0
    # the third corner of a triangle goes back to the first
    following[triangle, 2] = corners[triangle, 0]
    pairs = np.stack([corners, following], axis=-1).reshape(-1, 2)
    pairs = pairs[(corners >= 0).reshape(-1)]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def vertex_tension(
    neutral: np.ndarray, current: np.ndarray, edges: np.ndarray, tension_per_m: float = TENSION_PER_M
) -> np.ndarray:
    """Tension at every vertex.

    Args:
        neutral: (V,3) metres, the neutral face; current: (V,3) the same vertices now. Any frame, and not the same one.
        edges: (E,2) vertex indices.
        tension_per_m: k.

    Returns:
        (V,) in (-1, 1), compression > 0, same dtype as `current`; 0 at a vertex without edges.
    """
    neutral_length = np.linalg.norm(neutral[edges[:, 0]] - neutral[edges[:, 1]], axis=1)
    length = np.linalg.norm(current[edges[:, 0]] - current[edges[:, 1]], axis=1)
    of_edge = np.tanh(0.5 * tension_per_m * (neutral_length - length))
    ends, count = edges.reshape(-1), len(current)
    total = np.bincount(ends, np.repeat(of_edge, 2), count)
    return (total / np.maximum(np.bincount(ends, minlength=count), 1)).astype(current.dtype)


def tension_masks(tension: np.ndarray, strength: float = 1.0, bias: float = 0.0) -> TensionMasks:
    """Tension as two masks.

    Args:
        tension: (...) from `vertex_tension`.
        strength: factor on both masks.
        bias: added to the tension first; above 0, more counts as compressed.
    """
    shaped = strength * (tension + bias)
    return TensionMasks(np.clip(shaped, 0.0, 1.0), np.clip(-shaped, 0.0, 1.0))


def wrinkle_weights(tension: np.ndarray, full_compression: float, full_stretch: float) -> WrinkleWeights:
    """How much of the wrinkle maps shows: D = D_neutral + sum of weight times (D_map - D_neutral).

    Args:
        tension: (...) in (-1, 1).
        full_compression: the tension at which the compressed map shows whole, > 0.
        full_stretch: the stretch (-tension) at which the expanded map shows whole, > 0.

    Source: Raman et al. 2023, "Mesh-Tension Driven Expression-Based Wrinkles for Synthetic Faces" (three maps blended
    by tension for each texel); linear between neutral and full is ours.
    """
    return WrinkleWeights(np.clip(tension / full_compression, 0.0, 1.0), np.clip(-tension / full_stretch, 0.0, 1.0))
