"""How a deformed surface is strained in its own plane: the two principal strains, and the strain along a direction.

Directions are those of the undeformed surface: they say where on the neutral face a wrinkle comes to lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

# twice the area, m^2, below which a triangle has no plane: far under any of a head's (about 1e-5)
MIN_DOUBLE_AREA_M2 = 1e-12


@dataclass(frozen=True)
class TangentFrames:
    """An orthonormal frame in the plane of every undeformed triangle.

    Attributes:
        first, second: (F, 3) unit vectors in the plane, model space; `first` runs along the triangle's first edge.
        edges_inverse: (F, 2, 2) inverse of the matrix whose columns are the two edges from the first corner.
    """

    first: torch.Tensor
    second: torch.Tensor
    edges_inverse: torch.Tensor


@dataclass(frozen=True)
class PrincipalStrains:
    """Principal strains of surface deformations, relative changes of length (-0.1: a tenth shorter).

    Attributes:
        low, high: (B, F) the smaller and the larger one.
        low_direction: (B, F, 3) unit direction of the smaller one in the undeformed surface (its sign is arbitrary);
            wrinkles run across it.
    """

    low: torch.Tensor
    high: torch.Tensor
    low_direction: torch.Tensor


def tangent_frames(neutral: torch.Tensor, triangles: torch.Tensor) -> TangentFrames:
    """Frames of the undeformed triangles.

    Args:
        neutral: (V, 3) metres; triangles: (F, 3).
    """
    corners = neutral[triangles]
    edge_1, edge_2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    first = torch.nn.functional.normalize(edge_1, dim=-1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(edge_1, edge_2), dim=-1)
    second = torch.linalg.cross(normal, first)
    length, along, across = (edge_1 * first).sum(-1), (edge_2 * first).sum(-1), (edge_2 * second).sum(-1)
    flat = (length * across).abs() < MIN_DOUBLE_AREA_M2
    safe_length = torch.where(flat, torch.ones_like(length), length)
    safe_across = torch.where(flat, torch.ones_like(across), across)
    zero = torch.zeros_like(length)
    rows = [torch.stack([1 / safe_length, -along / (safe_length * safe_across)], -1),
            torch.stack([zero, 1 / safe_across], -1)]  # fmt: skip
    return TangentFrames(first, second, torch.stack(rows, -2))


def cauchy_green(posed: torch.Tensor, triangles: torch.Tensor, frames: TangentFrames) -> torch.Tensor:
    """Right Cauchy-Green tensors C = FᵀF of the deformation of each triangle, in its undeformed frame.

    Args:
        posed: (B, V, 3) metres; triangles: (F, 3); frames: of the neutral.

    Returns:
        (B, F, 2, 2) symmetric; the identity where nothing but a rigid motion happened.

    Source: F maps the neutral's tangent plane to the posed one: F = [e1' e2'] [e1 e2]^-1.
    """
    # coordinate by coordinate, whole rows of vertices: sums over a last dimension of 3 are several times slower
    planes = posed.permute(2, 0, 1).contiguous()
    origin, one, other = (planes.index_select(2, triangles[:, corner]) for corner in range(3))
    edge_1, edge_2 = one.sub_(origin), other.sub_(origin)
    # the inverse is upper triangular: `first` runs along the first edge
    inverse = frames.edges_inverse
    column_2 = edge_1 * inverse[:, 0, 1] + edge_2 * inverse[:, 1, 1]
    column_1 = edge_1 * inverse[:, 0, 0]
    a, b, d = _dot(column_1, column_1), _dot(column_1, column_2), _dot(column_2, column_2)
    return torch.stack([a, b, b, d]).unflatten(0, (2, 2)).permute(2, 3, 0, 1)


def _dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(...) of two fields of vectors that are stored coordinate by coordinate (3, ...)."""
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def lowest_strain(tensors: torch.Tensor) -> torch.Tensor:
    """(B, F) the smaller principal strain alone of Cauchy-Green tensors (B, F, 2, 2)."""
    a, b, d = tensors[..., 0, 0], tensors[..., 0, 1], tensors[..., 1, 1]
    return ((a + d) / 2 - torch.hypot((a - d) / 2, b)).clamp(min=0).sqrt() - 1


def principal_strains(tensors: torch.Tensor, frames: TangentFrames) -> PrincipalStrains:
    """Principal strains of Cauchy-Green tensors (B, F, 2, 2), by the closed form of 2 x 2 eigenvalues."""
    a, b, d = tensors[..., 0, 0], tensors[..., 0, 1], tensors[..., 1, 1]
    mean, half = (a + d) / 2, (a - d) / 2
    radius = (half**2 + b**2).sqrt()
    # the angle of the larger eigenvector; the smaller one stands at right angles to it
    angle = torch.atan2(b, half) / 2
    along, across = -torch.sin(angle), torch.cos(angle)
    direction = along[..., None] * frames.first + across[..., None] * frames.second
    low, high = ((mean + sign * radius).clamp(min=0).sqrt() - 1 for sign in (-1, 1))
    return PrincipalStrains(low, high, direction)


def strain_along(tensors: torch.Tensor, frames: TangentFrames, direction: torch.Tensor) -> torch.Tensor:
    """Relative change of length along a direction of the undeformed surface.

    Args:
        tensors: (B, F, 2, 2) Cauchy-Green tensors; frames: of the neutral.
        direction: (F, 3) vectors; only what lies in each triangle's plane counts.

    Returns:
        (B, F).
    """
    planar = torch.stack([(direction * frames.first).sum(-1), (direction * frames.second).sum(-1)], -1)
    planar = torch.nn.functional.normalize(planar, dim=-1, eps=1e-12)
    first, second = planar.unbind(-1)
    a, b, d = tensors[..., 0, 0], tensors[..., 0, 1], tensors[..., 1, 1]
    squared = a * (first * first) + b * (2 * first * second) + d * (second * second)
    return squared.clamp(min=0).sqrt() - 1
