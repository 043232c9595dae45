"""Photos of random open heads with known truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from addon.exchange.arkit import ARKIT_NAMES
from assets.recipes.landmarks_478 import paint_brows
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.render_head import render_head
from ml_backend.rendering.spherical_harmonics import ambient_light

IMAGE_PX = 480
PX_PER_M = 1500.0
MAX_YAW = math.radians(40)
MAX_PITCH = math.radians(15)
MAX_ROLL = math.radians(10)
# expressions: this many named ARKit shapes at once, each up to this strength
ACTIVE_SHAPES = 4
MAX_STRENGTH = 0.8


@dataclass(frozen=True)
class SyntheticPhoto:
    """A render and what it shows: shape (S,), expression (E,), pose (15,), camera, light (9,3)."""

    pixels: np.ndarray
    shape: torch.Tensor
    expression: torch.Tensor
    pose: torch.Tensor
    camera: Camera
    light: torch.Tensor


def random_shape(head: HeadModel, seed: int) -> torch.Tensor:
    """(S,) the identity of a synthetic photo."""
    return torch.randn(head.num_shape, generator=torch.Generator().manual_seed(seed))


def synthetic_photo(
    head: HeadModel, albedo: AlbedoModel, seed: int, shapes: Mapping[str, float] | None = None
) -> SyntheticPhoto:
    """Render a random head: identity, expression, pose within 40 degrees of yaw, light, background.

    Args:
        shapes: ARKit shapes and their strengths; None: random ones.
    """
    generator = torch.Generator().manual_seed(seed + 1_000_000)

    def uniform(low: float, high: float, *size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*size, generator=generator)

    shape = random_shape(head, seed)
    strength = torch.zeros(len(head.arkit_expression))
    strength[torch.randperm(len(strength), generator=generator)[:ACTIVE_SHAPES]] = uniform(
        0, MAX_STRENGTH, ACTIVE_SHAPES
    )
    if shapes is not None:
        strength = torch.tensor([shapes.get(name, 0.0) for name in ARKIT_NAMES])
    expression = (strength @ head.arkit_expression).clamp(*head.expression_limits.unbind(1))
    pose = strength @ head.arkit_pose
    pose[0], pose[1], pose[2] = uniform(-1, 1, 3) * torch.tensor([MAX_PITCH, MAX_YAW, MAX_ROLL])
    posed = head.vertices(shape[None], expression[None], pose[None])[0]
    middle = posed[head.masks["face"] > 0.5].mean(0)
    centre = (IMAGE_PX / 2 - PX_PER_M * float(middle[0]), IMAGE_PX / 2 + PX_PER_M * float(middle[1]))
    camera = Camera(SCALED_ORTHOGRAPHIC, (IMAGE_PX, IMAGE_PX), scale_px_per_m=PX_PER_M, centre_px=centre)
    light = ambient_light(float(uniform(0.7, 1.1, 1)))
    light[1:4] += torch.randn(3, 1, generator=generator) * 0.5
    light[2] += 0.4
    texture = albedo.texture(torch.randn(albedo.basis.shape[0], generator=generator)).clamp(0, 1)
    pixels = render_head(head, posed, camera, light, paint_brows(head, texture), _background(generator))
    return SyntheticPhoto(pixels, shape, expression, pose, camera, light)


def _background(generator: torch.Generator) -> np.ndarray:
    """Smooth random colours, as an unsharp room."""
    small = torch.randint(0, 256, (6, 6, 3), generator=generator).numpy().astype(np.uint8)
    return cv2.resize(small, (IMAGE_PX, IMAGE_PX), interpolation=cv2.INTER_CUBIC)
