"""The closest points of a triangle mesh to given points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

# triangles looked at for each point, by the distance of their centroids; enough where triangles are of similar size
CANDIDATES = 24


@dataclass(frozen=True)
class ClosestPoints:
    """For each of N points: triangle (N,) int64, barycentric (N,3), position (N,D), distance (N,)."""

    triangle: np.ndarray
    barycentric: np.ndarray
    position: np.ndarray
    distance: np.ndarray


def closest_points(
    points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, candidates: int = CANDIDATES
) -> ClosestPoints:
    """Find the closest surface point of each point.

    Args:
        points: (N,D); vertices: (V,D); D = 2 or 3, one unit.
        triangles: (F,3).
    """
    count = min(candidates, len(triangles))
    _, nearest = cKDTree(vertices[triangles].mean(1)).query(points, k=count)
    nearest = nearest.reshape(len(points), count)
    corners = vertices[triangles[nearest]]
    weights = closest_barycentric(points[:, None], corners)
    position = (weights[..., None] * corners).sum(2)
    distance = np.linalg.norm(position - points[:, None], axis=-1)
    row, best = np.arange(len(points)), distance.argmin(1)
    return ClosestPoints(nearest[row, best], weights[row, best], position[row, best], distance[row, best])


def closest_barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Barycentrics (...,3) of the point of each triangle (...,3,D) that is closest to the points (...,D).

    Source: own derivation: the foot of the perpendicular where it falls inside, else the best of the three edges.
    """
    inner = _plane_barycentric(points, corners)
    edges = np.stack([_edge_barycentric(points, corners, i, (i + 1) % 3) for i in range(3)], -2)
    gaps = np.linalg.norm((edges[..., None] * corners[..., None, :, :]).sum(-2) - points[..., None, :], axis=-1)
    on_edge = np.take_along_axis(edges, gaps.argmin(-1)[..., None, None], -2)[..., 0, :]
    return np.where((inner >= 0).all(-1, keepdims=True), inner, on_edge)


def _edge_barycentric(points: np.ndarray, corners: np.ndarray, first: int, second: int) -> np.ndarray:
    start = corners[..., first, :]
    side = corners[..., second, :] - start
    along = ((points - start) * side).sum(-1) / np.maximum((side * side).sum(-1), 1e-30)
    weights = np.zeros((*along.shape, 3))
    weights[..., second] = np.clip(along, 0, 1)
    weights[..., first] = 1 - weights[..., second]
    return weights


def _plane_barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    u, v = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    w = points - corners[..., 0, :]
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    wu, wv = (w * u).sum(-1), (w * v).sum(-1)
    determinant = uu * vv - uv * uv
    safe = np.where(np.abs(determinant) < 1e-30, 1.0, determinant)
    # a degenerate triangle has no inside: the edges decide
    second = np.where(safe == determinant, (vv * wu - uv * wv) / safe, -1.0)
    third = (uu * wv - uv * wu) / safe
    return np.stack([1 - second - third, second, third], -1)
