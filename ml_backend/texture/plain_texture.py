"""The albedo of nobody in particular: a head without a photo."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.bake_texture import DETAIL_FACTOR, MOUTH_RGB
from ml_backend.texture.eyes import BROWN_IRIS, head_eyeballs, paint_eyeball
from ml_backend.texture.log_colour import log_from_linear, srgb_bytes_from_log
from ml_backend.texture.skin_evidence import region_mask
from ml_backend.texture.teeth import ENAMEL, paint_teeth
from ml_backend.texture.texel_map import pad_islands, texel_map


@torch.no_grad()
def plain_texture(head: HeadModel, albedo_model: AlbedoModel, size_px: int) -> np.ndarray:
    """The mean albedo with clean eyes and teeth.

    Args:
        head: at its mean shape.
        size_px: N, rows and columns, an even number.

    Returns:
        (N,N,3) uint8 sRGB on the head's UVs, row 0 at v = 1.
    """
    texels = texel_map(head, size_px // DETAIL_FACTOR)
    mean = albedo_model.texture(torch.zeros(albedo_model.num_coefficients)).numpy()
    log_albedo = log_from_linear(cv2.resize(mean, (size_px, size_px), interpolation=cv2.INTER_CUBIC))
    skin = (texels.part == head.part_names.index("skin")).astype(np.float32)
    mouth = np.clip(texels.interpolate(region_mask(head, "inner_mouth")), 0.0, 1.0) * skin
    mouth = cv2.resize(mouth, (size_px, size_px))[..., None]
    log_albedo += (log_from_linear(np.array(MOUTH_RGB, np.float32)) - log_albedo) * mouth
    vertices = head.skinned.template.numpy()
    for eye in head_eyeballs(head, vertices, head.joints(torch.zeros(1, head.num_shape))[0].numpy()).values():
        paint_eyeball(log_albedo, texels, vertices, eye, BROWN_IRIS)
    paint_teeth(log_albedo, head, vertices, texels, ENAMEL)
    return pad_islands(srgb_bytes_from_log(log_albedo), texels)
