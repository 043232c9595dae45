"""Pictures of a textured head under spherical-harmonics light: for synthetic photos, overlays and checks."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering import spherical_harmonics
from ml_backend.rendering.camera import Camera
from ml_backend.rendering.colour import linear_from_srgb_u8, srgb_u8_from_linear
from ml_backend.rendering.rasterizer import Fragments, rasterize

# samples per pixel along each side
SUPERSAMPLING = 2


def fragments_of(head: HeadModel, posed: torch.Tensor, camera: Camera, scale: float = 1.0) -> Fragments:
    """What each pixel of a camera sees of a posed head.

    Args:
        posed: (V,3) metres, model space.
        scale: pixels per pixel of the camera's image.
    """
    projected = camera.project(posed)
    width, height = (round(side * scale) for side in camera.image_size_px)
    scaled = torch.cat([projected[:, :2] * scale, projected[:, 2:]], 1)
    return rasterize(scaled[None], head.triangles, height, width)


def render_head(
    head: HeadModel,
    posed: torch.Tensor,
    camera: Camera,
    light: torch.Tensor,
    texture: torch.Tensor,
    background: np.ndarray | None = None,
) -> np.ndarray:
    """Render a head as a photo.

    Args:
        posed: (V,3) metres, model space.
        light: (9,3); texture: (R,R,3) linear albedo, row 0 at v = 1.
        background: (H,W,3) uint8 sRGB; mid grey where None.

    Returns:
        (H,W,3) uint8 sRGB, of the camera's image size.
    """
    fragments = fragments_of(head, posed, camera, SUPERSAMPLING)
    uv = fragments.interpolate(head.uv[head.uv_triangles])[0]
    normals = vertex_normals(posed[None], head.triangles)[0]
    normal = torch.nn.functional.normalize(fragments.interpolate(normals[head.triangles])[0], dim=-1, eps=1e-9)
    shade = spherical_harmonics.shading(normal, light).clamp(min=0).numpy()
    size = texture.shape[0]
    # texture pixel centres at +0.5; cv2 puts them at whole numbers
    map_x = uv[..., 0].numpy() * size - 0.5
    map_y = (1 - uv[..., 1].numpy()) * size - 0.5
    albedo = cv2.remap(
        texture.numpy(), map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    covered = (fragments.triangle[0] >= 0).numpy()
    colour = np.where(covered[..., None], albedo * shade, 0).astype(np.float32)
    width, height = camera.image_size_px
    coverage = cv2.resize(covered.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)[..., None]
    colour = cv2.resize(colour, (width, height), interpolation=cv2.INTER_AREA)
    behind = np.full_like(colour, 0.2) if background is None else linear_from_srgb_u8(background)
    return srgb_u8_from_linear(colour + behind * (1 - coverage))
