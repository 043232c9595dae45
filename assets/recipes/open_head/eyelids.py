"""Eyelid motion: the lids turn about the eyeball's horizontal axis and stay outside the ball on the whole way.

MakeHuman's own closure unit leaves a slit and cuts through the ball half-way, so the lids are moved here: at each
distance across the eye, the upper and the lower margin have an elevation about the ball's centre; a motion says how far
each margin travels between the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assets.recipes.open_head.base_mesh import BaseMesh

_APERTURE_RING = 2  # ring in BaseMesh.eye_rings where the opening is narrowest
# How far each ring goes along with the margin: lid edge and lid fully, less towards brow and cheek.
_UPPER_FOLLOW = (1.0, 1.0, 1.0, 1.0, 1.0, 0.95, 0.86, 0.74, 0.60, 0.44, 0.28, 0.14, 0.05)
_LOWER_FOLLOW = (1.0, 1.0, 1.0, 1.0, 1.0, 0.92, 0.80, 0.66, 0.50, 0.34, 0.20, 0.09, 0.03)
_CLEARANCE_M = 0.00025  # between ball and lid at every moment of a blink
# Where the upper lid laps over the lower one, it comes out and the lower one goes in by this much.
_LAP_OUT_M, _LAP_IN_M = 0.0006, 0.0010


@dataclass(frozen=True)
class LidMotion:
    """Travel of the margins as a share of the opening between them.

    Attributes:
        upper: of the upper margin, downwards (1 = to the lower margin's place).
        lower: of the lower margin, upwards.
        raise_rad: lift of the upper margin in radians at mid-eye, for opening wider.
        drop_rad: lowering of the lower margin in radians at mid-eye.
    """

    upper: float = 0.0
    lower: float = 0.0
    raise_rad: float = 0.0
    drop_rad: float = 0.0


# The upper lid makes most of a blink (anatomy); together a little more than 1, so that larger eyes close too.
BLINK = LidMotion(upper=0.90, lower=0.22)
LOOK_DOWN = LidMotion(upper=0.50, drop_rad=0.10)
LOOK_UP = LidMotion(lower=0.06, raise_rad=0.18)
WIDEN = LidMotion(raise_rad=0.22, drop_rad=0.05)
SQUINT = LidMotion(upper=0.14, lower=0.34)


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
    margin = _margins(mean[base.eye_rings[side][_APERTURE_RING]] - centre)
    for ring, (upper_follow, lower_follow) in enumerate(zip(_UPPER_FOLLOW, _LOWER_FOLLOW, strict=True)):
        rows = base.eye_rings[side][ring]
        local = mean[rows] - centre
        offsets[rows] = _turned(local, radius, margin, motion, ring, (upper_follow, lower_follow)) - local
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


def _margins(local: np.ndarray) -> _Margins:
    """Split the aperture ring at its corners and tabulate both margins over x."""
    elevation = np.arctan2(local[:, 1], local[:, 2])
    inner, outer = np.argmin(local[:, 0]), np.argmax(local[:, 0])
    x = np.linspace(local[inner, 0], local[outer, 0], 41)
    corner_line = np.interp(local[:, 0], local[[inner, outer], 0], elevation[[inner, outer]])
    corners = np.isin(np.arange(len(local)), [inner, outer])
    tables = []
    for above in (True, False):
        chosen = corners | ((elevation >= corner_line) == above)
        order = np.argsort(local[chosen, 0], kind="stable")
        tables.append(np.interp(x, local[chosen, 0][order], elevation[chosen][order]))
    return _Margins(x, np.maximum(*tables), np.minimum(*tables))


def _turned(
    local: np.ndarray, radius: float, margin: _Margins, motion: LidMotion, ring: int, follow: tuple[float, float]
) -> np.ndarray:
    """Turn the vertices of one ring and keep them clear of the ball."""
    upper, lower = margin.at(local[:, 0])
    opening = upper - lower
    widest = float((margin.upper - margin.lower).max())
    elevation = np.arctan2(local[:, 1], local[:, 2])
    is_upper = elevation >= (upper + lower) / 2
    share = opening / widest
    turn_upper = -motion.upper * opening + motion.raise_rad * share
    turn_lower = motion.lower * opening - motion.drop_rad * share
    turn = np.where(is_upper, turn_upper * follow[0], turn_lower * follow[1])
    distance = np.linalg.norm(local, axis=1)
    lap = share * np.where(is_upper, _LAP_OUT_M * follow[0], -_LAP_IN_M * follow[1]) * (motion.upper + motion.lower > 1)
    # Half-way the straight path of a key lies inside the arc by cos(turn / 2): end further out by as much.
    needed = 2 * (radius + _CLEARANCE_M) / np.cos(turn / 2) - distance
    wanted = np.maximum.reduce([distance + lap, needed, np.full_like(distance, radius + _CLEARANCE_M)])
    target = np.where((np.abs(turn) > 1e-4) & (distance > radius), wanted, distance)
    in_plane = np.hypot(local[:, 1], local[:, 2])
    new_elevation = elevation + turn
    stretched = in_plane * target / distance
    x, y, z = local[:, 0] * target / distance, stretched * np.sin(new_elevation), stretched * np.cos(new_elevation)
    return np.where((turn != 0)[:, None], np.stack([x, y, z], axis=1), local)
