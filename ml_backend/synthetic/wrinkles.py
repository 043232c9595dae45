"""Wrinkles of synthetic people: the prior's lines, and their slopes as the renderer needs them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.head.head_model import HeadModel
from ml_backend.synthetic.head_layout import HeadLayout
from ml_backend.synthetic.settings import chance
from ml_backend.wrinkles.prior import MAX_DISPLACEMENT_M, WrinklePrior, wrinkle_prior
from ml_backend.wrinkles.wrinkle_surface import surface_of_head

# folds gather shade: darkening by depth below the surroundings, for each metre, and its least factor
SHADE_PER_M, LEAST_SHADE = 900.0, 0.55
# how old people are, 0 (smooth skin) to 1 (old skin): parameters of a beta distribution, the young commoner
AGES = (1.0, 1.7)
# what "surroundings" means, as part of the map
SURROUNDINGS = 5 / 256


@dataclass(frozen=True)
class PersonWrinkles:
    """A person's lines.

    Attributes:
        prior: the lines; shape: (S,) of the head that they were drawn on; age: 0-1.
    """

    prior: WrinklePrior
    shape: torch.Tensor
    age: float

    def at_rest(self) -> np.ndarray:
        """(M, M) metres of the neutral face."""
        rest = self.prior.pores_m + self.prior.lines_at_rest()
        return np.clip(rest, -MAX_DISPLACEMENT_M, MAX_DISPLACEMENT_M)

    def displacement(self, head: HeadModel, expression: torch.Tensor, pose: torch.Tensor) -> np.ndarray:
        """(M, M) metres in an expression (E,) and a pose (15,)."""
        return self.prior.displacement(head.vertices(self.shape[None], expression[None], pose[None])[0])


def draw_wrinkles(layout: HeadLayout, shape: torch.Tensor, seed: int, number: int) -> PersonWrinkles:
    """Draw the lines of a head; it takes half a second.

    Args:
        layout: of the head; shape: (S,); seed: the stream's; number: of the person.
    """
    age = float(chance(seed, "age", number).beta(*AGES))
    prior = wrinkle_prior(surface_of_head(layout.head, shape), layout.skin, seed * 1_000_003 + number, age)
    return PersonWrinkles(prior, shape, age)


def slopes_and_shade(displacement_m: np.ndarray) -> np.ndarray:
    """What shading takes from a displacement map.

    Args:
        displacement_m: (N, N).

    Returns:
        (N, N, 3) float32: change by u and by v for the whole texture, metres; factor of the light in folds.
    """
    size = len(displacement_m)
    slope_u = cv2.Sobel(displacement_m, cv2.CV_32F, 1, 0, ksize=3, scale=size / 8)
    slope_v = -cv2.Sobel(displacement_m, cv2.CV_32F, 0, 1, ksize=3, scale=size / 8)
    depth = cv2.GaussianBlur(displacement_m, (0, 0), SURROUNDINGS * size) - displacement_m
    shade = np.clip(1 - SHADE_PER_M * depth, LEAST_SHADE, 1.05)
    return np.dstack([slope_u, slope_v, shade]).astype(np.float32)


def surface_gradients(vertices: np.ndarray, head: HeadModel, chosen: np.ndarray) -> np.ndarray:
    """How a change over the texture runs over the posed surface.

    Args:
        vertices: (V, 3) metres; head: whose triangles and UVs; chosen: (K,) indices of triangles.

    Returns:
        (K, 2, 3) float32: the gradients of u and v on each triangle, per metre, model space.

    Source: the dual basis of the triangle's tangents dP/du, dP/dv (own derivation).
    """
    corners = vertices[head.triangles.numpy()[chosen]]
    uv = head.uv.numpy()[head.uv_triangles.numpy()[chosen]]
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], 1)
    uv_edges = np.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], 1)
    first, second = edges[:, 0], edges[:, 1]
    # metric of the edges: its inverse turns differences along them into a gradient in their plane
    a, b, d = (first * first).sum(1), (first * second).sum(1), (second * second).sum(1)
    determinant = np.maximum(a * d - b * b, 1e-16)[:, None]
    dual_first = (d[:, None] * first - b[:, None] * second) / determinant
    dual_second = (a[:, None] * second - b[:, None] * first) / determinant
    gradients = uv_edges[:, 0, :, None] * dual_first[:, None] + uv_edges[:, 1, :, None] * dual_second[:, None]
    return gradients.astype(np.float32)
