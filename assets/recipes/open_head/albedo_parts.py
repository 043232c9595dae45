"""Hand-made albedo of what the skins do not show: eyeballs, teeth, tongue, the inside of the mouth.

Everything is painted by the place on the mean head, so any texture layout will do. Colours are linear RGB, chosen by
eye against photographs; later stages give the irises the person's own colour.
"""

from __future__ import annotations

import numpy as np

from assets.recipes.open_head.eyeball import LIMBUS_RADIUS_M, PUPIL_RADIUS_M

SCLERA = np.array([0.62, 0.58, 0.55])
SCLERA_IN_CORNERS = np.array([0.52, 0.36, 0.32])
IRIS = np.array([0.090, 0.045, 0.022])  # brown, the commonest colour
PUPIL = np.array([0.006, 0.005, 0.005])
TOOTH = np.array([0.60, 0.53, 0.42])
TOOTH_GAP = np.array([0.22, 0.14, 0.09])
GUM = np.array([0.40, 0.15, 0.13])
TONGUE = np.array([0.40, 0.155, 0.14])
TONGUE_BELOW = np.array([0.36, 0.10, 0.10])
INNER_MOUTH = np.array([0.30, 0.080, 0.070])
THROAT = np.array([0.10, 0.018, 0.016])

# Widths of the crowns from the middle outwards, metres (typical adult values from dental anatomy).
UPPER_TOOTH_WIDTHS_M = (0.0085, 0.0065, 0.0075, 0.007, 0.007, 0.010, 0.010)
LOWER_TOOTH_WIDTHS_M = (0.0053, 0.0058, 0.0068, 0.007, 0.007, 0.011, 0.011)
CROWN_HEIGHT_M = 0.0095
GAP_HALF_WIDTH_M = 0.0006
MOUTH_DEPTH_M = 0.07  # from the lips to the throat


def paint_eyeball(places: np.ndarray, centre: np.ndarray, radius_m: float) -> np.ndarray:
    """Colour an eyeball: white, iris, pupil.

    Args:
        places: (N, 3) metres on the eyeball.
        centre: (3,) its middle; it looks along +Z.
        radius_m: of the white.

    Returns:
        (N, 3) linear RGB.
    """
    x, y, z = (places - centre).T
    across = np.hypot(x, y)
    angle = np.arctan2(across, z)
    limbus, pupil = np.arcsin(LIMBUS_RADIUS_M / radius_m), np.arcsin(PUPIL_RADIUS_M / radius_m)
    sideways = np.abs(x) / radius_m * _smooth_step(angle, 0.6, 1.2)
    colour = _mix(SCLERA, SCLERA_IN_CORNERS, sideways)
    fibres = 1 + 0.12 * np.cos(37 * np.arctan2(y, x)) * np.cos(11 * np.arctan2(y, x) + 1)
    share = np.clip((angle - pupil) / (limbus - pupil), 0, 1)
    iris = IRIS * (fibres * (1.25 - 0.35 * share) * (1 - 0.55 * _smooth_step(share, 0.8, 1.0)))[:, None]
    colour = _mix(iris, colour, _smooth_step(angle, limbus - 0.04, limbus + 0.04))
    return _mix(PUPIL, colour, _smooth_step(angle, pupil - 0.02, pupil + 0.02))


def paint_teeth(places: np.ndarray, is_upper: bool) -> np.ndarray:
    """Colour a row of teeth: crowns with dark gaps, gums above (or below).

    Args:
        places: (N, 3) metres, x = 0 in the middle of the row.
        is_upper: the crowns' edges point down.

    Returns:
        (N, 3) linear RGB.
    """
    widths = UPPER_TOOTH_WIDTHS_M if is_upper else LOWER_TOOTH_WIDTHS_M
    along = np.abs(_along_arch(places))
    ends = np.cumsum(widths)
    tooth = np.minimum(np.searchsorted(ends, along), len(ends) - 1)
    from_gap = np.minimum(along - (ends - widths)[tooth], np.abs(ends[tooth] - along))
    from_gap = np.where(tooth == 0, np.minimum(along, np.abs(ends[0] - along)), from_gap)
    edge = _edge_height(places, is_upper)
    height = (places[:, 1] - edge) * (1 if is_upper else -1)
    gum_line = CROWN_HEIGHT_M - 0.002 * np.exp(-from_gap / 0.0015)  # gums rise between the teeth
    colour = _mix(TOOTH_GAP, TOOTH, _smooth_step(from_gap, 0.0, 2 * GAP_HALF_WIDTH_M))
    return _mix(colour, GUM, _smooth_step(height - gum_line, -0.0004, 0.0004))


def _along_arch(places: np.ndarray) -> np.ndarray:
    """(N,) signed length along the arch from its middle: summed over narrow sectors around a point behind it."""
    behind = places[:, 2].min() - 0.01
    angle = np.arctan2(places[:, 0], places[:, 2] - behind)
    radius = np.hypot(places[:, 0], places[:, 2] - behind)
    edges = np.linspace(0, np.abs(angle).max() + 1e-6, 60)
    sector = np.digitize(np.abs(angle), edges) - 1
    # the outer face of the row, seen in every sector
    outer = np.array([radius[sector == i].max(initial=0) for i in range(len(edges) - 1)])
    known = outer > 0
    middles = (edges[:-1] + edges[1:]) / 2
    outer = np.interp(middles, middles[known], outer[known])
    points = outer[:, None] * np.stack([np.sin(middles), np.cos(middles)], 1)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    start = points[0, 0]
    return np.sign(angle) * np.interp(np.abs(angle), middles, length + start)


def _edge_height(places: np.ndarray, is_upper: bool) -> np.ndarray:
    """(N,) height of the biting edge: the lowest (highest) place near the same depth."""
    depth = places[:, 2]
    bins = np.linspace(depth.min(), depth.max() + 1e-9, 12)
    row = np.digitize(depth, bins) - 1
    pick = np.min if is_upper else np.max
    known = [i for i in range(len(bins) - 1) if (row == i).any()]
    edge = np.array([pick(places[row == i, 1]) for i in known])
    return np.interp(depth, ((bins[:-1] + bins[1:]) / 2)[known], edge)


def paint_tongue(places: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Colour the tongue: a groove along the middle, smoother and redder below, darker towards the throat.

    Args:
        places: (N, 3) metres; normals: (N, 3).

    Returns:
        (N, 3) linear RGB.
    """
    colour = _mix(TONGUE_BELOW, TONGUE, _smooth_step(normals[:, 1], -0.4, 0.3))
    groove = 1 - 0.18 * np.exp(-((places[:, 0] / 0.0018) ** 2))
    depth = (places[:, 2].max() - places[:, 2]) / MOUTH_DEPTH_M
    return colour * (groove * (1 - 0.45 * _smooth_step(depth, 0.3, 1.0)))[:, None]


def paint_inner_mouth(places: np.ndarray) -> np.ndarray:
    """Colour the inside of the mouth (N, 3): moist red in front, nearly black in the throat."""
    depth = (places[:, 2].max() - places[:, 2]) / MOUTH_DEPTH_M
    return _mix(INNER_MOUTH, THROAT, _smooth_step(depth, 0.25, 1.0))


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + (second - first) * share[:, None]


def _smooth_step(value: np.ndarray, start: float, end: float) -> np.ndarray:
    share = np.clip((value - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)
