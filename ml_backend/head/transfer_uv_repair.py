"""Spreads out the triangles of a layout that came out flipped, collapsed, or without a place of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import spsolve

from ml_backend.head.transfer_deformation import boundary_loops
from ml_backend.head.transfer_uv import Layout

# A triangle this much smaller in the texture, for its surface, than the middle one has collapsed.
_MIN_RELATIVE_AREA = 1e-3
# Longest over shortest stretch. The open head's own layout reaches 6; hidden triangles may be torn longer.
_MAX_ANISOTROPY = 20.0
_HIDDEN_SCALE = 0.3  # of the surroundings' scale: hidden triangles get little texture and press on nothing
_RINGS = (0, 1, 2, 4, 8)  # how far around bad triangles the layout may move; the next if the one before did not do
# Rounds of the flattening; each lets triangles that are still flipped count for more.
_BARRIERS = (0.3, 0.1, 0.03, 0.01)
_MAX_ITERATIONS = 100
_ANCHOR_WEIGHT = 0.3  # a vertex moved by one edge's length costs this much; a triangle stretched twofold costs 1.25


def repair_layout(layout: Layout, vertices: np.ndarray, triangles: np.ndarray, hidden: np.ndarray) -> Layout:
    """Flatten the parts of a layout that do not lie flat; the rest stays as it is.

    Args:
        layout: of the triangles of one part, with one outer border.
        vertices: (V,3) metres; triangles: (T,3) parallel to the layout's.
        hidden: (V,) bool: vertices that have no counterpart, so that their place is free.
    """
    mesh, start = _LayoutMesh.of(layout, vertices, triangles)
    uv_vertex = np.zeros(len(layout.uv), np.int64)
    uv_vertex[layout.uv_triangles] = triangles
    middles = len(start) - len(layout.uv)
    free = np.append(hidden[uv_vertex], np.ones(middles, bool)) & ~mesh.pinned
    uv = mesh.spread(start, free)
    flattening = _Flattening.of(mesh, uv, free)
    moving = free
    for rings in _RINGS:
        bad = mesh.bad_triangles(uv, free)
        if not bad.any():
            break
        grown = np.zeros(len(uv), bool)
        grown[mesh.uv_triangles[bad]] = True
        moving = moving | mesh.grow(grown, rings)
        uv = flattening.flatten(uv, moving & ~mesh.pinned)
    return Layout(uv[: len(layout.uv)], layout.uv_triangles)


def layout_distortion(layout: Layout, vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) signed texture area per square metre and (T,) anisotropy of each triangle."""
    return _distortion_of(_edges(layout.uv, layout.uv_triangles) @ np.linalg.inv(_flat_edges(vertices[triangles])))


def _distortion_of(jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    determinant = np.linalg.det(jacobian)
    half = (jacobian**2).sum((1, 2)) / 2
    root = np.sqrt(np.maximum(half**2 - determinant**2, 0))
    return determinant, np.sqrt((half + root) / np.maximum(half - root, 1e-12 * half + 1e-30))


def _edges(uv: np.ndarray, uv_triangles: np.ndarray) -> np.ndarray:
    """(T,2,2): columns are the two edges from the first corner."""
    corners = uv[uv_triangles]
    return np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], 2)


def _flat_edges(corners: np.ndarray) -> np.ndarray:
    """(T,2,2) the edges of triangles (T,3,3) in their own plane; degenerate ones get a little height."""
    edge_b, edge_c = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = np.maximum(np.linalg.norm(edge_b, axis=1), 1e-7)
    along = (edge_c * edge_b).sum(1) / length
    height = np.maximum(np.linalg.norm(edge_c - (along / length)[:, None] * edge_b, axis=1), 1e-2 * length)
    return np.stack([np.stack([length, along], 1), np.stack([np.zeros_like(length), height], 1)], 1)


@dataclass(frozen=True)
class _LayoutMesh:
    """The mesh of a layout, with a fan of triangles in each hole, so that holes cannot close or cross themselves.

    Attributes:
        uv_triangles: (T',3), fans last.
        flat: (T',2,2) edges of the triangles on the surface.
        pinned: (U',) bool: on the outer border; the middles of the holes are last.
        weights: (U',U') mean value weights, rows sum to one.
    """

    uv_triangles: np.ndarray
    flat: np.ndarray
    pinned: np.ndarray
    weights: sparse.csr_matrix

    @classmethod
    def of(cls, layout: Layout, vertices: np.ndarray, triangles: np.ndarray) -> tuple[_LayoutMesh, np.ndarray]:
        """The mesh and its texture coordinates (U',2)."""
        loops = boundary_loops(layout.uv_triangles)
        outer = max(loops, key=lambda loop: np.ptp(layout.uv[loop], axis=0).sum())
        place = np.zeros((len(layout.uv), 3))
        place[layout.uv_triangles] = vertices[triangles]
        uv, all_triangles = layout.uv, layout.uv_triangles
        for hole in (loop for loop in loops if loop is not outer):
            fan = np.stack([np.roll(hole, -1), hole, np.full(len(hole), len(uv))], 1)
            all_triangles = np.concatenate([all_triangles, fan])
            uv, place = (np.concatenate([points, points[hole].mean(0)[None]]) for points in (uv, place))
        pinned = np.zeros(len(uv), bool)
        pinned[outer] = True
        corners = place[all_triangles]
        return cls(all_triangles, _flat_edges(corners), pinned, _mean_value_weights(all_triangles, corners)), uv

    def bad_triangles(self, uv: np.ndarray, free: np.ndarray) -> np.ndarray:
        """(T',) bool: flipped or collapsed, or torn long where it can be seen; only those that can move."""
        area, anisotropy = _distortion_of(_edges(uv, self.uv_triangles) @ np.linalg.inv(self.flat))
        torn = (anisotropy > _MAX_ANISOTROPY) & ~free[self.uv_triangles].any(1)
        collapsed = area < _MIN_RELATIVE_AREA * np.median(area)
        return (collapsed | torn) & ~self.pinned[self.uv_triangles].all(1)

    def grow(self, chosen: np.ndarray, rings: int) -> np.ndarray:
        """Texture vertices within some rings of the chosen ones."""
        for _ in range(rings):
            chosen = chosen | (self.weights @ chosen > 0)
        return chosen

    def corner_sum(self, values: np.ndarray) -> np.ndarray:
        """(U,) sum of a value (T,) of the triangles at each texture vertex."""
        return np.bincount(self.uv_triangles.ravel(), np.repeat(values, 3), len(self.pinned))

    def spread(self, uv: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Every free vertex at the weighted mean of its neighbours.

        Source: mean value coordinates (Floater 2003, eq. 2.1).
        """
        moving, fixed = np.flatnonzero(free), np.flatnonzero(~free)
        if not len(moving):
            return uv
        system = (sparse.eye(len(moving)) - self.weights[moving][:, moving]).tocsc()
        result = uv.copy()
        result[moving] = spsolve(system, self.weights[moving][:, fixed] @ uv[fixed]).reshape(len(moving), 2)
        return result


@dataclass(frozen=True)
class _Flattening:
    """What a layout is drawn to while it is untangled.

    Attributes:
        mesh: its mesh.
        inverse: (T,2,2) inverse edges of the shape that each triangle should have in the texture.
        place: (U,2) where each texture vertex should stay, and anchor: (U,) how strongly.
    """

    mesh: _LayoutMesh
    inverse: np.ndarray
    place: np.ndarray
    anchor: np.ndarray

    @classmethod
    def of(cls, mesh: _LayoutMesh, uv: np.ndarray, free: np.ndarray) -> _Flattening:
        """Well-laid triangles keep their shape; others take that on the surface, at their surroundings' scale."""
        edges = _edges(uv, mesh.uv_triangles)
        area, surface = np.linalg.det(edges), np.linalg.det(mesh.flat)
        stretch = np.linalg.svd(edges @ np.linalg.inv(mesh.flat), compute_uv=False)
        hidden = free[mesh.uv_triangles].any(1)
        good = (area > 0) & (stretch[:, 0] < 0.5 * _MAX_ANISOTROPY * stretch[:, 1]) & ~hidden
        near = mesh.corner_sum(np.where(good, 1.0, 0.0)) > 0
        local_area, local_surface = (mesh.corner_sum(np.where(good, value, 0.0)) for value in (area, surface))
        density = np.where(near, local_area / np.maximum(local_surface, 1e-12), area[good].sum() / surface[good].sum())
        scale = np.sqrt(density[mesh.uv_triangles].mean(1)) * np.where(hidden, _HIDDEN_SCALE, 1.0)
        shape = np.where(good[:, None, None], edges, scale[:, None, None] * mesh.flat)
        size = mesh.corner_sum(np.abs(np.linalg.det(shape))) / np.maximum(mesh.corner_sum(np.ones(len(shape))), 1)
        anchor = np.where(free, 0.0, _ANCHOR_WEIGHT / np.maximum(size, 1e-12))
        return cls(mesh, np.linalg.inv(shape), uv, anchor)

    def flatten(self, uv: np.ndarray, moving: np.ndarray) -> np.ndarray:
        """Move some vertices so that no triangle is flipped, shapes and places stay close to what they should be.

        Source: own derivation of the known scheme for untangling: symmetric distortion over a determinant that is
        smoothly kept above zero, with a barrier that is lowered step by step (Garanzha et al. 2021, section 3).
        """
        index = np.flatnonzero(moving)
        rows = np.flatnonzero(moving[self.mesh.uv_triangles].any(1))
        corners, inverse = self.mesh.uv_triangles[rows], self.inverse[rows]
        position = uv.copy()
        count = len(uv)

        def energy(flat: np.ndarray, barrier: float) -> tuple[float, np.ndarray]:
            position[index] = flat.reshape(-1, 2)
            value, by_jacobian = _distortion(_edges(position, corners) @ inverse, barrier)
            by_edge = by_jacobian @ inverse.transpose(0, 2, 1)
            by_corner = np.stack([-by_edge.sum(2), by_edge[:, :, 0], by_edge[:, :, 1]], 1).reshape(-1, 2)
            gradient = np.stack([np.bincount(corners.ravel(), by_corner[:, axis], count) for axis in (0, 1)], 1)[index]
            moved = position[index] - self.place[index]
            value += 0.5 * float((self.anchor[index] * (moved**2).sum(1)).sum())
            return value, (gradient + self.anchor[index, None] * moved).ravel()

        current = uv[index].ravel()
        for barrier in _BARRIERS:
            options = {"maxiter": _MAX_ITERATIONS}
            current = minimize(energy, current, (barrier,), "CG", jac=True, options=options).x
        position[index] = current.reshape(-1, 2)
        return position


def _distortion(jacobian: np.ndarray, barrier: float) -> tuple[float, np.ndarray]:
    """Sum over triangles of (|J|^2 / 2 + (det^2 + 1) / 2) / h(det), h smooth and positive, and its gradient (T,2,2)."""
    determinant = np.linalg.det(jacobian)
    root = np.sqrt(determinant**2 + barrier**2)
    positive = (determinant + root) / 2
    positive = np.maximum(positive, 1e-9)
    slope = positive / root  # derivative of h
    numerator = ((jacobian**2).sum((1, 2)) + determinant**2 + 1) / 2
    cofactor = np.stack(
        [
            np.stack([jacobian[:, 1, 1], -jacobian[:, 1, 0]], 1),
            np.stack([-jacobian[:, 0, 1], jacobian[:, 0, 0]], 1),
        ],
        1,
    )
    by_determinant = determinant / positive - numerator * slope / positive**2
    gradient = jacobian / positive[:, None, None] + by_determinant[:, None, None] * cofactor
    return float((numerator / positive).sum()), gradient


def _mean_value_weights(uv_triangles: np.ndarray, corners: np.ndarray) -> sparse.csr_matrix:
    """(U,U) weights of each vertex's neighbours, from the surface's triangles (T,3,3); rows sum to one."""
    rows, columns, values = [], [], []
    for corner in range(3):
        here, left, right = (uv_triangles[:, (corner + step) % 3] for step in range(3))
        to_left, to_right = (corners[:, (corner + step) % 3] - corners[:, corner] for step in (1, 2))
        length_left, length_right = (np.maximum(np.linalg.norm(e, axis=1), 1e-7) for e in (to_left, to_right))
        cosine = np.clip((to_left * to_right).sum(1) / (length_left * length_right), -0.999, 0.999)
        half_tangent = np.sqrt((1 - cosine) / (1 + cosine))
        rows += [here, here]
        columns += [left, right]
        values += [half_tangent / length_left, half_tangent / length_right]
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    matrix = sparse.coo_matrix(entries).tocsr()
    return (sparse.diags(1 / np.maximum(np.asarray(matrix.sum(1)).ravel(), 1e-12)) @ matrix).tocsr()
