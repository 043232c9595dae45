"""The losses of the coarse stage (first paper, eq. 1 and 2), each a function of its own; supervised ones at the end.

Image coordinates are those of the crop, -1 to 1, y down; B heads in a batch. Every loss is a mean over the batch.
"""

from __future__ import annotations

import torch

from ml_backend.learned.head_code import HeadCode
from ml_backend.tracking import landmark_topology as topology

MM_PER_M = 1000.0
# Upper and lower lids, and lips (inner middle, inner sides, outer middle, corners): what opens and closes.
LID_PAIRS = ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373))
LIP_PAIRS = ((13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (0, 17), (78, 308))
# a difference of parameters beyond this many spreads counts linearly
HUBER_SPREADS = 1.0


def silhouette_loss(
    target: torch.Tensor,
    own: torch.Tensor,
    own_facing: torch.Tensor,
    vertices: torch.Tensor,
    on_silhouette: torch.Tensor,
) -> torch.Tensor:
    """L_sil = sum over i with N_z,i > 0 of d(k_i, k~_i) + sum over i with N_z,i < 0 of min over v_e of d(k_i, v_e).

    A contour landmark whose own point faces the camera goes there; one that faces away goes to the nearest silhouette
    vertex. Where no silhouette vertex is nearer than its own point (below the chin the region has none) that stays.

    Args:
        target: (B,17,2) annotated contour k; own: (B,17,2) the head's frontal contour points k~, projected.
        own_facing: (B,17) z of the normals there.
        vertices: (B,K,2) projected vertices; on_silhouette: (B,K) bool, which of them are silhouette vertices.

    Returns:
        The mean L1 distance of a landmark.

    Source: first paper, eq. 1; d is L1, as its text says.
    """
    own_distance = (target - own).abs().sum(-1)
    with torch.no_grad():
        distance = torch.cdist(target, vertices, p=1)
        distance = distance.masked_fill(~on_silhouette[:, None], float("inf"))
        nearest_distance, nearest = distance.min(2)
        moves = (own_facing < 0) & (nearest_distance < own_distance)
    chosen = vertices.gather(1, nearest[..., None].expand(-1, -1, 2))
    return torch.where(moves, (target - chosen).abs().sum(-1), own_distance).mean()


def silhouette_mask(facing: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Which vertices lie on the silhouette: both ends of each edge whose normals' z have opposite signs.

    Args:
        facing: (B,N) z of the vertex normals; edges: (E,2) that may be silhouette.

    Returns:
        (B,N) bool.

    Source: first paper, section 3.2.
    """
    changes = facing[:, edges[:, 0]] * facing[:, edges[:, 1]] <= 0
    count = torch.zeros_like(facing)
    for end in range(2):
        count.index_add_(1, edges[:, end], changes.to(facing.dtype))
    return count > 0


def landmark_loss(points: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """L_inL = sum of w_i |k_i - p_i| / sum of w_i, L1.

    Args:
        points, target: (B,N,2); weight: (N,).

    Source: first paper, eq. 2 (inner landmarks).
    """
    return ((points - target).abs().sum(-1) * weight).sum(1).mean() / weight.sum()


def pair_loss(points: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L_spL = mean over pairs of |(p_a - p_b) - (k_a - k_b)|, L1: how far lids and lips are open, wherever they are.

    Args:
        points, target: (B,478,2).

    Source: first paper, eq. 2 (special landmark pairs).
    """
    first, second = torch.tensor(LID_PAIRS + LIP_PAIRS, device=points.device).T
    opening = points[:, first] - points[:, second]
    return (opening - (target[:, first] - target[:, second])).abs().sum(-1).mean()


def photometric_loss(rendered: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """L_pho = sum of M |I - I_r| / sum of M, over pixels, mean of the colours.

    Args:
        rendered, image: (B,H,W,3); mask: (B,H,W) visible skin that is rendered, 0-1, without gradient.

    Source: first paper, eq. 2.
    """
    difference = (rendered - image).abs().mean(-1) * mask
    return (difference.sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)).mean()


def feature_loss(rendered: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """L_per's terms: 1 - cos(f(I), f(I_r)) of a feature network's outputs.

    Args:
        rendered, image: (B, ...) features.

    Source: first paper, eq. 2 (identity, emotion and lip terms).
    """
    return 1 - torch.nn.functional.cosine_similarity(rendered.flatten(1), image.flatten(1), dim=1).mean()


def prior_loss(code: HeadCode, expression_spread: torch.Tensor) -> torch.Tensor:
    """L_reg = mean beta^2 + mean (psi / sigma)^2 + mean alpha^2.

    Args:
        expression_spread: (E,) sigma.

    Source: first paper, eq. 2.
    """
    expression = code.expression / expression_spread
    return code.shape.square().mean() + expression.square().mean() + code.albedo.square().mean()


def limit_loss(code: HeadCode, limits: torch.Tensor) -> torch.Tensor:
    """Mean square of what expressions lie outside of their range; part of L_reg.

    Args:
        limits: (E,2) low and high.

    Source: own derivation: named expressions mean nothing below 0.
    """
    low, high = limits.unbind(1)
    beyond = (code.expression - high).clamp(min=0) + (low - code.expression).clamp(min=0)
    return (beyond / (high - low)).square().mean()


def swapped_shapes(code: HeadCode) -> HeadCode:
    """L_sc's codes: each image with the shape of the other one of its person.

    Args:
        code: images 2i and 2i + 1 show one person.

    Returns:
        The codes whose landmarks and colours must fit as well as the own ones do.

    Source: first paper, eq. 2 (shape consistency).
    """
    other = torch.arange(len(code), device=code.shape.device) ^ 1
    return code.with_shape_of(code.select(other))


def parameter_loss(predicted: torch.Tensor, truth: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Mean Huber distance of (x - x*) / sigma.

    Args:
        predicted, truth: (B,N); spread: (N,) sigma.
    """
    return torch.nn.functional.huber_loss(predicted / spread, truth / spread, delta=HUBER_SPREADS)


def distance_mm(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean over vertices of |v - v*|, millimetres; gradients stay finite where they meet.

    Args:
        predicted, truth: (B,N,3) metres.
    """
    squared = (MM_PER_M * (predicted - truth)).square().sum(-1)
    # a thousandth of a millimetre
    return (squared + 1e-6).sqrt().mean()


def projected_distance_mm(predicted: torch.Tensor, truth: torch.Tensor, half_crops_per_m: torch.Tensor) -> torch.Tensor:
    """Mean over points of |u - u*| / s, in millimetres at the head, L1.

    Args:
        predicted, truth: (B,N,2); half_crops_per_m: (B,) scale s of the true cameras.
    """
    difference = (predicted - truth).abs().sum(-1) / half_crops_per_m[:, None]
    return MM_PER_M * difference.mean()


def contour_free_weights(weight: torch.Tensor) -> torch.Tensor:
    """(478,) landmark weights with the contour, which L_sil takes, at zero."""
    inner = weight.clone()
    inner[list(topology.CONTOUR_EAR_TO_EAR)] = 0
    return inner
