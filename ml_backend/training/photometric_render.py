"""The rendered face of the photometric loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ml_backend.head.albedo_model import LEAST_ALBEDO, AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.head_code import HeadCode
from ml_backend.rendering.mesh_renderer import MeshLayout, MeshRenderer
from ml_backend.training.coarse_batch import CoarseBatch
from ml_backend.training.coarse_surface import skinned_on

# A texel of this side for the whole head is as large as a pixel of a 64-pixel crop, 4 mm.
TEXTURE_PX = 128
# regions of the face without the albedo basis's skin
NOT_SKIN = ("inner_mouth", "brows")
# skin in both images: the share of a pixel
SKIN_SHARE = 0.5
# linear light below this has an infinite slope as sRGB nearly: night black
LEAST_LIGHT = 0.002


@dataclass(frozen=True)
class RenderedFaces:
    """Colours (B,H,W,3) sRGB 0-1, and mask (B,H,W) 1 where skin of the face is seen (no gradient)."""

    colour: torch.Tensor
    mask: torch.Tensor


class PhotometricRender:
    """Renders heads for comparison with their crops.

    Args:
        head, albedo: what the codes mean; size_px: side of the images; device: of the codes.

    Source: first paper, section 3.1 (U = A * sum of l_k H_k(N)).
    """

    def __init__(self, head: HeadModel, albedo: AlbedoModel, size_px: int, device: torch.device | str) -> None:
        region = (head.masks["face"] > 0.5).float()
        for name in NOT_SKIN:
            region = region * (head.masks[name] < 0.5)
        region[head.triangles[head.triangle_part != head.part_names.index("skin")].unique()] = 0
        self.skinned, self.size_px = skinned_on(head.skinned, device), size_px
        self.mean = _reduced(albedo.mean[None])[0].to(device)
        self.basis = _reduced(albedo.basis).to(device)
        layout = MeshLayout.of_head(head).to(device)
        self.region = region[head.triangles][..., None].to(device)
        self.renderer = MeshRenderer(layout, size_px, size_px)

    def __call__(self, code: HeadCode) -> RenderedFaces:
        """Render codes; gradients flow to all of them."""
        vertices = self.skinned.positions(code.shape, code.expression, code.pose)
        pixels = torch.cat([(code.project(vertices) + 1) * (self.size_px / 2), -vertices[..., 2:]], -1)
        texture = (self.mean + torch.einsum("ba,ahwc->bhwc", code.albedo, self.basis)).clamp(min=LEAST_ALBEDO)
        picture = self.renderer.render(vertices, pixels, texture, code.light)
        with torch.no_grad():
            region = picture.fragments.interpolate(self.region)[..., 0]
        return RenderedFaces(srgb(picture.colour), (region > SKIN_SHARE).to(region.dtype))

    def target(self, batch: CoarseBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch's crops (B,H,W,3) sRGB and their skin (B,H,W), 0 or 1, at this size."""
        small = batch.resized(self.size_px)
        return small.image.permute(0, 2, 3, 1), (small.skin > SKIN_SHARE).to(small.image.dtype)


def _reduced(images: torch.Tensor) -> torch.Tensor:
    """(N,R,R,3) images at no more than TEXTURE_PX, prefiltered."""
    size = min(TEXTURE_PX, images.shape[1])
    planes = torch.nn.functional.interpolate(images.movedim(-1, 1), (size, size), mode="bilinear", antialias=True)
    return planes.movedim(1, -1)


def srgb(linear: torch.Tensor) -> torch.Tensor:
    """sRGB of linear light, with gradients; above 1 it goes on, so that light that is too bright can come back.

    Source: IEC 61966-2-1.
    """
    bright = 1.055 * linear.clamp(min=LEAST_LIGHT) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, bright)
