"""Visibility and barycentrics by pytorch3d, where the user has it: an independent second back end of the rasteriser."""

from __future__ import annotations

from collections.abc import Callable

import torch

from addon.exchange.errors import LikenessError
from ml_backend.rendering.rasterizer import Fragments


class RendererMissing(LikenessError):
    """The rasteriser's back end that was asked for is not installed."""


def rasterize_by_pytorch3d(vertices_px: torch.Tensor, triangles: torch.Tensor, height: int, width: int) -> Fragments:
    """Rasterise a batch of meshes of one topology with pytorch3d, in the conventions of `rasterizer.rasterize`.

    pytorch3d computes in float32 and divides by its area + 1e-8 (in its coordinates, where the shorter side of the
    image is 2), so that barycentrics of small triangles add up to a little less or more than 1.

    Args:
        vertices_px: (B,V,3) x right, y down in pixels, depth. Gradients flow to x and y by pytorch3d's own backward
            pass.
        triangles: (F,3).

    Returns:
        Fragments of (B,height,width), barycentrics in the type of the vertices.

    Raises:
        RendererMissing: pytorch3d cannot be imported.
    """
    meshes_of, rasterize_meshes = _load()
    batch, num_triangles = len(vertices_px), len(triangles)
    meshes = meshes_of(_ndc(vertices_px, height, width).float(), triangles.expand(batch, -1, -1))
    packed, _, weights, _ = rasterize_meshes(
        meshes, (height, width), blur_radius=0.0, faces_per_pixel=1, perspective_correct=False
    )
    packed = packed[..., 0]
    first = num_triangles * torch.arange(batch, device=packed.device)[:, None, None]
    covered = (packed.reshape(-1) >= 0).nonzero()[:, 0]
    weights = weights.reshape(-1, 3).index_select(0, covered).to(vertices_px.dtype)
    return Fragments(torch.where(packed >= 0, packed - first, -1), covered, weights.t().contiguous())


def _ndc(vertices_px: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Pixels in pytorch3d's coordinates: x left and y up, the shorter side from -1 to 1, depth from 1 to 2."""
    half = 0.5 * min(height, width)
    x = (0.5 * width - vertices_px[..., 0]) / half
    y = (0.5 * height - vertices_px[..., 1]) / half
    # it drops what lies behind its image plane; only the order of depths counts here
    depth = vertices_px[..., 2].detach()
    nearest, farthest = depth.amin(1, keepdim=True), depth.amax(1, keepdim=True)
    span = torch.where(farthest > nearest, farthest - nearest, torch.ones_like(nearest))
    return torch.stack([x, y, 1 + (depth - nearest) / span], -1)


def _load() -> tuple[Callable, Callable]:
    """pytorch3d's Meshes and rasterize_meshes."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise RendererMissing(
            "pytorch3d_missing", "pytorch3d cannot be imported.", "Install it, or leave the renderer at its default."
        ) from error
    return Meshes, rasterize_meshes
