"""Lays the outer skin flat: one island, symmetric about u = 0.5, open along the back midline up to the crown.

Only the half on the person's left is flattened; the other half is its mirror image, so the layout is exactly symmetric.
The front midline is held on u = 0.5, and a barrier keeps the borders in the region left to the skin, so the halves
cannot overlap. Eye and mouth openings are filled with fans of triangles while flattening, which keeps them open.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

from .uv_flattening import (
    FlatteningProblem,
    Outline,
    corner_triangles,
    minimise_distortion,
    polygon_edges,
    rest_triangles,
    tutte_embedding,
)
from .uv_islands import Piece, boundary_loops, fill_with_fan, take_piece

START_INSET = 0.01  # of the first outline from the barrier


@dataclass(frozen=True)
class SkinLayoutSettings:
    """How the texture is shared out over the skin.

    Attributes:
        vertical_stretch: how much higher than wide a square of skin becomes. An unrolled face is wider than a face seen
            from the front, so it wants more width than the texture has; a little stretch makes it fit and look natural.
        face_uv_per_m: target scale of the face, texture widths per metre, before the region's borders press on it; the
            face then takes a bit more than 40% of the texture.
        rest_uv_per_m: target scale far away from the face; what then fills the rest of the region.
        blend_length_m: distance over which the scale goes from one to the other.
        rest_importance: weight of the rest's distortion against the face's.
        area_exponent: a triangle counts by its target area to this power; below 1 the fine folds of ears, lids and
            nostrils count for more than their area.
        tucked_scale: scale of the skin behind the lids, as a share of the face's.
        tucked_importance: weight of its distortion.
        hole_importance: weight of the fans in the openings; they only have to stay upright.
        seam_gap: distance of the seam from u = 0.5, half the gap between the two edges of the seam near the crown.
        barrier: stiffness of the region's border.
    """

    vertical_stretch: float = 1.1
    face_uv_per_m: float = 4.0
    rest_uv_per_m: float = 1.3
    blend_length_m: float = 0.02
    rest_importance: float = 0.3
    area_exponent: float = 0.75
    tucked_scale: float = 0.4
    tucked_importance: float = 0.05
    hole_importance: float = 0.002
    seam_gap: float = 0.004
    barrier: float = 2e-5


@dataclass(frozen=True)
class HalfSkin:
    """The half of the skin on the person's left.

    Attributes:
        piece: its polygons.
        front: (A,) local midline vertices from the neck's front edge up to the crown, bottom to top.
        seam: (B,) local midline vertices from the crown (included) down to the neck's back edge (included).
        neck: (C,) local vertices of the neck's edge from back to front, without the two on the midline.
        holes: openings, each a path of local vertices; closed when first and last are equal.
    """

    piece: Piece
    front: NDArray[np.int64]
    seam: NDArray[np.int64]
    neck: NDArray[np.int64]
    holes: tuple[NDArray[np.int64], ...]


def half_skin(
    vertices: NDArray[np.float64],
    polygons: NDArray[np.int64],
    rows: NDArray[np.int64],
    mirror_vertex: NDArray[np.int64],
) -> HalfSkin:
    """Takes the left half of the skin and orders its border.

    Args:
        vertices: (V, 3) metres.
        polygons: (Q, 4) of the whole head.
        rows: (S,) the skin's polygons.
        mirror_vertex: (V,).

    Returns:
        The half with its border in parts.

    Raises:
        ValueError: polygons cross the midline, or the border is not one loop through neck and crown.
    """
    centres = np.array([vertices[polygon[polygon >= 0], 0].mean() for polygon in polygons[rows]])
    piece = take_piece(polygons, rows[centres > 0])
    points = vertices[piece.vertices]
    if points[:, 0].min() < -1e-6:
        raise ValueError("a polygon of the skin crosses the midline")
    on_midline = mirror_vertex[piece.vertices] == piece.vertices
    outer, *inner = boundary_loops(piece.polygons)
    if on_midline[outer].sum() != on_midline.sum():
        raise ValueError("the midline is not on one border of the half skin")
    runs = _runs_between_midline(outer, on_midline)
    lowest = min(range(len(runs)), key=lambda i: points[runs[i], 1].mean())
    neck = runs[lowest]
    mouths = [run for i, run in enumerate(runs) if i != lowest]
    start = int(np.flatnonzero(outer == neck[-1])[0])
    midline = np.roll(outer, -start)[: len(outer) - len(neck) + 2]  # from the neck's one end round to its other
    front, seam = _split_at_crown(midline[on_midline[midline]], points, neck)
    holes = tuple(np.append(loop, loop[0]) for loop in inner) + tuple(mouths)
    return HalfSkin(piece, front, seam, _from_back_to_front(neck, points)[1:-1], holes)


def _from_back_to_front(path: NDArray[np.int64], points: NDArray[np.float64]) -> NDArray[np.int64]:
    return path if points[path[0], 2] < points[path[-1], 2] else path[::-1]


def _runs_between_midline(loop: NDArray[np.int64], on_midline: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Parts of a loop that leave the midline, each with the midline vertices at its ends."""
    start = int(np.flatnonzero(on_midline[loop])[0])
    closed = np.append(np.roll(loop, -start), loop[start])
    stops = np.flatnonzero(on_midline[closed])
    return [closed[a : b + 1] for a, b in pairwise(stops) if b - a > 1]


def _split_at_crown(
    midline: NDArray[np.int64], points: NDArray[np.float64], neck: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if midline[0] == _from_back_to_front(neck, points)[0]:
        midline = midline[::-1]
    crown = int(np.argmax(points[midline, 1]))
    return midline[: crown + 1], midline[crown:]


def flatten_half_skin(
    half: HalfSkin,
    vertices: NDArray[np.float64],
    face_mask: NDArray[np.float64],
    tucked: NDArray[np.int64],
    floor: float,
    margin: float,
    settings: SkinLayoutSettings,
) -> NDArray[np.float64]:
    """Lays the left half of the skin into the region u in [0.5, 1 - margin], v in [floor, 1 - margin].

    Args:
        half: from `half_skin`.
        vertices: (V, 3) metres.
        face_mask: (V,) 0 to 1.
        tucked: polygons of the head that lie behind the lids.
        floor: lower limit of the region.
        margin: what stays free at the texture's edge.
        settings: how the area is shared out.

    Returns:
        (N, 2) UV of the half's local vertices.
    """
    stretch = settings.vertical_stretch
    lower, upper = (0.5, floor / stretch), (1 - margin, (1 - margin) / stretch)
    points, polygons = _fill_holes(half, vertices)
    count = len(half.piece.vertices)
    boundary, boundary_uv = _start_outline(half, points, lower, upper)
    start = tutte_embedding(polygons, boundary, boundary_uv, len(points))
    triangles, rest, weights = _targets(half, points, polygons, face_mask, tucked, settings)
    frozen = np.zeros((len(points), 2), bool)
    frozen[half.front, 0] = True
    frozen[count:, 0] = points[count:, 0] == 0
    held = np.concatenate([half.seam, half.neck, half.front[:1]])
    outline = Outline((0.5 + settings.seam_gap, lower[1]), upper, held, settings.barrier)
    problem = FlatteningProblem(triangles, np.linalg.inv(rest), weights, frozen, outline)
    return minimise_distortion(problem, start)[:count] * (1, stretch)


def _fill_holes(half: HalfSkin, vertices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (N + H, 3) with a centre for each hole, on x = 0 exactly for half an opening, and polygons with fans."""
    points = vertices[half.piece.vertices]
    polygons = half.piece.polygons
    for hole in half.holes:
        centre = points[hole].mean(0)
        if hole[0] != hole[-1]:
            centre[0] = 0.0
        polygons = fill_with_fan(polygons, hole, len(points))
        points = np.vstack([points, centre])
    return points, polygons


def _targets(
    half: HalfSkin,
    points: NDArray[np.float64],
    polygons: NDArray[np.int64],
    face_mask: NDArray[np.float64],
    tucked: NDArray[np.int64],
    settings: SkinLayoutSettings,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Triangles (T, 3), the shapes (T, 2, 2) they should have on the texture, and their weights (T,)."""
    triangles, owners = corner_triangles(polygons)
    is_hole = owners >= len(half.piece.polygons)
    is_tucked = (
        ~is_hole
        & np.isin(np.append(half.piece.rows, np.full(len(half.holes), -1)), tucked)[
            np.minimum(owners, len(half.piece.rows))
        ]
    )
    scale, face = _target_scale(points, polygons, face_mask, half, settings)
    triangle_scale = scale[triangles].mean(1) * np.where(is_tucked, settings.tucked_scale, 1.0)
    rest = rest_triangles(points, triangles) * triangle_scale[:, None, None]
    importance = settings.rest_importance + (1 - settings.rest_importance) * face[triangles].mean(1)
    importance[is_tucked] = settings.tucked_importance
    importance[is_hole] = settings.hole_importance
    weights = importance * np.linalg.det(rest) ** settings.area_exponent
    return triangles, rest, weights / weights.sum()


def _start_outline(
    half: HalfSkin, points: NDArray[np.float64], lower: tuple[float, float], upper: tuple[float, float]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A rectangle for Tutte's embedding: front midline left, seam on top and right, neck at the bottom."""
    left, right = lower[0], upper[0] - START_INSET
    bottom, top = lower[1] + START_INSET, upper[1] - START_INSET
    front, front_share = _front_with_hole_centres(half, points)
    front_uv = np.stack([np.full(len(front), left), bottom + front_share * (top - bottom)], 1)
    share = _arc_length(points[half.seam])
    seam_place = share / share[-1] * ((right - left) + (top - bottom))
    corner = int(np.flatnonzero(seam_place >= right - left)[0])
    seam_place[corner] = right - left  # one vertex stands in the corner, so that the outline is the rectangle
    seam_uv = np.stack([np.minimum(left + seam_place, right), np.minimum(top, top + right - left - seam_place)], 1)
    neck_share = np.linspace(0, 1, len(half.neck) + 2)[1:-1]
    neck_uv = np.stack([right + neck_share * (left - right), np.full(len(half.neck), bottom)], 1)
    return np.concatenate([front, half.seam[1:], half.neck]), np.concatenate([front_uv, seam_uv[1:], neck_uv])


def _front_with_hole_centres(
    half: HalfSkin, points: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The front midline with the fans' centres, each between the ends of its opening, and shares of its length."""
    lengths = _arc_length(points[half.front])
    front, heights = list(half.front), list(lengths)
    for centre, hole in enumerate(half.holes, start=len(half.piece.vertices)):
        if points[centre, 0] == 0:
            front.append(centre)
            heights.append(lengths[np.isin(half.front, [hole[0], hole[-1]])].mean())
    order = np.argsort(heights)
    return np.array(front)[order], np.array(heights)[order] / max(heights)


def _arc_length(path: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])


def _target_scale(
    points: NDArray[np.float64],
    polygons: NDArray[np.int64],
    face_mask: NDArray[np.float64],
    half: HalfSkin,
    settings: SkinLayoutSettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale (N,) in UV per metre and the smoothed face mask (N,): the mask diffused over the blend length."""
    mask = np.ones(len(points))
    mask[: len(half.piece.vertices)] = face_mask[half.piece.vertices]
    edges = polygon_edges(polygons)
    edges = np.concatenate([edges, edges[:, ::-1]])
    conductance = (settings.blend_length_m / np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)) ** 2 / 4
    graph = sparse.coo_matrix((conductance, (edges[:, 0], edges[:, 1])), shape=(len(points),) * 2).tocsr()
    laplacian = sparse.diags(np.asarray(graph.sum(1)).ravel()) - graph
    smooth = spsolve((sparse.eye(len(points)) + laplacian).tocsc(), mask)
    return settings.rest_uv_per_m * (settings.face_uv_per_m / settings.rest_uv_per_m) ** smooth, smooth
