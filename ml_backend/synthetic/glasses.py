"""Glasses of synthetic people: rims, bridge, arms, and lenses that are clear, reflecting or dark."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.synthetic.picture import Picture, shading

RIM_POINTS = 40
# how far before the eyeballs' middles lenses stand, metres: 12 mm before a cornea that is 12 mm before the middle
LENS_DISTANCE_M = 0.027
DARK_SHARE, REFLECTING_SHARE = 0.25, 0.3


@dataclass(frozen=True)
class Glasses:
    """A pair of glasses.

    Attributes:
        half_axes_m: (2,) of a lens; power: of the outline, 2 an ellipse, above it squarer.
        drop_m: how far the lenses sit below the eyes; tilt: radians, of a lens' outline.
        wire_m: thickness of the rim; colour: (3,) linear RGB of the frame.
        lens: (3,) linear RGB of dark lenses; lens_opacity: 0-1; reflection: 0-1, of the light on them.
    """

    half_axes_m: tuple[float, float]
    power: float
    drop_m: float
    tilt: float
    wire_m: float
    colour: np.ndarray
    lens: np.ndarray
    lens_opacity: float
    reflection: float


def draw_glasses(random: np.random.Generator) -> Glasses:
    """Draw a pair of glasses."""
    dark = random.random() < DARK_SHARE
    metal = random.random() < 0.35
    colour = random.uniform(0.01, 0.09) * np.ones(3) if random.random() < 0.6 else random.uniform(0.02, 0.4, 3)
    width = random.uniform(0.0225, 0.0275)
    return Glasses(
        half_axes_m=(float(width), float(width * random.uniform(0.62, 0.98))),
        power=float(random.uniform(2, 4.5)),
        drop_m=float(random.uniform(0.0, 0.005)),
        tilt=float(random.normal(0, 0.06)),
        wire_m=float(random.uniform(0.0008, 0.0014) if metal else random.uniform(0.0016, 0.0036)),
        colour=np.where(metal, 0.35 * np.array([1, 0.9, 0.7]), colour).astype(np.float32),
        lens=random.uniform(0.005, 0.06, 3).astype(np.float32),
        lens_opacity=float(random.uniform(0.6, 0.97) if dark else random.uniform(0, 0.08)),
        reflection=float(random.uniform(0.05, 0.4) if random.random() < REFLECTING_SHARE else 0.0),
    )


def put_on_glasses(picture: Picture, glasses: Glasses, eyes: np.ndarray, ears: np.ndarray) -> None:
    """Draw glasses in place.

    Args:
        picture: changed in place; glasses: the pair.
        eyes: (2, 3) middles of the left and right eyeball on the neutral head, metres; ears: (2, 3) where arms rest.
    """
    width_px = max(1, round(glasses.wire_m * picture.px_per_m))
    front = shading((picture.skull[:, :3] @ np.array([0, 0, 1.0]))[None], picture.light)[0]
    colour = glasses.colour * front
    inner = []
    for eye, ear in zip(eyes, ears, strict=True):
        rim = _rim(glasses, eye)
        image = picture.pixels(picture.with_skull(rim))
        _lens(picture, glasses, image, front)
        _wire(picture, np.concatenate([image, image[:1]]), colour, width_px)
        side = np.sign(eye[0])
        hinge = eye + np.array([side * glasses.half_axes_m[0], 0.3 * glasses.half_axes_m[1], LENS_DISTANCE_M - 0.002])
        bend = hinge + np.array([side * 0.004, 0, -0.008])
        arm = _between([hinge, bend, ear], 16)
        _wire(picture, picture.pixels(picture.with_skull(arm)), colour * 0.8, width_px, 0.001)
        inner.append(eye + np.array([-side * glasses.half_axes_m[0], 0.25 * glasses.half_axes_m[1], LENS_DISTANCE_M]))
    bridge = _between([inner[0], (inner[0] + inner[1]) / 2 + [0, 0.002, 0.004], inner[1]], 10)
    _wire(picture, picture.pixels(picture.with_skull(bridge)), colour, width_px, 0.012)


def _rim(glasses: Glasses, eye: np.ndarray) -> np.ndarray:
    """(RIM_POINTS, 3) metres around a lens, on the neutral head."""
    turn = np.linspace(0, 2 * np.pi, RIM_POINTS, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    radius = (np.abs(cosine) ** glasses.power + np.abs(sine) ** glasses.power) ** (-1 / glasses.power)
    x, y = glasses.half_axes_m[0] * radius * cosine, glasses.half_axes_m[1] * radius * sine
    side = np.sign(eye[0])
    tilt = glasses.tilt * side
    x, y = x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)
    # lenses wrap a little around the face
    depth = LENS_DISTANCE_M - np.clip(x * side, 0, None) * 0.18
    return eye + np.stack([x, y - glasses.drop_m, depth], 1)


def _between(corners: list[np.ndarray], count: int) -> np.ndarray:
    """(count, 3) points evenly along straight pieces."""
    points = np.stack(corners)
    place = np.linspace(0, len(points) - 1, count)
    return np.stack([np.interp(place, np.arange(len(points)), points[:, axis]) for axis in range(3)], 1)


def _wire(picture: Picture, image: np.ndarray, colour: np.ndarray, width_px: int, within_m: float = 0.004) -> None:
    segments = np.stack([image[:-1], image[1:]], 1)
    visible = picture.shown(segments.mean(1), within_m)
    if visible.any():
        picture.lines(segments[visible][..., :2], colour, width_px)


def _lens(picture: Picture, glasses: Glasses, image: np.ndarray, front: np.ndarray) -> None:
    if glasses.lens_opacity + glasses.reflection < 0.03:
        return
    area = np.zeros(picture.depth_m.shape, np.float32)
    cv2.fillPoly(area, [np.round((image[:, :2] - 0.5) * 16).astype(np.int32)], 1.0, cv2.LINE_8, 4)
    # a nose or a brow before the plane of the lens hides it
    design = np.concatenate([image[:, :2], np.ones((len(image), 1))], 1)
    plane = np.linalg.lstsq(design, image[:, 2], rcond=None)[0]
    rows, columns = np.mgrid[: picture.size_px, : picture.size_px].astype(np.float32)
    area *= plane[0] * columns + plane[1] * rows + plane[2] <= picture.depth_m + 0.003
    dark = glasses.lens_opacity > 0.3
    picture.fill(area * glasses.lens_opacity, glasses.lens * front, hides_skin=dark)
    if glasses.reflection > 0:
        low, high = image[:, :2].min(0), image[:, :2].max(0)
        streak = np.clip(((columns - low[0]) / (high - low + 1)[0] - (rows - low[1]) / (high - low + 1)[1]) + 0.4, 0, 1)
        picture.fill(area * glasses.reflection * streak, front * 0.9, hides_skin=False)
