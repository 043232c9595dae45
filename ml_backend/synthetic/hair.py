"""Hair, caps and scarves of synthetic people: painted on the scalp, raised above it, and falling beside the face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.synthetic.head_layout import HeadLayout
from ml_backend.synthetic.paint import smooth_noise
from ml_backend.texture.photo_projection import smooth_step

# Linear RGB: black, dark brown, brown, light brown, blond, red, grey, white.
HAIR_COLOURS = np.array([
    [0.010, 0.008, 0.007], [0.028, 0.017, 0.011], [0.060, 0.034, 0.019], [0.120, 0.070, 0.038],
    [0.330, 0.220, 0.110], [0.190, 0.060, 0.022], [0.240, 0.235, 0.230], [0.620, 0.610, 0.590],
], np.float32)  # fmt: skip
HAIR_SHARE = (0.30, 0.24, 0.15, 0.10, 0.10, 0.05, 0.04, 0.02)
KINDS = {"bald": 0.06, "shaved": 0.10, "short": 0.34, "long": 0.38, "cap": 0.10, "scarf": 0.02}
# how far each kind stands off the scalp, metres
THICKNESS_M = {
    "bald": (0.0, 0.0), "shaved": (0.001, 0.003), "short": (0.006, 0.028), "long": (0.010, 0.026),
    "cap": (0.010, 0.020), "scarf": (0.016, 0.024),
}  # fmt: skip

# what is raised begins this far behind the hairline, as part of the texture: no triangle reaches over both
RAISED_INSIDE = 0.016


@dataclass(frozen=True)
class HairStyle:
    """What covers a person's scalp.

    Attributes:
        kind: of KINDS; colour: (3,) linear RGB.
        opacity: (N, N) 0-1 over the albedo texture; albedo: (N, N, 3) linear, where opacity is above 0.
        raise_m: (V,) how far each vertex is moved along its normal before rendering.
        length_m: of what falls beside the face, 0 for none; wave: of it, 0-1; fringe_m: over the forehead, 0 for none.
    """

    kind: str
    colour: np.ndarray
    opacity: np.ndarray
    albedo: np.ndarray
    raise_m: np.ndarray
    length_m: float
    wave: float
    fringe_m: float


def draw_hair_colour(random: np.random.Generator, age: float, darkness: float) -> np.ndarray:
    """(3,) linear RGB; old people are grey, light hair is rare on dark skin. age, darkness: 0-1."""
    share = np.array(HAIR_SHARE)
    share[2:6] *= max(0.05, 1 - 1.5 * darkness)
    share[6:] *= 10 * age**2
    colour = HAIR_COLOURS[random.choice(len(HAIR_COLOURS), p=share / share.sum())]
    if random.random() < 0.02:
        colour = random.uniform(0.02, 0.4, 3)
    return (colour * random.uniform(0.75, 1.3)).astype(np.float32)


def draw_hair(
    layout: HeadLayout, random: np.random.Generator, colour: np.ndarray, kind: str | None = None
) -> HairStyle:
    """Draw what covers a person's scalp.

    Args:
        layout: of the head; colour: (3,) linear RGB of the hair; kind: of KINDS, drawn where None.
    """
    kind = kind or str(random.choice(list(KINDS), p=list(KINDS.values())))
    cloth = kind in ("cap", "scarf")
    border = random.uniform(0.25, 0.6)
    area = _area(layout, kind, random)
    unit = layout.size_px / 512
    if not cloth:
        # only the hairline is ragged: neither tufts on the skin nor holes on the crown
        ragged = 4 * area * (1 - area)
        area = area + 0.14 * ragged * smooth_noise(random, layout.size_px, 10 * unit)
        area = area + 0.12 * ragged * smooth_noise(random, layout.size_px, 2.5 * unit)
    softness = 0.02 if cloth else random.uniform(0.08, 0.3)
    opacity = smooth_step(area, border - softness, border + softness).astype(np.float32)
    opacity *= layout.parts["skin"] * {"bald": 0.0, "shaved": random.uniform(0.45, 0.9)}.get(kind, 1.0)
    thickness = random.uniform(*THICKNESS_M[kind])
    albedo = _cloth(layout, random) if cloth else _hair(layout, random, colour)
    long = kind == "long"
    return HairStyle(
        kind=kind,
        colour=colour,
        opacity=opacity,
        albedo=albedo,
        raise_m=_raised(layout, opacity, thickness, random),
        length_m=float(random.uniform(0.06, 0.3)) if long else 0.0,
        wave=float(random.random()) if long else 0.0,
        fringe_m=float(random.uniform(0.02, 0.055)) if kind in ("short", "long") and random.random() < 0.35 else 0.0,
    )


def _area(layout: HeadLayout, kind: str, random: np.random.Generator) -> np.ndarray:
    """(N, N) rises above 0.5 under hair or cloth; where hairlines lie is the person's."""
    x, y, z = np.moveaxis(layout.position, 2, 0)
    # hair at the temples, down to sideburns before the ears, and over the forehead
    reach, sideburn, brow = random.uniform(0.014, 0.034), random.uniform(-0.03, 0.02), random.uniform(0.058, 0.08)
    temples = smooth_step(-z - 0.1 * np.maximum(y, 0), reach - 0.006, reach + 0.008)
    temples *= smooth_step(y, sideburn - 0.006, sideburn + 0.006) * (np.abs(x) > 0.03)
    # the line over the forehead recedes beside its middle
    recede = random.uniform(0, 0.35) * np.abs(x)
    forehead = smooth_step(y - recede, brow - 0.005, brow + 0.005)
    area = np.maximum(np.maximum(layout.regions["scalp"], temples), forehead) * (1 - layout.regions["ears"])
    if kind == "scarf":
        position = layout.position
        # around the face: everything behind a plane that leans with the jaw
        around = smooth_step(-position[..., 2] - 0.35 * np.abs(position[..., 0]), -0.004, 0.03)
        area = np.maximum(area, around)
    elif kind == "cap":
        area = smooth_step(layout.position[..., 1] - 0.25 * np.minimum(layout.position[..., 2], 0), 0.045, 0.085)
    return cv2.GaussianBlur(area.astype(np.float32), (0, 0), 3 * layout.size_px / 512)


def _raised(layout: HeadLayout, opacity: np.ndarray, thickness: float, random: np.random.Generator) -> np.ndarray:
    """(V,) metres. Nothing that shows skin is raised: it must stay where the labels say."""
    width = 2 * round(RAISED_INSIDE * layout.size_px) + 1
    inside = cv2.erode(opacity, np.ones((width, width), np.uint8), borderValue=1.0)
    covered = layout.texels.vertex_means(inside, np.ones_like(inside))[0][:, 0]
    template = layout.head.skinned.template.numpy()
    phase = random.uniform(0, 6, 3)
    uneven = 1 + 0.25 * np.sin(template * (70, 60, 55) + phase).mean(1)
    # hair is thicker on the crown than at the temples
    crown = 0.45 + 0.55 * smooth_step(template[:, 1], 0.02, 0.10)
    skin = np.zeros(len(template), bool)
    head = layout.head
    skin[head.part_vertices("skin").numpy()] = True
    return (smooth_step(covered, 0.4, 1.0) * thickness * uneven * crown * skin).astype(np.float32)


def _hair(layout: HeadLayout, random: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """(N, N, 3) linear: locks that run down the texture, as hair runs down the head."""
    size, unit = layout.size_px, layout.size_px / 512
    fine = random.standard_normal((size, size), dtype=np.float32)
    fine = cv2.GaussianBlur(fine, (0, 0), sigmaX=0.8 * unit, sigmaY=14 * unit)
    locks = cv2.GaussianBlur(random.standard_normal((size, size), dtype=np.float32), (0, 0), 4 * unit, sigmaY=26 * unit)
    tone = 0.28 * fine / fine.std() + 0.22 * locks / locks.std()
    bend = smooth_noise(random, size, 50 * unit) * random.uniform(2, 14) * unit
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    tone = cv2.remap(tone, columns + bend, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.clip(colour * np.exp(tone)[..., None], 0.003, 0.9).astype(np.float32)


def _cloth(layout: HeadLayout, random: np.random.Generator) -> np.ndarray:
    """(N, N, 3) linear: one colour with folds, sometimes ribs or stripes."""
    size, unit = layout.size_px, layout.size_px / 512
    colour = random.uniform(0.02, 0.7) * random.uniform(0.5, 1.3, 3)
    image = np.broadcast_to(colour, (size, size, 3)).astype(np.float32)
    image = image * np.exp(0.08 * smooth_noise(random, size, 12 * unit))[..., None]
    if random.random() < 0.6:
        period = random.uniform(3, 9) * unit
        across = np.arange(size, dtype=np.float32)
        ribs = 1 + random.uniform(0.1, 0.35) * np.sin(across * 2 * np.pi / period)
        image = image * (ribs[None, :, None] if random.random() < 0.5 else ribs[:, None, None])
    return np.clip(image, 0.004, 0.95).astype(np.float32)
