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
from ml_backend.head.triangle_geometry import triangle_areas

_SAMPLES = 6  # points along the edge of a target triangle, to see which source triangles lie below it


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
    return label == np.bincount(label, triangle_areas(vertices, triangles)).argmax()


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
    plain = chart.uv_at(places)
    corner_uv = plain[triangles]
    reach = _longest_edge(vertices, triangles, len(vertices))
    used = np.unique(triangles)
    near = used[_near_seam(chart, places.position[used], reach[used])]
    touching = np.flatnonzero(np.isin(triangles, near).any(1))
    sides = dict(zip(touching.tolist(), _own_sides(chart, vertices, normals, triangles[touching]), strict=True))
    for vertex in near:
        rows, columns = np.nonzero(triangles == vertex)
        for group in _overlapping([sides[row] for row in rows]):
            allowed = np.unique(np.concatenate([sides[rows[member]] for member in group]))
            place = chart.surface.part(allowed).closest(vertices[vertex][None], normals[vertex][None])
            corner_uv[rows[group], columns[group]] = chart.uv_at(place)
    return _welded(triangles, corner_uv)


def _own_sides(chart: Chart, vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray) -> list[np.ndarray]:
    """For each target triangle the source triangles below it that hang together with the one below its middle."""
    grid = [(i, j) for i in range(_SAMPLES + 1) for j in range(_SAMPLES + 1 - i)]
    weights = np.array([(i, j, _SAMPLES - i - j) for i, j in [(_SAMPLES // 3, _SAMPLES // 3), *grid]]) / _SAMPLES
    points, directions = (np.einsum("sk,tkc->tsc", weights, values[triangles]) for values in (vertices, normals))
    directions = directions / np.maximum(np.linalg.norm(directions, axis=2, keepdims=True), 1e-12)
    below = chart.surface.closest(points.reshape(-1, 3), directions.reshape(-1, 3)).triangle
    sides = []
    for row in below.reshape(len(triangles), -1):
        local = np.unique(row)
        label = _islands(chart.uv_triangles[local])
        sides.append(local[label == label[np.searchsorted(local, row[0])]])
    return sides


def _overlapping(sets: list[np.ndarray]) -> list[list[int]]:
    """Group sets of source triangles that share any; returns lists of positions."""
    groups: list[tuple[set[int], list[int]]] = []
    for position, members in enumerate(sets):
        content, positions = set(members.tolist()), [position]
        for other in [group for group in groups if group[0] & content]:
            content |= other[0]
            positions += other[1]
            groups.remove(other)
        groups.append((content, positions))
    return [positions for _, positions in groups]


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
    """Label of the piece of the layout that each triangle is in; pieces hang together by edges, not by corners."""
    count = len(uv_triangles)
    edges = np.sort(np.concatenate([uv_triangles[:, [0, 1]], uv_triangles[:, [1, 2]], uv_triangles[:, [2, 0]]]), 1)
    owner = np.tile(np.arange(count), 3)
    order = np.lexsort(edges.T)
    same = (edges[order][1:] == edges[order][:-1]).all(1)
    links = sparse.coo_matrix((np.ones(same.sum()), (owner[order][1:][same], owner[order][:-1][same])), (count, count))
    return connected_components(links, directed=False)[1]


def _welded(triangles: np.ndarray, corner_uv: np.ndarray) -> Layout:
    """One texture vertex for all corners of a vertex that agree."""
    keys = np.concatenate([triangles.reshape(-1, 1), np.round(corner_uv.reshape(-1, 2) * 1e6)], 1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return Layout(corner_uv.reshape(-1, 2)[first], inverse.reshape(-1, 3).astype(np.int64))
