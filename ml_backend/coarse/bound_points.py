"""Points on the surface of a head, in the form in which they are cheapest to linearise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ml_backend.head.head_model import HeadModel
from ml_backend.head.skinning import SkinnedModel


@dataclass(frozen=True)
class BoundPoints:
    """N points as sums of shares, each of which one joint carries.

    Attributes:
        model: the M shares as vertices bound to one joint each.
        shares: (N,K) of each point, zero weight where it has fewer; share_weight: (N,K), their sums are 1.
    """

    model: SkinnedModel
    shares: torch.Tensor
    share_weight: torch.Tensor


def bind_points(head: HeadModel, landmarks: torch.Tensor) -> BoundPoints:
    """Bind some of the 478 landmarks (N,) to joints.

    A point of a triangle, skinned, is sum_k b_k sum_j w_kj (R_j x_k + o_j) = sum_j c_j (R_j y_j + o_j) with
    c_j = sum_k b_k w_kj and y_j = sum_k b_k w_kj x_k / c_j: exact, and as linear in the coefficients as x is. Most
    landmarks hang on one joint, so these are half as many as the triangles' corners.
    """
    points, skinned = head.landmarks_478, head.skinned
    corners = head.triangles[points.triangle[landmarks]]
    carried = points.barycentric[landmarks][..., None] * skinned.skinning_weights[corners]
    weight = carried.sum(1)
    point, joint = (weight > 0).nonzero().unbind(1)
    corner_share = carried[point, :, joint] / weight[point, joint][:, None]

    def mixed(values: torch.Tensor) -> torch.Tensor:
        return torch.einsum("mk...,mk->m...", values[corners[point]], corner_share)

    model = replace(
        skinned,
        template=mixed(skinned.template),
        shape_basis=mixed(skinned.shape_basis),
        expression_basis=mixed(skinned.expression_basis),
        pose_basis=mixed(skinned.pose_basis),
        skinning_weights=torch.nn.functional.one_hot(joint, weight.shape[1]).to(weight.dtype),
    )
    # the first column is a point's heaviest share
    order = weight.argsort(dim=1, descending=True, stable=True)[:, : int((weight > 0).sum(1).max())]
    share_weight = weight.gather(1, order)
    number = torch.zeros(weight.shape, dtype=torch.long)
    number[point, joint] = torch.arange(len(point))
    return BoundPoints(model, number.gather(1, order), share_weight)
