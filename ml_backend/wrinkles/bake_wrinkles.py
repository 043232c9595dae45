"""The three wrinkle maps of an avatar: the photo's own wrinkles, and the prior's where the photo says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from addon.exchange.tension import WrinkleWeights, wrinkle_weights
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.displacement.bake_displacement import BakedDisplacement
from ml_backend.displacement.photo_wrinkles import split_photo
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.texel_map import TexelMap, texel_map
from ml_backend.wrinkles.distil import WrinkleScale
from ml_backend.wrinkles.distil_prior import (
    DistilledPrior,
    ExpressionTensions,
    depth_changes,
    distil_prior,
    sampled_tension_scale,
)
from ml_backend.wrinkles.prior import MAX_DISPLACEMENT_M, WrinklePrior, wrinkle_prior
from ml_backend.wrinkles.tension import uv_tension, vertex_tension
from ml_backend.wrinkles.wrinkle_surface import skin_texels, surface_of_head

# the photo's sha256 begins with this many hexadecimal digits of the person's seed: it stays below 2^32
SEED_DIGITS = 8


@dataclass(frozen=True)
class BakedWrinkles:
    """An avatar's wrinkle maps, and what playing the exact model needs.

    Attributes:
        neutral_mm, compressed_mm, expanded_mm: (N, N) float32, outwards along the normal.
        full_compression, full_stretch: tension and -tension at which the latter two show whole.
        error_um: what the maps miss of the prior (`DistilledPrior`); error_map_um: (M, M) the same as a picture.
        seed: the person's; age: 0-1, of the skin.
        anchors: landmark number -> (3,) metres on the neutral; line_gain: (V,) 0-1, the prior's part by vertex.
    """

    neutral_mm: np.ndarray
    compressed_mm: np.ndarray
    expanded_mm: np.ndarray
    full_compression: float
    full_stretch: float
    error_um: float
    error_map_um: np.ndarray
    seed: int
    age: float
    anchors: dict[int, np.ndarray]
    line_gain: np.ndarray


def person_seed(photo_sha256: str) -> int:
    """The seed of a person's lines: the same photo gives the same ones."""
    return int(photo_sha256[:SEED_DIGITS], 16)


@dataclass(frozen=True)
class DrawnWrinkles:
    """What is known of a person's wrinkles before the photo's relief is: the fitted head says all of it.

    Attributes:
        texels: of the maps; seed: the person's; age: 0-1.
        prior: the person's lines; changes: how each family's depth changes in the samples, `depth_changes`.
        scale, samples: the sampled expressions and the tensions at which the maps show whole.
        photo_weights: of the compressed and the expanded map in the photo's expression, (N, N).
    """

    texels: TexelMap
    seed: int
    age: float
    prior: WrinklePrior
    changes: tuple[np.ndarray, ...]
    scale: WrinkleScale
    samples: ExpressionTensions
    photo_weights: WrinkleWeights


@torch.no_grad()
def draw_wrinkles(head: HeadModel, fit: CoarseFit, size_px: int, seed: int, age: float) -> DrawnWrinkles:
    """Draw a person's lines on the fitted head.

    Args:
        head, fit: the fitted head.
        size_px: rows and columns of the maps.
        seed: the person's; age: 0 (smooth skin) to 1 (old skin).
    """
    surface = surface_of_head(head, fit.shape)
    texels = texel_map(head, size_px)
    scale, samples = sampled_tension_scale(surface)
    posed = head.vertices(fit.shape[None], fit.expression[None], fit.pose[None])
    tension = vertex_tension(surface.neutral, posed, surface.edges)
    weights = wrinkle_weights(uv_tension(tension, texels)[0, 0].numpy(), scale.full_compression, scale.full_stretch)
    prior = wrinkle_prior(surface, skin_texels(texels, head.part_names.index("skin")), seed, age)
    return DrawnWrinkles(texels, seed, age, prior, depth_changes(prior, samples), scale, samples, weights)


def bake_wrinkles(drawn: DrawnWrinkles, displacement: BakedDisplacement) -> BakedWrinkles:
    """Make the wrinkle maps of a person.

    Args:
        drawn: the person's lines, on maps of the displacement's size.
        displacement: read off the photo.
    """
    photo = split_photo(displacement, drawn.photo_weights.compressed, drawn.photo_weights.expanded, drawn.age)
    evidence = np.stack([displacement.evidence, photo.explained], -1)
    known, _ = drawn.texels.vertex_means(evidence, np.ones(evidence.shape[:2], np.float32))
    distilled = distil_prior(
        drawn.prior, drawn.scale, drawn.samples, rest_gain=1 - known[:, 0], line_gain=1 - known[:, 1],
        changes=drawn.changes,
    )  # fmt: skip
    pores_mm = 1e3 * drawn.prior.pores_m * (1 - displacement.evidence)
    neutral = photo.neutral_mm + pores_mm + 1e3 * distilled.rest_m
    compressed = neutral + photo.compressed_mm + 1e3 * distilled.compressed_m
    expanded = neutral + photo.expanded_mm + 1e3 * distilled.expanded_m
    anchors = drawn.prior.surface.anchors
    return _baked(neutral, compressed, expanded, distilled, drawn.seed, drawn.age, anchors, 1 - known[:, 1])


def _baked(
    neutral: np.ndarray, compressed: np.ndarray, expanded: np.ndarray, distilled: DistilledPrior, seed: int,
    age: float, anchors: dict[int, np.ndarray], line_gain: np.ndarray,
) -> BakedWrinkles:  # fmt: skip
    limit = 1e3 * MAX_DISPLACEMENT_M
    maps = (np.clip(values, -limit, limit).astype(np.float32) for values in (neutral, compressed, expanded))
    scale = distilled.scale
    return BakedWrinkles(
        *maps, scale.full_compression, scale.full_stretch, distilled.error_um, 1e6 * distilled.error_map_m, seed, age,
        anchors, line_gain.astype(np.float32),
    )  # fmt: skip
