"""Movements of the eyelids, measured on the open head as shares of its eyes' opening and done again on another head.

Displacements of lids cannot be carried: eyes open by different amounts and lids differ in thickness, so that carried
lids stop short of each other or crumple. What travels is how far each margin goes in shares of the opening; on the
target the lids turn about its own eyeballs, which keeps them smooth and outside.

Elevations are radians about the eyeball's centre, from +Z upwards about the x axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

_NUM_SLICES = 41  # across the eye, in which the opening is measured
_BEYOND_CORNERS = 0.04  # of the eye's width: the landmarks of its corners are that uncertain
_NEAR_RADII = 1.6  # lids lie within so many radii of the eyeball's centre, their skin's motion ends within twice that
# How far skin goes along with the margin at an angle (degrees) from it, as on the open head.
_UPPER_FOLLOW = (
    (0.0, 2.0, 4.5, 7.0, 10.0, 13.0, 16.0, 20.0, 26.0),
    (1.0, 0.98, 0.88, 0.74, 0.60, 0.44, 0.28, 0.12, 0.0),
)
_LOWER_FOLLOW = (
    (0.0, 3.0, 7.0, 11.0, 16.0, 20.0, 24.0, 28.0, 34.0),
    (1.0, 0.92, 0.80, 0.66, 0.46, 0.30, 0.17, 0.07, 0.0),
)
_CLOSED_SHARE = 0.95  # lids that together go this share of the opening are meant to close
_PASS_RAD = 0.055  # closing margins pass each other by about a millimetre each, so that faces other than the mean close
_EDGE_DEPTH_RADII, _EDGE_WIDTH_RAD = 0.09, 0.25  # closed lids are rounded at their edges: they meet in one line
_EVENING, _EVENING_WIDTH_RAD = 0.7, 0.07  # closed margins form a smooth line: this share of what strays is taken away
_THINNEST_RADII = 0.03  # what rounding leaves of a lid


@dataclass(frozen=True)
class Eye:
    """One eye of a head.

    Attributes:
        centre: (3,) metres, of the eyeball.
        radius: metres.
        corners: (6,3) iBUG's points of the eye, in iBUG's order: a corner, two above, a corner, two below.
    """

    centre: np.ndarray
    radius: float
    corners: np.ndarray


@dataclass(frozen=True)
class Opening:
    """Elevation of the lids' margins over x, (N,) each; x in metres from the centre, ascending."""

    x: np.ndarray
    upper: np.ndarray
    lower: np.ndarray

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The upper and the lower margin at x (M,); beyond the corners, the corner's."""
        return np.interp(x, self.x, self.upper), np.interp(x, self.x, self.lower)


@dataclass(frozen=True)
class LidTravel:
    """Travel of both margins towards each other, as shares of the opening."""

    upper: float
    lower: float


def measure_travel(
    vertices: np.ndarray, moved: np.ndarray, triangles: np.ndarray, eye: Eye, moved_eye: Eye
) -> LidTravel:
    """How far a movement closes the lids.

    Args:
        vertices: (V,3) at rest, metres; moved: (V,3) half-way, where lids have not met yet.
        triangles: (F,3) of the skin.
        eye, moved_eye: its eye at rest and half-way.
    """
    rest, half = measure_opening(vertices, triangles, eye), measure_opening(moved, triangles, moved_eye)
    middle = slice(_NUM_SLICES // 4, -(_NUM_SLICES // 4))  # near the corners openings are too small to compare
    upper, lower = half.at(rest.x)
    opening = (rest.upper - rest.lower)[middle].sum()
    return LidTravel(
        upper=2 * float((rest.upper - upper)[middle].sum() / opening),
        lower=2 * float((lower - rest.lower)[middle].sum() / opening),
    )


def measure_opening(vertices: np.ndarray, triangles: np.ndarray, eye: Eye) -> Opening:
    """Cut the skin in slices across the eye and find where it ends above and below the opening.

    Args:
        vertices: (V,3) metres; triangles: (F,3) of the skin.
        eye: whose lids to look for.
    """
    start, end = _edges_near(vertices, triangles, eye)
    local = eye.corners - eye.centre
    ends = np.sort(local[[0, 3], 0])
    x = np.linspace(*(ends + _BEYOND_CORNERS * np.ptp(ends) * np.array([-1, 1])), _NUM_SLICES)
    points = list(zip(local[[0, 3], 0], _elevation(local[[0, 3]]), strict=True))
    for place, between in zip(x, _middle_line(local, x), strict=True):
        crossing = (start[:, 0] - place) * (end[:, 0] - place) < 0
        a, b = start[crossing], end[crossing]
        share = ((place - a[:, 0]) / (b[:, 0] - a[:, 0]))[:, None]
        cut = a + share * (b - a)
        elevation = _elevation(cut[(cut[:, 2] > 0) & (np.linalg.norm(cut, axis=1) > eye.radius)])
        above, below = elevation[elevation > between], elevation[elevation <= between]
        if len(above) and len(below):
            points += [(place, above.min()), (place, below.max())]
    return _outline(np.array(points))


def _edges_near(vertices: np.ndarray, triangles: np.ndarray, eye: Eye) -> tuple[np.ndarray, np.ndarray]:
    """Both ends (N,3) of the skin's edges around an eye, from its centre."""
    local = vertices - eye.centre
    near = np.linalg.norm(local, axis=1) < _NEAR_RADII * eye.radius
    around = triangles[near[triangles].all(1)]
    edges = np.unique(np.sort(np.concatenate([around[:, [0, 1]], around[:, [1, 2]], around[:, [2, 0]]]), 1), axis=0)
    return local[edges[:, 0]], local[edges[:, 1]]


def _middle_line(corners: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Elevation midway between the points above and below, over x."""
    elevation = _elevation(corners)
    lines = []
    for rows in ([0, 1, 2, 3], [0, 5, 4, 3]):
        order = np.argsort(corners[rows, 0])
        lines.append(np.interp(x, corners[rows, 0][order], elevation[rows][order]))
    return (lines[0] + lines[1]) / 2


def _outline(points: np.ndarray) -> Opening:
    """The convex outline of points (N,2): at the inner corner skin folds into the opening, around the caruncle."""
    ring = points[ConvexHull(points).vertices]  # counter-clockwise
    ring = np.roll(ring, -int(np.argmin(ring[:, 0])), 0)
    last = int(np.argmax(ring[:, 0]))
    lower, upper = ring[: last + 1], np.concatenate([ring[last:], ring[:1]])[::-1]
    x = np.linspace(ring[0, 0], ring[last, 0], _NUM_SLICES)
    return Opening(x, np.interp(x, *upper.T), np.interp(x, *lower.T))


def _elevation(local: np.ndarray) -> np.ndarray:
    return np.arctan2(local[:, 1], local[:, 2])


def move_lids(vertices: np.ndarray, skin: np.ndarray, opening: Opening, eye: Eye, travel: LidTravel) -> np.ndarray:
    """Move the lids of a head.

    Args:
        vertices: (V,3) metres; skin: (N,) the vertices that may move.
        opening: between its lids.
        eye: its eye.
        travel: of the margins.

    Returns:
        (V,3) offsets in metres.
    """
    local = vertices[skin] - eye.centre
    elevation, distance = _elevation(local), np.linalg.norm(local, axis=1)
    upper, lower = opening.at(local[:, 0])
    gap = upper - lower
    share = np.clip(gap / (opening.upper - opening.lower).max(), 0, 1)
    closes = travel.upper + travel.lower > _CLOSED_SHARE
    scale = 1 / (travel.upper + travel.lower) if closes else 1.0
    past = np.sqrt(share) * _PASS_RAD * closes
    turn_upper, turn_lower = -scale * travel.upper * gap - past, scale * travel.lower * gap + past
    is_upper = np.clip(((elevation - lower) / np.maximum(gap, 1e-6) - 0.35) / 0.3, 0, 1)
    follow_upper = np.interp(np.degrees(np.maximum(elevation - upper, 0)), *_UPPER_FOLLOW)
    follow_lower = np.interp(np.degrees(np.maximum(lower - elevation, 0)), *_LOWER_FOLLOW)
    turn = is_upper * follow_upper * turn_upper + (1 - is_upper) * follow_lower * turn_lower
    turn *= (local[:, 2] > 0) & (distance < 2 * _NEAR_RADII * eye.radius)
    edge = is_upper * (upper + turn_upper) + (1 - is_upper) * (lower + turn_lower)
    strays = np.abs(elevation - (is_upper * upper + (1 - is_upper) * lower))
    even = closes * _EVENING * share * np.clip(1 - strays / _EVENING_WIDTH_RAD, 0, 1)
    turn += even * (edge - elevation - turn) * (turn != 0)
    depth = np.sqrt(share) * eye.radius * _EDGE_DEPTH_RADII * closes
    depth *= np.clip(1 - np.abs(elevation + turn - edge) / _EDGE_WIDTH_RAD, 0, 1) ** 2
    rounded = np.minimum(depth, np.maximum(distance - (1 + _THINNEST_RADII) * eye.radius, 0))
    wanted = np.where(turn != 0, distance - rounded, distance)
    in_plane = np.hypot(local[:, 1], local[:, 2]) * wanted / distance
    turned = elevation + turn
    place = np.stack([local[:, 0] * wanted / distance, in_plane * np.sin(turned), in_plane * np.cos(turned)], 1)
    offsets = np.zeros_like(vertices)
    offsets[skin] = np.where((turn != 0)[:, None], place - local, 0.0)
    return offsets
