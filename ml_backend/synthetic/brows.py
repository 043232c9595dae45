"""Brows of synthetic faces: hairs along each brow's outline on the texture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.synthetic.head_layout import HeadLayout
from ml_backend.synthetic.paint import lay_over, strands
from ml_backend.tracking import landmark_topology as topology

# brows are drawn on a texture this much finer than the albedo's: a hair is thinner than a texel
FINER = 2
HAIRS = 420
HAIR_LENGTH_M = 0.0085


@dataclass(frozen=True)
class BrowStyle:
    """How a person's brows look.

    Attributes:
        density: 0-1, how much skin they cover; thickness: of the landmarks' outline; length: of it along the brow.
        raised_m: how far they sit above their outline; unruly: radians, spread of the hairs' directions.
        colour: (3,) linear RGB.
    """

    density: float
    thickness: float
    length: float
    raised_m: float
    unruly: float
    colour: np.ndarray


def draw_brow_style(random: np.random.Generator, hair_colour: np.ndarray) -> BrowStyle:
    """Draw a person's brows; they are near the hair's colour, seldom lighter than it."""
    return BrowStyle(
        density=float(np.clip(random.normal(0.72, 0.25), 0.08, 1.0)),
        thickness=float(np.clip(random.normal(0.85, 0.25), 0.35, 1.5)),
        length=float(random.uniform(0.82, 1.04)),
        raised_m=float(random.normal(0, 0.0008)),
        unruly=float(random.uniform(0.08, 0.4)),
        colour=(hair_colour * random.uniform(0.55, 1.0)).astype(np.float32),
    )


def paint_brows(texture: np.ndarray, layout: HeadLayout, style: BrowStyle, random: np.random.Generator) -> None:
    """Paint both brows in place.

    Args:
        texture: (N, N, 3) linear; layout: of the head; style: the person's.
    """
    size = layout.size_px * FINER
    opacity = np.zeros((size, size), np.float32)
    texels_per_m = _texels_per_m(layout) * FINER
    for outline in (topology.LEFT_BROW, topology.RIGHT_BROW):
        points = layout.landmarks_px[list(outline)] * FINER
        # both edges from the nose to the temple
        upper, lower = points[4::-1], points[5:]
        opacity = np.maximum(opacity, _brow(upper, lower, style, texels_per_m, random, size))
    opacity = cv2.resize(opacity, texture.shape[1::-1], interpolation=cv2.INTER_AREA)
    lay_over(texture, style.colour, np.clip(opacity, 0, 0.97))


def _texels_per_m(layout: HeadLayout) -> float:
    """Of the texture between the eyes' inner corners."""
    ends = [topology.RIGHT_EYE_INNER, topology.LEFT_EYE_INNER]
    places = layout.head.landmarks_478.on(layout.head.skinned.template[None], layout.head.triangles)[0, ends].numpy()
    distance_px = np.linalg.norm(np.subtract(*layout.landmarks_px[ends]))
    return float(distance_px / np.linalg.norm(places[0] - places[1]))


def _brow(
    upper: np.ndarray, lower: np.ndarray, style: BrowStyle, texels_per_m: float, random: np.random.Generator, size: int
) -> np.ndarray:
    """(size, size) opacity of one brow between its upper and lower edges (5, 2), nose to temple."""
    count = int(HAIRS * (0.35 + style.density) * style.thickness)
    along = random.beta(1.1, 1.25, count) * style.length
    across = np.clip(random.normal(0, 0.42, count), -1, 1) * style.thickness
    top, bottom = _at(upper, along), _at(lower, along)
    middle, half = (top + bottom) / 2, (top - bottom) / 2
    # a tail that thins out
    half = half * (1 - 0.55 * np.clip(along - 0.45, 0, 1) / 0.55)[:, None]
    roots = middle + half * across[:, None] - np.array([0, style.raised_m * texels_per_m])
    tangent = _at(upper, np.minimum(along + 0.05, 1.0)) - _at(upper, along - 0.05)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6
    away = half / (np.linalg.norm(half, axis=1, keepdims=True) + 1e-6)
    # hairs at the nose stand up, those above the middle lean down, those below it up
    lean = 1.1 * np.exp(-along / 0.15) - 0.45 * across / style.thickness + random.normal(0, style.unruly, count)
    direction = tangent * np.cos(lean)[:, None] + away * np.sin(lean)[:, None]
    length = HAIR_LENGTH_M * texels_per_m * random.uniform(0.5, 1.0, count) * (1 - 0.4 * along)
    bend = tangent * 0.5 + direction * 0.5
    steps = np.stack([direction, bend, tangent], 1) * (length / 3)[:, None, None]
    shade = np.clip(style.density * random.uniform(0.35, 0.95, count), 0.1, 1)
    hairs = strands((size, size), roots, steps, shade)
    soft = cv2.GaussianBlur(hairs, (0, 0), 0.0011 * texels_per_m)
    # between the hairs lies their shadow, and hairs too fine to draw
    return np.maximum(hairs * (0.5 + 0.5 * style.density), np.clip(1.25 * soft, 0, 1) * (0.35 + 0.6 * style.density))


def _at(edge: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(K, 2) points of a row of points (5, 2) at 0-1 along it."""
    place = np.clip(along, 0, 1) * (len(edge) - 1)
    return np.stack([np.interp(place, np.arange(len(edge)), edge[:, axis]) for axis in (0, 1)], 1)
