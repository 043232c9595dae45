"""What makes a skin one person's: blotches, freckles, moles, stubble, make-up, dark rings under the eyes."""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.synthetic.head_layout import HeadLayout, landmark_area
from ml_backend.synthetic.paint import lay_over, smooth_noise, strands, tint
from ml_backend.texture.face_contours import BEARD
from ml_backend.tracking import landmark_topology as topology

# Factors on linear albedo: blood (hemoglobin takes green and blue), melanin (takes blue most), the bluish shade of hair
# roots under the skin.
BLOOD = np.array([0.97, 0.72, 0.74], np.float32)
MELANIN = np.array([0.70, 0.52, 0.40], np.float32)
ROOTS = np.array([0.42, 0.44, 0.50], np.float32)
# landmarks in the middle of the cheeks, right and left
CHEEKS = (50, 280)
MOUSTACHE = (203, 98, 97, 2, 326, 327, 423, 287, 409, 270, 269, 267, 0, 37, 39, 40, 185, 57)
# the band of the upper lid between the lashes and the fold
RIGHT_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133, 190, 56, 28, 27, 29, 30, 247)
LEFT_LID = (263, 466, 388, 387, 386, 385, 384, 398, 362, 414, 286, 258, 257, 259, 260, 467)
RIGHT_RING = (33, 7, 163, 144, 145, 153, 154, 155, 133, 233, 232, 231, 230, 229, 228)
LEFT_RING = (263, 249, 390, 373, 374, 380, 381, 382, 362, 453, 452, 451, 450, 449, 448)
RIGHT_UPPER_RIM = (33, 246, 161, 160, 159, 158, 157, 173, 133)
LEFT_UPPER_RIM = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LIPSTICKS = np.array([[0.42, 0.03, 0.05], [0.30, 0.04, 0.08], [0.50, 0.12, 0.12], [0.22, 0.02, 0.04],
                      [0.55, 0.20, 0.22], [0.12, 0.03, 0.05]], np.float32)  # fmt: skip


def paint_skin_marks(
    texture: np.ndarray, layout: HeadLayout, random: np.random.Generator, age: float, darkness: float
) -> None:
    """Paint what time and sun leave, in place.

    Args:
        texture: (N, N, 3) linear; layout: of the head; age: 0-1; darkness: of the skin, 0-1.
    """
    size, unit = layout.size_px, layout.size_px / 512
    skin = layout.parts["skin"].astype(np.float32)
    blotches = smooth_noise(random, size, 40 * unit) * 0.6 + smooth_noise(random, size, 8 * unit) * 0.5
    tint(texture, BLOOD, np.clip(random.uniform(0.02, 0.22) * (blotches + 0.5), 0, 1) * skin)
    texture *= 1 + (random.uniform(0.01, 0.05) * smooth_noise(random, size, 1.6 * unit) * skin)[..., None]
    ruddy = cv2.GaussianBlur(layout.regions["nose"], (0, 0), 12 * unit) + _cheeks(layout, 34 * unit)
    tint(texture, BLOOD, np.clip(ruddy * abs(random.normal(0, 0.25)), 0, 0.8) * skin)
    if random.random() < 0.25 * (1.2 - darkness):
        _freckles(texture, layout, random, unit)
    _moles(texture, layout, random, unit, age)
    rings = landmark_area(layout, RIGHT_RING, 5 * unit) + landmark_area(layout, LEFT_RING, 5 * unit)
    tint(texture, (0.72, 0.62, 0.68), np.clip(rings * abs(random.normal(0.15, 0.3 + 0.2 * age)), 0, 0.9))


def _cheeks(layout: HeadLayout, spread_px: float) -> np.ndarray:
    """(N, N) 0-1 soft discs on both cheeks."""
    rows, columns = np.mgrid[: layout.size_px, : layout.size_px].astype(np.float32) + 0.5
    total = np.zeros((layout.size_px,) * 2, np.float32)
    for x, y in layout.landmarks_px[list(CHEEKS)]:
        total += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread_px**2))
    return total


def _freckles(texture: np.ndarray, layout: HeadLayout, random: np.random.Generator, unit: float) -> None:
    size = layout.size_px
    near = np.clip(_cheeks(layout, 40 * unit) + 0.9 * layout.regions["nose"] + 0.25 * layout.regions["forehead"], 0, 1)
    dots = (random.random((size, size), dtype=np.float32) < random.uniform(0.004, 0.02) / unit**2).astype(np.float32)
    dots *= random.random((size, size), dtype=np.float32)
    spots = cv2.GaussianBlur(dots, (0, 0), random.uniform(0.9, 1.5) * unit) * 7
    tint(texture, MELANIN, np.clip(spots * near * random.uniform(0.5, 1.1), 0, 0.85))


def _moles(texture: np.ndarray, layout: HeadLayout, random: np.random.Generator, unit: float, age: float) -> None:
    spots = np.zeros((layout.size_px,) * 2, np.float32)
    rows, columns = np.nonzero((layout.regions["face"] + layout.regions["neck"] > 0.5) & layout.parts["skin"])
    for place in random.integers(len(rows), size=random.poisson(2.5 + 4 * age)):
        centre = (int(columns[place] * 16), int(rows[place] * 16))
        radius = int(16 * unit * np.clip(random.lognormal(0.1, 0.45), 0.6, 3.2))
        cv2.circle(spots, centre, radius, float(random.uniform(0.3, 0.95)), -1, cv2.LINE_8, 4)
    tint(texture, MELANIN * MELANIN * 0.8, cv2.GaussianBlur(spots, (0, 0), 0.7 * unit))


def beard_area(layout: HeadLayout) -> np.ndarray:
    """(N, N) 0-1: where beards grow, lips left out."""
    unit = layout.size_px / 512
    area = np.maximum(landmark_area(layout, BEARD, 7 * unit), landmark_area(layout, MOUSTACHE, 4 * unit))
    throat = layout.position[..., 1] < layout.position[..., 2] * 0.4 - 0.155
    lips = landmark_area(layout, topology.LIPS_OUTER, 1.2 * unit)
    inner = np.clip(layout.regions["inner_mouth"] * 3, 0, 1)
    nose = np.clip(layout.regions["nose"] * 2, 0, 1)
    return area * (1 - lips) * (1 - inner) * (1 - nose) * (1 - throat.astype(np.float32)) * layout.parts["skin"]


def paint_beard(
    texture: np.ndarray, layout: HeadLayout, random: np.random.Generator, colour: np.ndarray, length: float
) -> np.ndarray:
    """Paint a shadow, stubble or a beard in place.

    Args:
        texture: (N, N, 3) linear; layout: of the head; colour: (3,) linear RGB of the hairs.
        length: 0 (shaved this morning) to 1 (a full beard).

    Returns:
        (N, N) opacity of what hides the skin altogether.
    """
    unit = layout.size_px / 512
    area = beard_area(layout)
    if random.random() < 0.3:
        # a moustache or a goatee
        x = np.abs(layout.position[..., 0])
        area = area * np.clip((random.uniform(0.026, 0.04) - x) / 0.012, 0, 1)
    area = area * np.clip(0.9 + 0.25 * smooth_noise(random, layout.size_px, 14 * unit), 0, 1)
    tint(texture, ROOTS, np.clip(area * random.uniform(0.25, 0.6), 0, 1))
    rows, columns = np.nonzero(area > 0.15)
    if length < 0.15 or not len(rows):
        return np.zeros_like(area)
    count = int(random.uniform(5000, 9000))
    place = random.integers(len(rows), size=count)
    roots = np.stack([columns[place], rows[place]], 1) + random.random((count, 2))
    spread = random.normal(0, 0.5, count)
    direction = np.stack([np.sin(spread), np.cos(spread)], 1) * (unit * (1 + 9 * length**2))
    hairs = strands(area.shape, roots, np.repeat(direction[:, None] / 2, 2, 1), random.uniform(0.2, 1, count))
    cover = np.clip((length - 0.35) / 0.4, 0, 1)
    opacity = np.clip(hairs * (0.35 + 0.65 * length) + 0.9 * cover * area, 0, 0.96) * area
    lit = colour * (1 + 0.18 * smooth_noise(random, layout.size_px, 1.5 * unit))[..., None]
    lay_over(texture, np.clip(lit, 0.004, 1), opacity)
    return opacity * cover


def paint_lashes(texture: np.ndarray, layout: HeadLayout, random: np.random.Generator, darkness: float) -> None:
    """Darken the lids' rims by lashes, which the head has none of, in place; darkness: 0-1."""
    rims = np.zeros((layout.size_px,) * 2, np.uint8)
    for rim in (RIGHT_UPPER_RIM, LEFT_UPPER_RIM):
        points = np.round((layout.landmarks_px[list(rim)] - 0.5) * 16).astype(np.int32)
        cv2.polylines(rims, [points], False, 255, max(1, round(2.2 * layout.size_px / 512)), cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(rims.astype(np.float32) / 255, (0, 0), 0.9 * layout.size_px / 512)
    lay_over(texture, (0.012, 0.009, 0.008), np.clip(soft * darkness, 0, 0.92))


def paint_make_up(texture: np.ndarray, layout: HeadLayout, random: np.random.Generator) -> None:
    """Paint lipstick, eye shadow, liner and blush in place, each of them or not."""
    unit = layout.size_px / 512
    if random.random() < 0.75:
        ring = landmark_area(layout, topology.LIPS_OUTER, 0.9 * unit)
        colour = LIPSTICKS[random.integers(len(LIPSTICKS))] * random.uniform(0.7, 1.2)
        lay_over(texture, colour, ring * random.uniform(0.25, 0.85) * layout.parts["skin"])
    if random.random() < 0.6:
        lids = landmark_area(layout, RIGHT_LID, 2.2 * unit) + landmark_area(layout, LEFT_LID, 2.2 * unit)
        colour = random.uniform(0.02, 0.35, 3) * np.array([1.1, 0.8, 0.95])
        lay_over(texture, colour, np.clip(lids, 0, 1) * random.uniform(0.2, 0.75))
    if random.random() < 0.6:
        paint_lashes(texture, layout, random, random.uniform(0.9, 1.6))
    if random.random() < 0.5:
        tint(texture, (1.08, 0.62, 0.66), np.clip(_cheeks(layout, 30 * unit) * random.uniform(0.1, 0.5), 0, 1))
