"""Synthetic people: what all samples of one person share."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.synthetic.brows import draw_brow_style, paint_brows
from ml_backend.synthetic.eyes import draw_iris, paint_eyes
from ml_backend.synthetic.glasses import Glasses, draw_glasses
from ml_backend.synthetic.hair import HairStyle, draw_hair, draw_hair_colour
from ml_backend.synthetic.head_layout import HeadLayout
from ml_backend.synthetic.paint import lay_over
from ml_backend.synthetic.settings import SyntheticSettings, chance
from ml_backend.synthetic.skin_marks import paint_beard, paint_lashes, paint_make_up, paint_skin_marks
from ml_backend.synthetic.wrinkles import PersonWrinkles
from ml_backend.texture.bake_texture import MOUTH_RGB

# The first component of the albedo basis is brightness: from the darkest to the lightest skin of people.
TONE_RANGE = (-2.35, 1.9)
# spread of the other components of tone, and of those of pattern: beyond it skins turn green or look burnt
TONE_SPREAD, PATTERN_SPREAD = 0.42, 0.65
# identities are standard normal; some are stronger, for faces that are far from the mean
STRONG_SHARE, STRONGEST = 0.25, 1.5


@dataclass(frozen=True)
class Person:
    """A synthetic person.

    Attributes:
        number: of the person in the stream; shape: (S,); albedo: (A,) coefficients; age: 0-1.
        texture: (N, N, 4) float32: linear albedo, hair included, and 0-1, how far a texel shows skin.
        neutral: (V, 3) metres; hair: what covers the scalp; wrinkles: the lines.
        gloss: strength of the skin's sheen; glasses: or None; skin_colour: (3,) linear albedo in the mean.
    """

    number: int
    shape: torch.Tensor
    albedo: torch.Tensor
    age: float
    texture: np.ndarray
    neutral: torch.Tensor
    hair: HairStyle
    wrinkles: PersonWrinkles
    gloss: float
    glasses: Glasses | None
    skin_colour: np.ndarray


def draw_shape(random: np.random.Generator, num_shape: int) -> torch.Tensor:
    """(S,) an identity: standard normal coefficients, stronger in a quarter of the people."""
    strength = random.uniform(1.0, STRONGEST) if random.random() < STRONG_SHARE else random.uniform(0.6, 1.0)
    return torch.from_numpy((strength * random.standard_normal(num_shape)).astype(np.float32))


def person_shape(settings: SyntheticSettings, num_shape: int, number: int) -> torch.Tensor:
    """(S,) the identity of a person of the stream."""
    return draw_shape(chance(settings.seed, "shape", number), num_shape)


def draw_albedo(random: np.random.Generator, num_coefficients: int) -> torch.Tensor:
    """(A,) coefficients of the albedo basis; brightness evenly over the range of people."""
    coefficients = random.standard_normal(num_coefficients) * PATTERN_SPREAD
    coefficients[1:3] *= TONE_SPREAD / PATTERN_SPREAD
    coefficients[0] = TONE_RANGE[0] + (TONE_RANGE[1] - TONE_RANGE[0]) * random.beta(1.1, 0.9)
    return torch.from_numpy(coefficients.astype(np.float32))


def draw_person(
    layout: HeadLayout, albedo_model: AlbedoModel, settings: SyntheticSettings, number: int, wrinkles: PersonWrinkles
) -> Person:
    """Draw and paint a person.

    Args:
        layout: of the head; albedo_model: on its UVs; settings: of the stream; number: the person's.
        wrinkles: the person's; they bring the age.
    """
    seed = settings.seed
    random = chance(seed, "person", number)
    shape = person_shape(settings, layout.head.num_shape, number)
    albedo = draw_albedo(random, albedo_model.num_coefficients)
    age = wrinkles.age
    darkness = float(np.clip((TONE_RANGE[1] - albedo[0]) / (TONE_RANGE[1] - TONE_RANGE[0]), 0, 1))
    texture = albedo_model.texture(albedo).numpy()
    texture = cv2.resize(texture, (layout.size_px,) * 2, interpolation=cv2.INTER_CUBIC)
    skin_colour = texture[layout.regions["cheeks"] > 0.5].mean(0)
    hair_colour = draw_hair_colour(chance(seed, "hair colour", number), age, darkness)
    hidden = _paint_face(texture, layout, seed, number, age, darkness, hair_colour)
    hair = draw_hair(layout, chance(seed, "hair", number), hair_colour)
    lay_over(texture, hair.albedo, hair.opacity)
    return Person(
        number=number,
        shape=shape,
        albedo=albedo,
        age=age,
        texture=np.dstack([np.clip(texture, 0.003, 1), _skin(layout, np.maximum(hidden, hair.opacity))]).astype(
            np.float32
        ),
        hair=hair,
        neutral=_neutral(layout, shape),
        wrinkles=wrinkles,
        gloss=float(random.uniform(0.0, 0.2)),
        glasses=draw_glasses(random) if random.random() < settings.glasses_share else None,
        skin_colour=skin_colour.astype(np.float32),
    )


def _paint_face(
    texture: np.ndarray, layout: HeadLayout, seed: int, number: int, age: float, darkness: float, hair: np.ndarray
) -> np.ndarray:
    """Paint all but the hair in place; (N, N) opacity of beards that hide the skin."""
    random = chance(seed, "face paint", number)
    paint_skin_marks(texture, layout, random, age, darkness)
    lay_over(texture, MOUTH_RGB, np.clip(layout.regions["inner_mouth"], 0, 1) * layout.parts["skin"])
    kind = random.random()
    hidden = np.zeros(layout.parts["skin"].shape, np.float32)
    if kind < 0.42:
        hidden = paint_beard(texture, layout, random, hair * 0.9, float(random.beta(0.7, 1.3)))
    elif kind < 0.72:
        paint_make_up(texture, layout, random)
    paint_lashes(texture, layout, random, float(random.uniform(0.3, 1.0)))
    paint_brows(texture, layout, draw_brow_style(random, hair), random)
    white = random.uniform(0.5, 0.85) * (1 + random.uniform(0, 0.12) * np.array([1.0, -0.4, -0.8]))
    paint_eyes(texture, layout, draw_iris(random, darkness), white)
    _paint_teeth(texture, layout, random)
    return hidden


def _paint_teeth(texture: np.ndarray, layout: HeadLayout, random: np.random.Generator) -> None:
    shade = random.uniform(0.5, 0.95) * np.array([1.0, 0.97, random.uniform(0.72, 0.95)])
    for name in ("upper_teeth", "lower_teeth"):
        if name in layout.parts:
            texture[layout.parts[name]] *= shade


def _neutral(layout: HeadLayout, shape: torch.Tensor) -> torch.Tensor:
    head = layout.head
    return head.vertices(shape[None], torch.zeros(1, head.num_expression), torch.zeros(1, head.arkit_pose.shape[1]))[0]


def _skin(layout: HeadLayout, hidden: np.ndarray) -> np.ndarray:
    inner = np.clip(layout.regions["inner_mouth"], 0, 1)
    return (layout.parts["skin"] * (1 - hidden) * (1 - inner)).astype(np.float32)
