"""Closest points between two triangle meshes, and values carried along them.

All positions are metres in model space; "source" is the mesh that is searched, "query" the points that search it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

_NEAREST_VERTICES = 8  # the closest triangle touches one of the 8 nearest vertices unless triangles are very unequal


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
        subset = np.arange(len(triangles)) if subset is None else np.asarray(subset)
        self.triangle_normals = triangle_normals(self.vertices, self.triangles)
        self.vertex_normals = vertex_normals(self.vertices, self.triangles)
        corners = self.triangles[subset].ravel()
        order = np.argsort(corners, kind="stable")
        self._used_vertices, first = np.unique(corners[order], return_index=True)
        self._incident = np.repeat(subset, 3)[order]
        self._incident_start = np.append(first, len(corners))
        self._tree = cKDTree(self.vertices[self._used_vertices])

    def closest(
        self, points: np.ndarray, normals: np.ndarray | None = None, normal_weight_m: float = 0.0
    ) -> SurfacePosition:
        """The closest point of the surface to each query.

        Args:
            points: (N,3).
            normals: (N,3) unit normals of the queries.
            normal_weight_m: how many metres of distance an opposite normal counts for.
        """
        query, triangle = self._candidates(np.asarray(points, np.float64))
        barycentric, position = closest_on_triangles(points[query], self.vertices[self.triangles[triangle]])
        squared = ((position - points[query]) ** 2).sum(1)
        alignment = np.ones(len(query))
        if normals is not None:
            smooth = np.einsum("nk,nkc->nc", barycentric, self.vertex_normals[self.triangles[triangle]])
            alignment = (smooth * normals[query]).sum(1) / np.maximum(np.linalg.norm(smooth, axis=1), 1e-12)
        cost = squared + (0.5 * normal_weight_m * (1 - alignment)) ** 2
        order = np.lexsort((cost, query))
        best = order[np.searchsorted(query[order], np.arange(len(points)))]
        return SurfacePosition(
            triangle[best], barycentric[best], position[best], np.sqrt(squared[best]), alignment[best]
        )

    def _candidates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of query and triangle worth a closer look."""
        nearest = self._tree.query(points, min(_NEAREST_VERTICES, len(self._used_vertices)))[1].reshape(len(points), -1)
        start, end = self._incident_start[nearest].ravel(), self._incident_start[nearest + 1].ravel()
        count = end - start
        query = np.repeat(np.repeat(np.arange(len(points)), nearest.shape[1]), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return query, self._incident[np.repeat(start, count) + within]


def closest_on_triangles(points: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The closest point of one triangle to each point.

    Args:
        points: (N,3); corners: (N,3,3).

    Returns:
        barycentric (N,3) and position (N,3).
    """
    edge_b, edge_c, to_point = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    bb, bc, cc = ((x * y).sum(1) for x, y in ((edge_b, edge_b), (edge_b, edge_c), (edge_c, edge_c)))
    bp, cp = (edge_b * to_point).sum(1), (edge_c * to_point).sum(1)
    area = np.maximum(bb * cc - bc * bc, 1e-24)
    b, c = (cc * bp - bc * cp) / area, (bb * cp - bc * bp) / area
    barycentric = np.stack([1 - b - c, b, c], 1)
    outside = np.flatnonzero((barycentric < 0).any(1))
    barycentric[outside] = _closest_on_edges(points[outside], corners[outside])
    return barycentric, np.einsum("nk,nkc->nc", barycentric, corners)


def _closest_on_edges(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N,3) barycentrics of the closest point on the border of each triangle."""
    following = np.roll(corners, -1, 1)
    edge = following - corners
    along = ((points[:, None] - corners) * edge).sum(2) / np.maximum((edge * edge).sum(2), 1e-24)
    along = np.clip(along, 0, 1)
    squared = ((corners + along[..., None] * edge - points[:, None]) ** 2).sum(2)
    rows, best = np.arange(len(points)), squared.argmin(1)
    barycentric = np.zeros((len(points), 3))
    barycentric[rows, best] = 1 - along[rows, best]
    barycentric[rows, (best + 1) % 3] = along[rows, best]
    return barycentric


def triangle_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F,3) normals whose length is twice the area."""
    corners = vertices[triangles]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,3) unit normals, area-weighted; zero for vertices without triangles."""
    total = np.zeros_like(vertices)
    faces = triangle_normals(vertices, triangles)
    for corner in range(3):
        np.add.at(total, triangles[:, corner], faces)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
