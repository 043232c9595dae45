"""The detail networks: a UNet teacher, and a student whose wrinkles follow tension (first paper, section 3.3).

The student is a masked autoencoder without masking, D = A(I, T_UV, x_d). The encoder reads the unwrapped photo and the
learned patch-wise latent x_d; tension enters with the decoder alone. So a photo is encoded once, and each further
tension costs a decoder pass: what distilling an avatar's wrinkle maps needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from ml_backend.learned.detail_input import NUM_TEXTURE_CHANNELS
from ml_backend.learned.plain_vit import Block

# The paper's bound on the displacement, metres.
MAX_DISPLACEMENT_M = 0.01
# What 1 at the end of a network means, before the bound: wrinkles are 0.05 to 1 mm deep, and begin to grow at once.
OUTPUT_UNIT_M = 5e-4
# The last layer starts this much smaller than usual, so that training starts near the smooth head.
FIRST_OUTPUT_SIZE = 0.1
# Spread at which the latents and the places start, as usual in vision transformers.
TOKEN_SPREAD = 0.02
# The teacher's reading as it is and mirrored, and the weights with which they begin.
NUM_RELIEFS, FIRST_GAINS = 2, (0.5, 0.0)
# The decoder's images start with a grid of cells this many texels wide.
CELL_PX = 4
MAE, RESNET = "mae", "resnet"


@dataclass(frozen=True)
class TeacherConfig:
    """How the UNet teacher is built.

    Attributes:
        widths: channels at full, half, quarter, ... resolution.
    """

    widths: tuple[int, ...] = (12, 24, 48, 96)


@dataclass(frozen=True)
class DetailConfig:
    """How the student is built.

    Attributes:
        body: MAE, or RESNET for the ablation with convolutions throughout.
        window_px: N, side of the window; patch_px: side of a patch.
        width: size of a token; heads: of the attention.
        encoder_blocks, decoder_blocks: transformer blocks before and after tension enters (residual blocks for RESNET).
        stem: channels of the convolutions that embed the photo's patches, halving the resolution each.
        cell_channels: channels of the images that the tokens are turned into.
        skip: hand the stem's fine features, weighted by the tokens, to the last layers.
        tension: False for the ablation without tension.
        teacher: the UNet whose reading of the photo the student begins from, and which is a part of it that is not
            trained; None for the first paper's student, which sees the photo alone.
    """

    body: str = MAE
    window_px: int = 256
    patch_px: int = 16
    width: int = 192
    heads: int = 6
    encoder_blocks: int = 5
    decoder_blocks: int = 2
    stem: tuple[int, ...] = (16, 32, 64)
    cell_channels: int = 32
    skip: bool = True
    tension: bool = True
    teacher: TeacherConfig | None = None

    def __post_init__(self) -> None:
        if self.body not in (MAE, RESNET):
            raise ValueError(f"body is {self.body}, not {MAE} or {RESNET}")
        if 2 ** (len(self.stem) + 1) != self.patch_px or self.window_px % self.patch_px or self.width % self.heads:
            raise ValueError("stem, patch_px, window_px, width and heads do not fit together")

    @property
    def grid(self) -> int:
        """Patches a side."""
        return self.window_px // self.patch_px


@dataclass(frozen=True)
class EncodedFace:
    """What the student keeps of a photo, for any number of tensions.

    Attributes:
        tokens: (B, P, width), P patches row by row.
        fine: (B, F, N / 4, N / 4) the stem's features, None without skip.
        relief: (B, 1, N, N) metres, the teacher's reading of the photo, None without one.
    """

    tokens: torch.Tensor
    fine: torch.Tensor | None
    relief: torch.Tensor | None = None

    def select(self, index: torch.Tensor) -> EncodedFace:
        """Some of the photos, or the photos in another order."""
        return EncodedFace(*(None if part is None else part[index] for part in (self.tokens, self.fine, self.relief)))

    def repeat(self, count: int) -> EncodedFace:
        """One photo as often as there are tensions."""
        return self.select(torch.zeros(count, dtype=torch.int64, device=self.tokens.device))


class DisplacementNetwork(Protocol):
    """What losses and evaluations need of a network."""

    def __call__(self, texture: torch.Tensor, tension: torch.Tensor) -> torch.Tensor: ...


def bounded(output: torch.Tensor) -> torch.Tensor:
    """Metres within +-MAX_DISPLACEMENT_M of a network's raw output in OUTPUT_UNIT_M (linear near 0)."""
    return MAX_DISPLACEMENT_M * torch.tanh(output.float() * (OUTPUT_UNIT_M / MAX_DISPLACEMENT_M))


def num_parameters(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def _convolved(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation over groups of 4 channels or more, and a smooth step."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.GroupNorm(max(1, channels_out // 8), channels_out),
        nn.GELU(),
    )


def _starting_small(layer: nn.Conv2d) -> nn.Conv2d:
    with torch.no_grad():
        layer.weight.mul_(FIRST_OUTPUT_SIZE)
        layer.bias.zero_()
    return layer


class UNetTeacher(nn.Module):
    """D_UNet: displacement from the unwrapped photo alone, by a shallow UNet.

    Source: first paper, section 3.3 (a shallow UNet, whose skip connections place details well).
    """

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.first = _convolved(NUM_TEXTURE_CHANNELS, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_convolved(coarse_in, coarse, 2), _convolved(coarse, coarse))
            for coarse_in, coarse in pairwise(widths)
        )
        self.up = nn.ModuleList(
            _convolved(widths[level + 1] + widths[level], widths[level]) for level in reversed(range(len(widths) - 1))
        )
        self.last = _starting_small(nn.Conv2d(widths[0], 1, 3, padding=1))

    def forward(self, texture: torch.Tensor) -> torch.Tensor:
        """Displacement of an unwrapped photo.

        Args:
            texture: (B, NUM_TEXTURE_CHANNELS, N, N) from `detail_input.network_input`; N a multiple of 2^levels.

        Returns:
            (B, 1, N, N) metres outwards, within +-MAX_DISPLACEMENT_M.
        """
        levels = [self.first(texture)]
        for down in self.down:
            levels.append(down(levels[-1]))
        values = levels.pop()
        for up in self.up:
            values = functional.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
            values = up(torch.cat([values, levels.pop()], 1))
        return bounded(self.last(values))


class DetailStudent(nn.Module):
    """D = A(I, T_UV, x_d): the displacement of the person in a photo at any tension.

    `encoder` and `decoder` are lists of transformer blocks; bottleneck adapters of a person belong behind `block.mlp`,
    the feed-forward layers of each block, and need no change here.

    Args:
        config: what to build.

    Source: first paper, section 3.3: a masked autoencoder with zero masking, the patch-wise latent x_d shared by all
    people. Ours, for training on little data: the convolutions before and after the blocks (in place of one linear
    layer each), and that the teacher's reading of the photo, and its mirror image, join the output with weights that
    the tokens say: what the teacher knows need not be learned again, only how much of it shows at which tension. Ours,
    for speed: tension enters with the decoder.
    """

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        patches, width = config.grid**2, config.width
        self.teacher = None if config.teacher is None else UNetTeacher(config.teacher).requires_grad_(False)
        # beside the photo: its own tension, and what the teacher reads off it
        more = int(config.tension) + int(config.teacher is not None)
        channels = (NUM_TEXTURE_CHANNELS + more, *config.stem)
        self.stem = nn.ModuleList(_convolved(a, b, 2) for a, b in pairwise(channels))
        self.embed_texture = nn.Conv2d(config.stem[-1], width, 2, 2)
        self.place = nn.Parameter(TOKEN_SPREAD * torch.randn(1, patches, width))
        self.x_d = nn.Parameter(TOKEN_SPREAD * torch.randn(1, patches, width))
        self.encoder = _blocks(config, config.encoder_blocks)
        self.embed_tension = nn.Sequential(
            nn.Conv2d(1, width, config.patch_px, config.patch_px), nn.GELU(), nn.Conv2d(width, 2 * width, 1)
        )
        self.decoder = _blocks(config, config.decoder_blocks)
        self.norm = nn.LayerNorm(width)
        self.head = _PatchHead(config)
        if config.teacher is not None:
            gains = NUM_RELIEFS * (config.patch_px // CELL_PX) ** 2
            self.to_gains = _starting_small(nn.Conv2d(config.width, gains, 1))

    def encode(self, texture: torch.Tensor, tension: torch.Tensor) -> EncodedFace:
        """Read unwrapped photos.

        Args:
            texture: (B, NUM_TEXTURE_CHANNELS, N, N) from `detail_input.network_input`.
            tension: (B, 1, N, N) of the photos' own expressions.
        """
        relief, seen = None, [texture]
        if self.config.tension:
            seen.append(tension)
        if self.teacher is not None:
            with torch.no_grad():
                relief = self.teacher(texture)
            seen.append(relief / OUTPUT_UNIT_M)
        fine, values = None, torch.cat(seen, 1)
        for level, convolve in enumerate(self.stem):
            values = convolve(values)
            if level == 1:
                fine = values
        tokens = self.embed_texture(values).flatten(2).transpose(1, 2) + self.place + self.x_d
        return EncodedFace(self._through(self.encoder, tokens), fine if self.config.skip else None, relief)

    def decode(self, face: EncodedFace, tension: torch.Tensor) -> torch.Tensor:
        """The displacement of encoded photos at given tensions.

        Args:
            face: of B photos; tension: (B, 1, N, N), compression > 0.

        Returns:
            (B, 1, N, N) metres outwards, within +-MAX_DISPLACEMENT_M.
        """
        tokens = face.tokens
        if self.config.tension:
            scale, shift = self.embed_tension(tension).flatten(2).transpose(1, 2).chunk(2, -1)
            tokens = tokens * (1 + scale) + shift
        tokens = self.norm(self._through(self.decoder, tokens + self.place))
        grid = self.config.grid
        image = tokens.transpose(1, 2).reshape(len(tokens), -1, grid, grid)
        output = self.head(image, face.fine)
        if face.relief is not None:
            output = output + self._read_relief(image, face.relief) / OUTPUT_UNIT_M
        return bounded(output)

    def forward(self, texture: torch.Tensor, tension: torch.Tensor) -> torch.Tensor:
        """The displacement of photos at their own tensions (`encode`, then `decode`)."""
        return self.decode(self.encode(texture, tension), tension)

    def _read_relief(self, tokens: torch.Tensor, relief: torch.Tensor) -> torch.Tensor:
        """(B, 1, N, N) the teacher's reading and its mirror image, weighted; the window is symmetric."""
        gains = functional.pixel_shuffle(self.to_gains(tokens), self.config.patch_px // CELL_PX)
        gains = functional.interpolate(gains, scale_factor=CELL_PX, mode="bilinear", align_corners=False)
        reliefs = torch.cat([relief, relief.flip(-1)], 1)
        return ((gains + gains.new_tensor(FIRST_GAINS)[:, None, None]) * reliefs).sum(1, keepdim=True)

    def _through(self, blocks: nn.ModuleList, tokens: torch.Tensor) -> torch.Tensor:
        grid = self.config.grid
        for block in blocks:
            if self.config.body == MAE:
                tokens = block(tokens)
            else:
                image = tokens.transpose(1, 2).reshape(len(tokens), -1, grid, grid)
                tokens = (image + block(image)).flatten(2).transpose(1, 2)
        return tokens


def _blocks(config: DetailConfig, count: int) -> nn.ModuleList:
    """Transformer blocks, or residual blocks of two convolutions for the ablation."""
    if config.body == MAE:
        return nn.ModuleList(Block(config.width, config.heads) for _ in range(count))
    # a bottleneck of half the width: about the transformer block's parameters
    narrow = config.width // 2
    return nn.ModuleList(
        nn.Sequential(
            _convolved(config.width, narrow), _convolved(narrow, narrow), nn.Conv2d(narrow, config.width, 3, padding=1)
        )
        for _ in range(count)
    )


class _PatchHead(nn.Module):
    """Tokens to texels: a linear layer to cells of CELL_PX texels, then two steps of convolution and finer texels."""

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.cells = config.patch_px // CELL_PX
        channels = config.cell_channels
        gates = config.stem[1] if config.skip else 0
        self.channels = channels
        self.to_cells = nn.Conv2d(config.width, (channels + gates) * self.cells**2, 1)
        self.mix = nn.Sequential(nn.Conv2d(channels + gates, channels, 3, padding=1), nn.GELU())
        self.finer = nn.Sequential(nn.Conv2d(channels // 4, channels, 3, padding=1), nn.GELU())
        self.last = _starting_small(nn.Conv2d(channels // 4, 1, 3, padding=1))

    def forward(self, tokens: torch.Tensor, fine: torch.Tensor | None) -> torch.Tensor:
        """(B, 1, N, N) raw output of tokens (B, width, grid, grid) and, with skip, the stem's fine features."""
        values = functional.pixel_shuffle(self.to_cells(tokens), self.cells)
        if fine is not None:
            values = torch.cat([values[:, : self.channels], values[:, self.channels :] * fine], 1)
        values = functional.pixel_shuffle(self.mix(values), 2)
        return self.last(functional.pixel_shuffle(self.finer(values), 2))
