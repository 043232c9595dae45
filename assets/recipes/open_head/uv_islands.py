"""Cuts the head's surface into islands that can be laid flat: which polygons belong together, where they are open."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from .uv_flattening import polygon_edges

# MakeHuman's corner UVs are printed with six decimals; corners of one island that meet have equal coordinates.
SOURCE_UV_STEPS = 100_000


@dataclass(frozen=True)
class Piece:
    """Some polygons of the head with vertices numbered from zero.

    Attributes:
        polygons: (Q, 4) local vertex indices, -1 as the fourth of a triangle.
        vertices: (N,) the head's vertex of each local one.
        rows: (Q,) the head's polygon of each local one.
    """

    polygons: NDArray[np.int64]
    vertices: NDArray[np.int64]
    rows: NDArray[np.int64]


def take_piece(polygons: NDArray[np.int64], rows: NDArray[np.int64]) -> Piece:
    """Takes the given rows of (Q, 4) polygons out of the head."""
    chosen = polygons[rows]
    vertices = np.unique(chosen[chosen >= 0])
    local = np.full(int(vertices.max()) + 2, -1)  # the last entry answers for the -1 of a triangle
    local[vertices] = np.arange(len(vertices))
    local[-1] = -1
    return Piece(local[chosen], vertices, rows)


def connected_labels(polygons: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers the connected groups of (Q, 4) polygons: those that share a vertex index have one label, (Q,)."""
    edges = polygon_edges(polygons)
    size = int(polygons.max()) + 1
    graph = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][polygons[:, 0]]
    return np.unique(labels, return_inverse=True)[1]


def source_island_labels(polygons: NDArray[np.int64], source_corner_uv: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers the islands of the source's own UV layout.

    Args:
        polygons: (Q, 4), -1 as the fourth of a triangle.
        source_corner_uv: (Q, 4, 2) the source's UV of each corner.

    Returns:
        (Q,) label of each polygon.
    """
    steps = np.round(source_corner_uv * SOURCE_UV_STEPS).astype(np.int64).reshape(-1, 2)
    corners = np.unique(steps, axis=0, return_inverse=True)[1].reshape(-1, 4)
    return connected_labels(np.where(polygons >= 0, corners, -1))


def boundary_loops(polygons: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Walks along the open edges, with the surface on the left.

    Args:
        polygons: (Q, 4), -1 as the fourth of a triangle.

    Returns:
        Closed loops of vertices, the longest first.

    Raises:
        ValueError: two loops meet in a vertex.
    """
    edges = polygon_edges(polygons)
    known = set(map(tuple, edges.tolist()))
    following: dict[int, int] = {}
    for first, second in known:
        if (second, first) not in known:
            if first in following:
                raise ValueError(f"two open borders meet in vertex {first}")
            following[first] = second
    loops = []
    while following:
        first, vertex = following.popitem()
        loop = [first]
        while vertex != first:
            loop.append(vertex)
            vertex = following.pop(vertex)
        start = loop.index(min(loop))  # so that the result does not depend on the order of a dictionary
        loops.append(np.array(loop[start:] + loop[:start]))
    return sorted(loops, key=lambda loop: (-len(loop), loop[0]))


def fill_with_fan(polygons: NDArray[np.int64], loop: NDArray[np.int64], centre: int) -> NDArray[np.int64]:
    """Closes a hole with triangles around a new vertex.

    Args:
        polygons: (Q, 4).
        loop: (L,) the open edge in the order of `boundary_loops`, as a path: a closed loop ends with its first vertex.
        centre: index of the new vertex.

    Returns:
        (Q + L - 1, 4).
    """
    fan = [(second, first, centre, -1) for first, second in pairwise(loop)]
    return np.concatenate([polygons, np.array(fan, np.int64)])
