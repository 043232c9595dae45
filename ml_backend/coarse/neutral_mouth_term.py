"""What is known of a person's mouth at rest: the lips meet, and a smile is not a wide mouth.

Shape and expression both move the lips, and one photo cannot tell a wide mouth from a smile. Left to the general prior,
identity takes most of the smile, and the neutral keeps stretched or open lips. This prior gives to expression what
expression can do. At rest the head is linear in its shape coefficients, so the term is a constant matrix.
"""

from __future__ import annotations

import torch

from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.parameters import FitParameters
from ml_backend.head.head_model import HeadModel
from ml_backend.head.skinning import cross_matrices
from ml_backend.tracking.landmark_topology import LIPS, LOWER_LIP_MIDDLE, NUM_LANDMARKS, UPPER_LIP_MIDDLE

# Opposite landmarks of upper and lower lip at the slit, where lips touch whatever their fullness: the middle and one
# on either side.
LIP_PAIRS = ((82, 87), (UPPER_LIP_MIDDLE, LOWER_LIP_MIDDLE), (312, 317))
# lips at rest touch as the template's do, within this
LIP_GAP_SIGMA_M = 0.0005
# How far the lips' form at rest may differ, beside place and size, along what expressions can do; rms over the lips.
# A compromise between smiles, whose neutral gets too wide a mouth, and true differences of mouths, which the term holds
# back too (tests/bench renders, mm; surface error: mean over 16 of each render's median, rigid and scale aligned):
#                                            off    1.5    1.0    0.7    0.5 mm
#     mouth too wide by, 12 strong smiles    5.4    4.4    4.0    3.4    2.7
#     surface error, ordinary renders, rigid 1.11   1.09   1.10   1.12   1.13
#     surface error, scale aligned           0.86   0.86   0.87   0.89   0.91
# Six photos of one man, grave and laughing: mouths of 50-67 mm off, 49-61 mm at 1.0, 49-55 mm at 0.5 mm.
LIP_FORM_SIGMA_M = 0.001
# expression directions that move the lips by less than this at full strength count less and less
EXPRESSION_REACH_M = 0.001


class NeutralMouthTerm:
    """Least-squares prior on the shape coefficients: the mouth of S(beta, 0, 0)."""

    def __init__(self, head: HeadModel) -> None:
        by_shape = _landmark_basis(head, head.skinned.shape_basis)
        self.by_shape = torch.cat([_lip_gap_rows(by_shape), _lip_form_rows(head, by_shape)])

    def __call__(self, parameters: FitParameters) -> Residuals:
        columns = len(parameters.vector) - self.by_shape.shape[1]
        jacobian = torch.nn.functional.pad(self.by_shape, (0, columns))
        return Residuals(self.by_shape @ parameters.shape, jacobian)


def _landmark_basis(head: HeadModel, basis: torch.Tensor) -> torch.Tensor:
    """(478,3,C) how the landmarks move by a basis (V,3,C) of the head at rest."""
    points = head.landmarks_478
    return torch.einsum("nkcs,nk->ncs", basis[head.triangles[points.triangle]], points.barycentric.to(basis.dtype))


def _lip_gap_rows(by_shape: torch.Tensor) -> torch.Tensor:
    """(pairs,S) change of the upright distance of the lips, in standard deviations; together they weigh as one."""
    upper, lower = torch.tensor(LIP_PAIRS).unbind(1)
    return (by_shape[upper] - by_shape[lower])[:, 1] / (LIP_GAP_SIGMA_M * len(LIP_PAIRS) ** 0.5)


def _lip_form_rows(head: HeadModel, by_shape: torch.Tensor) -> torch.Tensor:
    """(E,S) change of the lips' form along each direction that expressions can give them, in standard deviations.

    Source: own derivation: with lips moved by U s V' at full expressions, direction u is theirs to the share
    s^2 / (s^2 + reach^2).
    """
    lips = torch.as_tensor(LIPS)
    form = _without_similarity(head, by_shape, lips)[lips].flatten(0, 1)
    reach = _landmark_basis(head, head.skinned.expression_basis)[lips] * head.expression_limits[:, 1].to(form.dtype)
    directions, size, _ = torch.linalg.svd(reach.flatten(0, 1) / len(lips) ** 0.5, full_matrices=False)
    share = size**2 / (size**2 + EXPRESSION_REACH_M**2)
    return share.sqrt()[:, None] * (directions.T @ form) / (len(lips) ** 0.5 * LIP_FORM_SIGMA_M)


def _without_similarity(head: HeadModel, by_shape: torch.Tensor, lips: torch.Tensor) -> torch.Tensor:
    """(478,3,S) landmark movements less the motion and growth of the face around the lips: a large face has a large
    mouth at rest, and that is no expression."""
    template = head.landmarks_478.on(head.skinned.template[None], head.triangles)[0].to(by_shape.dtype)
    centred = template - template.mean(0)
    identity = torch.eye(3, dtype=by_shape.dtype).expand(NUM_LANDMARKS, 3, 3)
    motions = torch.cat([identity, cross_matrices(centred), centred[:, :, None]], 2)
    around = torch.ones(NUM_LANDMARKS, dtype=torch.bool)
    around[lips] = False
    fitted = motions[around].flatten(0, 1)
    # normal equations, not lstsq, whose rounding depends on where in memory its matrices lie: the same photo would give
    # another head each time (3e-3 px of difference)
    coefficients = torch.linalg.solve(fitted.T @ fitted, fitted.T @ by_shape[around].flatten(0, 1))
    return by_shape - motions @ coefficients
