"""One albedo for all photos of a person, and the light of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ml_backend.coarse.appearance import (
    ROUNDS,
    Appearance,
    VertexSamples,
    albedo_equations,
    robust_colour_weight,
    solve_light,
)
from ml_backend.rendering import spherical_harmonics


@dataclass(frozen=True)
class SeenColours:
    """What a photo shows of the skin: colour (N,3), linear RGB, at the samples; weight: the photo's say."""

    colour: torch.Tensor
    samples: VertexSamples
    weight: float = 1.0


@dataclass(frozen=True)
class VertexAlbedo:
    """The albedo model at the vertices, linear RGB: mean (V,3), basis (A,V,3) per standard deviation."""

    mean: torch.Tensor
    basis: torch.Tensor

    def colours(self, albedo: torch.Tensor) -> torch.Tensor:
        """(V,3) of coefficients (A,)."""
        return self.mean + torch.einsum("a,avc->vc", albedo, self.basis)


def estimate_shared_appearance(
    photos: Sequence[SeenColours], model: VertexAlbedo, known_albedo: torch.Tensor | None = None
) -> list[Appearance]:
    """Light of each photo and the albedo of all by turns, robust.

    Args:
        known_albedo: (A,) to keep instead of estimating it.

    Returns:
        Of each photo; the albedo is the same in all.

    Source: the single photo's estimate (`coarse/appearance.py`) with the albedo's normal equations summed over photos.
    """
    albedo = model.mean.new_zeros(len(model.basis)) if known_albedo is None else known_albedo
    weights = [photo.samples.confidence.clone() for photo in photos]
    lights: list[torch.Tensor] = []
    for _ in range(ROUNDS):
        lights = [
            solve_light(photo.colour, _harmonics(photo), model.colours(albedo)[photo.samples.index], weight)
            for photo, weight in zip(photos, weights, strict=True)
        ]
        if known_albedo is None:
            albedo = _solve_albedo(photos, lights, weights, model)
        weights = [
            photo.samples.confidence
            * robust_colour_weight(
                photo.colour, (_harmonics(photo) @ light) * model.colours(albedo)[photo.samples.index]
            )
            for photo, light in zip(photos, lights, strict=True)
        ]
    return [Appearance(light, albedo, weight) for light, weight in zip(lights, weights, strict=True)]


def _solve_albedo(
    photos: Sequence[SeenColours],
    lights: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    model: VertexAlbedo,
) -> torch.Tensor:
    """(A,) standard deviations, unit prior."""
    matrix = torch.eye(len(model.basis))
    right = torch.zeros(len(model.basis))
    for photo, light, weight in zip(photos, lights, weights, strict=True):
        shade = _harmonics(photo) @ light
        mean, basis = model.mean[photo.samples.index], model.basis[:, photo.samples.index]
        evidence, target = albedo_equations(photo.colour - shade * mean, shade[None] * basis, weight)
        matrix += photo.weight * evidence
        right += photo.weight * target
    return torch.linalg.solve(matrix, right)


def _harmonics(photo: SeenColours) -> torch.Tensor:
    """(N,9) the basis at the samples' normals."""
    return spherical_harmonics.basis(photo.samples.normals)
