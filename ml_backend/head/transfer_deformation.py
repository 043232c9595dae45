"""Lays the skin of a fitted head onto another head's skin, smoothly, so that each point meets its counterpart."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu

from ml_backend.head.transfer_surface import Surface
from ml_backend.head.triangle_geometry import vertex_normals

# (iterations, stiffness): from a sheet that hardly bends to one that follows lips and lids. Stiffness is the weight of
# the change of curvature, edges measured in mean edge lengths, against one unit per point that meets the target.
_ROUNDS = ((6, 30.0), (6, 5.0), (6, 1.0), (4, 0.2))
_REACH_M = 0.006  # a point further from the target than this is pulled along by its neighbours more than by the target
_MIN_ALIGNMENT = 0.4
_PIN_WEIGHT = 30.0


def lay_skin(
    vertices: np.ndarray,
    triangles: np.ndarray,
    weights: np.ndarray,
    target: Surface,
    pins: np.ndarray,
    pin_positions: np.ndarray,
) -> np.ndarray:
    """Deform a skin onto a target.

    Args:
        vertices: (V,3) of the fitted head, metres.
        triangles: (F,3) of its skin; vertices outside them stay as they are.
        weights: (V,) how much each vertex should meet the target.
        target: the surface to meet.
        pins: (P,) vertices whose place is known; pin_positions: (P,3).

    Returns:
        (V,3) metres.

    Source: own derivation; displacements with a thin-plate regulariser, targets are the closest points with compatible
    normals, approached along the target's normal so that points may slide.
    """
    skin = np.unique(triangles)
    bending = _bending_matrix(vertices, triangles, skin)
    rest = vertices[skin]
    displacement = np.zeros_like(rest)
    pin_rows = np.searchsorted(skin, pins)
    for iterations, stiffness in _ROUNDS:
        for _ in range(iterations):
            moved = vertices.copy()
            moved[skin] = rest + displacement
            goal, weight = _goals(moved, triangles, skin, weights, target)
            goal[pin_rows], weight[pin_rows] = pin_positions, _PIN_WEIGHT
            system = (sparse.diags(weight + 1e-6) + stiffness * bending).tocsc()
            displacement = splu(system).solve((weight + 1e-6)[:, None] * (goal - rest))
    laid = vertices.copy()
    laid[skin] = rest + displacement
    return laid


def _goals(
    moved: np.ndarray, triangles: np.ndarray, skin: np.ndarray, weights: np.ndarray, target: Surface
) -> tuple[np.ndarray, np.ndarray]:
    """Where each skin vertex should go, and how sure that is."""
    points, normals = moved[skin], vertex_normals(moved, triangles)[skin]
    match = target.closest(points, normals)
    smooth = match.interpolate(target.vertex_normals, target.triangles)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
    gap = ((match.position - points) * smooth).sum(1)
    goal = points + gap[:, None] * smooth
    weight = weights[skin] * (match.alignment > _MIN_ALIGNMENT)
    return goal, weight / (1 + (match.distance / _REACH_M) ** 2) ** 2


def _bending_matrix(vertices: np.ndarray, triangles: np.ndarray, skin: np.ndarray) -> sparse.csr_matrix:
    """L'L of the mesh's Laplacian, rows and columns in the order of `skin`; edges weigh by 1 / length."""
    local = np.searchsorted(skin, triangles)
    pairs = np.concatenate([local[:, [0, 1]], local[:, [1, 2]], local[:, [2, 0]]])
    pairs = np.unique(np.sort(pairs, 1), axis=0)
    length = np.linalg.norm(vertices[skin[pairs[:, 0]]] - vertices[skin[pairs[:, 1]]], axis=1)
    weight = length.mean() / np.maximum(length, 0.1 * length.mean())
    count = len(skin)
    adjacency = sparse.coo_matrix((weight, (pairs[:, 0], pairs[:, 1])), (count, count))
    adjacency = (adjacency + adjacency.T).tocsr()
    degree = np.asarray(adjacency.sum(1)).ravel()
    laplacian = sparse.eye(count) - sparse.diags(1 / degree) @ adjacency
    return (laplacian.T @ laplacian).tocsr()


def boundary_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """The loops of edges that only one triangle has, as vertex indices in the order of the triangles' sense."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    existing = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in existing if (b, a) not in existing}
    loops = []
    while following:
        start, _ = next(iter(following.items()))
        loop, vertex = [], start
        while vertex in following:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(np.array(loop))
    return loops


def neck_loop(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The boundary loop on which a head ends: the lowest one."""
    return min(boundary_loops(triangles), key=lambda loop: vertices[loop, 1].mean())


def match_loops(points: np.ndarray, loop: np.ndarray, target: np.ndarray, target_loop: np.ndarray) -> np.ndarray:
    """For each vertex of a loop the place on another loop at the same angle about the vertical axis.

    Args:
        points: (V,3) with `loop` (P,) indices; target: (W,3) with `target_loop` (R,) indices.

    Returns:
        (P,3).
    """

    def angle(ring: np.ndarray) -> np.ndarray:
        centred = ring - (ring.min(0) + ring.max(0)) / 2
        return np.arctan2(centred[:, 0], centred[:, 2])

    ring, target_ring = points[loop], target[target_loop]
    order = np.argsort(angle(target_ring))
    known = angle(target_ring)[order]
    return np.stack([np.interp(angle(ring), known, target_ring[order, axis], period=2 * np.pi) for axis in range(3)], 1)
