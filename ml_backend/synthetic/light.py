"""Light on synthetic faces: a sky, a key light that may come hard from one side, a fill, and their colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ml_backend.rendering.spherical_harmonics import basis

# What the cosine lobe keeps of each band of radiance, over pi (Ramamoorthi and Hanrahan 2001).
COSINE_BANDS = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5], np.float32)
# colours of light from candle (warm) over noon to open shade (cool), linear RGB of mean 1
WARM, COOL = np.array([1.35, 1.0, 0.65]), np.array([0.82, 0.99, 1.19])
# the brightness of skin under these lights is set by the camera; this is the mean shading of a frontal face
MEAN_SHADING = 0.95


@dataclass(frozen=True)
class Light:
    """A light: coefficients (9,3) as `spherical_harmonics.shading` takes them; direction (3,) unit, of its key light.

    Attributes:
        hardness: 0 (overcast) to 1 (all light from one side).
    """

    coefficients: np.ndarray
    direction: np.ndarray
    hardness: float


def draw_light(random: np.random.Generator) -> Light:
    """Draw a light: a third soft, a third from one side, a third of two sources."""
    hardness = float(random.choice([0.25, 0.55, 0.85]) + random.uniform(-0.15, 0.15))
    yaw = random.normal(0, 0.9) if random.random() < 0.8 else random.uniform(-np.pi, np.pi)
    direction = _direction(yaw, random.normal(0.45, 0.45))
    light = (1 - hardness) * _ambient(random)
    light += hardness * _source(direction, random.uniform(1.6, 2.3)) * _colour(random)
    if random.random() < 0.4:
        fill = _direction(yaw + random.uniform(1.5, 4.5), random.normal(0, 0.5))
        light += random.uniform(0.1, 0.5) * _source(fill, 1.5) * _colour(random, 1.3)
    front = _basis(_FRONT) @ light
    light *= MEAN_SHADING / max(float(front.mean()), 0.25)
    # noise of its own on every coefficient: rooms are no sums of two lamps
    light[1:] += random.normal(0, 0.04, (8, 1)) + random.normal(0, 0.015, (8, 3))
    return Light(light.astype(np.float32), direction.astype(np.float32), hardness)


def _direction(yaw: float, pitch: float) -> np.ndarray:
    return np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])


# normals over the side of the face that a camera sees
_FRONT = np.array([_direction(yaw, pitch) for yaw in (-0.9, -0.45, 0, 0.45, 0.9) for pitch in (-0.5, 0, 0.5)])


def _basis(directions: np.ndarray) -> np.ndarray:
    return basis(torch.from_numpy(np.asarray(directions, np.float32))).numpy()


def _source(direction: np.ndarray, brightness: float) -> np.ndarray:
    """(9, 1) irradiance of a distant source that shades a surface facing it with about the given brightness."""
    # sum over the bands of basis(direction) * kernel, so that facing it gives 1/4 + 1/2 + 5/16 = 17/16
    return brightness * np.pi * (_basis(direction) * COSINE_BANDS)[:, None] * (16 / 17)


def _ambient(random: np.random.Generator) -> np.ndarray:
    """(9, 3) a sky brighter than the ground, the ground's colour its own."""
    light = np.zeros((9, 3))
    light[0] = _colour(random) / 0.282095
    light[1] = random.uniform(0.0, 0.5) * _colour(random, 1.2) / 0.488603
    return light


def _colour(random: np.random.Generator, strength: float = 0.55) -> np.ndarray:
    warmth = np.clip(random.normal(0.1, 0.5), -1, 1) * strength
    end = WARM if warmth > 0 else COOL
    colour = 1 + (end - 1) * abs(warmth)
    if random.random() < 0.04:
        # a coloured lamp or a neon sign
        colour = colour * random.uniform(0.65, 1.2, 3)
    return colour / colour.mean()
