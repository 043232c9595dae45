"""Tension in torch: batched, differentiable, and drawn on the head's texture layout.

The definition, its constant and its source stand in `addon/exchange/tension.py`.
"""

from __future__ import annotations

import torch

from addon.exchange.tension import TENSION_PER_M, polygon_edges
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.texel_map import TexelMap

# m^2: a shorter edge has no direction, and no gradient
LEAST_SQUARED_LENGTH = 1e-30


def head_edges(head: HeadModel) -> torch.Tensor:
    """The edges of a head's polygons (not of its triangles: Blender's mesh has no diagonals).

    Returns:
        (E,2) int64 on the head's device.
    """
    return torch.from_numpy(polygon_edges(head.polygons.cpu().numpy())).to(head.polygons.device)


def vertex_tension(
    neutral: torch.Tensor, current: torch.Tensor, edges: torch.Tensor, tension_per_m: float = TENSION_PER_M
) -> torch.Tensor:
    """Tension at every vertex, with gradients to both meshes.

    Args:
        neutral: (V,3) or (B,V,3) metres, S(beta, 0, 0).
        current: (V,3) or (B,V,3) metres, S(beta, theta, psi). Neutral and current may lie in different frames.
        edges: (E,2) int64.
        tension_per_m: k.

    Returns:
        (V,), or (B,V) where either mesh has a batch; in (-1, 1), compression > 0; 0 at a vertex without edges.

    Source: `addon/exchange/tension.py`.
    """
    of_edge = torch.tanh(0.5 * tension_per_m * (_lengths(neutral, edges) - _lengths(current, edges)))
    ends = edges.reshape(-1)
    count = torch.zeros(current.shape[-2], dtype=of_edge.dtype, device=of_edge.device)
    count = count.index_add(0, ends, torch.ones_like(ends, dtype=of_edge.dtype))
    total = of_edge.new_zeros(*of_edge.shape[:-1], current.shape[-2])
    total = total.index_add(-1, ends, of_edge.repeat_interleave(2, dim=-1))
    return total / count.clamp(min=1)


def uv_tension(tension: torch.Tensor, texels: TexelMap) -> torch.Tensor:
    """The tension map T_UV: tension of the vertices carried to the texels, with gradients.

    Args:
        tension: (B,V) from `vertex_tension`.
        texels: `texel_map(head, size_px)`; its size is the map's.

    Returns:
        (B,1,N,N), row 0 is v = 1; 0 where no surface is. Islands are continued by a few texels.
    """
    vertices = torch.from_numpy(texels.vertices).to(tension.device, torch.int64)
    barycentric = torch.from_numpy(texels.barycentric).to(tension)
    index = torch.from_numpy(texels.index).to(tension.device)
    values = (tension[:, vertices] * barycentric).sum(-1)
    flat = tension.new_zeros(len(tension), texels.size_px**2).index_copy(1, index, values)
    return flat.reshape(-1, 1, texels.size_px, texels.size_px)


def _lengths(vertices: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """(..., E) lengths; the gradient of an edge without length is 0."""
    # coordinate by coordinate, whole rows of vertices: several times faster than a norm over a last dimension of 3
    planes = vertices.movedim(-1, 0).contiguous()
    x, y, z = planes.index_select(-1, edges[:, 0]) - planes.index_select(-1, edges[:, 1])
    return (x * x + y * y + z * z).clamp(min=LEAST_SQUARED_LENGTH).sqrt()
