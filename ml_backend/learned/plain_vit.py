"""A plain vision transformer in torch alone, for reading heads off photos, and its block, for the detail network.

timm builds the encoder's bodies for training. To import it takes about as long as all else of a first avatar, and it
brings torchvision and a client for downloads along, which an artist has no need of. The parameters here have timm's
names, so that its weights load; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

PATCH_PX = 16
CHANNELS_OF_HIDDEN = 4
NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class VitSize:
    """Width of the tokens, number of blocks, heads of the attention."""

    width: int
    depth: int
    heads: int


# timm's names of the bodies that can be built here
SIZES = {
    "vit_tiny_patch16_224": VitSize(192, 12, 3),
    "vit_small_patch16_224": VitSize(384, 12, 6),
    "vit_base_patch16_224": VitSize(768, 12, 12),
}


class PlainVisionTransformer(torch.nn.Module):
    """Class token of images of one size.

    Args:
        size: of the transformer.
        image_px: side of the images, a multiple of PATCH_PX.

    Source: Dosovitskiy et al., An image is worth 16x16 words (2021), section 3.1.
    """

    def __init__(self, size: VitSize, image_px: int) -> None:
        super().__init__()
        self.num_features = size.width
        self.patch_embed = torch.nn.Module()
        self.patch_embed.proj = torch.nn.Conv2d(3, size.width, PATCH_PX, PATCH_PX)
        self.cls_token = torch.nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = torch.nn.Parameter(torch.zeros(1, (image_px // PATCH_PX) ** 2 + 1, size.width))
        self.blocks = torch.nn.ModuleList(Block(size.width, size.heads) for _ in range(size.depth))
        self.norm = torch.nn.LayerNorm(size.width, NORM_EPSILON)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B,width) class tokens of images (B,3,H,W)."""
        patches = self.patch_embed.proj(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 0]


class Block(torch.nn.Module):
    """Attention and feed-forward layer, each added to what comes in.

    Args:
        width: size of a token; heads: of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = torch.nn.LayerNorm(width, NORM_EPSILON)
        self.attn = _Attention(width, heads)
        self.norm2 = torch.nn.LayerNorm(width, NORM_EPSILON)
        self.mlp = _FeedForward(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B,P,width) of tokens (B,P,width)."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class _FeedForward(torch.nn.Module):
    """Two linear layers at each token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = torch.nn.Linear(width, CHANNELS_OF_HIDDEN * width)
        self.fc2 = torch.nn.Linear(CHANNELS_OF_HIDDEN * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fc2(torch.nn.functional.gelu(self.fc1(tokens)))


class _Attention(torch.nn.Module):
    """Self-attention of several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = torch.nn.Linear(width, 3 * width)
        self.proj = torch.nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, width = tokens.shape
        parts = self.qkv(tokens).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).reshape(batch, count, width))


def plain_body(name: str, image_px: int) -> PlainVisionTransformer | None:
    """The transformer of timm's name, without timm; None where it cannot be built here."""
    return PlainVisionTransformer(SIZES[name], image_px) if name in SIZES else None
