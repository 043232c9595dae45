"""Rendered faces as a mirror shows them: twice as many people, with a truth as exact as the head is symmetric."""

from __future__ import annotations

from dataclasses import replace

import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.head_code import HeadCode
from ml_backend.training.coarse_batch import CoarseBatch
from ml_backend.training.coarse_surface import CoarseSurface
from ml_backend.training.training_config import TrainingError

# Part of a head's bases that their mirror images cannot say, by norm. The open head: shape 4e-8, expression 0.0014
# (up to 0.6 mm on 73 vertices of the inner brows), FLAME's scans many times as much.
MOST_ASYMMETRY = 0.01
# spherical harmonics that change sign with x: x, xy, xz
ODD_LIGHT = (3, 4, 7)
# iBUG's 68 points by their number on the other side, the part that is not a plain reversal cut into its groups
MIRRORED_68 = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
)  # fmt: skip


class FaceMirror:
    """Mirrors rendered faces.

    Args:
        head, albedo: what their truth means; surface: of the head.

    Raises:
        TrainingError: the head is not symmetric.

    Source: own derivation. A basis B whose mirror image is B M gives the mirrored face's coefficients, M x.
    """

    def __init__(self, head: HeadModel, albedo: AlbedoModel, surface: CoarseSurface) -> None:
        self.surface = surface
        self.shape, shape_rest = _mirror_matrix(head.skinned.shape_basis, head.mirror_vertex)
        self.expression, expression_rest = _mirror_matrix(head.skinned.expression_basis, head.mirror_vertex)
        if max(shape_rest, expression_rest) > MOST_ASYMMETRY:
            raise TrainingError(
                "head_asymmetric",
                f"Faces of the head {head.name} cannot be mirrored.",
                "Set augmentation.mirrored_share to 0.",
            )
        columns = albedo.basis.flatten(1).T
        self.albedo = torch.linalg.lstsq(columns, albedo.basis.flip(2).flatten(1).T).solution

    def __call__(self, batch: CoarseBatch, chosen: torch.Tensor) -> CoarseBatch:
        """Mirror some of a batch of rendered faces.

        Args:
            chosen: (B,) bool.
        """
        truth = self.mirrored_code(batch.truth)
        vertices = self.surface.vertices(truth)
        flip = batch.landmarks_68.new_tensor([-1.0, 1.0])
        mirrored = replace(
            batch,
            image=batch.image.flip(3),
            skin=batch.skin.flip(2),
            landmarks_68=batch.landmarks_68[:, list(MIRRORED_68)] * flip,
            # the tracker's points are not symmetric on the head
            landmarks_478=truth.project(self.surface.landmarks_478.on(vertices)),
        )
        return CoarseBatch(
            image=_chosen(chosen, mirrored.image, batch.image),
            landmarks_68=_chosen(chosen, mirrored.landmarks_68, batch.landmarks_68),
            landmarks_478=_chosen(chosen, mirrored.landmarks_478, batch.landmarks_478),
            skin=_chosen(chosen, mirrored.skin, batch.skin),
            eye_distance=batch.eye_distance,
            truth=HeadCode.from_vector(_chosen(chosen, truth.vector, batch.truth.vector), truth.sizes),
        )

    def mirrored_code(self, code: HeadCode) -> HeadCode:
        """The codes of the mirrored faces."""
        # a mirror in x keeps turns about x and reverses the others
        pose = code.pose.reshape(-1, 5, 3)[:, [0, 1, 2, 4, 3]] * code.pose.new_tensor([1.0, -1.0, -1.0])
        light = code.light.clone()
        light[:, list(ODD_LIGHT)] *= -1
        return HeadCode(
            shape=code.shape @ self.shape.T,
            expression=code.expression @ self.expression.T,
            pose=pose.flatten(1),
            albedo=code.albedo @ self.albedo.T,
            camera=code.camera * code.camera.new_tensor([1.0, -1.0, 1.0]),
            light=light,
        )


def _mirror_matrix(basis: torch.Tensor, mirror_vertex: torch.Tensor) -> tuple[torch.Tensor, float]:
    """(K,K) M of a basis (V,3,K), and the part of its mirror image that M cannot say, by norm."""
    basis = basis.double()
    mirrored = (basis[mirror_vertex] * basis.new_tensor([-1.0, 1.0, 1.0])[:, None]).flatten(0, 1)
    matrix = torch.linalg.lstsq(basis.flatten(0, 1), mirrored).solution
    rest = (basis.flatten(0, 1) @ matrix - mirrored).norm() / mirrored.norm()
    return matrix.float(), float(rest)


def _chosen(chosen: torch.Tensor, mirrored: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    return torch.where(chosen.reshape(-1, *[1] * (plain.dim() - 1)), mirrored, plain)
