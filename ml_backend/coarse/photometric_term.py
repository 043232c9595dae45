"""Shading as evidence for the coarse fit: the photo's brightness at the vertices against albedo times light."""

from __future__ import annotations

import torch

from ml_backend.coarse.appearance import Appearance, ScaledPhoto, VertexSamples
from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.parameters import FitParameters, linearize_vertices
from ml_backend.head.head_model import HeadModel
from ml_backend.head.skinning import cross_matrices
from ml_backend.rendering import spherical_harmonics

# brightness residual of one standard deviation, linear: texture that the albedo basis cannot carry
BRIGHTNESS_SIGMA = 0.06
# the vertices say about as much as this many independent ones
INDEPENDENT_SAMPLES = 60.0
ROBUST_SCALE = 2.0
# shading speaks of the broad forms of the face: this many shape components turn normals, and the head's rotation does
NUM_SHADED_SHAPE = 60


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
        self.meeting_sample, self.meeting_face = self._meetings(local, count=len(self.vertices))
        rotation = head.num_shape + head.num_expression
        shaded = torch.arange(min(NUM_SHADED_SHAPE, head.num_shape))
        self.columns = torch.cat([shaded, torch.arange(rotation, rotation + 3)])
        self.photo = photo
        self.light = appearance.light
        self.albedo = albedo[samples.index]
        weight = appearance.weight / (appearance.weight.sum() + 1e-9)
        self.weight = (weight * INDEPENDENT_SAMPLES).sqrt() / BRIGHTNESS_SIGMA

    def __call__(self, parameters: FitParameters) -> Residuals:
        point = linearize_vertices(self.model, parameters)
        normals, normals_by = self._normals(point.positions, point.by_model[:, :, self.columns])
        image = point.image[self.sample]
        shade = spherical_harmonics.shading(normals, self.light)
        shade_by_normal = torch.einsum("njk,jc->nck", spherical_harmonics.basis_derivative(normals), self.light)
        predicted_by_normal = (self.albedo[:, :, None] * shade_by_normal).mean(1)
        value = (self.photo.sample(image) - self.albedo * shade).mean(1)
        gradient = self.photo.gradient(image).mean(1)
        jacobian = torch.einsum("nk,nkp->np", gradient, point.image_by_parameters[self.sample])
        jacobian[:, self.columns] -= torch.einsum("nk,nkp->np", predicted_by_normal, normals_by)
        return Residuals(value * self.weight, jacobian * self.weight[:, None], ROBUST_SCALE)

    def _meetings(self, faces: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Which faces (M,) meet at which sampled vertices (M,)."""
        row = torch.full((count,), -1, dtype=torch.long)
        row[self.sample] = torch.arange(len(self.sample))
        rows = row[faces]
        columns = torch.arange(len(faces))[:, None].expand_as(faces)
        return rows[rows >= 0], columns[rows >= 0]

    def _normals(self, positions: torch.Tensor, by: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit normals (N,3) of the sampled vertices and their derivatives (N,3,C) by the columns (n,3,C) of `by`.

        The area vector of a triangle a, b, c moves by (c - b) x da + (a - c) x db + (b - a) x dc.
        """
        a, b, c = (positions[corner] for corner in self.faces.unbind(1))
        face = torch.linalg.cross(b - a, c - a)
        opposite = torch.stack([c - b, a - c, b - a], 1)
        turn = cross_matrices(opposite).transpose(1, 2).reshape(len(face), 3, 9)
        face_by = turn @ by[self.faces].flatten(1, 2)
        total = self._sum_at_samples(face)
        total_by = self._sum_at_samples(face_by)
        length = total.norm(dim=1, keepdim=True).clamp(min=1e-12)
        unit = total / length
        along = torch.einsum("nk,nkp->np", unit, total_by)
        return unit, (total_by - unit[:, :, None] * along[:, None]) / length[:, :, None]

    def _sum_at_samples(self, of_faces: torch.Tensor) -> torch.Tensor:
        """(N,...) sums, at each sampled vertex, of values (F,...) over the faces that meet there."""
        total = of_faces.new_zeros(len(self.sample), *of_faces.shape[1:])
        return total.index_add_(0, self.meeting_sample, of_faces[self.meeting_face])
