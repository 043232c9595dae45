"""Smooth fields on the surface of the head: fitted to scattered values and continued where nothing was seen.

Working on vertices instead of texels makes the result blind to the seams of the UV layout.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from ml_backend.head.triangle_geometry import triangle_areas


class SurfaceSmoother:
    """Solves screened Laplace equations on a triangle mesh."""

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        """Prepare the mesh's mass and stiffness.

        Args:
            vertices: (V, 3) metres.
            triangles: (F, 3).
        """
        self._stiffness, self._mass = _stiffness_and_mass(vertices.astype(np.float64), triangles)

    def fit(
        self,
        values: np.ndarray,
        weights: np.ndarray,
        smoothing_length_m: float,
        prior: np.ndarray | float = 0.0,
        prior_weight: float = 1e-3,
    ) -> np.ndarray:
        """The smooth field x that minimises ∫ w (x - values)² + length² |∇x|² + prior_weight (x - prior)².

        Args:
            values: (V, C), ignored where the weight is 0.
            weights: (V,), 0 or more.
            smoothing_length_m: details smaller than this, in metres, are smoothed away at weight 1.
            prior: (C,) or (V, C), what the field tends to far from every value.
            prior_weight: how firmly; the pull is felt beyond a distance of length / sqrt(prior_weight).

        Returns:
            (V, C) float32.

        Source: own derivation (screened Poisson equation, linear finite elements with lumped mass).
        """
        prior_values = np.broadcast_to(np.asarray(prior, dtype=np.float64), values.shape)
        data = self._mass * weights
        pull = self._mass * prior_weight
        matrix = sparse.diags(data + pull) + smoothing_length_m**2 * self._stiffness
        right = data[:, None] * values + pull[:, None] * prior_values
        return splu(matrix.tocsc()).solve(right).astype(np.float32)


def _stiffness_and_mass(vertices: np.ndarray, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Cotangent stiffness (V, V) and lumped vertex areas (V,)."""
    count = len(vertices)
    corners = vertices[triangles]
    area = np.maximum(triangle_areas(vertices, triangles), 1e-12)
    rows, columns, entries = [], [], []
    for corner in range(3):
        one, two = (corner + 1) % 3, (corner + 2) % 3
        to_one, to_two = corners[:, one] - corners[:, corner], corners[:, two] - corners[:, corner]
        # an obtuse corner would give a negative weight, and the field overshoots: keep a small positive one
        half_cotangent = np.clip((to_one * to_two).sum(axis=1) / (4.0 * area), 0.02, 10.0)
        rows += [triangles[:, one], triangles[:, two]]
        columns += [triangles[:, two], triangles[:, one]]
        entries += [half_cotangent, half_cotangent]
    shape = (count, count)
    adjacency = sparse.csr_matrix((np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape)
    stiffness = sparse.diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency
    mass = np.bincount(triangles.reshape(-1), np.repeat(area / 3.0, 3), count)
    return stiffness.tocsr(), np.maximum(mass, 1e-12)
