"""Carries a texture layout from one head to another that lies on it, so that the same texel is the same place.

The layout is cut along seams; a triangle of the target that lies across a seam is given to the side on which its middle
lies, and its corners beyond the seam are brought back to the seam. So nothing leaves the layout's islands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ml_backend.head.transfer_surface import Surface, SurfacePosition

_NORMAL_WEIGHT_M = 0.010


@dataclass(frozen=True)
class Chart:
    """Triangles of the source, with their layout, that some triangles of the target take their texture from.

    Attributes:
        surface: the source, laid on the target; answers count all its triangles.
        triangles: (C,) indices of the chart's triangles.
        uv: (U,2); uv_triangles: (F,3) of the whole source.
    """

    surface: Surface
    triangles: np.ndarray
    uv: np.ndarray
    uv_triangles: np.ndarray

    def uv_at(self, place: SurfacePosition) -> np.ndarray:
        """(N,2) texture coordinates of points on the source."""
        return place.interpolate(self.uv, self.uv_triangles)


@dataclass(frozen=True)
class Layout:
    """A texture layout. uv: (U,2); uv_triangles: (F,3), parallel to the triangles it was made for."""

    uv: np.ndarray
    uv_triangles: np.ndarray


def largest_island(vertices: np.ndarray, triangles: np.ndarray, uv_triangles: np.ndarray) -> np.ndarray:
    """Of some triangles, those in the island of the layout with the most surface, as a boolean mask."""
    label = _islands(uv_triangles)
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return label == np.bincount(label, area).argmax()


def carry_layout(
    chart: Chart, vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray, places: SurfacePosition
) -> Layout:
    """Texture coordinates for the triangles of a target.

    Args:
        chart: where they come from.
        vertices: (V,3) of the target; normals: (V,3).
        triangles: (T,3) the target's triangles that use this chart.
        places: (V) where each of the target's vertices lies on the chart.

    Source: own derivation.
    """
    middle = vertices[triangles].mean(1)
    middle_normals = normals[triangles].sum(1)
    middle_normals /= np.maximum(np.linalg.norm(middle_normals, axis=1, keepdims=True), 1e-12)
    home = chart.surface.closest(middle, middle_normals, _NORMAL_WEIGHT_M).triangle
    plain = chart.uv_at(places)
    corner_uv = plain[triangles]
    used = np.unique(triangles)
    reach = _longest_edge(vertices, triangles, len(vertices))
    for vertex in used[_near_seam(chart, places.position[used], reach[used])]:
        rows, columns = np.nonzero(triangles == vertex)
        sides = _uv_by_side(
            chart, vertices[vertex], normals[vertex], places.position[vertex], reach[vertex], home[rows]
        )
        corner_uv[rows, columns] = sides
    return _welded(triangles, corner_uv)


def _uv_by_side(
    chart: Chart, point: np.ndarray, normal: np.ndarray, centre: np.ndarray, reach: float, home: np.ndarray
) -> np.ndarray:
    """(H,2) coordinates of one point, seen from each of the source triangles `home`: never across a seam."""
    corners = chart.surface.vertices[chart.surface.triangles[chart.triangles]]
    near = ((corners - centre) ** 2).sum(2).min(1) < (1.5 * reach) ** 2
    local = np.union1d(chart.triangles[near], home)
    label = _islands(chart.uv_triangles[local])
    result = np.empty((len(home), 2))
    home_label = label[np.searchsorted(local, home)]
    for side in np.unique(home_label):
        piece = Surface(chart.surface.vertices, chart.surface.triangles, local[label == side])
        result[home_label == side] = chart.uv_at(piece.closest(point[None], normal[None], _NORMAL_WEIGHT_M))
    return result


def _near_seam(chart: Chart, points: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Which points have a seam of the chart within their reach."""
    corner_vertex = chart.surface.triangles[chart.triangles].ravel()
    corner_uv = chart.uv_triangles[chart.triangles].ravel()
    pairs = np.unique(np.stack([corner_vertex, corner_uv], 1), axis=0)
    vertex, count = np.unique(pairs[:, 0], return_counts=True)
    seam = vertex[count > 1]
    if not len(seam):
        return np.zeros(len(points), bool)
    return cKDTree(chart.surface.vertices[seam]).query(points)[0] < 2 * reach


def _longest_edge(vertices: np.ndarray, triangles: np.ndarray, count: int) -> np.ndarray:
    """(V,) the longest edge of the triangles at each vertex."""
    longest = np.zeros(count)
    for corner in range(3):
        start, end = triangles[:, corner], triangles[:, (corner + 1) % 3]
        length = np.linalg.norm(vertices[start] - vertices[end], axis=1)
        np.maximum.at(longest, start, length)
        np.maximum.at(longest, end, length)
    return longest


def _islands(uv_triangles: np.ndarray) -> np.ndarray:
    """Label of the connected piece of the layout that each triangle is in."""
    used, local = np.unique(uv_triangles, return_inverse=True)
    local = local.reshape(-1, 3)
    links = sparse.coo_matrix(
        (np.ones(2 * len(local)), (np.tile(local[:, 0], 2), local[:, 1:].T.ravel())), (len(used), len(used))
    )
    return connected_components(links, directed=False)[1][local[:, 0]]


def _welded(triangles: np.ndarray, corner_uv: np.ndarray) -> Layout:
    """One texture vertex for all corners of a vertex that agree."""
    keys = np.concatenate([triangles.reshape(-1, 1), np.round(corner_uv.reshape(-1, 2) * 1e6)], 1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return Layout(corner_uv.reshape(-1, 2)[first], inverse.reshape(-1, 3).astype(np.int64))
