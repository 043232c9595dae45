"""What is known of a person's mouth at rest: the lips meet, and a smile is not a wide mouth.

Shape and expression both move the lips, and one photo cannot tell a wide mouth from a smile. Left to the general prior,
identity takes most of the smile, and the neutral keeps stretched or open lips. This prior gives to expression what
expression can do, the more firmly the further the expression moves the mouth. At rest the head is linear in its shape
coefficients, so the term is a constant matrix.
"""

from __future__ import annotations

import torch

from ml_backend.coarse.linear_shape_term import LinearShapeTerm, landmark_basis, landmarks_at_rest
from ml_backend.head.head_model import HeadModel
from ml_backend.head.skinning import cross_matrices
from ml_backend.tracking.landmark_topology import (
    IBUG_68_FROM_478,
    LIPS,
    LOWER_LIP_MIDDLE,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NUM_LANDMARKS,
    OUTER_EYE_CORNERS,
    UPPER_LIP_MIDDLE,
)

# Opposite landmarks of upper and lower lip at the slit, where lips touch whatever their fullness: the middle and one
# on either side.
LIP_PAIRS = ((82, 87), (UPPER_LIP_MIDDLE, LOWER_LIP_MIDDLE), (312, 317))
# lips at rest touch as the template's do, within this
LIP_GAP_SIGMA_M = 0.0005
# How far the lips' form at rest may differ, beside place and size, along what expressions can do; rms over the lips.
# A compromise between smiles, whose neutral gets too wide a mouth, and true differences of mouths, which the term holds
# back too; figures in docs/coarse_fit.md.
LIP_FORM_SIGMA_M = 0.001
# expression directions that move the lips by less than this at full strength count less and less
EXPRESSION_REACH_M = 0.001


# The mouth's width in widths between the outer eye corners, and how high its corners are, as they vary among people
# (random heads 0.029 and 1.6 mm; ten grave faces in photos 0.02).
MOUTH_WIDTH_SIGMA = 0.03
MOUTH_CORNER_SIGMA_M = 0.003
# An expression that moves the mouth's corners this far halves both: real smiles are not quite those of the basis, and
# what is left over must not become the person's mouth.
TELLING_MOTION_M = 0.0045


class NeutralMouthTerm(LinearShapeTerm):
    """Least-squares prior on the shape coefficients: the mouth of S(beta, 0, 0).

    Args:
        corner_motion_m: how far the photo's expression moves the mouth's corners, from `corner_motion_m`.
    """

    def __init__(self, head: HeadModel, corner_motion_m: float = 0.0) -> None:
        by_shape = landmark_basis(head, head.skinned.shape_basis)
        corners = _corner_rows(head, by_shape) * (1 + corner_motion_m / TELLING_MOTION_M)
        super().__init__(torch.cat([_lip_gap_rows(by_shape), corners, _lip_form_rows(head, by_shape)]))


def corner_motion_m(head: HeadModel, expression: torch.Tensor) -> float:
    """How far an expression (E,) moves the corners of the mouth, metres, the mean of both."""
    corners = landmark_basis(head, head.skinned.expression_basis)[[MOUTH_LEFT, MOUTH_RIGHT]]
    return float((corners @ expression.to(corners.dtype)).norm(dim=1).mean())


def _lip_gap_rows(by_shape: torch.Tensor) -> torch.Tensor:
    """(pairs,S) change of the upright distance of the lips, in standard deviations; together they weigh as one."""
    upper, lower = torch.tensor(LIP_PAIRS).unbind(1)
    return (by_shape[upper] - by_shape[lower])[:, 1] / (LIP_GAP_SIGMA_M * len(LIP_PAIRS) ** 0.5)


def _corner_rows(head: HeadModel, by_shape: torch.Tensor) -> torch.Tensor:
    """(2,S) change of the mouth's width and of its corners' height above the slit's middle, each less the change that
    goes with the distance of the eyes: a large head has a large mouth."""
    mouth = [MOUTH_LEFT, MOUTH_RIGHT]
    right_eye, left_eye = (int(IBUG_68_FROM_478[corner]) for corner in OUTER_EYE_CORNERS)

    def measures(points: torch.Tensor) -> torch.Tensor:
        """(3, ...) width of the mouth, height of its corners, width between the eyes."""
        width = points[MOUTH_LEFT, 0] - points[MOUTH_RIGHT, 0]
        height = points[mouth, 1].mean(0) - points[[UPPER_LIP_MIDDLE, LOWER_LIP_MIDDLE], 1].mean(0)
        return torch.stack([width, height, points[left_eye, 0] - points[right_eye, 0]])

    (width, height, eyes), change = measures(landmarks_at_rest(head)), measures(by_shape)
    wider, higher = change[0] - width / eyes * change[2], change[1] - height / eyes * change[2]
    return torch.stack([wider / (eyes * MOUTH_WIDTH_SIGMA), higher / MOUTH_CORNER_SIGMA_M])


def _lip_form_rows(head: HeadModel, by_shape: torch.Tensor) -> torch.Tensor:
    """(E,S) change of the lips' form along each direction that expressions can give them, in standard deviations.

    Source: own derivation: with lips moved by U s V' at full expressions, direction u is theirs to the share
    s^2 / (s^2 + reach^2).
    """
    lips = torch.as_tensor(LIPS)
    form = _without_similarity(head, by_shape, lips)[lips].flatten(0, 1)
    reach = landmark_basis(head, head.skinned.expression_basis)[lips] * head.expression_limits[:, 1].to(form.dtype)
    directions, size, _ = torch.linalg.svd(reach.flatten(0, 1) / len(lips) ** 0.5, full_matrices=False)
    share = size**2 / (size**2 + EXPRESSION_REACH_M**2)
    return share.sqrt()[:, None] * (directions.T @ form) / (len(lips) ** 0.5 * LIP_FORM_SIGMA_M)


def _without_similarity(head: HeadModel, by_shape: torch.Tensor, lips: torch.Tensor) -> torch.Tensor:
    """(478,3,S) landmark movements less the motion and growth of the face around the lips: a large face has a large
    mouth at rest, and that is no expression."""
    template = landmarks_at_rest(head)
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
