"""Eyelids that can close: skin where an open eye's photo shows none, and a dark line of lashes at the margins."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from addon.exchange.arkit import ARKIT_NAMES
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.head_model import HeadModel
from ml_backend.head.triangle_geometry import triangle_areas
from ml_backend.texture.log_colour import in_colour, log_from_linear, luminance, over
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.photo_projection import PosedHead, smooth_step
from ml_backend.texture.photographed_head import PhotographedHead
from ml_backend.texture.skin_colour import SkinColour
from ml_backend.texture.texel_map import TexelMap
from ml_backend.tracking import landmark_topology as topology

# What belongs to an eye's surroundings: from the margin out to here lie the lids, brow bone and upper cheek.
SURROUNDINGS_M = 0.022
# The lids themselves: the crease of an open eye lies 6 to 10 mm over its margin.
LID_M = (0.008, 0.013)
# Lashes hide the skin of a photo up to these distances from the margin.
LASHES_HIDE_M = (0.0020, 0.0060)
# Area in the photo over the area of the closed lid, below which the skin is folded away, and above which it is seen.
SEEN_SHARE = (0.30, 0.60)
# Darkness under the person's skin, in logarithms, from which lid skin is taken for shadow or lashes; make-up is kept.
SHADOWED = (0.30, 0.75)
# Shadowed lid skin still counts this much: where all is dark, it is the skin.
LEAST_WEIGHT = 0.01
# The lid's colour follows what is seen over this distance.
FILL_LENGTH_M = 0.004
# Part of the darkness that stays in lid skin that was seen, so that an open eye keeps a hint of its crease.
CREASE_KEPT = 0.30
CREASE_DEPTH = 0.06
# Half the width of the lash line (upper lid, lower lid): lashes root in 2 to 3 rows over 1 to 1.5 mm of the upper lid,
# and stand in front of the skin over it. In 20 eyes of ten photos brightness over the upper margin was 0.07 of the
# cheek's (median), 1 mm higher 0.09, at 2 mm 0.27; on the lower margin 0.43.
LASH_LINE_M = (0.0010, 0.0005)
# The margin is the lid's inner edge; as far as this over the upper one, seen from the front, stand the roots.
LASH_ROOTS_M = 0.0006
# How much of the skin the line covers at its middle: from fair to black or painted lashes.
LASH_COVER = ((0.60, 0.95), (0.12, 0.36))
# Their softer shade beside the line: part of its cover, and its half width. No lashes grow beside the tear duct: the
# line fades between these parts of the way from the outer corner to the inner one.
SHADE_PART, SHADE_M = 0.26, 0.0022
LASHES_END = (0.76, 0.92)
# Lashes lie within this distance of the margin in the photo, and their share of dark texels is read at this quantile.
LASH_READ_M = 0.0022
LASH_QUANTILE = 0.20
MIN_LASH_TEXELS = 30
LASHES_RGB = (0.020, 0.014, 0.011)
# The wet edge of the lid against its skin, logarithms of RGB: blood shows through.
RIM_TINT = np.array([0.02, -0.16, -0.12], np.float32)
RIM_M = (-0.0002, 0.0006)
# Spline points from each of the tracker's to the next.
CURVE_STEPS = 8


@dataclass(frozen=True)
class LidMargins:
    """The edges of the lids on the texels.

    Attributes:
        texels: the eyes' surroundings only.
        near_vertex: (V,) bool, the vertices that they use.
        distance_m: (N, N) to the nearest margin, as a half-closed eye has it; SURROUNDINGS_M where far from the eyes.
        rim: (N, N) 0-1, between the margin and the eyeball.
        upper: (N, N) 0 or 1, nearer to the upper margin than to the lower one.
        along: (N, N) 0-1, the nearest point's way from the outer corner to the inner one.
        window: rows and columns around the texels.
    """

    texels: TexelMap
    near_vertex: np.ndarray
    distance_m: np.ndarray
    rim: np.ndarray
    upper: np.ndarray
    along: np.ndarray
    window: tuple[slice, slice]

    def within(self, window: tuple[slice, slice]) -> LidMargins:
        """The same with its fields cut to rows and columns of the grid."""
        cut = {name: getattr(self, name)[window] for name in ("distance_m", "rim", "upper", "along")}
        return replace(self, **cut)


def closed_eyes(head: HeadModel, fit: CoarseFit, neutral: np.ndarray) -> np.ndarray:
    """(V, 3) metres: the person's neutral (V, 3) with both eyes closed."""
    with torch.no_grad():
        rows = [ARKIT_NAMES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
        posed = head.vertices(fit.shape.expand(2, -1), head.arkit_expression[rows], head.arkit_pose[rows])
    return neutral + (posed.cpu().numpy() - neutral).sum(axis=0)


def lid_margins(head: HeadModel, texels: TexelMap, neutral: np.ndarray, closed: np.ndarray) -> LidMargins:
    """Find the lid margins: the tracker's lines of the lids, on the head's surface.

    Args:
        head: for the landmarks' places.
        texels: the UV grid.
        neutral, closed: (V, 3) metres, eyes open and closed.

    Returns:
        The margins of both eyes.
    """
    skin = head.part_names.index("skin")
    half_closed = 0.5 * (neutral + closed)
    curves = [_lid_curves(head, vertices) for vertices in (neutral, half_closed)]
    near, _ = cKDTree(np.concatenate(curves[0])).query(neutral, distance_upper_bound=SURROUNDINGS_M)
    near_vertex = np.isfinite(near)
    own = texels.only(near_vertex[texels.vertices].all(axis=1) & (texels.part.reshape(-1)[texels.index] == skin))
    place, half_place = (own.at_texels(vertices) for vertices in (neutral, half_closed))
    # curves: right lower, right upper, left lower, left upper
    lower, upper = (_nearest_point(curves[1][side::2], half_place) for side in (0, 1))
    is_upper = upper[0] < lower[0]
    inside = np.maximum(*(_signed_depth(np.concatenate(curves[0][k : k + 2]), place) for k in (0, 2)))

    def on_grid(values: np.ndarray, elsewhere: float = 0.0) -> np.ndarray:
        grid = np.full(texels.inside.shape, elsewhere, np.float32)
        grid.reshape(-1)[own.index] = values
        return grid

    return LidMargins(
        own,
        near_vertex,
        on_grid(np.minimum(lower[0], upper[0]), SURROUNDINGS_M),
        on_grid(smooth_step(inside, *RIM_M)),
        on_grid(is_upper),
        on_grid(np.where(is_upper, upper[1], lower[1])),
        _window(own),
    )


def _window(texels: TexelMap) -> tuple[slice, slice]:
    """Rows and columns that hold all texels of a map."""
    places = np.divmod(texels.index, texels.size_px)
    return tuple(slice(int(line.min(initial=texels.size_px)), int(line.max(initial=-1)) + 1) for line in places)


def _nearest_point(curves: list[np.ndarray], places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K,) metres from places (K, 3) to the nearest of some curves, and how far along it that is, 0-1."""
    distance, index = cKDTree(np.concatenate(curves)).query(places)
    way = np.concatenate([np.linspace(0.0, 1.0, len(curve)) for curve in curves])
    return distance, way[index]


def seen_share(posed: PosedHead, closed: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """How much of the skin that closed lids show has a place in the photo.

    Args:
        posed: the head in the photo.
        closed: (V, 3) metres, eyes closed.
        triangles: (F, 3).

    Returns:
        (V,) area in the photo (as the camera sees it) over the area with closed eyes: the cosine to the camera where
        nothing stretches, near 0 where skin is folded away; 0 where it faces away.
    """
    corners = posed.photo_px[triangles].astype(np.float64)
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    # counter-clockwise seen from outside is clockwise in an image, whose y runs down
    seen = np.maximum(0.5 * (one[:, 1] * two[:, 0] - one[:, 0] * two[:, 1]), 0.0) / posed.px_per_m**2
    area = triangle_areas(closed, triangles)
    count = len(closed)
    total_seen = np.bincount(triangles.reshape(-1), np.repeat(seen, 3), count)
    total_area = np.bincount(triangles.reshape(-1), np.repeat(area, 3), count)
    return (total_seen / np.maximum(total_area, 1e-12)).astype(np.float32)


def hidden_lids(scene: PhotographedHead, margins: LidMargins, closed: np.ndarray) -> np.ndarray:
    """(N, N) 0-1: skin of the lids that the photo does not show: folded away, under lashes, or the inner edge."""
    share = seen_share(scene.posed, closed, scene.head.triangles.cpu().numpy())
    folded = 1.0 - smooth_step(margins.texels.interpolate(share), *SEEN_SHARE)
    lashes = 1.0 - smooth_step(margins.distance_m, *LASHES_HIDE_M)
    return np.maximum.reduce([folded * _lid(margins), lashes, margins.rim]).astype(np.float32)


def paint_eyelids(
    skin_log: np.ndarray,
    scene: PhotographedHead,
    margins: LidMargins,
    hidden: np.ndarray,
    log_photo: np.ndarray,
    colour: SkinColour,
) -> np.ndarray:
    """Continue the seen skin over the lids and draw the lash line.

    Args:
        skin_log: (N, N, 3) the completed skin, logarithm.
        scene: the head in the photo.
        margins: of the lids.
        hidden: (N, N) 0-1, what the photo does not show of them.
        log_photo: (N, N, 3) seen skin without light: tells how dark the lashes are.
        colour: the person's skin.

    Returns:
        (N, N, 3).
    """
    window = margins.window
    result = skin_log.copy()
    if result[window].size == 0:
        return result
    field = _continued_skin(skin_log, hidden, scene, margins, colour)[window]
    skin_log, margins = np.ascontiguousarray(skin_log[window]), margins.within(window)
    under = np.maximum(luminance(field) - luminance(skin_log), 0.0)
    crease = (1.0 - CREASE_KEPT) * np.maximum(under - CREASE_DEPTH, 0.0) / np.maximum(under, 1e-3)
    share = np.maximum(hidden[window], crease * _lid(margins) * (1.0 - scene.features.brows[window]))
    painted = over(skin_log, field + in_colour(margins.rim) * RIM_TINT, share)
    lash_log = log_from_linear(np.array(LASHES_RGB, np.float32))
    clear = scene.projection.confidence[window] > 0.3
    cover = _lash_cover(margins, clear, luminance(log_photo[window]), luminance(field), float(luminance(lash_log)))
    result[window] = over(painted, np.broadcast_to(lash_log, painted.shape), lash_line(margins, cover))
    return result


def lash_line(margins: LidMargins, cover: tuple[float, float]) -> np.ndarray:
    """(N, N) 0-1: cover of a thin line along both margins, `cover` at its middle on the upper and the lower lid."""
    width = np.where(margins.upper > 0.5, *np.float32(LASH_LINE_M))
    peak = np.where(margins.upper > 0.5, *np.float32(cover))
    beside = np.maximum(margins.distance_m - LASH_ROOTS_M * margins.upper, 0.0)
    line = np.exp(-((beside / width) ** 2))
    shade = SHADE_PART * np.exp(-((margins.distance_m / SHADE_M) ** 2)) * margins.upper * (1.0 - margins.rim)
    end = 1.0 - smooth_step(margins.along, *LASHES_END)
    return (peak * end * np.maximum(line, shade)).astype(np.float32)


def _lid(margins: LidMargins) -> np.ndarray:
    return 1.0 - smooth_step(margins.distance_m, *LID_M)


def _continued_skin(
    skin_log: np.ndarray, hidden: np.ndarray, scene: PhotographedHead, margins: LidMargins, colour: SkinColour
) -> np.ndarray:
    """(N, N, 3) a smooth field through the trusted skin around the eyes; equal to `skin_log` away from them."""
    count = len(scene.neutral)
    bright = 1.0 - smooth_step(colour.luminance_mean - luminance(skin_log), *SHADOWED)
    weight = (1.0 - hidden) * np.maximum((1.0 - scene.features.brows) * bright, LEAST_WEIGHT)
    number = np.cumsum(margins.near_vertex) - 1
    triangles = scene.head.triangles.cpu().numpy()
    used = triangles[margins.near_vertex[triangles].all(axis=1)]
    smoother = SurfaceSmoother(scene.neutral[margins.near_vertex], number[used])
    means, mean_weight = margins.texels.vertex_means(skin_log, weight, stride=1)
    near_means, near_weight = means[margins.near_vertex], mean_weight[margins.near_vertex]
    typical = np.average(near_means, axis=0, weights=near_weight + 1e-6)
    field = np.zeros((count, 3), np.float32)
    field[margins.near_vertex] = smoother.fit(near_means, near_weight, FILL_LENGTH_M, typical, 1e-4)
    result = skin_log.copy()
    result.reshape(-1, 3)[margins.texels.index] = margins.texels.at_texels(field)
    return result


def _lash_cover(
    margins: LidMargins, clear: np.ndarray, photo_brightness: np.ndarray, skin_brightness: np.ndarray, lash_log: float
) -> tuple[float, float]:
    """How much of the skin lashes cover on the upper and the lower lid, as dark as the photo has them.

    Args:
        margins: of the lids; clear: where the photo shows them well.
        photo_brightness, skin_brightness: of the photo and of the skin under the lashes, logarithm; `lash_log`: theirs.
    """
    covers = []
    for side, (least, most) in zip((1.0, 0.0), LASH_COVER, strict=True):
        read = (margins.distance_m < LASH_READ_M) & (margins.upper == side) & clear
        if read.sum() < MIN_LASH_TEXELS:
            covers.append(0.5 * (least + most))
            continue
        darker = skin_brightness[read] - photo_brightness[read]
        full = np.maximum(skin_brightness[read] - lash_log, 0.3)
        covers.append(float(np.clip(np.quantile(darker / full, 1.0 - LASH_QUANTILE), least, most)))
    return covers[0], covers[1]


def _lid_curves(head: HeadModel, vertices: np.ndarray) -> list[np.ndarray]:
    """Points (P, 3) along the lower and upper lid of the right eye, then of the left."""
    marks = head.landmarks_478.on(torch.from_numpy(vertices.astype(np.float32))[None], head.triangles)[0].cpu().numpy()
    curves = []
    for lower, upper in (
        (topology.RIGHT_EYE_LOWER, topology.RIGHT_EYE_UPPER),
        (topology.LEFT_EYE_LOWER, topology.LEFT_EYE_UPPER),
    ):
        # the lower line has both corners; the upper one runs from the outer corner to the inner
        for line in (lower, (lower[0], *upper, lower[-1])):
            points = marks[list(line)]
            step = np.arange(len(points))
            fine = np.linspace(0, len(points) - 1, (len(points) - 1) * CURVE_STEPS + 1)
            curves.append(CubicSpline(step, points)(fine))
    return curves


def _signed_depth(opening: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(K,) metres that places (K, 3) lie inside an opening (P, 3) as seen from the front; negative outside.

    `opening` is its lower line from the outer corner, then its upper line from the outer corner.
    """
    half = len(opening) // 2
    outline = np.concatenate([opening[:half], opening[half:][::-1]])[:, :2]
    low, high = outline.min(axis=0) - 0.005, outline.max(axis=0) + 0.005
    per_m = 10000.0
    width, height = np.ceil((high - low) * per_m).astype(int)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round((outline - low) * per_m * 16 - 8).astype(np.int32)], 1, cv2.LINE_8, 4)
    signed = cv2.distanceTransform(mask, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    column, row = np.clip((places[:, :2] - low) * per_m, 0, [width - 1, height - 1]).astype(int).T
    return signed[row, column] / per_m
