"""Differentiable pictures of textured meshes under spherical-harmonics light, in batches.

Gradients reach the vertices, the texture and its coordinates, the light and the normals. Visibility is hard: no
gradient comes from a silhouette or from one surface hiding another, and none from the mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering import spherical_harmonics
from ml_backend.rendering.rasterizer import LIKENESS, Fragments, corner_values, rasterize

# an interpolated normal shorter than 1e-9 has no direction
LEAST_SQUARED_NORMAL = 1e-18


@dataclass(frozen=True)
class MeshLayout:
    """What all meshes of a batch share.

    Attributes:
        triangles: (F,3) int64, counter-clockwise from outside.
        uv: (U,2) u right, v up; uv_triangles: (F,3) int64.
    """

    triangles: torch.Tensor
    uv: torch.Tensor
    uv_triangles: torch.Tensor

    @staticmethod
    def of_head(head: HeadModel) -> MeshLayout:
        """The layout of a head."""
        return MeshLayout(head.triangles, head.uv, head.uv_triangles)

    def to(self, device: torch.device | str) -> MeshLayout:
        """The layout on a device."""
        return MeshLayout(self.triangles.to(device), self.uv.to(device), self.uv_triangles.to(device))


@dataclass(frozen=True)
class RenderedMesh:
    """A batch of pictures; everything is zero on the background.

    Attributes:
        colour: (B,H,W,3) linear radiance, not clipped at 1.
        albedo: (B,H,W,3) what the texture shows, linear.
        shading: (B,H,W,3) the light on it, at least 0; colour = albedo * shading.
        mask: (B,H,W) 1 where a pixel's centre sees the mesh.
        normals: (B,H,W,3) unit, model space after posing.
        depth: (B,H,W) that of the projected vertices.
        fragments: what each pixel sees.
    """

    colour: torch.Tensor
    albedo: torch.Tensor
    shading: torch.Tensor
    mask: torch.Tensor
    normals: torch.Tensor
    depth: torch.Tensor
    fragments: Fragments


@dataclass(frozen=True)
class MeshRenderer:
    """Renders meshes of one layout.

    Attributes:
        layout: on the device where the meshes are.
        height, width: of the pictures, pixels.
        backend: of the rasteriser, one of rasterizer.BACKENDS.
    """

    layout: MeshLayout
    height: int
    width: int
    backend: str = LIKENESS

    def render(
        self, posed: torch.Tensor, projected_px: torch.Tensor, texture: torch.Tensor, light: torch.Tensor
    ) -> RenderedMesh:
        """Render a batch.

        Args:
            posed: (B,V,3) metres, model space: what normals are computed from.
            projected_px: (B,V,3) the same vertices in the picture: x right, y down in pixels, depth (smaller is
                nearer).
            texture: (B,N,N,3) or (N,N,3) linear albedo, row 0 at v = 1.
            light: (B,9,3) or (9,3) spherical harmonics.

        Returns:
            The pictures, in the type and on the device of the vertices.

        Raises:
            LikenessError: the back end is not installed.
        """
        batch, picture = len(posed), (len(posed), 3, self.height, self.width)
        fragments = rasterize(projected_px, self.layout.triangles, self.height, self.width, self.backend)
        mask = (fragments.triangle >= 0).to(posed.dtype)
        layout = self.layout
        of_vertices = torch.cat([vertex_normals(posed, layout.triangles), projected_px[..., 2:]], -1)
        x, y, z, depth = fragments.interpolate_planes(corner_values(of_vertices, layout.triangles))
        # apart: where they are the same for all pictures and without gradients, so they stay
        u, v = fragments.interpolate_planes(corner_values(layout.uv[None].to(posed.dtype), layout.uv_triangles)[0])
        # zero stays zero on the background; functional.normalize takes ten times as long over planes
        length = (x * x + y * y + z * z).clamp(min=LEAST_SQUARED_NORMAL).sqrt()
        normals = torch.stack([x / length, y / length, z / length], 1)
        light = light.expand(batch, -1, -1)
        shading = spherical_harmonics.shading_planes(normals.reshape(batch, 3, -1), light).clamp(min=0)
        shading = shading.reshape(picture) * mask[:, None]
        albedo = _sampled(texture.movedim(-1, -3).expand(batch, -1, -1, -1), u, v) * mask[:, None]
        colour, albedo, shading, normals = (
            values.movedim(1, -1) for values in (albedo * shading, albedo, shading, normals)
        )
        return RenderedMesh(colour, albedo, shading, mask, normals, depth, fragments)


def _sampled(image: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Bilinear values (B,C,H,W) of an image (B,C,N,N), row 0 at v = 1, at texture coordinates (B,H,W)."""
    grid = torch.stack([2 * u - 1, 1 - 2 * v], -1)
    # align_corners=False puts the first pixel's centre half a pixel inside, as everywhere here
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
