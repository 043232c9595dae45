"""Spreads out the triangles of a layout that came out flipped, degenerate or without a place of their own."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import spsolve

from ml_backend.head.transfer_deformation import boundary_loops
from ml_backend.head.transfer_uv import Layout

_MAX_ROUNDS = 12
# A triangle this much smaller in the texture, for its surface, than the middle one has collapsed.
_MIN_RELATIVE_AREA = 0.01
_MAX_ANISOTROPY = 12.0  # longest over shortest stretch; the layout that is carried stays below 6


def repair_layout(layout: Layout, vertices: np.ndarray, triangles: np.ndarray, homeless: np.ndarray) -> Layout:
    """Relax the parts of a layout that do not lie flat, growing them until they do.

    Args:
        layout: of the triangles of one part, with one outer border.
        vertices: (V,3) metres; triangles: (T,3) parallel to the layout's.
        homeless: (V,) bool: vertices that have no counterpart, so that their place is free.

    Source: mean value coordinates (Floater 2003, eq. 2.1) place the free vertices between the others.
    """
    loops = boundary_loops(layout.uv_triangles)
    outer = max(loops, key=lambda loop: np.ptp(layout.uv[loop], axis=0).sum())
    pinned = np.zeros(len(layout.uv), bool)
    pinned[outer] = True
    weights = _mean_value_weights(layout, vertices, triangles, [loop for loop in loops if loop is not outer])
    neighbours = (weights[: len(pinned), : len(pinned)] != 0).astype(np.int8)
    uv_vertex = np.zeros(len(layout.uv), np.int64)
    uv_vertex[layout.uv_triangles] = triangles
    free = homeless[uv_vertex] & ~pinned
    uv = layout.uv
    for rings in range(_MAX_ROUNDS):
        if free.any():
            uv = _relaxed(uv, weights, free)
        bad = bad_triangles(Layout(uv, layout.uv_triangles), vertices, triangles)
        bad &= ~pinned[layout.uv_triangles].all(1)  # nothing can move those
        if not bad.any():
            break
        grown = np.zeros(len(uv), bool)
        grown[layout.uv_triangles[bad]] = True
        for _ in range(1 + rings // 3):
            grown |= neighbours @ grown > 0
        free |= grown & ~pinned
    return Layout(uv, layout.uv_triangles)


def bad_triangles(layout: Layout, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) bool: flipped, collapsed or torn long."""
    area, anisotropy = layout_distortion(layout, vertices, triangles)
    relative = area / np.median(area)
    return (relative < _MIN_RELATIVE_AREA) | (anisotropy > _MAX_ANISOTROPY)


def layout_distortion(layout: Layout, vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) signed texture area per square metre and (T,) anisotropy of each triangle."""
    corners, corner_uv = vertices[triangles], layout.uv[layout.uv_triangles]
    edge_b, edge_c = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length_b = np.maximum(np.linalg.norm(edge_b, axis=1), 1e-12)
    along = (edge_c * edge_b).sum(1) / length_b
    height = np.maximum(np.linalg.norm(edge_c - (along / length_b)[:, None] * edge_b, axis=1), 1e-12)
    uv_b, uv_c = corner_uv[:, 1] - corner_uv[:, 0], corner_uv[:, 2] - corner_uv[:, 0]
    column_x = uv_b / length_b[:, None]
    column_y = (uv_c - along[:, None] * column_x) / height[:, None]
    determinant = column_x[:, 0] * column_y[:, 1] - column_x[:, 1] * column_y[:, 0]
    half = ((column_x**2).sum(1) + (column_y**2).sum(1)) / 2
    root = np.sqrt(np.maximum(half**2 - determinant**2, 0))
    return determinant, np.sqrt((half + root) / np.maximum(half - root, 1e-12 * half + 1e-30))


def _mean_value_weights(
    layout: Layout, vertices: np.ndarray, triangles: np.ndarray, holes: list[np.ndarray]
) -> sparse.csr_matrix:
    """Rows sum to one; each hole's middle is one more vertex behind the others, so that holes stay open."""
    corners = vertices[triangles]
    count = len(layout.uv)
    rows, columns, values = [], [], []
    for corner in range(3):
        here, left, right = (layout.uv_triangles[:, (corner + step) % 3] for step in range(3))
        to_left, to_right = (corners[:, (corner + step) % 3] - corners[:, corner] for step in (1, 2))
        length_left, length_right = (np.maximum(np.linalg.norm(e, axis=1), 1e-9) for e in (to_left, to_right))
        cosine = np.clip((to_left * to_right).sum(1) / (length_left * length_right), -0.999, 0.999)
        half_tangent = np.sqrt((1 - cosine) / (1 + cosine))
        rows += [here, here]
        columns += [left, right]
        values += [half_tangent / length_left, half_tangent / length_right]
    typical = float(np.median(np.concatenate(values)))
    for index, hole in enumerate(holes):
        middle = np.full(len(hole), count + index)
        rows += [hole, middle]
        columns += [middle, hole]
        values += [np.full(len(hole), typical)] * 2
    size = count + len(holes)
    matrix = sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (size, size)
    ).tocsr()
    return (sparse.diags(1 / np.maximum(np.asarray(matrix.sum(1)).ravel(), 1e-12)) @ matrix).tocsr()


def _relaxed(uv: np.ndarray, weights: sparse.csr_matrix, free: np.ndarray) -> np.ndarray:
    """Every free vertex becomes the weighted mean of its neighbours; hole middles are free too."""
    size, count = weights.shape[0], len(uv)
    moving = np.flatnonzero(np.append(free, np.ones(size - count, bool)))
    fixed = np.flatnonzero(~free)
    system = (sparse.eye(len(moving)) - weights[moving][:, moving]).tocsc()
    solved = spsolve(system, weights[moving][:, fixed] @ uv[fixed])
    result = uv.copy()
    inside = moving < count
    result[moving[inside]] = solved.reshape(len(moving), 2)[inside]
    return result
