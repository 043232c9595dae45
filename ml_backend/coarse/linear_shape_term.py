"""Priors that are linear in the shape coefficients: at rest the head is."""

from __future__ import annotations

import torch

from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.parameters import FitParameters
from ml_backend.head.head_model import HeadModel


class LinearShapeTerm:
    """Least squares on rows that the shape coefficients multiply.

    Attributes:
        by_shape: (R,S) in standard deviations.
    """

    def __init__(self, by_shape: torch.Tensor) -> None:
        self.by_shape = by_shape

    def __call__(self, parameters: FitParameters) -> Residuals:
        columns = len(parameters.vector) - self.by_shape.shape[1]
        jacobian = torch.nn.functional.pad(self.by_shape, (0, columns))
        return Residuals(self.by_shape @ parameters.shape, jacobian)


def landmarks_at_rest(head: HeadModel) -> torch.Tensor:
    """(478,3) the tracker's landmarks on the mean head, metres."""
    basis = head.skinned.shape_basis
    return head.landmarks_478.on(head.skinned.template[None], head.triangles)[0].to(basis.dtype)


def landmark_basis(head: HeadModel, basis: torch.Tensor) -> torch.Tensor:
    """(478,3,C) how the landmarks move by a basis (V,3,C) of the head at rest."""
    points = head.landmarks_478
    return torch.einsum("nkcs,nk->ncs", basis[head.triangles[points.triangle]], points.barycentric.to(basis.dtype))
