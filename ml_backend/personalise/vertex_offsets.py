"""What a person's neutral has that the shape basis cannot carry: a smooth field of offsets of its vertices.

The field is a sum of modes: the strongest components of a Gaussian process on the neutral head whose covariance makes
it smooth, and symmetric where only one side was seen. A head whose shape basis is continued by the modes is a head as
any other, so landmarks and silhouette of all photos speak of the modes as they do of shape, with each photo's own
unknowns free. What one half of the photos says is believed as far as the other half agrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from ml_backend.coarse.gauss_newton import NormalEquations, assemble
from ml_backend.head.head_model import HeadModel
from ml_backend.personalise.joint_solver import IdentityPrior, ViewEvidence, eliminate_own

# How far real heads lie from the basis: 0.63-0.82 mm in the median over the face (docs/open_head.md).
SYMMETRIC_SIGMA_M = 0.0008
ASYMMETRIC_SIGMA_M = 0.0003
# about the width of a nose: finer forms cannot be told from the tracker's errors
SMOOTHING_LENGTH_M = 0.03
# by then a mode moves the face by 0.06 mm in the mean
NUM_MODES = 60
# the process is resolved on so many vertices of the face; three times its number of modes for each coordinate
NUM_SUPPORT = 400
# with fewer photos one half cannot be asked whether it agrees with the other
FEWEST_VIEWS = 4
# only so much that rounding does no harm, where a view's own unknowns are eliminated
OWN_DAMPING = 1e-6
# metres squared: below it an eigenvalue is rounding
SMALLEST_VARIANCE = 1e-12
FLIP = (-1.0, 1.0, 1.0)


def personal_head(head: HeadModel, offsets_m: torch.Tensor) -> HeadModel:
    """A head model whose neutral carries a person's offsets (V,3), metres; the joints follow the vertices."""
    template = head.skinned.template + offsets_m
    joints = head.skinned.joint_template + head.joint_regressor @ offsets_m
    return replace(head, skinned=replace(head.skinned, template=template, joint_template=joints))


def head_of_shape(head: HeadModel, shape: torch.Tensor) -> HeadModel:
    """The head of one identity (S,): a model without shape coefficients, whose template is that person's neutral."""
    skinned = head.skinned
    return replace(
        head,
        skinned=replace(
            skinned,
            template=skinned.template + skinned.shape_basis @ shape,
            shape_basis=skinned.shape_basis[:, :, :0],
            joint_template=skinned.joints(shape[None])[0],
            joint_shape_basis=skinned.joint_shape_basis[:, :, :0],
        ),
    )


def head_with_modes(head: HeadModel, modes: torch.Tensor) -> HeadModel:
    """A head whose shape coefficients are its own S, then those of the modes (V,3,K)."""
    skinned = head.skinned
    joints = torch.einsum("jv,vck->jck", head.joint_regressor, modes)
    return replace(
        head,
        skinned=replace(
            skinned,
            shape_basis=torch.cat([skinned.shape_basis, modes], 2),
            joint_shape_basis=torch.cat([skinned.joint_shape_basis, joints], 2),
        ),
    )


def offset_modes(head: HeadModel, shape: torch.Tensor) -> torch.Tensor:
    """The modes of a person's offsets, the strongest first; eyeballs, teeth and tongue move as a whole.

    Args:
        shape: (S,) of the person.

    Returns:
        (V,3,K) metres per standard deviation.

    Source: Nystrom's method on the covariance of `_covariances`.
    """
    vertices = head_of_shape(head, shape).skinned.template.double()
    face = (head.masks["face"] > 0.5).nonzero()[:, 0]
    support = vertices[face[torch.linspace(0, len(face) - 1, min(NUM_SUPPORT, len(face))).round().long()]]
    strengths, directions = torch.linalg.eigh(_covariances(support, support))
    # a mode at any vertex: covariance with the support @ eigenvector / sqrt(eigenvalue)
    reach = _covariances(vertices, support) @ (directions / strengths.clamp(min=SMALLEST_VARIANCE).sqrt()[:, None])
    coordinate, number = _strongest(strengths, NUM_MODES)
    modes = vertices.new_zeros(len(vertices), 3, len(coordinate))
    for column, (axis, row) in enumerate(zip(coordinate.tolist(), number.tolist(), strict=True)):
        modes[:, axis, column] = reach[axis, :, row]
    return _rigid_parts(head, modes).to(head.skinned.template.dtype)


def agreed_coefficients(views: Sequence[ViewEvidence], prior: IdentityPrior) -> torch.Tensor:
    """How much of each mode the photos show and agree on, beyond what the shape basis can do.

    Args:
        views: what each says about a head with modes, all at the same shape and at zero of the modes.
        prior: of the shape (S,).

    Returns:
        (K,) standard deviations; zero with fewer than FEWEST_VIEWS views.

    Source: own derivation: the posterior mean of the coefficients after one linearisation, times the share of it that
    two halves of the views, each asked alone, foretell of one another. Each half has a shape of its own: at the shape
    of all views together, what one half lacks the other has too much of.
    """
    size = len(views[0].parameters.shape)
    num_shape = len(prior.rows[0])
    if len(views) < FEWEST_VIEWS:
        return torch.zeros(size - num_shape)
    known = prior.equations(views[0].parameters.shape[:num_shape])
    reduced = []
    for view in views:
        own = eliminate_own(assemble(view.parameters, view.terms), size, OWN_DAMPING)
        reduced.append((view.weight * own.matrix, view.weight * own.gradient))
    halves = _of_modes(reduced[::2], known), _of_modes(reduced[1::2], known)
    said = [_posterior_mean(*half) for half in halves]
    pairs = list(zip(said, halves[::-1], strict=True))
    shown = sum(-(coefficients @ gradient) for coefficients, (_, gradient) in pairs)
    foretold = sum(coefficients @ matrix @ coefficients for coefficients, (matrix, _) in pairs)
    share = (shown / foretold.clamp(min=SMALLEST_VARIANCE)).clamp(0, 1)
    return (share * _posterior_mean(*_of_modes(reduced, known))).float()


def _of_modes(
    views: Sequence[tuple[torch.Tensor, torch.Tensor]], known: NormalEquations
) -> tuple[torch.Tensor, torch.Tensor]:
    """(K,K) and (K,) equations of the modes: those of views over [shape | modes], added up, the shape eliminated."""
    size = known.size
    matrix, gradient = sum(matrix for matrix, _ in views), sum(gradient for _, gradient in views)
    right = torch.cat([matrix[:size, size:], (gradient[:size] + known.gradient)[:, None]], 1)
    solved = torch.linalg.solve(matrix[:size, :size] + known.matrix, right)
    coupling = matrix[size:, :size]
    return matrix[size:, size:] - coupling @ solved[:, :-1], gradient[size:] - coupling @ solved[:, -1]


def _posterior_mean(matrix: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """(K,) coefficients with a unit prior."""
    return -torch.linalg.solve(matrix + torch.eye(len(gradient), dtype=matrix.dtype), gradient)


def _strongest(strengths: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinate (K,) and number (K,) of the largest eigenvalues (3,N) of the three coordinates, descending."""
    order = strengths.flatten().argsort(descending=True)[:count]
    return order // strengths.shape[1], order % strengths.shape[1]


def _covariances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(3,N,M) covariance of each coordinate of the field between points (N,3) and (M,3), metres squared.

    Of a field and its mirror image, half their sum is symmetric and half their difference is not; each has its own
    standard deviation. Source: own derivation.
    """
    flip = first.new_tensor(FLIP)
    near = torch.exp(-torch.cdist(first, second).square() / (2 * SMOOTHING_LENGTH_M**2))
    across = torch.exp(-torch.cdist(first, second * flip).square() / (2 * SMOOTHING_LENGTH_M**2))
    symmetric, asymmetric = SYMMETRIC_SIGMA_M**2, ASYMMETRIC_SIGMA_M**2
    return (symmetric + asymmetric) * near + (symmetric - asymmetric) * flip[:, None, None] * across


def _rigid_parts(head: HeadModel, modes: torch.Tensor) -> torch.Tensor:
    """Modes (V,3,K) with eyeballs, teeth and tongue each moved by its own mean."""
    modes = modes.clone()
    for name in head.part_names:
        if name != "skin":
            vertices = head.part_vertices(name)
            modes[vertices] = modes[vertices].mean(0)
    return modes
