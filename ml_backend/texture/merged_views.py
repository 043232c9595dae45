"""Many photos of a person to one albedo texture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

from addon.exchange.errors import LikenessError
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.bake_texture import BakedTexture, bake_texture, paint_texture
from ml_backend.texture.colour_harmony import agreement, harmonise, robust_mean
from ml_backend.texture.hair import ScalpView, find_hair
from ml_backend.texture.large_arrays import kept_memory
from ml_backend.texture.log_colour import in_colour, plus_colour
from ml_backend.texture.read_view import DETAIL_FACTOR, ReadView, photo_detail, read_view
from ml_backend.texture.texel_map import TexelMap
from ml_backend.texture.view_weights import ViewWeight, feature_share, weigh_view
from ml_backend.tracking.face_tracker import TrackedFace

# Texels of lower weight are not kept: nothing of theirs would show.
LEAST_WEIGHT = 0.003
# Colours coarser than this (standard deviation, metres) are merged over all photos; what is finer comes from the best
# photo of each place, or the small errors of the fits would blur it and show features twice.
BAND_M = 0.0015
# Colours of the scalp run on over this distance where no photo shows it, metres.
SURROUNDINGS_M = 0.010
# Merging is worked out on a grid this much coarser than that of the texels.
COARSENESS = 4
# Trust beside what a photo shows, so that its smoothed colours run on past its border.
LEAST_TRUST = 1e-4
# Trust in a photo changes over this distance at least, coarse texels.
TRUST_SOFTNESS = 1.5
# The best photo of a place is chosen by this power of the trust: of two that differ by a fifth, the better has 3/4.
CHOICE_POWER = 6.0
# Every photo keeps this share in the choice, and gives way by this power of its confidence against the surest one's:
# texels that the best photo is unsure of (half as sure as another) come from the others.
LEAST_CHOICE, BORDER_POWER = 1e-3, 12.0
# Differences between the halves of a face count this part of those between photos of one place. A place keeps what it
# shows, whatever its mirror image shows, where its photos weigh at least the second part of the other's.
ASYMMETRY_SCALE, ASYMMETRY_EVIDENCE = 0.5, 0.5
# The photo that shows the features is preferred elsewhere too, where another is no better than this, and among
# features as long as it shows them at all.
REFERENCE_PREFERENCE, FEATURE_PREFERENCE = 1.5, 100.0


@dataclass(frozen=True)
class TextureView:
    """A photo to take colours from: pixels (H, W, 3) uint8 sRGB, the tracker's face on them, the head's fit to them."""

    pixels: np.ndarray
    face: TrackedFace
    fit: CoarseFit


@dataclass(frozen=True)
class MergedTexture(BakedTexture):
    """An albedo of many photos.

    `scene`, `light_scale` and `skin_visibility` are those of one photo, which shows the face best: displacement is read
    off that one.

    Attributes:
        reference: its number among the photos, from 0.
        coverage: (M, M) float32 0-1, how far a texel's skin comes from any photo.
    """

    reference: int
    coverage: np.ndarray


@dataclass(frozen=True)
class Patch:
    """Some texels' values, small enough to keep for every photo: index (K,) int32 flat, values (K, C) float16."""

    index: np.ndarray
    values: np.ndarray

    def on_grid(self, size_px: int) -> np.ndarray:
        """(N, N, C) float32, 0 at all other texels."""
        grid = np.zeros((size_px**2, self.values.shape[1]), np.float32)
        grid[self.index] = self.values
        return grid.reshape(size_px, size_px, -1)


@dataclass(frozen=True)
class KeptView:
    """What is kept of a photo once it is read.

    Attributes:
        skin: colour (3), weight, confidence, typical, fine detail (4 of the full-size texture).
        scalp: colour (3), likeness to skin, seen, weight.
        resolution: 0-1, factor of the finest colours' weights.
        vertex_colours: (V, 3) of plain skin; vertex_weights: (V,); skin_log: (3,) its mean colour.
        hair_colours: (V, 3); hair_weights: (V,).
    """

    skin: Patch
    scalp: Patch
    resolution: float
    vertex_colours: np.ndarray
    vertex_weights: np.ndarray
    skin_log: np.ndarray
    hair_colours: np.ndarray
    hair_weights: np.ndarray


@dataclass(frozen=True)
class MergedSkin:
    """Skin merged over the photos: log_albedo (N, N, 3); confidence, typical (N, N) 0-1; detail (M, M) logarithm."""

    log_albedo: np.ndarray
    confidence: np.ndarray
    typical: np.ndarray
    detail: np.ndarray


def bake_views(
    views: Sequence[TextureView],
    head: HeadModel,
    albedo_model: AlbedoModel,
    size_px: int = 2048,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> MergedTexture:
    """Bake photos of one person into the head's albedo texture.

    Args:
        views: one after the other is looked at; a single one gives what `bake_texture` gives.
        head: the model that all fits were made with; albedo_model: fills what no photo shows.
        size_px: M, rows and columns of the texture, an even number.
        progress: called with the fraction done; may raise to stop.

    Returns:
        The texture.

    Raises:
        LikenessError: there is no photo.

    Source: own derivation: two-band blending (Burt and Adelson 1983) on the head's texels of photos brought to common
    colours (`colour_harmony.py`), with weights by photo and texel (`view_weights.py`) and robust means.
    """
    if not views:
        raise LikenessError("no_views", "There is no photo to make a texture of.", "Choose at least one photo.")
    if len(views) == 1:
        view = views[0]
        texture = bake_texture(view.pixels, view.face, head, view.fit, albedo_model, size_px)
        return _as_merged(texture, 0, texture.skin_visibility, texture.skin_visibility)
    kept, reference, best, most_frontal = [], 0, None, -1.0
    with kept_memory():
        for number, view in enumerate(views):
            progress(number / (len(views) + 1))
            read = read_view(view.pixels, view.face, head, view.fit, albedo_model, size_px)
            weight = weigh_view(read, view.fit)
            kept.append(keep_view(read, weight))
            if weight.frontal > most_frontal:
                reference, best, most_frontal = number, read, weight.frontal
        progress(len(views) / (len(views) + 1))
        return _painted(best, kept, reference, views[reference])


def keep_view(read: ReadView, weight: ViewWeight) -> KeptView:
    """Reduce a photo to what merging needs: some 25 bytes a texel that it shows."""
    texels, scene = read.scene.texels, read.scene
    detail = np.clip(photo_detail(read.log_photo, scene), -0.5, 0.5)
    blocks = detail.reshape(texels.size_px, DETAIL_FACTOR, texels.size_px, DETAIL_FACTOR).transpose(0, 2, 1, 3)
    skin = _patch(
        weight.skin,
        (read.cleaned, weight.skin, weight.confidence, read.typical, blocks.reshape(*weight.skin.shape, -1)),
    )
    on_scalp = weight.scalp * weight.resolution
    scalp = _patch(on_scalp, (read.scalp.log_albedo, read.scalp.likeness, read.scalp.seen, on_scalp))
    # dark features move with the expression: photos are compared by the skin around them
    plain = weight.skin * (1.0 - scene.features.dark_by_nature)
    colours, weights = texels.vertex_means(read.cleaned, plain)
    hair = texels.vertex_means(read.scalp.log_albedo, weight.scalp * (1.0 - read.scalp.likeness))
    return KeptView(skin, scalp, weight.resolution, colours, weights, read.skin.colour.mean_log, *hair)


def _patch(weight: np.ndarray, layers: Sequence[np.ndarray]) -> Patch:
    index = np.flatnonzero(weight > LEAST_WEIGHT).astype(np.int32)
    values = [layer.reshape(weight.size, -1)[index].astype(np.float16) for layer in layers]
    return Patch(index, np.concatenate(values, axis=1))


def _painted(read: ReadView, kept: Sequence[KeptView], reference: int, view: TextureView) -> MergedTexture:
    """Merge what was kept and finish the texture in the scene of the reference."""
    scene = read.scene
    weights = np.stack([one.vertex_weights for one in kept])
    skin_logs = np.stack([one.skin_log for one in kept])
    offsets = harmonise(np.stack([one.vertex_colours for one in kept]), weights, skin_logs, scene.smoother)
    merged = merge_skin(kept, offsets, reference, read)
    own = np.average(offsets[reference], axis=0, weights=weights[reference] + 1e-9)
    visible = read.skin.confidence
    read = _with_level(read, -own)
    # hair shines otherwise than skin: what is left of its differences is found apart
    hair_weights = np.stack([one.hair_weights for one in kept])
    hair_colours = np.stack([one.hair_colours for one in kept]) - offsets
    offsets += harmonise(hair_colours, hair_weights, np.zeros_like(skin_logs), scene.smoother)
    scalp = merge_scalp(kept, offsets, read.scalp)
    read = replace(
        read,
        cleaned=merged.log_albedo,
        typical=merged.typical,
        skin=replace(read.skin, confidence=merged.confidence),
        scalp=scalp,
        hair_evidence=find_hair(scalp, read.brows_log),
    )
    texture = paint_texture(read, merged.detail, view.face, view.fit)
    bare = 1.0 - read.hair.cover
    size = texture.skin_visibility.shape
    return _as_merged(texture, reference, cv2.resize(visible * bare, size), texture.skin_visibility)


def _as_merged(texture: BakedTexture, reference: int, visible: np.ndarray, coverage: np.ndarray) -> MergedTexture:
    own = {field.name: getattr(texture, field.name) for field in fields(BakedTexture)} | {"skin_visibility": visible}
    return MergedTexture(**own, reference=reference, coverage=coverage)


def _with_level(read: ReadView, level: np.ndarray) -> ReadView:
    """The reference with a colour (3,) added to its logarithms, as harmony has it."""
    level = level.astype(np.float32)
    skin = read.skin.shifted(level)
    return replace(
        read,
        skin=skin,
        shift=read.shift + level,
        log_model=plus_colour(read.log_model, level),
        brows_log=read.brows_log + level,
        scalp=replace(read.scalp, log_albedo=skin.log_albedo, skin_log=skin.colour.mean_log),
    )


def merge_skin(kept: Sequence[KeptView], offsets: np.ndarray, reference: int, read: ReadView) -> MergedSkin:
    """Merge the photos' skin.

    Args:
        kept: P photos; offsets: (P, V, 3) to take from their logarithms.
        reference: number of the photo that shows the features; read: the same, as it was read.

    Returns:
        The skin on the texels.
    """
    texels, side = read.scene.texels, read.scene.texels.size_px
    coarse_side = side // COARSENESS
    sigma = BAND_M * read.scene.areas.texels_per_m / COARSENESS
    bands = [_coarse_band(one.skin, offset, texels, sigma) for one, offset in zip(kept, offsets, strict=True)]
    low, weight = (np.stack([band[part] for band in bands]) for part in range(2))
    features = cv2.resize(feature_share(read.scene), (coarse_side,) * 2, interpolation=cv2.INTER_AREA)
    trust = _trust(low, weight, reference, features)
    common = np.einsum("prc,prck->rck", trust, low) / trust.sum(axis=0)[..., None]
    chosen = _choice(trust * np.array([one.resolution for one in kept], np.float32)[:, None, None], reference)
    largest = _largest([one.skin for one in kept], 4, side)

    sums = np.zeros((side, side, 4 + DETAIL_FACTOR**2), np.float32)
    total = np.zeros((side, side), np.float32)
    for one, offset, own_low, choice in zip(kept, offsets, low, chosen, strict=True):
        values = one.skin.on_grid(side)
        high = values[..., :3] - texels.interpolate(offset) - _enlarged(own_low, side)
        # beside the border of what a photo shows, others show more
        share = _enlarged(choice, side) * (values[..., 4] / np.maximum(largest, 1e-6)) ** BORDER_POWER
        sums[..., :3] += high * in_colour(share)
        sums[..., 3] += values[..., 5] * share
        sums[..., 4:] += values[..., 6:] * share[..., None]
        total += share
    sums /= np.maximum(total, 1e-20)[..., None]
    detail = sums[..., 4:].reshape(side, side, DETAIL_FACTOR, DETAIL_FACTOR).transpose(0, 2, 1, 3)
    return MergedSkin(
        _enlarged(common, side) + sums[..., :3],
        largest * _like_other_half(common, weight.sum(axis=0), texels),
        np.ascontiguousarray(sums[..., 3]),
        np.ascontiguousarray(detail).reshape(side * DETAIL_FACTOR, -1),
    )


def _coarse_band(skin: Patch, offset: np.ndarray, texels: TexelMap, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """(n, n, 3) a photo's harmonised colours smoothed within what it shows, and (n, n) its weight, coarse texels."""
    coarse = (texels.size_px // COARSENESS,) * 2
    values = skin.on_grid(texels.size_px)
    weight = np.ascontiguousarray(values[..., 3])
    weighted = (values[..., :3] - texels.interpolate(offset)) * in_colour(weight)
    small = cv2.resize(weight, coarse, interpolation=cv2.INTER_AREA)
    sums = cv2.GaussianBlur(cv2.resize(weighted, coarse, interpolation=cv2.INTER_AREA), (0, 0), sigma)
    reach = cv2.GaussianBlur(small, (0, 0), sigma)
    return sums / np.maximum(reach, 1e-9)[..., None], small + LEAST_TRUST * reach


def _trust(low: np.ndarray, weight: np.ndarray, reference: int, features: np.ndarray) -> np.ndarray:
    """(P, n, n) how far each photo's coarse colours (P, n, n, 3) are believed: weights (P, n, n) and agreement."""
    count, side = weight.shape[:2]
    common = robust_mean(low.reshape(count, -1, 3), weight.reshape(count, -1)).reshape(side, side, 3)
    agreed = agreement(low - common)
    # brows and lips are not outvoted: they are where the features' photo has them
    agreed[reference] += (1.0 - agreed[reference]) * features
    trust = np.stack([cv2.GaussianBlur(one, (0, 0), TRUST_SOFTNESS) for one in weight * agreed])
    # what a photo does not show at all stays out, however soft
    trust = np.minimum(trust, weight) + 1e-12
    trust[reference] *= 1.0 + FEATURE_PREFERENCE * features
    return trust


def _like_other_half(common: np.ndarray, weight: np.ndarray, texels: TexelMap) -> np.ndarray:
    """(N, N) 0-1: low where photos show a place badly, and much unlike its mirror image, which they show well.

    Args:
        common: (n, n, 3) merged coarse colours; weight: (n, n) of all photos.
    """
    colours = _enlarged(common, texels.size_px)
    own = _enlarged(weight, texels.size_px)
    other_colours, other = texels.mirrored(colours), texels.mirrored(own)
    share = np.clip(own / np.maximum(ASYMMETRY_EVIDENCE * other, 1e-6), 0.0, 1.0)
    alike = agreement((colours - other_colours) * np.float32(ASYMMETRY_SCALE))
    return share + (1.0 - share) * alike


def _choice(trust: np.ndarray, reference: int) -> np.ndarray:
    """(P, n, n) 0-1, the share of each photo in the finest colours: nearly all from the best."""
    preferred = trust.copy()
    preferred[reference] *= REFERENCE_PREFERENCE
    return np.maximum((preferred / preferred.max(axis=0)) ** CHOICE_POWER, LEAST_CHOICE)


def merge_scalp(kept: Sequence[KeptView], offsets: np.ndarray, scalp: ScalpView) -> ScalpView:
    """What all photos show of the scalp, each place from the best of them.

    Args:
        kept: P photos; offsets: (P, V, 3) to take from their logarithms.
        scalp: of the reference; says where the texels are.
    """
    texels, side = scalp.texels, scalp.texels.size_px
    best = np.maximum(_largest([one.scalp for one in kept], 5, side), LEAST_TRUST)
    sums = np.zeros((side, side, 5), np.float32)
    for one, offset in zip(kept, offsets, strict=True):
        values = one.scalp.on_grid(side)
        share = (values[..., 5] / best) ** CHOICE_POWER
        sums[..., :3] += (values[..., :3] - texels.interpolate(offset)) * in_colour(share)
        sums[..., 3] += values[..., 3] * share
        sums[..., 4] += share
    # what no photo shows takes the colours around: a border against anything else would count as gloss or strands
    known = np.minimum(sums[..., 4], 1.0)
    sums += _run_on(sums, SURROUNDINGS_M * scalp.areas.texels_per_m) * (1.0 - known)[..., None]
    sums[..., :4] /= np.maximum(sums[..., 4:], 1e-9)
    return replace(
        scalp,
        log_albedo=np.ascontiguousarray(sums[..., :3]),
        likeness=np.ascontiguousarray(sums[..., 3]),
        seen=_largest([one.scalp for one in kept], 4, side),
    )


def _run_on(sums: np.ndarray, sigma: float) -> np.ndarray:
    """(N, N, 5) sums of four channels and their weight, as means over `sigma` texels: weight 1 wherever they reach."""
    coarse = (len(sums) // COARSENESS,) * 2
    small = cv2.resize(sums[..., :4], coarse, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(np.ascontiguousarray(sums[..., 4]), coarse, interpolation=cv2.INTER_AREA)
    mean = (sums[..., :4].sum(axis=(0, 1)) / max(float(sums[..., 4].sum()), 1e-9)).astype(np.float32)
    small = cv2.GaussianBlur(small, (0, 0), sigma / COARSENESS) + LEAST_TRUST * mean
    weight = cv2.GaussianBlur(weight, (0, 0), sigma / COARSENESS) + np.float32(LEAST_TRUST)
    around = cv2.resize(small / weight[..., None], sums.shape[:2], interpolation=cv2.INTER_LINEAR)
    return np.dstack([around, np.ones(sums.shape[:2], np.float32)])


def _largest(patches: Sequence[Patch], channel: int, side: int) -> np.ndarray:
    """(N, N) the largest value of a channel over the photos."""
    largest = np.zeros(side**2, np.float32)
    for patch in patches:
        largest[patch.index] = np.maximum(largest[patch.index], patch.values[:, channel])
    return largest.reshape(side, side)


def _enlarged(image: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
