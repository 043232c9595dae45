"""A fitted head, its texels, and where they lie in the photo: what texture and displacement both start from."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.log_colour import log_from_srgb_bytes
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.photo_projection import PhotoProjection, PosedHead, pose_head, project_photo
from ml_backend.texture.skin_evidence import FaceFeatures, Regions, face_features, regions
from ml_backend.texture.texel_map import TexelMap, texel_map

# A photo in which the head is larger than this against the texture is reduced first, or its detail would alias.
MAX_PHOTO_PX_PER_TEXEL = 1.2


@dataclass(frozen=True)
class PhotographedHead:
    """A fitted head, its texels, and where they lie in the photo.

    Attributes:
        head: the model; neutral: (V, 3) metres, the person's neutral; posed: as in the photo.
        texels: the UV grid; smoother: of the neutral surface.
        projection, features, areas: what lies where on the texels.
    """

    head: HeadModel
    neutral: np.ndarray
    posed: PosedHead
    texels: TexelMap
    smoother: SurfaceSmoother
    projection: PhotoProjection
    features: FaceFeatures
    areas: Regions


def photographed_head(
    head: HeadModel, fit: CoarseFit, landmarks_px: np.ndarray, size_px: int, photo_size: tuple[int, int]
) -> PhotographedHead:
    """Pose the head, rasterise its UVs and find its texels in the photo.

    Args:
        head, fit: the model and its fit.
        landmarks_px: (478, 2) pixels of the photo.
        size_px: of the texel grid.
        photo_size: (height, width).

    Returns:
        The head in the photo.
    """
    triangles = head.triangles.cpu().numpy()
    texels = texel_map(head, size_px)
    posed = pose_head(head, fit, landmarks_px)
    neutral = _neutral_vertices(head, fit)
    projection = project_photo(posed, triangles, texels, photo_size[1], photo_size[0])
    features = face_features(landmarks_px, projection, posed.px_per_m)
    smoother = SurfaceSmoother(neutral, triangles)
    return PhotographedHead(
        head, neutral, posed, texels, smoother, projection, features, regions(head, texels, neutral)
    )


def photo_on_texels(pixels: np.ndarray, scene: PhotographedHead, size_px: int) -> np.ndarray:
    """The photo resampled onto the texture.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        scene: where the texels lie in it.
        size_px: M, rows and columns of the result.

    Returns:
        (M, M, 3) float32 logarithmic linear RGB.
    """
    texels_per_m = scene.areas.texels_per_m * size_px / scene.texels.size_px
    reduction = min(1.0, MAX_PHOTO_PX_PER_TEXEL * texels_per_m / scene.posed.px_per_m)
    where = scene.projection.photo_px
    if reduction < 0.9:
        pixels = cv2.resize(pixels, None, fx=reduction, fy=reduction, interpolation=cv2.INTER_AREA)
        where = where * reduction
    where = cv2.resize(where, (size_px, size_px), interpolation=cv2.INTER_LINEAR) - 0.5
    low = np.clip(np.floor(scene.posed.photo_px.min(axis=0) * reduction - 4).astype(int), 0, None)
    high = np.ceil(scene.posed.photo_px.max(axis=0) * reduction + 4).astype(int)
    window = pixels[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)]
    log_window = log_from_srgb_bytes(window)
    return cv2.remap(log_window, where - low.astype(np.float32), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _neutral_vertices(head: HeadModel, fit: CoarseFit) -> np.ndarray:
    with torch.no_grad():
        rest = head.vertices(fit.shape[None], torch.zeros_like(fit.expression)[None], torch.zeros_like(fit.pose)[None])
    return rest[0].cpu().numpy()
