"""White and grey hair that stands around the head: seen against the light, it shows beside the skull, not on it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.rendering.rasterizer import rasterize
from ml_backend.texture.background import HeadWindow
from ml_backend.texture.log_colour import luminance
from ml_backend.texture.photo_projection import PosedHead, smooth_step

# Hair stands out this far beside the skull, metres: the fit is some millimetres off, and short hair is 15 mm long.
HALO_M = (0.003, 0.015)
# Pale hair's logarithm of red over the mean of green and blue is less than the skin's by this much; it is not darker
# than the skin beyond the second pair.
PALER_THAN_SKIN = (0.20, 0.40)
BRIGHTNESS = (-0.5, -0.1)
# Part of the halo that must be pale: behind a bald head the background shows instead, somewhere of another colour.
HALO_SHARE = (0.35, 0.55)
# Less of the scalp's outline in the photo than this, in pixels of the window, tells nothing.
MIN_PIXELS = 40
# Light from behind shines through the outermost hair: its colour is read at this quantile of the halo, and no hair
# reflects more than this.
COLOUR_QUANTILE = 0.3
WHITEST_LOG = float(np.log(0.70))


@dataclass(frozen=True)
class PaleHalo:
    """Hair around the outline of the scalp: how surely it is white or grey (0-1), and its colour over the skin's (3,),
    a difference of logarithms."""

    sureness: float
    log_over_skin: np.ndarray

    def log_colour(self, skin_log: np.ndarray) -> np.ndarray:
        """(3,) its colour on a person whose skin's albedo is exp(skin_log)."""
        colour = skin_log + self.log_over_skin
        return (colour - max(0.0, float(colour.max()) - WHITEST_LOG)).astype(np.float32)


NO_HALO = PaleHalo(0.0, np.zeros(3, np.float32))


def find_pale_halo(
    window: HeadWindow, posed: PosedHead, triangles: np.ndarray, scalp: np.ndarray, face: np.ndarray
) -> PaleHalo:
    """Look for pale hair beside the scalp's outline.

    Args:
        window: the photo around the head.
        posed: the head in the photo; triangles: (F, 3).
        scalp, face: (V,) masks.

    Returns:
        The halo; nothing is sure where the background has the hair's colour.
    """
    if not window.shows_background:
        return NO_HALO
    height, width = window.common.shape
    points = np.column_stack([(posed.photo_px - window.corner) * window.scale, posed.depth_m]).astype(np.float32)
    fragments = rasterize(torch.from_numpy(points)[None], torch.from_numpy(triangles), height, width)
    corners = np.column_stack([scalp, face * smooth_step(posed.facing, 0.5, 0.8)]).astype(np.float32)[triangles]
    fields = fragments.interpolate(torch.from_numpy(corners))[0].numpy()
    head = fragments.triangle[0].numpy() >= 0
    plain = head & (fields[..., 1] > 0.9)
    if plain.sum() < MIN_PIXELS:
        return NO_HALO
    halo = _beside_scalp(head, fields[..., 0], posed.px_per_m * window.scale)
    if halo.sum() < MIN_PIXELS:
        return NO_HALO
    skin, hair = np.median(window.log_colour[plain], axis=0), window.log_colour[halo]
    paler = _redness(skin) - _redness(hair)
    pale = smooth_step(paler, *PALER_THAN_SKIN) * smooth_step(luminance(hair) - skin.mean(), *BRIGHTNESS)
    pale = pale * (1.0 - window.common[halo])
    sureness = float(smooth_step(pale.mean(), *HALO_SHARE))
    if sureness == 0.0:
        return NO_HALO
    return PaleHalo(sureness, np.quantile(hair[pale >= 0.5 * pale.max()], COLOUR_QUANTILE, axis=0) - skin)


def _beside_scalp(head: np.ndarray, scalp: np.ndarray, px_per_m: float) -> np.ndarray:
    """(h, w) bool: beside the head, nearest to a place of its outline where the scalp is."""
    outside = (~head).astype(np.uint8)
    distance, label = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    is_scalp = np.zeros(label.max() + 1, bool)
    is_scalp[label[head]] = scalp[head] > 0.5
    near = (distance > HALO_M[0] * px_per_m) & (distance <= max(HALO_M[1] * px_per_m, 1.5))
    return near & ~head & is_scalp[label]


def _redness(log_colour: np.ndarray) -> np.ndarray:
    return log_colour[..., 0] - 0.5 * (log_colour[..., 1] + log_colour[..., 2])
