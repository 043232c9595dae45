"""A photo and a fitted head to an albedo texture: seen skin from the photo, light taken out, the rest completed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.spherical_harmonics import basis
from ml_backend.texture.brows import paint_brows
from ml_backend.texture.completion import complete_skin, skin_grain
from ml_backend.texture.eyelids import paint_eyelids
from ml_backend.texture.eyes import head_eyeballs, iris_colour, paint_eyeball
from ml_backend.texture.log_colour import LOG_FLOOR, in_colour, log_from_linear, over, srgb_bytes_from_log
from ml_backend.texture.photographed_head import PhotographedHead
from ml_backend.texture.read_view import DETAIL_FACTOR, ReadView, SeenSkin, photo_detail, read_view
from ml_backend.texture.skin_evidence import region_mask
from ml_backend.texture.teeth import enamel_colour, paint_teeth
from ml_backend.texture.texel_map import pad_islands
from ml_backend.tracking.face_tracker import TrackedFace

# Linear RGB of parts that photos hardly show.
LASHES_RGB = (0.012, 0.009, 0.008)
MOUTH_RGB = (0.22, 0.07, 0.06)
# Light falls into an open mouth through its opening alone: behind the front of its inner side it fades to 1/e over this
# depth. Ray tracers find most of that themselves; viewports, which let the sky through cheeks, do not.
MOUTH_FADE_M, MOUTH_FRONT_M = 0.060, 0.015


@dataclass(frozen=True)
class BakedTexture:
    """A head's albedo.

    Attributes:
        albedo_srgb: (N, N, 3) uint8, sRGB, on the head's UVs (row 0 is v = 1).
        skin_visibility: (N, N) float32, 0-1, how far a texel's skin comes from the photo.
        part_colours: iris_left, iris_right, skin, lips, hair: linear RGB.
        light_scale: (3,) float32: the fit's light times this, on this texture, has the photo's colours.
        scene: the head in the photo, on a grid of half the texture's size.
    """

    albedo_srgb: np.ndarray
    skin_visibility: np.ndarray
    part_colours: dict[str, tuple[float, float, float]]
    light_scale: np.ndarray
    scene: PhotographedHead


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
    view = read_view(pixels, face, head, fit, albedo_model, size_px)
    return paint_texture(view, photo_detail(view.log_photo, view.scene), face, fit)


def paint_texture(view: ReadView, detail: np.ndarray, face: TrackedFace, fit: CoarseFit) -> BakedTexture:
    """Complete and paint a texture.

    Args:
        view: what was read off a photo.
        detail: (M, M) fine brightness detail of it, logarithm.
        face, fit: of the photo.

    Returns:
        The texture, M pixels wide.
    """
    scene, skin, cleaned = view.scene, view.skin, view.cleaned
    skin_log = complete_skin(
        scene.texels, scene.smoother, cleaned, skin.confidence, view.typical, view.log_model,
        scene.head.mirror_vertex.cpu().numpy(), prior=_skin_difference(cleaned, view.log_model, skin),
        texels_per_m=scene.areas.texels_per_m,
    )  # fmt: skip
    skin_log = paint_brows(skin_log, scene, skin.confidence, view.brows_log)
    skin_log = paint_eyelids(skin_log, scene, view.margins, view.hidden, skin.log_albedo, skin.colour)
    small = over(skin_log, view.hair.log_albedo, view.hair.cover)
    small = _other_parts(small, view.log_parts, scene)

    size_px = DETAIL_FACTOR * scene.texels.size_px
    fine = _fine_detail(detail, skin, scene)
    log_albedo = cv2.resize(small, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    log_albedo += in_colour(fine)
    light_scale = np.exp(-view.shift)
    landmarks_px = np.asarray(face.landmarks_px, dtype=np.float32)[:, :2]
    facing = (basis(torch.tensor([0.0, 0.0, 1.0])) @ fit.light.cpu()).numpy() * light_scale
    irises = _paint_eyes(log_albedo, view.pixels, landmarks_px, scene, fit, facing)
    enamel = enamel_colour(view.pixels, landmarks_px, facing)
    paint_teeth(log_albedo, scene.head, scene.neutral, scene.texels, enamel)
    albedo_srgb = pad_islands(srgb_bytes_from_log(log_albedo), scene.texels)
    visible = skin.confidence * (1.0 - view.hair.cover)
    colours = _part_colours(small, skin, scene, view.hair_evidence.log_colour, irises)
    return BakedTexture(albedo_srgb, cv2.resize(visible, (size_px, size_px)), colours, light_scale, scene)


def _skin_difference(log_albedo: np.ndarray, log_model: np.ndarray, skin: SeenSkin) -> np.ndarray:
    """(3,) median difference between the person's skin and the model's."""
    sure = skin.confidence > 0.8
    if not sure.any():
        return np.zeros(3, np.float32)
    chosen = np.flatnonzero(sure)[::5]
    return np.median(log_albedo.reshape(-1, 3)[chosen] - log_model.reshape(-1, 3)[chosen], axis=0)


def _other_parts(log_albedo: np.ndarray, log_model: np.ndarray, scene: PhotographedHead) -> np.ndarray:
    """The tongue as the albedo model has it, lashes and the inside of the mouth in colours of their own."""
    names = scene.head.part_names
    part = scene.texels.part
    result = cv2.copyTo(log_albedo, (part == names.index("skin")).astype(np.uint8), log_model.copy())
    if "lashes" in names:
        result[part == names.index("lashes")] = log_from_linear(np.array(LASHES_RGB, np.float32))
    mouth = np.clip(scene.texels.interpolate(region_mask(scene.head, "inner_mouth")), 0.0, 1.0) * scene.areas.skin
    mouth_log = log_from_linear(np.array(MOUTH_RGB, np.float32))
    result = over(result, np.broadcast_to(mouth_log, result.shape), mouth)
    if "tongue" in names:
        mouth = np.where(part == names.index("tongue"), np.float32(1.0), mouth)
    return result - in_colour(mouth * _mouth_darkness(scene))


def _mouth_darkness(scene: PhotographedHead) -> np.ndarray:
    """(N, N) how much darker a place of an open mouth is than its front, logarithm."""
    forward = scene.neutral[:, 2]
    front = forward[region_mask(scene.head, "inner_mouth") > 0.5].max(initial=-np.inf)
    behind = np.maximum(front - MOUTH_FRONT_M - forward, 0.0) if np.isfinite(front) else np.zeros_like(forward)
    return scene.texels.interpolate((np.minimum(behind, 0.08) / MOUTH_FADE_M).astype(np.float32))


def _fine_detail(detail: np.ndarray, skin: SeenSkin, scene: PhotographedHead) -> np.ndarray:
    """(M, M) the detail (M, M) of the skin; noise where nothing was seen."""
    from_photo = cv2.resize(np.maximum(skin.confidence, 0.0), detail.shape)
    grain = skin_grain(detail, from_photo, 1.0 - from_photo, seed=1, sigma=0.8)
    skin_part = cv2.resize(scene.areas.skin, detail.shape)
    return (np.clip(detail, -0.5, 0.5) * from_photo + grain) * skin_part


def _paint_eyes(
    log_albedo: np.ndarray,
    pixels: np.ndarray,
    landmarks_px: np.ndarray,
    scene: PhotographedHead,
    fit: CoarseFit,
    facing_light: np.ndarray,
) -> dict[str, np.ndarray]:
    """Paint both eyeballs in place; returns iris_left and iris_right, linear RGB."""
    read = {side: iris_colour(pixels, landmarks_px, side == "left", facing_light) for side in ("left", "right")}
    total = sum(readable for _, readable in read.values())
    shared = sum(colour * readable for colour, readable in read.values()) / max(total, 1e-6)
    joints = scene.head.joints(fit.shape[None])[0].cpu().numpy()
    colours = {}
    for side, eye in head_eyeballs(scene.head, scene.neutral, joints).items():
        # eyes of two colours are rare, an iris read wrongly is not: both get what was read best
        mixed = read[side][0] if total < 1e-3 else shared
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
