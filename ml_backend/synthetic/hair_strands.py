"""Hair that leaves the scalp: long hair beside the face, fringes over the forehead."""

from __future__ import annotations

import numpy as np

from ml_backend.head.head_model import HeadModel
from ml_backend.synthetic.hair import HairStyle
from ml_backend.synthetic.picture import Picture, shading

LONG_STRANDS, FRINGE_STRANDS, POINTS = 500, 420, 8
# hair that grows nearer to the middle than this falls behind the shoulders, metres
BEHIND_M = 0.062
# hairs are drawn as locks of this width, metres
LOCK_M = 0.0012
# groups that are drawn with one colour: by depth, and by tone
DEPTH_GROUPS, TONES = 7, 4


def draw_hair_strands(
    picture: Picture, head: HeadModel, neutral: np.ndarray, normals: np.ndarray, style: HairStyle,
    random: np.random.Generator, behind: bool,
) -> None:  # fmt: skip
    """Draw what falls from the scalp.

    Args:
        picture: changed in place; head: whose regions; neutral, normals: (V, 3) of the person at rest.
        style: the person's hair; behind: draw what the shoulders hide, else the rest.
    """
    scalp = (head.masks["scalp"] > 0.6).numpy() & (head.masks["ears"] < 0.1).numpy()
    raised = neutral + normals * style.raise_m[:, None]
    if style.length_m > 0:
        # what grows at the sides and behind falls beside the face
        roots = np.flatnonzero(scalp & (neutral[:, 2] < -0.045) & (neutral[:, 1] < 0.075) & (neutral[:, 1] > -0.03))
        roots = roots[(np.abs(neutral[roots, 0]) < BEHIND_M) == behind]
        _long(picture, raised[roots], style, random, behind)
    if style.fringe_m > 0 and not behind:
        roots = np.flatnonzero(scalp & (neutral[:, 2] > -0.045) & (neutral[:, 1] > 0.05))
        _fringe(picture, raised[roots], style, random)


def _long(picture: Picture, roots: np.ndarray, style: HairStyle, random: np.random.Generator, behind: bool) -> None:
    if not len(roots):
        return
    count = LONG_STRANDS
    start = roots[random.integers(len(roots), size=count)] + random.normal(0, 0.003, (count, 3))
    along, side = np.linspace(0, 1, POINTS)[None], np.sign(start[:, :1])
    length = style.length_m * random.uniform(0.75, 1.05, (count, 1)) + np.maximum(start[:, 1:2], 0)
    # away from the head first, then down; all of it a little wider than the head
    wide = random.uniform(0.004, 0.02) + random.normal(0, 0.004, (count, 1))
    across = side * (along * wide + 0.008 * np.sin(np.pi * along))
    swing = 2 * np.pi * (along * random.uniform(1, 3) + random.random((count, 1)) * 0.6)
    across = across + style.wave * 0.007 * along * np.sin(swing)
    forward = np.sin(np.pi * along) * random.normal(0.002, 0.004, (count, 1)) - (0.03 * along if behind else 0)
    fall = np.stack([across, -along * length, forward], 2)
    outwards = np.concatenate([side, np.full_like(side, 0.2), np.full_like(side, 0.3)], 1)
    _draw(picture, start[:, None] + fall, outwards, style, random, 0.004)


def _fringe(picture: Picture, roots: np.ndarray, style: HairStyle, random: np.random.Generator) -> None:
    if not len(roots):
        return
    count = FRINGE_STRANDS
    start = roots[random.integers(len(roots), size=count)] + random.normal(0, 0.002, (count, 3))
    along, swept = np.linspace(0, 1, POINTS)[None], random.normal(0, 0.5)
    length = style.fringe_m * random.uniform(0.6, 1.05, (count, 1))
    # hair ends at one line above the brows, wherever it begins
    down = -along * np.minimum(length, np.maximum(start[:, 1:2] - 0.03, 0.01))
    across = along * length * (swept + random.normal(0, 0.12, (count, 1)))
    # the forehead comes forward below the hairline, and hair lies on it
    forward = 0.003 + length * (0.38 * along - 0.26 * along**2)
    facing = np.tile(np.array([0.0, 0.35, 0.94]), (count, 1))
    _draw(picture, start[:, None] + np.stack([across, down, forward], 2), facing, style, random, 0.012)


def _draw(
    picture: Picture, points: np.ndarray, outwards: np.ndarray, style: HairStyle, random: np.random.Generator,
    within_m: float,
) -> None:  # fmt: skip
    """Draw strands (K, M, 3), metres on the neutral head, the far ones first; outwards: (K, 3) their normals."""
    image = picture.pixels(picture.with_skull(points))
    normals = outwards / np.linalg.norm(outwards, axis=1, keepdims=True) @ picture.skull[:, :3].T
    shade = shading(normals, picture.light)
    segments = np.stack([image[:, :-1], image[:, 1:]], 2)
    visible = picture.shown(segments.mean(2), within_m)
    width_px = max(1, round(LOCK_M * picture.px_per_m))
    order = np.argsort(-image[..., 2].mean(1), kind="stable")
    tone = random.integers(TONES, size=len(points))
    for number, group in enumerate(np.array_split(order, DEPTH_GROUPS)):
        for level in range(TONES):
            for left in (True, False):
                chosen = group[(tone[group] == level) & ((outwards[group, 0] > 0) == left)]
                if not len(chosen):
                    continue
                bright = 0.62 + 0.22 * level + 0.05 * (number - DEPTH_GROUPS / 2)
                colour = style.colour * shade[chosen].mean(0) * bright
                picture.lines(segments[chosen][visible[chosen]][..., :2], colour, width_px)
