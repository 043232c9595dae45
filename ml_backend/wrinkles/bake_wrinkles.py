"""The three wrinkle maps of an avatar: the photo's own wrinkles; where it says little, the learned detail's; and the
prior's as far as the learned detail falls short of what skin does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from addon.exchange.avatar_package import AvatarDetail
from addon.exchange.tension import WrinkleWeights, wrinkle_weights
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.displacement.bake_displacement import BakedDisplacement
from ml_backend.displacement.photo_wrinkles import split_photo
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_networks import DetailStudent
from ml_backend.learned.person_detail import read_person
from ml_backend.texture.photo_projection import pose_head
from ml_backend.texture.texel_map import TexelMap, texel_map
from ml_backend.tracking.face_tracker import TrackedFace
from ml_backend.wrinkles.distil import WrinkleScale
from ml_backend.wrinkles.distil_prior import (
    DistilledPrior,
    ExpressionTensions,
    depth_changes,
    distil_prior,
    sampled_tension_scale,
)
from ml_backend.wrinkles.learned_wrinkles import LearnedWrinkles, distil_person
from ml_backend.wrinkles.prior import MAX_DISPLACEMENT_M, WrinklePrior, wrinkle_prior
from ml_backend.wrinkles.tension import uv_tension, vertex_tension
from ml_backend.wrinkles.wrinkle_surface import skin_texels, surface_of_head

# the photo's sha256 begins with this many hexadecimal digits of the person's seed: it stays below 2^32
SEED_DIGITS = 8
# Energies of reliefs are compared as means over this share of the maps' side (a Gaussian; 5 mm on a face).
ENERGY_SPREAD_SHARE = 0.012
# so smooth an image is worked out on a grid this much coarser
ENERGY_REDUCTION = 4
# Where the learned detail speaks, this share of the photo's own relief ("dark is deep") gives way to it. On rendered
# faces all of it should: what is dark there is seldom deep (correlation with the truth 0.05). On photographs it holds
# crow's feet and bags that the network, trained on rendered faces, does not know: by eye.
GIVEN_UP = 0.5
# energy below which there are no lines: of a relief of a tenth of a micrometre
LEAST_ENERGY_M2 = 1e-14


@dataclass(frozen=True)
class BakedWrinkles:
    """An avatar's wrinkle maps, and what playing the exact model needs.

    Attributes:
        neutral_mm, compressed_mm, expanded_mm: (N, N) float32, outwards along the normal.
        full_compression, full_stretch: tension and -tension at which the latter two show whole.
        error_um: what the maps miss of the prior (`DistilledPrior`); error_map_um: (M, M) the same as a picture.
        seed: the person's; age: 0-1, of the skin.
        anchors: landmark number -> (3,) metres on the neutral; line_gain: (V,) 0-1, the prior's part by vertex.
        detail: the photo as the detail network has read it, and how far that counts; None without learned detail.
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
    detail: AvatarDetail | None = None


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
        photo_tension: (V,) of the photo's expression.
        photo_weights: of the compressed and the expanded map in that expression, (N, N).
    """

    texels: TexelMap
    seed: int
    age: float
    prior: WrinklePrior
    changes: tuple[np.ndarray, ...]
    scale: WrinkleScale
    samples: ExpressionTensions
    photo_tension: torch.Tensor
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
    return DrawnWrinkles(texels, seed, age, prior, depth_changes(prior, samples), scale, samples, tension[0], weights)


@torch.no_grad()
def learn_wrinkles(
    student: DetailStudent, pixels: np.ndarray, face: TrackedFace, head: HeadModel, fit: CoarseFit, drawn: DrawnWrinkles
) -> LearnedWrinkles:
    """Read a person's wrinkles, and how they move, off the photo.

    Args:
        student: of the head; pixels: (H, W, 3) uint8 sRGB; face: the tracker's landmarks on it.
        head, fit: the fitted head; drawn: on it, says which expressions the maps are distilled over.
    """
    posed = pose_head(head, fit, np.asarray(face.landmarks_px, np.float32)[:, :2])
    person = read_person(student, pixels, posed, head, drawn.photo_tension)
    return distil_person(person, drawn.scale, drawn.samples, drawn.texels.size_px)


@torch.no_grad()
def bake_wrinkles(
    drawn: DrawnWrinkles, displacement: BakedDisplacement, learned: LearnedWrinkles | None = None
) -> BakedWrinkles:
    """Make the wrinkle maps of a person.

    Args:
        drawn: the person's lines, on maps of the displacement's size.
        displacement: read off the photo.
        learned: what the detail network says of the person (`learn_wrinkles`); None: the prior says all.
    """
    trusted = displacement if learned is None else with_less_wrinkles(displacement, GIVEN_UP * learned.weight)
    photo = split_photo(trusted, drawn.photo_weights.compressed, drawn.photo_weights.expanded, drawn.age)
    evidence = np.stack([trusted.evidence, photo.explained], -1)
    known, _ = drawn.texels.vertex_means(evidence, np.ones(evidence.shape[:2], np.float32))
    unknown = (1 - known).astype(np.float32)
    distilled = _distilled(drawn, unknown)
    line_gain = unknown[:, 1]
    detail = None
    if learned is not None:
        left = unknown * left_to_prior(drawn, learned, distilled, unknown)
        distilled, line_gain = _distilled(drawn, left), left[:, 1]
        distilled = _with_learned(distilled, learned, drawn.texels.interpolate(unknown))
        unwrapped = learned.person.unwrapped
        detail = AvatarDetail(unknown[:, 1], unwrapped.texture, unwrapped.confidence)
    neutral = photo.neutral_mm + 1e3 * (drawn.prior.pores_m * (1 - displacement.evidence) + distilled.rest_m)
    maps_mm = (
        neutral,
        neutral + photo.compressed_mm + 1e3 * distilled.compressed_m,
        neutral + photo.expanded_mm + 1e3 * distilled.expanded_m,
    )
    limit = 1e3 * MAX_DISPLACEMENT_M
    scale = distilled.scale
    return BakedWrinkles(
        *(np.clip(values, -limit, limit).astype(np.float32) for values in maps_mm),
        scale.full_compression, scale.full_stretch, distilled.error_um, 1e6 * distilled.error_map_m,
        drawn.seed, drawn.age, drawn.prior.surface.anchors, line_gain.astype(np.float32), detail,
    )  # fmt: skip


def _distilled(drawn: DrawnWrinkles, gains: np.ndarray) -> DistilledPrior:
    """The prior's maps; gains: (V, 2) of the lines at rest and of what expressions add."""
    return distil_prior(
        drawn.prior, drawn.scale, drawn.samples, rest_gain=gains[:, 0], line_gain=gains[:, 1], changes=drawn.changes
    )


def with_less_wrinkles(displacement: BakedDisplacement, taken: np.ndarray) -> BakedDisplacement:
    """A photo's relief with this share (N, N) of its wrinkles taken away, and its pores as they are."""
    kept = 1 - taken
    offset = displacement.offset_mm - taken * displacement.wrinkle_mm
    return BakedDisplacement(offset, kept * displacement.wrinkle_mm, kept * displacement.evidence)


def left_to_prior(
    drawn: DrawnWrinkles, learned: LearnedWrinkles, distilled: DistilledPrior, unknown: np.ndarray
) -> np.ndarray:
    """How much of the prior's lines stays beside the learned detail.

    The network says the mean of what skin like this does: where it cannot know a line's place it says little. The
    prior draws one example of what skin does. So that the relief has the prior's energy E_p, of which the network says
    E_l, the prior's lines stay with the factor sqrt(1 - E_l / E_p): the mean, and the spread about it.

    Args:
        drawn: the person's lines; distilled: the same as maps, with the gains `unknown` (V, 2).
        learned: what the network says.

    Returns:
        (V, 2) 0-1, of the lines at rest and of what expressions add.

    Source: own derivation (the law of total variance).
    """
    gain = drawn.texels.interpolate(unknown)
    size = drawn.texels.size_px
    small = (size // ENERGY_REDUCTION, size // ENERGY_REDUCTION)

    def energy(*maps: np.ndarray) -> np.ndarray:
        squares = cv2.resize(sum(values * values for values in maps), small, interpolation=cv2.INTER_AREA)
        return cv2.GaussianBlur(squares, (0, 0), ENERGY_SPREAD_SHARE * small[0])

    said = (
        energy(learned.rest_m * gain[..., 0]),
        energy(learned.compressed_m * gain[..., 1], learned.expanded_m * gain[..., 1]),
    )
    usual = energy(distilled.rest_m), energy(distilled.compressed_m, distilled.expanded_m)
    left = [np.sqrt(np.clip(1 - a / np.maximum(b, LEAST_ENERGY_M2), 0, 1)) for a, b in zip(said, usual, strict=True)]
    whole = cv2.resize(np.stack(left, -1).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    by_vertex, _ = drawn.texels.vertex_means(whole, np.ones((size, size), np.float32))
    return by_vertex


def _with_learned(distilled: DistilledPrior, learned: LearnedWrinkles, gain: np.ndarray) -> DistilledPrior:
    """The prior's maps with the learned ones added, as far as the photo leaves them to say: gain (N, N, 2)."""
    return replace(
        distilled,
        rest_m=distilled.rest_m + gain[..., 0] * learned.rest_m,
        compressed_m=distilled.compressed_m + gain[..., 1] * learned.compressed_m,
        expanded_m=distilled.expanded_m + gain[..., 1] * learned.expanded_m,
        # what the maps miss of the two is not related
        error_um=float(np.hypot(distilled.error_um, learned.maps.error_um)),
    )
