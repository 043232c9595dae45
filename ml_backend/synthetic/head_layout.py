"""What all people of one head model share: where its regions and landmarks lie on the texture, and its occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering.rasterizer import rasterize
from ml_backend.texture.texel_map import TexelMap, texel_map
from ml_backend.wrinkles.wrinkle_surface import SkinTexels, skin_texels

# directions over the sphere for ambient occlusion, and the size of their depth images
OCCLUSION_DIRECTIONS, OCCLUSION_PX = 48, 128
# how far below the nearest surface, metres, a vertex still counts as seen
OCCLUSION_BIAS_M = 0.004


@dataclass(frozen=True)
class HeadLayout:
    """A head model as the painters see it.

    Attributes:
        head: the model; size_px: N, of the albedo texture.
        texels: of the albedo texture; skin: the skin's texels of the displacement map.
        position: (N, N, 3) metres, on the template.
        regions: name -> (N, N) float32 0-1, the head's masks; parts: name -> (N, N) bool.
        landmarks_px: (478, 2) the tracker's points on the texture.
        openness: (V,) 0-1, the part of the sky above each vertex of the template that nothing hides.
    """

    head: HeadModel
    size_px: int
    texels: TexelMap
    skin: SkinTexels
    position: np.ndarray
    regions: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]
    landmarks_px: np.ndarray
    openness: np.ndarray


def head_layout(head: HeadModel, map_px: int, displacement_px: int) -> HeadLayout:
    """Measure a head model once for all people.

    Args:
        head: the model; map_px: of the albedo texture; displacement_px: of the displacement map.
    """
    texels = texel_map(head, map_px)
    uv = head.landmarks_478.on(head.uv[None], head.uv_triangles)[0].numpy()
    return HeadLayout(
        head=head,
        size_px=map_px,
        texels=texels,
        skin=skin_texels(texel_map(head, displacement_px), head.part_names.index("skin")),
        position=texels.interpolate(head.skinned.template.numpy()),
        regions={name: np.clip(texels.interpolate(mask.numpy()), 0, 1) for name, mask in head.masks.items()},
        parts={name: texels.part == number for number, name in enumerate(head.part_names)},
        landmarks_px=np.stack([uv[:, 0] * map_px, (1 - uv[:, 1]) * map_px], 1).astype(np.float32),
        openness=openness(head.skinned.template, head.triangles),
    )


@torch.no_grad()
def openness(vertices: torch.Tensor, triangles: torch.Tensor) -> np.ndarray:
    """How much of the sky above each vertex is free, weighted by the cosine.

    Args:
        vertices: (V, 3) metres; triangles: (F, 3).

    Returns:
        (V,) float32 0-1.

    Source: ambient occlusion by depth images from directions spread over the sphere; own derivation.
    """
    normals = vertex_normals(vertices[None], triangles)[0]
    count = torch.arange(OCCLUSION_DIRECTIONS) + 0.5
    # a Fibonacci spiral covers the sphere evenly
    height, turn = 1 - 2 * count / OCCLUSION_DIRECTIONS, count * np.pi * (1 + 5**0.5)
    flat = (1 - height**2).sqrt()
    directions = torch.stack([flat * turn.cos(), height, flat * turn.sin()], -1)
    middle = (vertices.amin(0) + vertices.amax(0)) / 2
    scale = OCCLUSION_PX * 0.48 / float((vertices - middle).norm(dim=1).max())
    seen, possible = torch.zeros(len(vertices)), torch.zeros(len(vertices))
    for direction in directions:
        view = _seen_along(vertices - middle, direction)
        image = torch.cat([view[:, :2] * scale + OCCLUSION_PX / 2, view[:, 2:]], 1)
        cosine = (normals @ direction).clamp(min=0)
        seen += cosine * _unhidden(image, triangles)
        possible += cosine
    return (seen / possible.clamp(min=1e-6)).clamp(0, 1).numpy()


def _seen_along(points: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """(V, 3) points in a frame whose third axis runs away from the viewer."""
    helper = torch.tensor([1.0, 0.0, 0.0]) if abs(float(direction[1])) > 0.9 else torch.tensor([0.0, 1.0, 0.0])
    right = torch.nn.functional.normalize(torch.linalg.cross(helper, direction), dim=0)
    down = torch.linalg.cross(right, direction)
    return torch.stack([points @ right, points @ down, -(points @ direction)], -1)


def _unhidden(image: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """(V,) 0 or 1: whether a vertex lies at the front of its pixel."""
    fragments = rasterize(image[None], triangles, OCCLUSION_PX, OCCLUSION_PX)
    depth = fragments.interpolate(image[triangles][..., 2:])[0, ..., 0]
    depth = torch.where(fragments.triangle[0] >= 0, depth, torch.full_like(depth, 1e3))
    column, row = image[:, 0].long(), image[:, 1].long()
    return (image[:, 2] <= depth[row, column] + OCCLUSION_BIAS_M).float()


def landmark_area(layout: HeadLayout, outline: tuple[int, ...], softness_px: float) -> np.ndarray:
    """(N, N) 0-1, an area of the texture that a closed row of landmarks encloses, with a soft border."""
    mask = np.zeros((layout.size_px, layout.size_px), np.float32)
    points = np.round((layout.landmarks_px[list(outline)] - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 1.0, cv2.LINE_8, 4)
    return cv2.GaussianBlur(mask, (0, 0), max(softness_px, 0.3))
