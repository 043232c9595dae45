"""Batches of face crops for the coarse stage, and how they are varied without losing their truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ml_backend.head.skinning import SkinnedModel
from ml_backend.learned.head_code import HeadCode
from ml_backend.learned.view_motion import ImageSimilarity, move_view
from ml_backend.training.face_samples import TRUTH
from ml_backend.training.sample_cache import Sample

# luma of sRGB values (ITU-R BT.601)
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class CoarseBatch:
    """Face crops and what is known of them.

    Attributes:
        image: (B,3,H,W) sRGB, 0-1.
        landmarks_68: (B,68,2); landmarks_478: (B,478,2): crop coordinates, -1 to 1, y down.
        skin: (B,H,W) 0-1, visible skin.
        eye_distance: (B,) between the outer eye corners in three dimensions, crop coordinates.
        truth: of rendered faces; None for photos, whose landmarks are the tracker's.
        tracked: (B,478,2) what a tracker would say of the landmarks (tracker_noise.py), NaN where it is left out; None
            where nothing shall be known of them.
    """

    image: torch.Tensor
    landmarks_68: torch.Tensor
    landmarks_478: torch.Tensor
    skin: torch.Tensor
    eye_distance: torch.Tensor
    truth: HeadCode | None
    tracked: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> CoarseBatch:
        """The same on another device."""
        tensors = (self.image, self.landmarks_68, self.landmarks_478, self.skin, self.eye_distance)
        truth, tracked = (None if value is None else value.to(device) for value in (self.truth, self.tracked))
        return CoarseBatch(*(value.to(device) for value in tensors), truth, tracked)

    def __len__(self) -> int:
        return len(self.image)

    def resized(self, size_px: int) -> CoarseBatch:
        """The same with images and masks of another size, prefiltered."""
        if self.image.shape[-1] == size_px:
            return self
        return replace(self, image=_resize(self.image, size_px), skin=_resize(self.skin[:, None], size_px)[:, 0])


@dataclass(frozen=True)
class AugmentationSettings:
    """How batches are varied; the config's table [augmentation]. Zero leaves out.

    Attributes:
        roll: radians, scale: share, shift: half crops: up to so far the crop is turned, scaled and moved.
        brightness, contrast, saturation: up to this share more or less.
        mirrored_share: of rendered faces, shown as in a mirror.
        untracked_share: of the faces whose landmarks the encoder is not told, where it reads them.
        erased_share: of the images, from which a rectangle is erased; erased_side: up to this share of the crop's.
    """

    roll: float = 0.08
    scale: float = 0.05
    shift: float = 0.04
    brightness: float = 0.08
    contrast: float = 0.1
    saturation: float = 0.15
    mirrored_share: float = 0.0
    untracked_share: float = 0.1
    erased_share: float = 0.25
    erased_side: float = 0.35


def collate(samples: list[Sample]) -> CoarseBatch:
    """Put samples into a batch."""

    def stacked(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([sample[name] for sample in samples]).astype(np.float32))

    truth = None
    if all(name in samples[0] for name in TRUTH):
        truth = HeadCode(*(stacked(name) for name in TRUTH))
    return CoarseBatch(
        image=stacked("image").permute(0, 3, 1, 2).contiguous() / 255,
        landmarks_68=stacked("landmarks_68"),
        landmarks_478=stacked("landmarks_478"),
        skin=stacked("skin_mask") / 255,
        eye_distance=stacked("eye_distance"),
        truth=truth,
    )


def augment(
    batch: CoarseBatch, settings: AugmentationSettings, model: SkinnedModel, chance: torch.Generator
) -> CoarseBatch:
    """Vary a batch; landmarks, masks and truth follow exactly.

    Args:
        model: of the truth's heads, whose root joint the global rotation turns about.
        chance: where the variation comes from.
    """
    moved = move_batch(batch, _random_motion(len(batch), settings, chance), model)
    return replace(moved, image=_erased(_recoloured(moved.image, settings, chance), settings, chance))


def move_batch(batch: CoarseBatch, motion: ImageSimilarity, model: SkinnedModel) -> CoarseBatch:
    """Turn, scale and shift the crops' content; black comes in from outside.

    Args:
        motion: of crop coordinates.
        model: of the truth's heads.
    """
    inverse = torch.linalg.inv(motion.matrix)
    theta = torch.cat([inverse, -inverse @ motion.shift[..., None]], 2)
    grid = torch.nn.functional.affine_grid(theta, list(batch.image.shape), align_corners=False)
    layers = torch.cat([batch.image, batch.skin[:, None]], 1)
    layers = torch.nn.functional.grid_sample(layers, grid, align_corners=False)
    truth = batch.truth
    if truth is not None:
        root = model.joints(truth.shape)[:, 0]
        view = move_view(truth.pose, truth.camera, truth.light, root, motion)
        truth = replace(truth, pose=view.pose, camera=view.camera, light=view.light)
    return CoarseBatch(
        image=layers[:, :3],
        landmarks_68=motion.apply(batch.landmarks_68),
        landmarks_478=motion.apply(batch.landmarks_478),
        skin=layers[:, 3],
        eye_distance=batch.eye_distance * motion.scale,
        truth=truth,
    )


def _random_motion(count: int, settings: AugmentationSettings, chance: torch.Generator) -> ImageSimilarity:
    roll, scale = (2 * torch.rand(2, count, generator=chance) - 1).unbind(0)
    shift = 2 * torch.rand(count, 2, generator=chance) - 1
    return ImageSimilarity(1 + settings.scale * scale, settings.roll * roll, settings.shift * shift)


def _recoloured(image: torch.Tensor, settings: AugmentationSettings, chance: torch.Generator) -> torch.Tensor:
    """Brightness, contrast about the mean and saturation, each image its own."""
    reach = torch.tensor([settings.brightness, settings.contrast, settings.saturation])
    factors = 1 + reach * (2 * torch.rand(len(image), 3, generator=chance) - 1)
    brightness, contrast, saturation = factors[..., None, None, None].unbind(1)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = (image - mean) * contrast + mean * brightness
    grey = (image * image.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    return (grey + (image - grey) * saturation).clamp(0, 1)


def _erased(image: torch.Tensor, settings: AugmentationSettings, chance: torch.Generator) -> torch.Tensor:
    """A rectangle of one random colour in some of the images."""
    count, _, height, width = image.shape
    side = settings.erased_side * torch.rand(count, 2, generator=chance)
    corner = torch.rand(count, 2, generator=chance) * (1 - side)
    colour = torch.rand(count, 3, 1, 1, generator=chance)
    chosen = torch.rand(count, generator=chance) < settings.erased_share
    y, x = torch.arange(height) / height, torch.arange(width) / width
    rows = (y >= corner[:, :1]) & (y < (corner + side)[:, :1])
    columns = (x >= corner[:, 1:]) & (x < (corner + side)[:, 1:])
    inside = (rows[:, :, None] & columns[:, None, :] & chosen[:, None, None])[:, None]
    return torch.where(inside, colour, image)


def _resize(image: torch.Tensor, size_px: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(image, (size_px, size_px), mode="bilinear", antialias=True)
