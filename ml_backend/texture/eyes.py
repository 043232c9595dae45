"""Clean eyeballs: white, iris of the person's colour, pupil; painted by direction, so that any UV layout will do."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from addon.exchange.conventions import JOINT_NAMES
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.eye_patch import eye_patch
from ml_backend.texture.eye_whites import SCLERA
from ml_backend.texture.part_painting import paint_part
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.texel_map import TexelMap
from ml_backend.tracking import landmark_topology as topology

# Visible iris of an adult: 11.7 mm across (Rüfer et al. 2005); the pupil in daylight about a third of it.
IRIS_RADIUS_M = 0.00585
PUPIL_PART = 0.34
# Linear RGB: the sclera's veined corners; the pupil.
SCLERA_CORNER = np.array([0.36, 0.225, 0.19], np.float32)
# The upper lid and its lashes shade the ball from their margin down over this sine of elevation, by this share. The
# upper lid follows the gaze up and down, so that a shade painted on the ball stays under it.
LID_SHADE, LID_SHADE_DEPTH = 0.55, 0.24
# Sine of elevation of the upper margin over the eye's axis, where a head's landmarks do not say: that of a mean head.
UPPER_MARGIN = 0.15
# place of the upper margin's middle in the tracker's line of it
UPPER_LID_MIDDLE = 3
PUPIL = np.array([0.004, 0.004, 0.004], np.float32)
# The commonest iris colour, dark brown, for eyes too small to see.
BROWN_IRIS = np.array([0.085, 0.042, 0.020], np.float32)
# Iris radius in photo pixels where its colour begins to count, and where it counts fully.
READABLE_IRIS_PX = (2.0, 5.0)
# The lid's shadow and the lashes darken an iris against the face's light by about this much.
LID_SHADOW = 1.5
IRIS_BRIGHTNESS = (0.018, 0.22)
# Irises run from brown over hazel to grey and blue: red over green, and the most blue over green that goes with it (own
# reading of 25 photos). More blue is the sky's reflection, of which dark eyes are full, or the light's.
IRIS_RED_OVER_GREEN = (0.8, 1.0, 1.3, 2.0)
IRIS_BLUE_OVER_GREEN = (1.25, 1.0, 0.70, 0.50)


@dataclass(frozen=True)
class Eyeball:
    """An eye of the head.

    Attributes:
        part: index of the eyeball's part.
        centre: (3,) metres, in the neutral head.
        gaze: (3,) unit vector from the centre through the pupil.
        radius_m: of the eyeball.
        upper_margin: sine of the elevation of the open upper lid's margin over the gaze.
    """

    part: int
    centre: np.ndarray
    gaze: np.ndarray
    radius_m: float
    upper_margin: float = UPPER_MARGIN


def fit_eyeball(
    vertices: np.ndarray, part: int, joint: np.ndarray, pupil: np.ndarray, upper_lid: np.ndarray | None = None
) -> Eyeball:
    """Measure an eyeball of the neutral head.

    Args:
        vertices: (E, 3) of the eyeball, metres.
        part: index of its part.
        joint: (3,) the joint it turns about.
        pupil: (3,) the middle of the iris on its surface.
        upper_lid: (3,) the middle of the open upper lid's margin.

    Returns:
        The eyeball.
    """
    radius = float(np.median(np.linalg.norm(vertices - joint, axis=1)))
    away = pupil - joint
    length = float(np.linalg.norm(away))
    forward = np.array([0.0, 0.0, 1.0])
    # an embedding that lies off the eye's front is not believed: neutral eyes look ahead
    gaze = away / length if length > 0.5 * radius and away[2] > 0.8 * length else forward
    if upper_lid is None:
        return Eyeball(part, joint, gaze, radius)
    towards_lid = (upper_lid - joint) / (np.linalg.norm(upper_lid - joint) + 1e-9)
    return Eyeball(part, joint, gaze, radius, float(towards_lid @ _right_and_up(gaze)[1]))


def head_eyeballs(head: HeadModel, vertices: np.ndarray, joints: np.ndarray) -> dict[str, Eyeball]:
    """Measure both eyeballs of a head.

    Args:
        head: the head model; vertices: (V, 3) of its neutral, joints: (J, 3) of the same, metres.

    Returns:
        By side, "left" and "right".
    """
    marks = head.landmarks_478.on(torch.from_numpy(vertices)[None], head.triangles)[0].cpu().numpy()
    eyes = {}
    for side, (pupil, *_), upper_lid in (
        ("left", topology.LEFT_IRIS, topology.LEFT_EYE_UPPER), ("right", topology.RIGHT_IRIS, topology.RIGHT_EYE_UPPER),
    ):  # fmt: skip
        name = f"{side}_eye"
        eyes[side] = fit_eyeball(
            vertices[head.part_vertices(name).cpu().numpy()], head.part_names.index(name),
            joints[JOINT_NAMES.index(name)], marks[pupil], marks[upper_lid[UPPER_LID_MIDDLE]],
        )  # fmt: skip
    return eyes


def _right_and_up(gaze: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors (3,) across the gaze."""
    right = np.cross([0.0, 1.0, 0.0], gaze)
    right /= np.linalg.norm(right)
    return right, np.cross(gaze, right)


def iris_colour(
    pixels: np.ndarray, landmarks_px: np.ndarray, left: bool, light: np.ndarray
) -> tuple[np.ndarray, float]:
    """Read the colour of an iris off the photo.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        landmarks_px: (478, 2).
        left: the person's left eye, else the right.
        light: (3,) the light on a surface that faces the camera.

    Returns:
        (3,) linear RGB without light, and 0-1 how readable it was.
    """
    eye = eye_patch(pixels, landmarks_px, left, READABLE_IRIS_PX[0])
    if eye is None:
        return BROWN_IRIS, 0.0
    readable = float(smooth_step(np.float64(eye.photo_radius_px), *READABLE_IRIS_PX))
    used = (eye.distance > 0.45) & (eye.distance < 0.85) & eye.opening
    if used.sum() < 0.04 * eye.radius_px**2:
        return BROWN_IRIS, 0.0
    colours = eye.colour[used]
    brightness = colours.mean(axis=1)
    # reflections, of a window often two fifths of the iris, are brightest, lashes and the pupil's edge darkest
    middle = (brightness >= np.quantile(brightness, 0.10)) & (brightness <= np.quantile(brightness, 0.50))
    colour = np.median(colours[middle], axis=0) / np.maximum(light, 0.05) * LID_SHADOW
    bluest = np.interp(colour[0] / max(colour[1], 1e-4), IRIS_RED_OVER_GREEN, IRIS_BLUE_OVER_GREEN)
    colour[2] = min(colour[2], bluest * colour[1])
    mean = float(colour.mean())
    colour *= np.clip(mean, *IRIS_BRIGHTNESS) / max(mean, 1e-4)
    return (BROWN_IRIS + readable * (colour - BROWN_IRIS)).astype(np.float32), readable


def paint_eyeball(
    log_albedo: np.ndarray, texels: TexelMap, head_vertices: np.ndarray, eye: Eyeball, iris: np.ndarray
) -> None:
    """Paint one eyeball's texels in place, at the texture's full size.

    Args:
        log_albedo: (M, M, 3) logarithmic linear RGB, changed in place; M is a multiple of the texel map's size.
        texels: the UV grid.
        head_vertices: (V, 3) of the neutral head, metres.
        eye: the eyeball.
        iris: (3,) linear RGB.
    """
    paint_part(log_albedo, texels, head_vertices, eye.part, lambda places: eye_colour(places, eye, iris))


def eye_colour(places: np.ndarray, eye: Eyeball, iris: np.ndarray) -> np.ndarray:
    """Colour of points on an eyeball.

    Args:
        places: (K, 3) metres, neutral head.
        eye: the eyeball.
        iris: (3,) linear RGB.

    Returns:
        (K, 3) linear RGB.
    """
    away = places - eye.centre.astype(np.float32)
    away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
    right, up = _right_and_up(eye.gaze)
    x, y, z = (away @ axis.astype(np.float32) for axis in (right, up, eye.gaze))
    angle = np.arctan2(np.hypot(x, y), z)
    iris_angle = np.arcsin(min(0.9, IRIS_RADIUS_M / eye.radius_m))
    around = np.arctan2(y, x) / (2.0 * np.pi) + 0.5
    radius = angle / iris_angle
    white = _sclera(angle, iris_angle, around)
    disc = _iris(radius, around, iris)
    # the limbus: a soft grey-brown border a tenth of the radius wide
    inside = 1.0 - smooth_step(radius, 0.93, 1.08)
    shade = 1.0 - LID_SHADE * smooth_step(y, eye.upper_margin - LID_SHADE_DEPTH, eye.upper_margin)
    return (white + (disc - white) * inside[:, None]) * shade[:, None]


def _sclera(angle: np.ndarray, iris_angle: float, around: np.ndarray) -> np.ndarray:
    """(K, 3) white that reddens towards the lids and corners, with faint veins."""
    outwards = smooth_step(angle, 1.2 * iris_angle, 2.5 * iris_angle)
    veins = _noise(around, angle / np.pi, (48, 512), (6.0, 0.8), 11)
    veins = np.clip(veins - 0.9, 0.0, 1.0) * outwards
    reddened = 0.7 * outwards + 0.3 * veins
    return SCLERA + (SCLERA_CORNER - SCLERA) * reddened[:, None]


def _iris(radius: np.ndarray, around: np.ndarray, iris: np.ndarray) -> np.ndarray:
    """(K, 3) iris whose mean over the ring is the given colour: fibres, lighter collarette, dark rim, pupil."""
    fibres = _noise(around, np.clip(radius, 0.0, 1.0), (12, 256), (3.0, 1.0), 5)
    collarette = np.exp(-(((radius - 0.55) / 0.13) ** 2))
    rim = smooth_step(radius, 0.78, 1.0)
    tone = 1.0 + 0.22 * fibres + 0.22 * collarette - 0.55 * rim
    warm = np.array([1.12, 1.0, 0.85], np.float32)
    colour = iris * np.maximum(tone, 0.15)[:, None] * (1.0 + (warm - 1.0) * collarette[:, None])
    pupil = 1.0 - smooth_step(radius, PUPIL_PART - 0.05, PUPIL_PART + 0.05)
    return colour + (PUPIL - colour) * pupil[:, None]


def _noise(
    across: np.ndarray, along: np.ndarray, grid: tuple[int, int], sigmas: tuple[float, float], seed: int
) -> np.ndarray:
    """(K,) periodic noise of unit spread; `across` 0-1 wraps around, `along` 0-1; sigmas (along, across)."""
    layer = np.random.default_rng(seed).standard_normal(grid).astype(np.float32)
    blurred = cv2.GaussianBlur(np.tile(layer, (1, 3)), (0, 0), sigmaX=sigmas[1], sigmaY=sigmas[0])
    blurred = blurred[:, grid[1] : 2 * grid[1] + 1] / blurred.std()
    where = np.stack([across * grid[1], along * (grid[0] - 1)], axis=-1).astype(np.float32)[None]
    # OpenCV's remap takes rows of fewer than 32,768 points
    pieces = np.array_split(where, max(1, where.shape[1] // 30000 + 1), axis=1)
    return np.concatenate([cv2.remap(blurred, piece, None, cv2.INTER_LINEAR)[0] for piece in pieces])
