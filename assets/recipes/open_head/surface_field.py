"""Smooth offsets over the skin from offsets at some vertices: the sculpting tool of the expression basis."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from assets.recipes.open_head.mesh_topology import triangulate


class SurfaceField:
    """Solves the bilaplace equation on a surface for values given at some of its vertices.

    Args:
        vertices: (V, 3) metres.
        quads: (Q, 4) the surface.
    """

    def __init__(self, vertices: np.ndarray, quads: np.ndarray) -> None:
        laplacian, area = cotangent_laplacian(vertices, triangulate(quads)[0])
        self._operator = (laplacian @ sparse.diags(1 / area) @ laplacian).tocsr()
        self._surface = np.unique(quads)
        self._num_vertices = len(vertices)

    def solve(self, fixed: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Spread values smoothly.

        Args:
            fixed: (N,) distinct vertices of the surface.
            values: (N, C) their values.

        Returns:
            (V, C); 0 off the surface.
        """
        free = np.setdiff1d(self._surface, fixed)
        field = np.zeros((self._num_vertices, values.shape[1]))
        field[fixed] = values
        right = -(self._operator[free][:, fixed] @ values)
        field[free] = splu(self._operator[free][:, free].tocsc()).solve(right)
        return field


def cotangent_laplacian(vertices: np.ndarray, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Make the cotangent Laplacian (V, V), positive semidefinite, and the vertex areas (V,) in square metres.

    Cotangents are clamped to 5, else slivers at the mouth's corners dominate.
    """
    rows, columns, data = [], [], []
    area = np.zeros(len(vertices))
    for corner in range(3):
        a, b, c = (triangles[:, (corner + k) % 3] for k in range(3))
        to_b, to_c = vertices[b] - vertices[a], vertices[c] - vertices[a]
        twice_area = np.linalg.norm(np.cross(to_b, to_c), axis=1)
        cotangent = np.clip((to_b * to_c).sum(1) / np.maximum(twice_area, 1e-12), -5, 5) / 2
        rows += [b, c, b, c]
        columns += [c, b, b, c]
        data += [-cotangent, -cotangent, cotangent, cotangent]
        np.add.at(area, a, twice_area / 6)
    shape = (len(vertices), len(vertices))
    matrix = sparse.coo_matrix((np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
    return matrix.tocsr(), np.maximum(area, 1e-9)
