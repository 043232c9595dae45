"""What is known of a head before the photo is seen."""

from __future__ import annotations

import torch

from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.parameters import NUM_CAMERA, FitParameters
from ml_backend.head.head_model import HeadModel

# Real faces vary more than the basis's own random heads do. Widening the prior from 1 to 1.6 lowers the landmark error
# on photos from 2.32% to 2.17% and leaves the surface error on random heads as it was (1.06 and 1.07 mm).
SHAPE_SIGMA = 1.6
# One standard deviation of what faces in photos do, radians: own estimate, wide enough not to hold real faces back.
JAW_SIGMA = (0.25, 0.04, 0.03)
EYE_SIGMA = (0.25, 0.35, 0.02)
NECK_SIGMA = 0.05
# the jaw does not close beyond the teeth; radians
JAW_CLOSED = 0.0
# how firmly limits hold: one standard deviation beyond the limit, in coefficients or radians
LIMIT_SIGMA = 0.03
# Expressions that no landmark tells of (the tracker has no tongue), or that mean something only on top of another
# (mouth_close belongs to an open jaw): left free they take up other evidence's slack. They stay at rest.
HELD_EXPRESSIONS = ("tongue_out", "mouth_close")
HELD_SIGMA = 0.01
# Named expressions rest at 0: one standard deviation as a fraction of the range. Faces in photos do smile: at 0.3 the
# landmark error on photos was 1.37%, at 0.6 1.30%, at 1 1.28%; the neutral's surface error on 24 renders went from 0.76
# to 0.77 and 0.79 mm (scale aligned). Own choice in between.
EXPRESSION_SIGMA = 0.8


class PriorTerm:
    """What is known before the photo: shape in standard deviations, expressions within limits, joints near rest."""

    def __init__(self, head: HeadModel, shape_sigma: float = SHAPE_SIGMA) -> None:
        low, high = head.expression_limits.unbind(1)
        symmetric = low < -0.5 * high
        sigma_expression = torch.where(symmetric, high / 3, EXPRESSION_SIGMA * (high - low))
        held = torch.tensor([name in HELD_EXPRESSIONS for name in head.expression_names])
        sigma_expression = torch.where(held, HELD_SIGMA, sigma_expression)
        wide = 10.0  # global rotation and camera: free
        pose = [wide] * 3 + [NECK_SIGMA] * 3 + list(JAW_SIGMA) + list(EYE_SIGMA) * 2
        self.sigma = torch.cat(
            [
                torch.full((head.num_shape,), shape_sigma),
                sigma_expression,
                torch.tensor(pose),
                torch.full((NUM_CAMERA,), float("inf")),
            ]
        )
        jaw = head.num_shape + head.num_expression + 6
        self.low = torch.full_like(self.sigma, -float("inf"))
        self.high = torch.full_like(self.sigma, float("inf"))
        expressions = slice(head.num_shape, head.num_shape + head.num_expression)
        self.low[expressions], self.high[expressions] = low, high
        self.low[jaw], self.high[jaw] = JAW_CLOSED, 0.6

    def __call__(self, parameters: FitParameters) -> Residuals:
        vector = parameters.vector
        beyond = (vector - self.high).clamp(min=0) + (vector - self.low).clamp(max=0)
        value = torch.cat([vector / self.sigma, beyond / LIMIT_SIGMA])
        slope = torch.cat([torch.diag(1 / self.sigma), torch.diag((beyond != 0).to(vector.dtype) / LIMIT_SIGMA)])
        return Residuals(value, slope)
