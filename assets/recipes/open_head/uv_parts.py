"""Lays the small parts flat: eyeballs as discs around the pupil, everything else as free-boundary discs."""

import numpy as np
from numpy.typing import NDArray

from .uv_flattening import FlatteningProblem, corner_triangles, minimise_distortion, rest_triangles, tutte_embedding
from .uv_islands import Piece, boundary_loops, fill_with_fan, take_piece

# The front of an eyeball reaches this far from the pupil; only the back, which never shows, is an island of its own.
EYE_FRONT_ANGLE = np.deg2rad(110)
# The radius on the map grows as 1 - exp(-angle / this): the iris, 29° wide from its middle, gets 0.46 of the radius
# instead of the 0.26 of an equidistant map.
EYE_MAGNIFICATION_ANGLE = 1.0
FILL_IMPORTANCE = 0.01  # openings inside an island only have to stay upright


def lay_eyeball(
    vertices: NDArray[np.float64], polygons: NDArray[np.int64], rows: NDArray[np.int64]
) -> list[tuple[Piece, NDArray[np.float64]]]:
    """Lays an eyeball out as a disc with the pupil in the middle, up is up, and its back as another.

    Args:
        vertices: (V, 3); the eye looks along +Z.
        polygons: (Q, 4).
        rows: the eyeball's polygons.

    Returns:
        Front and back: pieces with (N, 2) coordinates in a circle of radius 1 at most; the front's iris is magnified.
    """
    corners = [vertices[polygon[polygon >= 0]] for polygon in polygons[rows]]
    used = np.unique(polygons[rows][polygons[rows] >= 0])
    centre = (vertices[used].min(0) + vertices[used].max(0)) / 2
    middles = np.array([corner.mean(0) for corner in corners]) - centre
    angles = np.arctan2(np.linalg.norm(middles[:, :2], axis=1), middles[:, 2])
    laid = []
    for is_front in (True, False):
        chosen = rows[(angles < EYE_FRONT_ANGLE) == is_front]
        if len(chosen):
            piece = take_piece(polygons, chosen)
            laid.append((piece, _azimuthal(vertices[piece.vertices] - centre, is_front)))
    return laid


def _azimuthal(offsets: NDArray[np.float64], is_front: bool) -> NDArray[np.float64]:
    across = np.linalg.norm(offsets[:, :2], axis=1)
    angle = np.arctan2(across, offsets[:, 2] if is_front else -offsets[:, 2])
    radius = 1 - np.exp(-angle / EYE_MAGNIFICATION_ANGLE) if is_front else angle
    direction = offsets[:, :2] / np.maximum(across, 1e-9)[:, None] * ((1, 1) if is_front else (-1, 1))
    uv = direction * radius[:, None]
    return uv / np.abs(uv).max()


def cut_underside(piece: Piece, vertices: NDArray[np.float64], mirror_vertex: NDArray[np.int64]) -> Piece:
    """Opens a closed symmetric part along the underside of its midline, from its front to its back.

    Args:
        piece: a closed surface whose polygons do not cross the midline.
        vertices: (V, 3) metres.
        mirror_vertex: (V,).

    Returns:
        The piece with the vertices along the cut doubled.
    """
    points = vertices[piece.vertices]
    half = take_piece(piece.polygons, np.flatnonzero(_centres(piece, points)[:, 0] > 0))
    ring = half.vertices[boundary_loops(half.polygons)[0]]
    ring = np.roll(ring, -int(np.argmax(points[ring, 2])))
    back = int(np.argmin(points[ring, 2]))
    ways = ring[1:back], ring[back + 1 :]
    cut = min(ways, key=lambda way: points[way, 1].mean())
    double = np.arange(len(piece.vertices) + 1)
    double[-1] = -1
    double[cut] = len(piece.vertices) + np.arange(len(cut))
    other_side = _centres(piece, points)[:, 0] < 0
    polygons = np.where(other_side[:, None], double[piece.polygons], piece.polygons)
    return Piece(polygons, np.concatenate([piece.vertices, piece.vertices[cut]]), piece.rows)


def _centres(piece: Piece, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([points[polygon[polygon >= 0]].mean(0) for polygon in piece.polygons])


def lay_disc(piece: Piece, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lays a piece with at least one open border flat, with its +X to the right.

    Args:
        piece: connected, of the topology of a disc with any number of holes.
        vertices: (V, 3) metres.

    Returns:
        (N, 2) in metres, centred.
    """
    points = vertices[piece.vertices]
    outer, *holes = boundary_loops(piece.polygons)
    polygons = piece.polygons
    for hole in holes:
        polygons = fill_with_fan(polygons, np.append(hole, hole[0]), len(points))
        points = np.vstack([points, points[hole].mean(0)])
    lengths = np.linalg.norm(points[outer] - points[np.roll(outer, 1)], axis=1)
    turn = 2 * np.pi * np.cumsum(lengths) / lengths.sum()
    radius = lengths.sum() / (2 * np.pi)
    start = tutte_embedding(polygons, outer, radius * np.stack([np.cos(turn), np.sin(turn)], 1), len(points))
    triangles, owners = corner_triangles(polygons)
    rest = rest_triangles(points, triangles)
    weights = np.linalg.det(rest) * np.where(owners < len(piece.polygons), 1.0, FILL_IMPORTANCE)
    frozen = np.zeros((len(points), 2), bool)
    frozen[outer[0]] = True
    problem = FlatteningProblem(triangles, np.linalg.inv(rest), weights / weights.sum(), frozen)
    uv = minimise_distortion(problem, start)[: len(piece.vertices)]
    return _turn_upright(uv, points[: len(piece.vertices), 0])


def _turn_upright(uv: NDArray[np.float64], sideways: NDArray[np.float64]) -> NDArray[np.float64]:
    uv = uv - (uv.min(0) + uv.max(0)) / 2
    across = (uv * (sideways - sideways.mean())[:, None]).sum(0)
    cosine, sine = across / np.linalg.norm(across)
    turned = uv @ np.array([[cosine, -sine], [sine, cosine]])
    return turned - (turned.min(0) + turned.max(0)) / 2
