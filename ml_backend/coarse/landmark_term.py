"""The tracker's landmarks as evidence for the coarse fit.

Lengths are weighed as if measured in metres on the face, so that the size of the photo does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ml_backend.coarse.bound_points import bind_points
from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.parameters import FitParameters, linearize_points
from ml_backend.coarse.view_bias import view_bias_px
from ml_backend.head.head_model import HeadModel
from ml_backend.tracking.landmark_topology import EYES, IRISES, LIPS

# The tracker's error on a face, one standard deviation: 1.5 px in its 192 px crop, whose side is about 0.23 m.
LANDMARK_SIGMA_M = 0.0018
# Neighbouring landmarks err together: 478 of them say about as much as this many independent ones.
INDEPENDENT_LANDMARKS = 130
# Lids, lips and irises carry the expression, and the tracker refines them with networks of their own.
FEATURE_WEIGHT = 2.0
# Residuals beyond this many standard deviations are taken for mistakes more and more.
ROBUST_SCALE = 4.0


@dataclass(frozen=True)
class LandmarkTargets:
    """The tracker's landmarks with their weights.

    Attributes:
        image: (478,2) pixels; weight: (478,) relative say of each.
    """

    image: torch.Tensor
    weight: torch.Tensor


def landmark_targets(landmarks_px: torch.Tensor, head: HeadModel) -> LandmarkTargets:
    """Weigh the tracker's landmarks (478,3) for a head."""
    weight = head.landmarks_478_weight.clone()
    for group in (EYES, LIPS, IRISES):
        weight[torch.as_tensor(group)] *= FEATURE_WEIGHT
    return LandmarkTargets(landmarks_px[:, :2], weight)


def residual_scale(parameters: FitParameters) -> float:
    """Residuals per pixel: one standard deviation of the landmarks' joint error is one."""
    return (INDEPENDENT_LANDMARKS / 478) ** 0.5 / (LANDMARK_SIGMA_M * parameters.px_per_m)


class LandmarkTerm:
    """Landmarks inside the face, each bound to its own point of the head.

    Args:
        exclude: indices left to other terms (the contour, when the silhouette term takes it).
    """

    def __init__(self, head: HeadModel, targets: LandmarkTargets, exclude: tuple[int, ...] = ()) -> None:
        keep = targets.weight > 0
        keep[list(exclude)] = False
        self.index = keep.nonzero()[:, 0]
        self.points = bind_points(head, self.index)
        self.targets = targets
        self.view_bias = head.landmarks_478_view_bias[self.index].to(head.skinned.template.dtype)

    def __call__(self, parameters: FitParameters) -> Residuals:
        point = linearize_points(self.points.model, parameters, self.points.shares, self.points.share_weight)
        weight = self.targets.weight[self.index] * residual_scale(parameters)
        stray = view_bias_px(self.view_bias, parameters.pose[:3], parameters.px_per_m)
        difference = (point.image + stray - self.targets.image[self.index]) * weight[:, None]
        return Residuals(difference, point.image_by_parameters * weight[:, None, None], ROBUST_SCALE)
