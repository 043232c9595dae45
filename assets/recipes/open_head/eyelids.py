"""Eyelid motion: the lids turn about the eyeball's horizontal axis and stay outside the ball on the whole way.

MakeHuman's own closure unit leaves a slit and cuts through the ball half-way, so the lids are moved here: at each
distance across the eye, the upper and the lower margin have an elevation about the ball's centre; a motion says how far
each margin travels between the two.

One movement must close the eyes of every identity, and those open by different amounts. So closing margins go past each
other, and their edges are rounded inwards, as soft as real ones: the two rounded surfaces cross in one line, which
lies at the margins of wide eyes and a little further out on the lids of narrow ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from assets.recipes.open_head.base_mesh import BaseMesh

_MARGIN_RINGS = (2, 4)  # rings in BaseMesh.eye_rings along the lids' inner and outer edge
# Between the margins, as shares of the opening, skin goes over from one lid's motion to the other's (the caruncle).
_BETWEEN_LIDS = (0.35, 0.65)
# How far each ring goes along with the margin: the edge fully, less towards brow and cheek and behind
# the lid, where skin that is crowded together would come through it.
_UPPER_FOLLOW = (0.25, 1.0, 1.0, 1.0, 1.0, 0.95, 0.86, 0.74, 0.60, 0.44, 0.28, 0.14, 0.05)
_LOWER_FOLLOW = (0.25, 1.0, 1.0, 1.0, 1.0, 0.92, 0.80, 0.66, 0.50, 0.34, 0.20, 0.09, 0.03)
_CLEARANCE_M = 0.00025  # between ball and lid at every moment of a blink
_EDGE_DEPTH_M, _EDGE_WIDTH_M = 0.0016, 0.0042  # how deep and how wide closed lids are rounded at their edges
# Rounded lids keep this distance from the ball at each ring, else the cornea of prominent eyes would come through.
_LEAST_ROUNDED_M = (0.0, 0.0, 0.0006, 0.0011, 0.0019)
_EVENING = 0.75  # of a closed margin's unevenness is taken away
_SWELLING_RINGS = (4.0, 9.0)  # the muscle that narrows the eyes lies in the lower lid between these


@dataclass(frozen=True)
class LidMotion:
    """Travel of the margins as a share of the opening between them.

    Attributes:
        upper: of the upper margin, downwards (1 = to the lower margin's place).
        lower: of the lower margin, upwards.
        raise_rad: lift of the upper margin in radians at mid-eye, for opening wider.
        drop_rad: lowering of the lower margin in radians at mid-eye.
        pass_m: how far each margin goes on past the place where both meet; their edges are rounded.
        swell_m: how far the lower lid swells.
    """

    upper: float = 0.0
    lower: float = 0.0
    raise_rad: float = 0.0
    drop_rad: float = 0.0
    pass_m: float = 0.0
    swell_m: float = 0.0


# The upper lid makes most of a blink (anatomy). Openings differ by 0.85 mm (standard deviation) between identities:
# margins that pass each other by 2.2 mm close all but one eye in two hundred.
BLINK = LidMotion(upper=0.80, lower=0.20, pass_m=0.0011)
LOOK_DOWN = LidMotion(upper=0.50, drop_rad=0.10)
LOOK_UP = LidMotion(lower=0.06, raise_rad=0.18)
WIDEN = LidMotion(raise_rad=0.22, drop_rad=0.05)
SQUINT = LidMotion(upper=0.20, lower=0.15, swell_m=0.0011)


def lid_offsets(base: BaseMesh, mean: np.ndarray, side: int, motion: LidMotion) -> np.ndarray:
    """Move the lids of one eye.

    Args:
        base: topology.
        mean: (V, 3) metres.
        side: 0 left, 1 right.
        motion: of the margins.

    Returns:
        (V, 3) metres.
    """
    ball = mean[base.part_vertices(("left_eye", "right_eye")[side])]
    centre, radius = _ball(ball)
    offsets = np.zeros_like(mean)
    margins = _margins(mean[base.eye_rings[side][_MARGIN_RINGS[1]]] - centre)
    for ring, follow in enumerate(zip(_UPPER_FOLLOW, _LOWER_FOLLOW, strict=True)):
        rows = base.eye_rings[side][ring]
        local = mean[rows] - centre
        elevation, distance = _moved(local, radius, margins, motion, ring, follow)
        offsets[rows] = _placed(local, elevation, distance) - local
    return offsets


@dataclass(frozen=True)
class _Margins:
    """Elevation of the lid margins about the ball's centre, over x."""

    x: np.ndarray
    upper: np.ndarray
    lower: np.ndarray

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.interp(x, self.x, self.upper), np.interp(x, self.x, self.lower)


def _ball(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Give centre and radius of a ball from its poles and equator (first and last vertex are the poles)."""
    back, front_axis = points[-1], np.array([0.0, 0.0, 1.0])
    radius = float(np.linalg.norm(points[:, :2] - back[:2], axis=1).max())
    return back + radius * front_axis, radius


def _margins(ring: np.ndarray) -> _Margins:
    """Tabulate both sides of a ring (N, 3), about the ball's centre, over x.

    The convex outline is taken: at the inner corner the ring folds into the opening, around the caruncle.
    """
    points = np.stack([ring[:, 0], np.arctan2(ring[:, 1], ring[:, 2])], axis=1)
    corners = ConvexHull(points).vertices  # counter-clockwise
    outline = points[np.roll(corners, -int(np.argmin(points[corners, 0])))]
    last = int(np.argmax(outline[:, 0]))
    lower, upper = outline[: last + 1], np.concatenate([outline[last:], outline[:1]])[::-1]
    x = np.linspace(outline[0, 0], outline[last, 0], 81)
    return _Margins(x, np.interp(x, *upper.T), np.interp(x, *lower.T))


def _moved(
    local: np.ndarray, radius: float, margins: _Margins, motion: LidMotion, ring: int, follow: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Give the new elevation (N,) and distance (N,) of one ring's vertices, clear of the ball."""
    upper, lower = margins.at(local[:, 0])
    opening = upper - lower
    share = opening / float((margins.upper - margins.lower).max())
    elevation, distance = np.arctan2(local[:, 1], local[:, 2]), np.linalg.norm(local, axis=1)
    first, last = _BETWEEN_LIDS
    is_upper = np.clip(((elevation - lower) / np.maximum(opening, 1e-6) - first) / (last - first), 0, 1)
    past = np.sqrt(share) * motion.pass_m / radius
    turn_upper = -motion.upper * opening - past + motion.raise_rad * share
    turn_lower = motion.lower * opening + past - motion.drop_rad * share
    turn = is_upper * turn_upper * follow[0] + (1 - is_upper) * turn_lower * follow[1]
    edge = is_upper * (upper + turn_upper) + (1 - is_upper) * (lower + turn_lower)
    if (
        motion.pass_m > 0 and _MARGIN_RINGS[0] <= ring <= _MARGIN_RINGS[1]
    ):  # open lids have uneven margins, closed ones a smooth line
        turn = turn + _EVENING * share * (edge - elevation - turn)
    from_edge = radius * np.abs(elevation + turn - edge)
    rounded = np.sqrt(share) * _EDGE_DEPTH_M * np.clip(1 - from_edge / _EDGE_WIDTH_M, 0, 1) ** 2 * (motion.pass_m > 0)
    rounded = np.clip(rounded, 0, np.maximum(distance - radius - _LEAST_ROUNDED_M[min(ring, _MARGIN_RINGS[1])], 0))
    first, last = _SWELLING_RINGS
    swollen = (1 - is_upper) * share * motion.swell_m * np.sin(np.pi * np.clip((ring - first) / (last - first), 0, 1))
    # Half-way the straight path of a key lies inside the arc by cos(turn / 2): end further out by as much.
    needed = 2 * (radius + _CLEARANCE_M) / np.cos(turn / 2) - distance
    wanted = np.maximum.reduce([distance - rounded + swollen, needed, np.full_like(distance, radius + _CLEARANCE_M)])
    moves = (np.abs(turn) > 1e-4) & (distance > radius)
    return elevation + turn, np.where(moves, wanted, distance)


def _placed(local: np.ndarray, elevation: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Turn points (N, 3) to an elevation about the x axis and bring them to a distance from the centre."""
    scaled = local * (distance / np.linalg.norm(local, axis=1))[:, None]
    in_plane = np.hypot(scaled[:, 1], scaled[:, 2])
    return np.stack([scaled[:, 0], in_plane * np.sin(elevation), in_plane * np.cos(elevation)], axis=1)
