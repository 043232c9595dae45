"""A photo and a fitted head to an albedo texture: seen skin from the photo, light taken out, the rest completed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from addon.exchange.conventions import JOINT_NAMES
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.spherical_harmonics import basis
from ml_backend.texture.background import head_window
from ml_backend.texture.brows import brow_colour, paint_brows
from ml_backend.texture.completion import complete_skin, skin_grain, with_calm_ears
from ml_backend.texture.delighting import left_over_light, log_shading, with_even_hue, with_softer_folds, without_shine
from ml_backend.texture.eyelids import closed_eyes, hidden_lids, lid_margins, paint_eyelids
from ml_backend.texture.eyes import fit_eyeball, iris_colour, paint_eyeball
from ml_backend.texture.hair import HairEvidence, ScalpView, find_hair
from ml_backend.texture.hair_painting import paint_hair
from ml_backend.texture.locks import hair_on_face
from ml_backend.texture.log_colour import (
    LOG_FLOOR,
    in_colour,
    log_from_linear,
    luminance,
    over,
    plus_colour,
    srgb_bytes_from_log,
    with_calm_colour,
)
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
from ml_backend.texture.skin_tone import contre_jour, natural_chroma, tone_shift
from ml_backend.texture.texel_map import pad_islands
from ml_backend.tracking import landmark_topology as topology
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
# Linear RGB of parts that photos hardly show.
LASHES_RGB = (0.012, 0.009, 0.008)
MOUTH_RGB = (0.16, 0.045, 0.04)


@dataclass(frozen=True)
class BakedTexture:
    """A head's albedo.

    Attributes:
        albedo_srgb: (N, N, 3) uint8, sRGB, on the head's UVs (row 0 is v = 1).
        skin_visibility: (N, N) float32, 0-1, how far a texel's skin comes from the photo.
        part_colours: iris_left, iris_right, skin, lips, hair: linear RGB.
        light_scale: the fit's light times this, on this texture, has the photo's brightness.
        scene: the head in the photo, on a grid of half the texture's size.
    """

    albedo_srgb: np.ndarray
    skin_visibility: np.ndarray
    part_colours: dict[str, tuple[float, float, float]]
    light_scale: float
    scene: PhotographedHead


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

    def brightened(self, shift: float) -> SeenSkin:
        """The same with `shift` added to every logarithm."""
        brightened = cv2.add(self.log_albedo, (shift, shift, shift, 0.0))
        return replace(self, log_albedo=brightened, colour=self.colour.brightened(shift))

    def with_hue(self, chroma_mean: np.ndarray) -> SeenSkin:
        """The same with its colours turned so that the person's log(R/G) and log(B/G) become `chroma_mean` (2,)."""
        turn = chroma_mean - self.colour.chroma_mean
        shift = (np.array([turn[0], 0.0, turn[1]]) - turn.sum() / 3.0).astype(np.float32)
        colour = replace(self.colour, mean_log=self.colour.mean_log + shift, chroma_mean=chroma_mean)
        return replace(self, log_albedo=plus_colour(self.log_albedo, shift), colour=colour)


def bake_texture(
    pixels: np.ndarray,
    face: TrackedFace,
    head: HeadModel,
    fit: CoarseFit,
    albedo_model: AlbedoModel,
    size_px: int = 2048,
) -> BakedTexture:
    """Bake the photo into the head's albedo texture.

    Args:
        pixels: (H, W, 3) uint8 sRGB, the photo that the fit was made on.
        face: the tracker's landmarks on it.
        head: the head model.
        fit: shape, expression, pose, camera and light.
        albedo_model: fills what the photo does not show.
        size_px: rows and columns of the texture, an even number.

    Returns:
        The texture.

    Source: own derivation: projective texturing with a depth test, de-lighting by spherical harmonics, completion by
    the face's symmetry and the albedo model, which screened Poisson fields on the mesh match to the person.
    """
    landmarks_px = np.asarray(face.landmarks_px, dtype=np.float32)[:, :2]
    scene = photographed_head(head, fit, landmarks_px, size_px // DETAIL_FACTOR, pixels.shape[:2])
    log_photo = photo_on_texels(pixels, scene, size_px)
    log_model = with_calm_ears(_log_model(albedo_model, fit, scene.texels.size_px), scene.areas)
    skin = see_skin(log_photo, scene, fit.light, log_model)
    shift = _tone_shift(pixels, log_photo, skin, scene, albedo_model, fit.light)
    skin = skin.with_hue(natural_chroma(skin.colour.chroma_mean))
    skin, log_parts, log_model = skin.brightened(shift), log_model, log_model + np.float32(shift)
    hair_log, hair_cover, hair = _hair(pixels, skin, scene)
    locks = hair_on_face(skin.log_albedo, hair, skin.colour, scene, skin.beard)
    skin = replace(skin, confidence=skin.confidence * (1.0 - locks))
    closed = closed_eyes(head, fit, scene.neutral)
    margins = lid_margins(head, scene.texels, scene.neutral, closed)
    hidden = hidden_lids(scene, margins, closed)
    skin = replace(skin, confidence=skin.confidence * (1.0 - hidden))
    cleaned = _without_light(skin, scene, log_model)
    typical = smooth_step(scene.projection.facing, *TYPICAL_FACING) * (1.0 - scene.features.brows)
    typical = typical * (1.0 - scene.features.eyes)
    skin_log = complete_skin(
        scene.texels, scene.smoother, cleaned, skin.confidence, typical, log_model, head.mirror_vertex.cpu().numpy(),
        prior=_skin_difference(cleaned, log_model, skin), texels_per_m=scene.areas.texels_per_m,
    )  # fmt: skip
    brows_log = brow_colour(cleaned, skin.colour.mean_log, scene, 1.0 - locks)
    skin_log = paint_brows(skin_log, scene, skin.confidence, brows_log)
    skin_log = paint_eyelids(skin_log, scene, margins, hidden, skin.log_albedo, skin.colour)
    small = over(skin_log, hair_log, hair_cover)
    small = _other_parts(small, log_parts, scene)

    fine = _fine_detail(log_photo, skin, scene)
    log_albedo = cv2.resize(small, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    log_albedo += in_colour(fine)
    irises = _paint_eyes(log_albedo, pixels, landmarks_px, scene, fit, fit.light * float(np.exp(-shift)))
    albedo_srgb = pad_islands(srgb_bytes_from_log(log_albedo), scene.texels)
    visible = skin.confidence * (1.0 - hair_cover)
    colours = _part_colours(small, skin, scene, hair.log_colour, irises)
    return BakedTexture(albedo_srgb, cv2.resize(visible, (size_px, size_px)), colours, float(np.exp(-shift)), scene)


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


def _tone_shift(
    pixels: np.ndarray,
    log_photo: np.ndarray,
    skin: SeenSkin,
    scene: PhotographedHead,
    albedo_model: AlbedoModel,
    light: torch.Tensor,
) -> float:
    """What the skin is brighter than the fit's light makes it, logarithm."""
    plain = skin.confidence * scene.areas.face * (1.0 - scene.features.dark_by_nature) > 0.5
    if plain.sum() < MIN_TONE_TEXELS:
        return 0.0
    mean = albedo_model.texture(torch.zeros_like(albedo_model.basis[:, 0, 0, 0])).cpu().numpy()
    mean = cv2.resize(log_from_linear(mean), scene.texels.inside.shape, interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(log_photo, scene.texels.inside.shape, interpolation=cv2.INTER_AREA)
    photo, albedo, typical = (float(luminance(values[plain]).mean()) for values in (small, skin.log_albedo, mean))
    return tone_shift(pixels, photo - albedo, albedo, typical, contre_jour(light))


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


def _skin_difference(log_albedo: np.ndarray, log_model: np.ndarray, skin: SeenSkin) -> np.ndarray:
    """(3,) median difference between the person's skin and the model's."""
    sure = skin.confidence > 0.8
    if not sure.any():
        return np.zeros(3, np.float32)
    chosen = np.flatnonzero(sure)[::5]
    return np.median(log_albedo.reshape(-1, 3)[chosen] - log_model.reshape(-1, 3)[chosen], axis=0)


def _hair(pixels: np.ndarray, skin: SeenSkin, scene: PhotographedHead) -> tuple[np.ndarray, np.ndarray, HairEvidence]:
    """Painted hair (N, N, 3), its cover (N, N) and what it was painted from."""
    scalp = region_mask(scene.head, "scalp")
    for other in ("neck", "nose", "lips"):
        scalp = scalp * (1.0 - region_mask(scene.head, other))
    # the skull under the hair is the least certain part of the fit: near its outline the photo may show background
    seen = scene.projection.confidence * smooth_step(scene.projection.clearance_m, *HAIR_CLEARANCE_M)
    window = head_window(pixels, scene.posed)
    background = window.background_likeness(scene.projection)
    seen = seen * (1.0 - BACKGROUND_DOUBT * background * (1.0 - skin.likeness))
    view = ScalpView(
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
    evidence = find_hair(view, brow_colour(skin.log_albedo, skin.colour.mean_log, scene, scene.areas.skin))
    painted, cover = paint_hair(view, evidence, scene.neutral)
    return painted, cover, evidence


def _other_parts(log_albedo: np.ndarray, log_model: np.ndarray, scene: PhotographedHead) -> np.ndarray:
    """Teeth and tongue as the albedo model has them, lashes and the inside of the mouth in colours of their own."""
    names = scene.head.part_names
    part = scene.texels.part
    result = cv2.copyTo(log_albedo, (part == names.index("skin")).astype(np.uint8), log_model.copy())
    if "lashes" in names:
        result[part == names.index("lashes")] = log_from_linear(np.array(LASHES_RGB, np.float32))
    mouth = np.clip(scene.texels.interpolate(region_mask(scene.head, "inner_mouth")), 0.0, 1.0)
    mouth_log = log_from_linear(np.array(MOUTH_RGB, np.float32))
    return over(result, np.broadcast_to(mouth_log, result.shape), mouth * scene.areas.skin)


def _fine_detail(log_photo: np.ndarray, skin: SeenSkin, scene: PhotographedHead) -> np.ndarray:
    """(M, M) brightness detail that only the full-size texture can hold; noise where nothing was seen."""
    size_px = log_photo.shape[0]
    brightness = luminance(log_photo)
    coarse = cv2.resize(brightness, scene.texels.inside.shape, interpolation=cv2.INTER_AREA)
    detail = brightness - cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    from_photo = cv2.resize(np.maximum(skin.confidence, 0.0), (size_px, size_px))
    grain = skin_grain(detail, from_photo, 1.0 - from_photo, seed=1, sigma=0.8)
    skin_part = cv2.resize(scene.areas.skin, (size_px, size_px))
    return (np.clip(detail, -0.5, 0.5) * from_photo + grain) * skin_part


def _paint_eyes(
    log_albedo: np.ndarray,
    pixels: np.ndarray,
    landmarks_px: np.ndarray,
    scene: PhotographedHead,
    fit: CoarseFit,
    light: torch.Tensor,
) -> dict[str, np.ndarray]:
    """Paint both eyeballs in place; returns iris_left and iris_right, linear RGB."""
    head = scene.head
    facing_light = (basis(torch.tensor([0.0, 0.0, 1.0])) @ light.cpu()).numpy()
    read = {side: iris_colour(pixels, landmarks_px, side == "left", facing_light) for side in ("left", "right")}
    total = sum(readable for _, readable in read.values())
    shared = sum(colour * readable for colour, readable in read.values()) / max(total, 1e-6)
    joints = head.joints(fit.shape[None])[0].cpu().numpy()
    pupils = head.landmarks_478.on(torch.from_numpy(scene.neutral)[None], head.triangles)[0].cpu().numpy()
    colours = {}
    for side, (colour, _) in read.items():
        # eyes of two colours are rare, an iris read wrongly is not: both get what was read best
        mixed = colour if total < 1e-3 else shared
        part = head.part_names.index(f"{side}_eye")
        own = np.unique(head.triangles[head.triangle_part == part].cpu().numpy())
        pupil = pupils[topology.LEFT_IRIS[0] if side == "left" else topology.RIGHT_IRIS[0]]
        eye = fit_eyeball(scene.neutral[own], part, joints[JOINT_NAMES.index(f"{side}_eye")], pupil)
        paint_eyeball(log_albedo, scene.texels, scene.neutral, eye, mixed)
        colours[f"iris_{side}"] = mixed
    return colours


def _part_colours(
    small: np.ndarray, skin: SeenSkin, scene: PhotographedHead, hair_log: np.ndarray, irises: dict[str, np.ndarray]
) -> dict[str, tuple[float, float, float]]:
    """Typical linear colours of the parts."""
    lips = (scene.texels.interpolate(region_mask(scene.head, "lips")) > 0.7) & (scene.areas.skin > 0.5)
    plain = (skin.confidence > 0.7) & (scene.features.dark_by_nature < 0.1)
    chosen = np.flatnonzero(plain)[::5]
    skin_log = np.median(small.reshape(-1, 3)[chosen], axis=0) if len(chosen) else skin.colour.mean_log
    lips_log = np.median(small[lips], axis=0) if lips.any() else skin_log
    logs = {"skin": skin_log, "lips": lips_log, "hair": hair_log}
    colours = {name: np.exp(log) - LOG_FLOOR for name, log in logs.items()} | irises
    return {name: tuple(float(np.clip(channel, 0.0, 1.0)) for channel in colour) for name, colour in colours.items()}
