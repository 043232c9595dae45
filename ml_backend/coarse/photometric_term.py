"""Shading as evidence for the coarse fit: the photo's brightness at the vertices against albedo times light."""

from __future__ import annotations

import torch

from ml_backend.coarse.appearance import Appearance, ScaledPhoto, VertexSamples
from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.parameters import FitParameters, linearize_points
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering import spherical_harmonics

# brightness residual of one standard deviation, linear: texture that the albedo basis cannot carry
BRIGHTNESS_SIGMA = 0.06
# the vertices say about as much as this many independent ones
INDEPENDENT_SAMPLES = 60.0
ROBUST_SCALE = 2.0


class PhotometricTerm:
    """Residual at vertex v: I(project(v)) - albedo(v) * shade(normal(v)), mean of the channels.

    Visibility, light and albedo are those of the last appearance estimate.
    """

    def __init__(
        self,
        head: HeadModel,
        photo: ScaledPhoto,
        samples: VertexSamples,
        appearance: Appearance,
        albedo: torch.Tensor,
    ) -> None:
        """Args: albedo: (V,3) linear RGB at the vertices."""
        chosen = torch.zeros(head.num_vertices, dtype=torch.bool)
        chosen[samples.index] = True
        faces = head.triangles[chosen[head.triangles].any(1)]
        self.vertices, local = faces.unique(return_inverse=True)
        self.faces = local
        self.model = head.skinned.select(self.vertices)
        position = torch.full((head.num_vertices,), -1, dtype=torch.long)
        position[self.vertices] = torch.arange(len(self.vertices))
        self.sample = position[samples.index]
        self.photo = photo
        self.light = appearance.light
        self.albedo = albedo[samples.index]
        weight = appearance.weight / (appearance.weight.sum() + 1e-9)
        self.weight = (weight * INDEPENDENT_SAMPLES).sqrt() / BRIGHTNESS_SIGMA

    def __call__(self, parameters: FitParameters) -> Residuals:
        count = len(self.vertices)
        point = linearize_points(self.model, parameters, torch.arange(count)[:, None], torch.ones(count, 1))
        normals, normals_by = self._normals(point.positions, point.by_parameters)
        image = point.image[self.sample]
        shade = spherical_harmonics.shading(normals, self.light)
        shade_by_normal = torch.einsum("njk,jc->nck", spherical_harmonics.basis_derivative(normals), self.light)
        predicted_by_normal = (self.albedo[:, :, None] * shade_by_normal).mean(1)
        value = (self.photo.sample(image) - self.albedo * shade).mean(1)
        gradient = self.photo.gradient(image).mean(1)
        jacobian = torch.einsum("nk,nkp->np", gradient, point.image_by_parameters[self.sample])
        jacobian = jacobian - torch.einsum("nk,nkp->np", predicted_by_normal, normals_by)
        return Residuals(value * self.weight, jacobian * self.weight[:, None], ROBUST_SCALE)

    def _normals(self, positions: torch.Tensor, by: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit normals (N,3) of the sampled vertices and their derivatives (N,3,P)."""
        a, b, c = self.faces.unbind(1)
        side_1, side_2 = positions[b] - positions[a], positions[c] - positions[a]
        by_side_1, by_side_2 = by[b] - by[a], by[c] - by[a]
        face = torch.linalg.cross(side_1, side_2)
        face_by = torch.linalg.cross(by_side_1, side_2[:, :, None].expand_as(by_side_1), dim=1)
        face_by = face_by + torch.linalg.cross(side_1[:, :, None].expand_as(by_side_2), by_side_2, dim=1)
        total = torch.zeros_like(positions)
        total_by = torch.zeros_like(by)
        for corner in (a, b, c):
            total.index_add_(0, corner, face)
            total_by.index_add_(0, corner, face_by)
        total, total_by = total[self.sample], total_by[self.sample]
        length = total.norm(dim=1, keepdim=True).clamp(min=1e-12)
        unit = total / length
        along = torch.einsum("nk,nkp->np", unit, total_by)
        return unit, (total_by - unit[:, :, None] * along[:, None]) / length[:, :, None]
