"""Our own eyeballs: poles on the optic axis, rings at the edges of pupil and limbus, a slight cornea.

MakeHuman's helper eye is a cube-like ball of 70 quads; it only says where the ball is and how large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SEGMENTS = 24
LIMBUS_RADIUS_M = 0.0057  # on the mean head 5.85 mm: the visible iris of adults measures 11.7 mm, alike in all people
PUPIL_RADIUS_M = 0.0019
CORNEA_HEIGHT_M = 0.0005  # real corneas rise about 2.5 mm; more than this would press through MakeHuman's close lids
_RING_DEGREES_BEHIND_LIMBUS = (33.0, 47.0, 65.0, 90.0, 125.0)


@dataclass(frozen=True)
class Eyeball:
    """One ball at the origin that looks along +Z.

    Attributes:
        offsets: (N, 3) metres from the centre; the first vertex is the front pole, the last the back pole.
        polygons: (P, 4) counter-clockwise from outside; -1 as fourth corner at the poles.
        ring_degrees: angle of each ring from the optic axis.
    """

    offsets: np.ndarray
    polygons: np.ndarray
    ring_degrees: tuple[float, ...]


def make_eyeball(radius_m: float) -> Eyeball:
    """Make the right eye's ball (mirror it in x for the left eye's).

    Args:
        radius_m: radius of the sclera.
    """
    pupil, limbus = (float(np.degrees(np.arcsin(r / radius_m))) for r in (PUPIL_RADIUS_M, LIMBUS_RADIUS_M))
    degrees = (pupil, (pupil + limbus) / 2, limbus, *_RING_DEGREES_BEHIND_LIMBUS)
    polar = np.radians(np.array([0.0, *degrees, 180.0]))
    rise = CORNEA_HEIGHT_M * np.where(polar < np.radians(limbus), np.cos(polar / np.radians(limbus) * np.pi / 2), 0.0)
    around = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    rings = [
        (radius_m + h) * np.stack([np.sin(p) * np.cos(around), np.sin(p) * np.sin(around), np.cos(p) + 0 * around], 1)
        for p, h in zip(polar[1:-1], rise[1:-1], strict=True)
    ]
    poles = np.array([[0.0, 0.0, radius_m + rise[0]], [0.0, 0.0, -radius_m]])
    return Eyeball(np.concatenate([poles[:1], *rings, poles[1:]]), _ball_polygons(len(rings)), degrees)


def sphere_through(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit spheres by least squares.

    Args:
        points: (..., N, 3) metres.

    Returns:
        centres (..., 3) and radii (...).
    """
    middle = points.mean(axis=-2, keepdims=True)
    local = points - middle
    design = np.concatenate([2 * local, np.ones_like(local[..., :1])], axis=-1)
    normal = np.swapaxes(design, -1, -2) @ design
    right = np.swapaxes(design, -1, -2) @ (local**2).sum(-1, keepdims=True)
    solution = np.linalg.solve(normal, right)[..., 0]
    radius = np.sqrt(solution[..., 3] + (solution[..., :3] ** 2).sum(-1))
    return middle[..., 0, :] + solution[..., :3], radius


def _ball_polygons(num_rings: int) -> np.ndarray:
    this = np.arange(SEGMENTS)
    after = (this + 1) % SEGMENTS
    back_pole = 1 + num_rings * SEGMENTS
    cap = np.full(SEGMENTS, -1)
    polygons = [np.stack([np.zeros_like(this), 1 + this, 1 + after, cap], 1)]
    for ring in range(num_rings - 1):
        inner, outer = 1 + ring * SEGMENTS, 1 + (ring + 1) * SEGMENTS
        polygons.append(np.stack([inner + this, outer + this, outer + after, inner + after], 1))
    last = 1 + (num_rings - 1) * SEGMENTS
    polygons.append(np.stack([last + this, np.full_like(this, back_pole), last + after, cap], 1))
    return np.concatenate(polygons).astype(np.int32)
