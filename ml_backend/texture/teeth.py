"""Clean teeth: crowns of common widths along the dental arch, of the photo's colour, with gaps and gums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.texture.face_contours import fill_contours
from ml_backend.texture.part_painting import paint_part
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.texel_map import TexelMap
from ml_backend.tracking import landmark_topology as topology

# Crown widths and heights from the midline to the second molar, metres (Nelson, Wheeler's Dental Anatomy, table 1-1).
UPPER_WIDTHS_M = np.array([8.5, 6.5, 7.5, 7.0, 7.0, 10.0, 9.0]) / 1000
UPPER_HEIGHTS_M = np.array([10.5, 9.0, 10.0, 8.5, 8.5, 7.5, 7.0]) / 1000
LOWER_WIDTHS_M = np.array([5.0, 5.5, 7.0, 7.0, 7.0, 11.0, 10.5]) / 1000
LOWER_HEIGHTS_M = np.array([9.0, 9.5, 11.0, 8.5, 8.0, 7.5, 7.0]) / 1000
CANINE = 2
# Linear RGB: enamel of an adult; a gap, through which the mouth is seen; gums.
ENAMEL = np.array([0.62, 0.56, 0.46], np.float32)
GAP = np.array([0.15, 0.075, 0.05], np.float32)
GUMS = np.array([0.40, 0.13, 0.12], np.float32)
# Enamel in photos: mean of its channels, and red and blue over green, which stay within these limits.
ENAMEL_BRIGHTNESS = (0.45, 0.66)
ENAMEL_HUE = ((1.05, 1.16), (0.70, 0.86))
# The open mouth's height in photo pixels where its teeth begin to count, and where they count fully.
READABLE_MOUTH_PX = (3.0, 8.0)
# Enamel is no redder than this against blue, while lips, gums and tongue are, and this bright against the face's light.
ENAMEL_RED_OVER_BLUE = 1.9
LEAST_ENAMEL = 0.25
# Lips shade the teeth against the face's light by about this much.
LIP_SHADOW = 1.1
# Teeth with less of the photo's mouth than this are no teeth.
LEAST_SHARE = 0.15
# Half the width of a gap; what is added at the biting edge, where the crowns' corners are round, and over which height.
GAP_M, CORNER_M, CORNER_HEIGHT_M = 0.00030, 0.00060, 0.0012
# Angle about the arch's middle within which vertices are one column of the teeth, radians.
COLUMN_ANGLE = 0.12
# Of a column, the outer side is what lies further out than this part of it, the biting edge what is this near to it.
OUTSIDE_RADIUS, EDGE_SPREAD_M = 0.97, 0.0015
# Points of the arch's line, about one a millimetre.
ARCH_STEPS = 64


@dataclass(frozen=True)
class DentalArch:
    """One row of teeth of the neutral head; angles are about a vertical axis behind it, 0 at the front, either side.

    Attributes:
        part: index of its part; upper: of the upper jaw.
        axis: (2,) x and z of the axis, metres.
        angle: (K,) rising, radians; length_m: (K,) along the outer side from the midline; edge_m: (K,) height y of the
            biting edge.
    """

    part: int
    upper: bool
    axis: np.ndarray
    angle: np.ndarray
    length_m: np.ndarray
    edge_m: np.ndarray


def fit_arch(vertices: np.ndarray, part: int, upper: bool) -> DentalArch:
    """Measure a row of teeth.

    Args:
        vertices: (E, 3) of the row, metres, neutral head.
        part: index of its part; upper: of the upper jaw.

    Returns:
        The arch.
    """
    axis = np.array([np.median(vertices[:, 0]), vertices[:, 2].min() - 0.005])
    across = vertices[:, [0, 2]] - axis
    angle = np.abs(np.arctan2(across[:, 0], across[:, 1]))
    radius = np.linalg.norm(across, axis=1)
    column = np.abs(angle[:, None] - angle) < COLUMN_ANGLE
    outermost = np.where(column, radius, 0.0).max(axis=1)
    sign = -1.0 if upper else 1.0
    towards_edge = sign * vertices[:, 1]
    at_edge = towards_edge > np.where(column, towards_edge, -np.inf).max(axis=1) - EDGE_SPREAD_M
    outside = radius > OUTSIDE_RADIUS * outermost
    steps = np.linspace(0.0, angle.max(), ARCH_STEPS)
    radii, edge = _line(steps, angle[outside], radius[outside]), _line(steps, angle[at_edge], vertices[at_edge, 1])
    outline = radii[:, None] * np.stack([np.sin(steps), np.cos(steps)], axis=1)
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(outline, axis=0), axis=1).cumsum()])
    return DentalArch(part, upper, axis, steps, length, edge)


def _line(where: np.ndarray, angle: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (K,) of points at `angle` (K,), any order, interpolated at `where`."""
    order = np.argsort(angle, kind="stable")
    return np.interp(where, angle[order], values[order])


def enamel_colour(pixels: np.ndarray, landmarks_px: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Read the colour of the teeth off the photo.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        landmarks_px: (478, 2).
        light: (3,) the light on a surface that faces the camera.

    Returns:
        (3,) linear RGB without light; common enamel where the photo shows no teeth.
    """
    lower, upper = (landmarks_px[list(line)] for line in (topology.LIPS_INNER_LOWER, topology.LIPS_INNER_UPPER))
    opening = np.linalg.norm(lower[len(lower) // 2] - upper[len(upper) // 2])
    readable = float(smooth_step(np.float64(opening), *READABLE_MOUTH_PX))
    mouth = np.concatenate([lower, upper])
    low, high = np.floor(mouth.min(axis=0)).astype(int), np.ceil(mouth.max(axis=0)).astype(int)
    if readable == 0.0 or (low < 0).any() or high[0] > pixels.shape[1] or high[1] > pixels.shape[0]:
        return ENAMEL
    inside = fill_contours(landmarks_px - low, (topology.LIPS_INNER,), *(high - low)[::-1], grow=-0.1 * opening) > 0.5
    colours = linear_from_srgb_u8(pixels[low[1] : high[1], low[0] : high[0]])[inside] / np.maximum(light, 0.05)
    teeth = (colours[:, 0] < ENAMEL_RED_OVER_BLUE * colours[:, 2]) & (colours.mean(axis=1) > LEAST_ENAMEL)
    if teeth.sum() < max(12, LEAST_SHARE * len(colours)):
        return ENAMEL
    brightness = colours[teeth].mean(axis=1)
    # reflections are the brightest tenth, gaps and the corners' shadow the darkest half
    seen = (brightness >= np.quantile(brightness, 0.5)) & (brightness <= np.quantile(brightness, 0.9))
    red, green, blue = np.median(colours[teeth][seen], axis=0) * LIP_SHADOW
    hue = np.array([np.clip(red / green, *ENAMEL_HUE[0]), 1.0, np.clip(blue / green, *ENAMEL_HUE[1])])
    colour = hue / hue.mean() * np.clip((red + green + blue) / 3, *ENAMEL_BRIGHTNESS)
    return (ENAMEL + readable * (colour - ENAMEL)).astype(np.float32)


def paint_teeth(
    log_albedo: np.ndarray, head: HeadModel, vertices: np.ndarray, texels: TexelMap, enamel: np.ndarray
) -> None:
    """Paint the rows of teeth that a head has.

    Args:
        log_albedo: (M, M, 3) logarithmic linear RGB, changed in place.
        head: the head model; vertices: (V, 3) of its neutral, metres.
        texels: the UV grid.
        enamel: (3,) linear RGB.
    """
    for name in ("upper_teeth", "lower_teeth"):
        if name not in head.part_names:
            continue
        part = head.part_names.index(name)
        arch = fit_arch(vertices[head.part_vertices(name).cpu().numpy()], part, name == "upper_teeth")
        paint_part(log_albedo, texels, vertices, part, lambda places, arch=arch: teeth_colour(places, arch, enamel))


def teeth_colour(places: np.ndarray, arch: DentalArch, enamel: np.ndarray) -> np.ndarray:
    """Colour of points on a row of teeth.

    Args:
        places: (K, 3) metres, neutral head.
        arch: the row.
        enamel: (3,) linear RGB.

    Returns:
        (K, 3) linear RGB.
    """
    widths, heights = (UPPER_WIDTHS_M, UPPER_HEIGHTS_M) if arch.upper else (LOWER_WIDTHS_M, LOWER_HEIGHTS_M)
    angle = np.abs(np.arctan2(places[:, 0] - arch.axis[0], places[:, 2] - arch.axis[1]))
    along, edge = (np.interp(angle, arch.angle, line) for line in (arch.length_m, arch.edge_m))
    # the person's arch holds the common widths, all a little wider or narrower
    scale = arch.length_m[-1] / widths.sum()
    borders = np.concatenate([[0.0], widths.cumsum()]) * scale
    tooth = np.clip(np.searchsorted(borders, along) - 1, 0, len(widths) - 1)
    to_border = np.minimum(along - borders[tooth], borders[tooth + 1] - along)
    across = np.clip(1.0 - 2.0 * to_border / (widths * scale)[tooth], 0.0, 1.0)
    height = np.abs(places[:, 1] - edge)
    crown = heights[tooth] * scale
    colour = enamel * _crown_tone(across, height, height / crown, tooth)
    gap = np.exp(-((to_border / (GAP_M + CORNER_M * np.exp(-height / CORNER_HEIGHT_M))) ** 2))
    # crowns touch over most of their height: a shaded line; only beside the biting edge is the mouth seen between them
    colour += (GAP - colour) * (gap * (0.40 + 0.45 * np.exp(-height / CORNER_HEIGHT_M)))[:, None]
    # gums reach down between the teeth
    gums = smooth_step(height - crown * (1.0 - 0.25 * across**3), -0.0003, 0.0003)
    colour += (GUMS - colour) * gums[:, None]
    # lips and cheeks shade the teeth behind the canines
    return (colour * (1.0 - 0.45 * smooth_step(along, 0.018, 0.045))[:, None]).astype(np.float32)


def _crown_tone(across: np.ndarray, height: np.ndarray, part_of_crown: np.ndarray, tooth: np.ndarray) -> np.ndarray:
    """(K, 3) factor of the enamel: rounded sides, a glassy biting edge, yellower towards the gums and in canines."""
    tone = (1.0 - 0.30 * across**4) * (0.86 + 0.14 * smooth_step(height, 0.0, 0.0016))
    yellow = 0.7 * smooth_step(part_of_crown, 0.5, 1.0) + 0.5 * (tooth == CANINE)
    return tone[:, None] * (1.0 - yellow[:, None] * np.array([0.03, 0.07, 0.17]))
