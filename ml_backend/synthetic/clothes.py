"""Shoulders and collars below synthetic heads, whose mesh ends at the neck."""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.head.head_model import HeadModel
from ml_backend.synthetic.picture import Picture, shading

# half the breadth of shoulders and how far they lie below the neck's rim, metres
SHOULDERS_M, SLOPE_M = 0.2, 0.055


def neck_rim(head: HeadModel) -> np.ndarray:
    """(K,) vertices of the neck's open end, in order around it from behind."""
    rim = (head.masks["boundary"] > 0.5).numpy()
    index = np.flatnonzero(rim)
    place = head.skinned.template.numpy()[index]
    middle = place.mean(0)
    return index[np.argsort(np.arctan2(place[:, 0] - middle[0], place[:, 2] - middle[2]))]


def draw_colour(random: np.random.Generator) -> np.ndarray:
    """(3,) linear RGB of cloth."""
    grey = random.choice([0.02, 0.08, 0.25, 0.6]) * random.uniform(0.6, 1.4)
    return np.clip(grey * (1 + random.beta(1, 2) * random.uniform(-0.9, 0.9, 3)), 0.006, 0.9).astype(np.float32)


def draw_clothes(
    picture: Picture, rim: np.ndarray, colour: np.ndarray, random: np.random.Generator, front: bool
) -> None:
    """Draw the part of the clothes behind the neck, or the part before it, in place.

    Args:
        picture: changed in place; rim: (K, 3) metres, the neck's posed open end, in order around it.
        colour: (3,) linear; random: the same state for both parts; front: which part.
    """
    collar_m = random.uniform(0.004, 0.02)
    # behind the neck only the collar is seen
    breadth = SHOULDERS_M * random.uniform(0.85, 1.1) if front else 0.01
    slope = SLOPE_M * random.uniform(0.6, 1.4)
    brightness = shading(np.array([[0.0, 0.35, 0.94]]), picture.light)[0]
    edge = rim + np.array([0, collar_m, 0], np.float32)
    middle = edge.mean(0)
    edge = edge + (edge - middle) * np.array([0.05, 0, 0.05], np.float32)
    part = edge[edge[:, 2] >= np.median(edge[:, 2])] if front else edge[edge[:, 2] < np.median(edge[:, 2])]
    part = part[np.argsort(part[:, 0])]
    left, right = part[0], part[-1]
    below = min(left[1], right[1])
    turns = np.linspace(0, 1, 12)[:, None]
    sink = (turns**1.6)[:, 0] * slope
    outer_right = np.stack([right[0] + turns[:, 0] * breadth, np.full(12, below) - sink, np.zeros(12)], 1)
    outer_left = np.stack([left[0] - turns[:, 0] * breadth, np.full(12, below) - sink, np.zeros(12)], 1)
    bottom = np.array([[right[0] + breadth, -1, 0], [left[0] - breadth, -1, 0]])
    outline = picture.pixels(np.concatenate([outer_left[::-1], part, outer_right, bottom]).astype(np.float32))
    # nothing is drawn above the collar
    first_row = int(np.clip(outline[:, 1].min() - 1, 0, picture.size_px))
    if first_row == picture.size_px:
        return
    area = np.zeros((picture.size_px - first_row, picture.size_px), np.uint8)
    fixed = np.round((np.clip(outline[:, :2], -4000, 4000) - [0, first_row]) * 16).astype(np.int32)
    cv2.fillPoly(area, [fixed], 255, cv2.LINE_AA, 4)
    folds = cv2.resize(random.standard_normal((6, 9)).astype(np.float32), (picture.size_px,) * 2,
                       interpolation=cv2.INTER_CUBIC)  # fmt: skip
    across = np.linspace(-1, 1, picture.size_px, dtype=np.float32)
    side = 1 + 0.25 * across * float(np.sign(picture.light.direction[0])) * picture.light.hardness
    tone = np.exp(0.10 * folds) * side[None] * (1.0 if front else 0.45)
    lit = colour * brightness * tone[first_row:, :, None]
    picture.below(first_row).fill(area.astype(np.float32) / 255, lit)
