"""What is known of a head's size: a photo does not tell it, people's heads do.

Without this term a photo does move the size, by what the size is tied to: a strong smile is fitted better by a smaller
head, on which the same expression is larger.
"""

from __future__ import annotations

import torch

from ml_backend.coarse.linear_shape_term import LinearShapeTerm, landmark_basis, landmarks_at_rest
from ml_backend.head.head_model import HeadModel

# As a part of the size; heads vary by 4%, which a photo's evidence is not to use. Surface error of 68 rendered faces,
# mean of medians, not scaled: 1.28 mm without the term, 1.14 with it; it is then hardly more than with the scale
# aligned (1.02).
HEAD_SIZE_SIGMA = 0.015


class HeadSizeTerm(LinearShapeTerm):
    """Least-squares prior on the shape coefficients: the size of S(beta, 0, 0), as its landmarks grow about their
    middle."""

    def __init__(self, head: HeadModel) -> None:
        by_shape, rest = landmark_basis(head, head.skinned.shape_basis), landmarks_at_rest(head)
        spread = rest - rest.mean(0)
        growth = torch.einsum("nc,ncs->s", spread, by_shape) / spread.square().sum()
        super().__init__(growth[None] / HEAD_SIZE_SIGMA)
