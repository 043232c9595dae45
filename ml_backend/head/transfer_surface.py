"""Closest points between two triangle meshes, and values carried along them.

All positions are metres in model space; "source" is the mesh that is searched, "query" the points that search it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from ml_backend.head.closest_point import closest_barycentric
from ml_backend.head.triangle_geometry import vertex_normals

NORMAL_WEIGHT_M = 0.010  # an opposite normal counts as much as this distance: more than lids and lips are thick
# The closest triangle has one of the nearest sample points unless triangles are very unequal.
_SAMPLES = np.array([[1 / 3, 1 / 3, 1 / 3], [2 / 3, 1 / 6, 1 / 6], [1 / 6, 2 / 3, 1 / 6], [1 / 6, 1 / 6, 2 / 3]])
_CANDIDATES = 12


@dataclass(frozen=True)
class SurfacePosition:
    """Points on a triangle mesh.

    Attributes:
        triangle: (N,) index of the triangle.
        barycentric: (N,3) weights of its corners, none negative.
        position: (N,3) metres.
        distance: (N,) metres from the query.
        alignment: (N,) cosine between the query's and the surface's normal; 1 for queries without one.
    """

    triangle: np.ndarray
    barycentric: np.ndarray
    position: np.ndarray
    distance: np.ndarray
    alignment: np.ndarray

    def interpolate(self, values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Values of the mesh's vertices at these points.

        Args:
            values: (V, ...); triangles: (F,3) of the mesh.

        Returns:
            (N, ...).
        """
        corners = values[triangles[self.triangle]]
        return np.einsum("nk,nk...->n...", self.barycentric, corners)


class Surface:
    """A triangle mesh, or some of its triangles, that can be searched."""

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray, subset: np.ndarray | None = None) -> None:
        """Prepare the search.

        Args:
            vertices: (V,3); triangles: (F,3).
            subset: indices of the triangles to search; all by default. Answers count all F triangles.
        """
        self.vertices = np.asarray(vertices, np.float64)
        self.triangles = np.asarray(triangles)
        self.subset = np.arange(len(triangles)) if subset is None else np.asarray(subset)
        self.vertex_normals = vertex_normals(self.vertices, self.triangles)

    def part(self, subset: np.ndarray) -> Surface:
        """The same mesh with other triangles (N,) to search."""
        part = copy.copy(self)
        part.subset = np.asarray(subset)
        for tree in ("_position_tree", "_oriented_tree"):
            part.__dict__.pop(tree, None)
        return part

    def closest(self, points: np.ndarray, normals: np.ndarray | None = None) -> SurfacePosition:
        """The closest point of the surface to each query; a point with an opposite normal counts as further off.

        Args:
            points: (N,3).
            normals: (N,3) unit normals of the queries; without them only distance counts.
        """
        points = np.asarray(points, np.float64)
        triangle = self._candidates(points, normals)
        corner_vertices = self.triangles[triangle]
        corners = self.vertices[corner_vertices]
        barycentric = closest_barycentric(points[:, None], corners)
        position = np.einsum("nck,nckd->ncd", barycentric, corners)
        squared = ((position - points[:, None]) ** 2).sum(2)
        alignment = np.ones(squared.shape)
        if normals is not None:
            smooth = np.einsum("nck,nckd->ncd", barycentric, self.vertex_normals[corner_vertices])
            length = np.maximum(np.linalg.norm(smooth, axis=2), 1e-12)
            alignment = np.einsum("ncd,nd->nc", smooth, normals) / length
        # |n - m|^2 = 2 (1 - cos), which is 4 for opposite normals
        best = (squared + 0.5 * NORMAL_WEIGHT_M**2 * (1 - alignment)).argmin(1)
        rows = np.arange(len(points))
        return SurfacePosition(
            triangle[rows, best],
            barycentric[rows, best],
            position[rows, best],
            np.sqrt(squared[rows, best]),
            alignment[rows, best],
        )

    def _candidates(self, points: np.ndarray, normals: np.ndarray | None) -> np.ndarray:
        """(N,C) triangles worth a closer look, by a few sample points on each, with normals as further coordinates."""
        tree = self._position_tree if normals is None else self._oriented_tree
        query = points if normals is None else np.concatenate([points, 0.5 * NORMAL_WEIGHT_M * normals], 1)
        count = min(_CANDIDATES, tree.n)
        return self.subset[tree.query(query, count)[1].reshape(len(points), count) // len(_SAMPLES)]

    @cached_property
    def _position_tree(self) -> cKDTree:
        return cKDTree(self._samples(self.vertices))

    @cached_property
    def _oriented_tree(self) -> cKDTree:
        directions = self._samples(self.vertex_normals)
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        return cKDTree(np.concatenate([self._samples(self.vertices), 0.5 * NORMAL_WEIGHT_M * directions], 1))

    def _samples(self, values: np.ndarray) -> np.ndarray:
        """(F_subset * 4, 3) values at the sample points of the searched triangles."""
        return np.einsum("sk,fkd->fsd", _SAMPLES, values[self.triangles[self.subset]]).reshape(-1, 3)
