"""How the tracker's landmarks stray from fixed points of the head when the head turns.

A landmark network has an idea of an average face, and pulls the points of a turned face towards it. Measured on renders
of random heads, that pull is a smooth function of the view, the same for all heads: a quadratic polynomial of the
view's direction. It is recorded in the head file, in metres along the head's own right and up as the image shows them,
so that roll and size do not matter.
"""

from __future__ import annotations

import torch

from ml_backend.head.skinning import rotation_matrices

NUM_FEATURES = 5


def view_features(rotation: torch.Tensor) -> torch.Tensor:
    """The polynomial's terms, all zero in the frontal view.

    Args:
        rotation: (...,3,3) global rotation of the head.

    Returns:
        (...,5): a, b, a^2, ab, b^2 for the direction to the camera (a, b, c) in the head's axes.
    """
    a, b = rotation[..., 2, 0], rotation[..., 2, 1]
    return torch.stack([a, b, a * a, a * b, b * b], -1)


def image_axes(rotation: torch.Tensor) -> torch.Tensor:
    """(...,2,2) unit vectors in the image (x right, y down): its right-hand direction for the head, and its up."""
    up = torch.nn.functional.normalize(torch.stack([rotation[..., 0, 1], -rotation[..., 1, 1]], -1), dim=-1, eps=1e-9)
    return torch.stack([torch.stack([-up[..., 1], up[..., 0]], -1), up], -2)


def view_bias_px(
    view_bias: torch.Tensor, global_rotation: torch.Tensor, px_per_m: float | torch.Tensor
) -> torch.Tensor:
    """How far the tracker puts each landmark from its point of the head.

    Args:
        view_bias: (N,2,5) metres; global_rotation: (3,) or (B,3) axis-angle.
        px_per_m: size of a metre at the head, or (B,) of each.

    Returns:
        (N,2) or (B,N,2) pixels, x right and y down.
    """
    rotation = rotation_matrices(global_rotation)
    size = px_per_m[:, None, None] if isinstance(px_per_m, torch.Tensor) else px_per_m
    stray = torch.einsum("nck,...k->...nc", view_bias, view_features(rotation))
    return size * stray @ image_axes(rotation)
