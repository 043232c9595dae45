"""A photo on the texels: the skin that it shows, without its light, and the hair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.background import head_window
from ml_backend.texture.brows import brow_colour
from ml_backend.texture.completion import with_calm_ears
from ml_backend.texture.delighting import left_over_light, log_shading, with_even_hue, with_softer_folds, without_shine
from ml_backend.texture.eye_whites import read_eye_whites
from ml_backend.texture.eyelids import LidMargins, closed_eyes, hidden_lids, lid_margins
from ml_backend.texture.hair import HairEvidence, ScalpView, find_hair
from ml_backend.texture.hair_painting import paint_hair
from ml_backend.texture.locks import hair_on_face
from ml_backend.texture.log_colour import log_from_linear, luminance, of_chroma, plus_colour, with_calm_colour
from ml_backend.texture.pale_halo import find_pale_halo
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.texture.photographed_head import PhotographedHead, photo_on_texels, photographed_head
from ml_backend.texture.skin_colour import SkinColour, fit_skin_colour
from ml_backend.texture.skin_evidence import (
    beardedness,
    region_mask,
    settle_confidence,
    skin_likeness,
    strict_likeness,
)
from ml_backend.texture.skin_tone import SkinAndLight, contre_jour, natural_chroma, skin_shift
from ml_backend.tracking.face_tracker import TrackedFace

# Decisions are made on a grid of half the texture's size; only the photo's finest detail is carried at full size.
DETAIL_FACTOR = 2
# Distances from the head's outline, metres, between which the photo's hair comes to be believed.
HAIR_CLEARANCE_M = (0.004, 0.012)
# A colour that is common behind the head still may be hair: black hair before a dark wall.
BACKGROUND_DOUBT = 0.85
# Colours of skin that turns away further than these cosines are not passed on to the skin beside it.
TYPICAL_FACING = (0.35, 0.75)
# Fewer texels of plain skin than this say nothing about its tone.
MIN_TONE_TEXELS = 200
# Brightness, logarithm, between which a photo goes from showing nothing to showing skin: 0.7% and 2% of white.
BLACK_PHOTO = (-5.0, -4.0)
# The colour of dark photos is smoothed over this distance.
CALM_COLOUR_M = 0.004


@dataclass(frozen=True)
class SeenSkin:
    """The photo's colours on the texels.

    Attributes:
        log_albedo: (N, N, 3) logarithmic, over the estimated shading.
        likeness: (N, N) 0-1, looks like this person's skin, judged strictly.
        confidence: (N, N) 0-1, shows this person's skin.
        colour: the person's skin colour.
        beard: 0-1, how surely the person has a beard.
    """

    log_albedo: np.ndarray
    likeness: np.ndarray
    confidence: np.ndarray
    colour: SkinColour
    beard: float

    def shifted(self, shift: np.ndarray) -> SeenSkin:
        """The same with `shift` (3,) added to every logarithm."""
        return replace(self, log_albedo=plus_colour(self.log_albedo, shift), colour=self.colour.shifted(shift))

    def with_natural_hue(self) -> SeenSkin:
        """The same with its colours turned so that the person's hue is one that skin has."""
        turn = natural_chroma(self.colour.chroma_mean) - self.colour.chroma_mean
        return self.shifted(of_chroma(turn).astype(np.float32))


@dataclass(frozen=True)
class PaintedHair:
    """Hair on the scalp: (N, N, 3) logarithmic albedo, and (N, N) 0-1 its cover."""

    log_albedo: np.ndarray
    cover: np.ndarray


@dataclass(frozen=True)
class ReadView:
    """All that a texture takes from a photo.

    Attributes:
        pixels: (H, W, 3) uint8 sRGB; scene: the head in it; log_photo: (M, M, 3) the photo on the texture, full size.
        skin: its colours on the texels; cleaned: (N, N, 3) the same without the light that the fit left.
        typical: (N, N) 0-1, where the colour tells about the skin beside it.
        log_parts: (N, N, 3) of the albedo model; log_model: the same in the light of `cleaned`.
        scalp: what is seen of it; hair_evidence: what that says about hair; brows_log: (3,) colour of the brows.
        margins: of the lids; hidden: (N, N) 0-1, what the photo does not show of them.
        shift: (3,) what was added to the logarithm of the albedo, and is missing in that of the light.
    """

    pixels: np.ndarray
    scene: PhotographedHead
    log_photo: np.ndarray
    skin: SeenSkin
    cleaned: np.ndarray
    typical: np.ndarray
    log_parts: np.ndarray
    log_model: np.ndarray
    scalp: ScalpView
    hair_evidence: HairEvidence
    brows_log: np.ndarray
    margins: LidMargins
    hidden: np.ndarray
    shift: np.ndarray

    @cached_property
    def hair(self) -> PaintedHair:
        """The scalp's hair, painted when it is asked for: of many photos only one's is."""
        return PaintedHair(*paint_hair(self.scalp, self.hair_evidence, self.scene.neutral))


def read_view(
    pixels: np.ndarray,
    face: TrackedFace,
    head: HeadModel,
    fit: CoarseFit,
    albedo_model: AlbedoModel,
    size_px: int,
) -> ReadView:
    """Read skin and hair off a photo, and take the light out of the skin.

    Args:
        pixels: (H, W, 3) uint8 sRGB, the photo that the fit was made on; face: the tracker's landmarks on it.
        head, fit: the fitted head; albedo_model: says what is likely.
        size_px: M, rows and columns of the texture, an even number.

    Returns:
        What the photo shows.
    """
    landmarks_px = np.asarray(face.landmarks_px, dtype=np.float32)[:, :2]
    scene = photographed_head(head, fit, landmarks_px, size_px // DETAIL_FACTOR, pixels.shape[:2])
    log_photo = photo_on_texels(pixels, scene, size_px)
    log_parts = with_calm_ears(_log_model(albedo_model, fit, scene.texels.size_px), scene.areas)
    skin = see_skin(log_photo, scene, fit.light, log_parts)
    face_colours = _skin_and_light(log_photo, skin, scene, albedo_model, fit.light)
    shift = np.zeros(3, np.float32)
    if face_colours is not None:
        shift = skin_shift(pixels, face_colours, read_eye_whites(pixels, landmarks_px))
    skin = skin.shifted(shift).with_natural_hue()
    scalp = _scalp_view(pixels, skin, scene)
    hair = find_hair(scalp, brow_colour(skin.log_albedo, skin.colour.mean_log, scene, scene.areas.skin))
    locks = hair_on_face(skin.log_albedo, hair, skin.colour, scene, skin.beard)
    skin = replace(skin, confidence=skin.confidence * (1.0 - locks))
    closed = closed_eyes(head, fit, scene.neutral)
    margins = lid_margins(head, scene.texels, scene.neutral, closed)
    hidden = hidden_lids(scene, margins, closed)
    skin = replace(skin, confidence=skin.confidence * (1.0 - hidden))
    log_model = plus_colour(log_parts, shift)
    cleaned = _without_light(skin, scene, log_model)
    typical = smooth_step(scene.projection.facing, *TYPICAL_FACING) * (1.0 - scene.features.brows)
    typical = typical * (1.0 - scene.features.eyes)
    brows_log = brow_colour(cleaned, skin.colour.mean_log, scene, 1.0 - locks)
    return ReadView(
        pixels, scene, log_photo, skin, cleaned, typical, log_parts, log_model, scalp, hair, brows_log, margins,
        hidden, shift,
    )  # fmt: skip


def see_skin(log_photo: np.ndarray, scene: PhotographedHead, light: torch.Tensor, log_model: np.ndarray) -> SeenSkin:
    """Take the estimated light out of the photo and decide which texels show skin.

    Args:
        log_photo: (M, M, 3) the photo on the texture, at full size.
        scene: the head in the photo.
        light: (9, 3).
        log_model: (N, N, 3) of the albedo model.

    Returns:
        Colours and confidence on the texel grid.
    """
    size = scene.texels.size_px
    face = region_mask(scene.head, "face")
    shading = log_shading(scene.posed.normals, light, face * smooth_step(scene.posed.facing, 0.2, 0.5))
    areas, features = scene.areas, scene.features
    small = cv2.resize(log_photo, (size, size), interpolation=cv2.INTER_AREA)
    small = with_calm_colour(small, CALM_COLOUR_M * areas.texels_per_m)
    log_albedo = small - scene.texels.interpolate(shading)
    seen = scene.projection.confidence * areas.skin * (1.0 - features.opening)
    seen = seen * smooth_step(luminance(small), *BLACK_PHOTO)
    plain = seen * areas.face * (1.0 - features.dark_by_nature)
    colour = fit_skin_colour(log_albedo[::3, ::3], (plain * features.oval)[::3, ::3], log_model[::3, ::3])
    # necks are shaded, and hidden by collars: their colour follows from the face
    confidence = seen * (1.0 - areas.neck) * skin_likeness(log_albedo, colour, features, areas, seen)
    settled = settle_confidence(confidence, features, areas, scene.posed.px_per_m)
    beard = beardedness(log_albedo, colour, features, seen)
    return SeenSkin(log_albedo, strict_likeness(log_albedo, colour), settled, colour, beard)


def _log_model(albedo_model: AlbedoModel, fit: CoarseFit, size_px: int) -> np.ndarray:
    with torch.no_grad():
        linear = albedo_model.texture(fit.albedo).cpu().numpy().astype(np.float32)
    return log_from_linear(cv2.resize(linear, (size_px, size_px), interpolation=cv2.INTER_CUBIC))


def _skin_and_light(
    log_photo: np.ndarray, skin: SeenSkin, scene: PhotographedHead, albedo_model: AlbedoModel, light: torch.Tensor
) -> SkinAndLight | None:
    """The face's colours as the fit shares them; None where hardly any plain skin is seen."""
    plain = skin.confidence * scene.areas.face * (1.0 - scene.features.dark_by_nature) > 0.5
    if plain.sum() < MIN_TONE_TEXELS:
        return None
    mean = albedo_model.texture(torch.zeros_like(albedo_model.basis[:, 0, 0, 0])).cpu().numpy()
    mean = cv2.resize(log_from_linear(mean), scene.texels.inside.shape, interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(log_photo, scene.texels.inside.shape, interpolation=cv2.INTER_AREA)
    photo, albedo, typical = (values[plain].mean(axis=0) for values in (small, skin.log_albedo, mean))
    return SkinAndLight(albedo, typical, photo - albedo, contre_jour(light))


def _without_light(skin: SeenSkin, scene: PhotographedHead, log_model: np.ndarray) -> np.ndarray:
    """(N, N, 3) the seen skin without shine and without the light that the spherical harmonics left."""
    texels, mirror = scene.texels, scene.head.mirror_vertex.cpu().numpy()
    cleaned = without_shine(skin.log_albedo, skin.confidence)
    plain = skin.confidence * (1.0 - scene.features.dark_by_nature)
    bare = plain * (1.0 - skin.beard * scene.features.beard)
    cleaned = with_softer_folds(cleaned, bare, scene.areas.texels_per_m)
    cleaned = with_even_hue(cleaned, bare, skin.colour.chroma_mean, scene.areas.texels_per_m)
    difference, weight = texels.vertex_means(cleaned - log_model, plain)
    beard, _ = texels.vertex_means(scene.features.beard[..., None], scene.areas.skin)
    light = left_over_light(
        scene.smoother, difference, weight, mirror, skin.beard * np.maximum(beard[:, 0], beard[mirror, 0])
    )
    return cleaned - texels.interpolate(light)


def _scalp_view(pixels: np.ndarray, skin: SeenSkin, scene: PhotographedHead) -> ScalpView:
    scalp = region_mask(scene.head, "scalp")
    for other in ("neck", "nose", "lips"):
        scalp = scalp * (1.0 - region_mask(scene.head, other))
    # the skull under the hair is the least certain part of the fit: near its outline the photo may show background
    seen = scene.projection.confidence * smooth_step(scene.projection.clearance_m, *HAIR_CLEARANCE_M)
    window = head_window(pixels, scene.posed)
    background = window.background_likeness(scene.projection)
    seen = seen * (1.0 - BACKGROUND_DOUBT * background * (1.0 - skin.likeness))
    return ScalpView(
        scene.texels,
        scene.smoother,
        scene.areas,
        scalp,
        skin.log_albedo,
        skin.likeness,
        seen,
        skin.colour.mean_log,
        find_pale_halo(window, scene.posed, scene.head.triangles.cpu().numpy(), scalp, region_mask(scene.head, "face")),
    )


def photo_detail(log_photo: np.ndarray, scene: PhotographedHead) -> np.ndarray:
    """(M, M) brightness detail of a photo (M, M, 3) that only the full-size texture can hold, logarithm."""
    size_px = log_photo.shape[0]
    brightness = luminance(log_photo)
    coarse = cv2.resize(brightness, scene.texels.inside.shape, interpolation=cv2.INTER_AREA)
    return brightness - cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
