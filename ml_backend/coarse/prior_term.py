"""What is known of a head before the photo is seen."""

from __future__ import annotations

import torch

from ml_backend.coarse.gauss_newton import SeparateResiduals
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
# Named expressions rest at 0: one standard deviation as a fraction of the range. It matters little beside the term for
# the neutral's mouth: with 0.5 and 0.8, 16 renders have a surface error of 0.87 and 0.88 mm (scale aligned; 0.86 at 0.3
# without that term), mouths of smiles are 3.97 and 3.93 mm too wide; landmarks on photos 1.25% (1.27% at 0.3).
EXPRESSION_SIGMA = 0.5


class PriorTerm:
    """What is known before the photo: shape in standard deviations, expressions within limits, joints near rest.

    Args:
        shape_mean: (S,) about which shape varies: the learned encoder's reading of the photo; None = the mean head.
    """

    def __init__(
        self, head: HeadModel, shape_sigma: float = SHAPE_SIGMA, shape_mean: torch.Tensor | None = None
    ) -> None:
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
        self.mean = torch.zeros_like(self.sigma)
        if shape_mean is not None:
            self.mean[: head.num_shape] = shape_mean
        jaw = head.num_shape + head.num_expression + 6
        self.low = torch.full_like(self.sigma, -float("inf"))
        self.high = torch.full_like(self.sigma, float("inf"))
        expressions = slice(head.num_shape, head.num_shape + head.num_expression)
        self.low[expressions], self.high[expressions] = low, high
        self.low[jaw], self.high[jaw] = JAW_CLOSED, 0.6

    def __call__(self, parameters: FitParameters) -> SeparateResiduals:
        vector = parameters.vector
        beyond = (vector - self.high).clamp(min=0) + (vector - self.low).clamp(max=0)
        value = torch.cat([(vector - self.mean) / self.sigma, beyond / LIMIT_SIGMA])
        slope = torch.cat([1 / self.sigma, (beyond != 0).to(vector.dtype) / LIMIT_SIGMA])
        return SeparateResiduals(value, slope.to(vector.dtype), torch.arange(len(vector)).repeat(2))
