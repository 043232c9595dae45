"""What lies behind the head in the photo, so that it is not taken for hair."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml_backend.texture.log_colour import log_from_srgb_bytes
from ml_backend.texture.photo_projection import PhotoProjection, PosedHead, smooth_step

# The background is read between these multiples of the head's half size from its middle, above the chin: hair reaches
# less far, and beyond lies what may differ.
RING = (1.35, 2.2)
# Colours are counted in cells of this size, in logarithms; darker than the floor is one colour.
CELL = 0.35
DARKEST_LOG = -5.0
# Share of the ring's pixels in a colour's cells above which the colour counts as background.
COMMON_SHARE = (0.05, 0.15)
# Side of the window that is looked at, pixels.
WINDOW_PX = 192


@dataclass(frozen=True)
class HeadWindow:
    """The photo around the head, reduced.

    Attributes:
        log_colour: (h, w, 3) logarithmic linear RGB.
        common: (h, w) 0-1, how common each pixel's colour is in the background.
        shows_background: the photo reaches beyond the head.
        corner: (2,) place of its first pixel's corner in the photo; scale: its pixels per pixel of the photo.
    """

    log_colour: np.ndarray
    common: np.ndarray
    shows_background: bool
    corner: np.ndarray
    scale: float

    def background_likeness(self, projection: PhotoProjection) -> np.ndarray:
        """(N, N) 0-1: how common each texel's colour is around the head."""
        where = ((projection.photo_px - self.corner) * self.scale - 0.5).astype(np.float32)
        return cv2.remap(self.common, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def head_window(pixels: np.ndarray, posed: PosedHead) -> HeadWindow:
    """Look at the photo around a head.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        posed: the head in the photo.

    Returns:
        The window; `common` is 0 everywhere when the photo shows nothing around the head.
    """
    low, high = posed.photo_px.min(axis=0), posed.photo_px.max(axis=0)
    half = 0.5 * float((high - low).max())
    middle = 0.5 * (low + high)
    corner = np.maximum(np.floor(middle - RING[1] * half).astype(int), 0)
    end = np.minimum(np.ceil(middle + RING[1] * half).astype(int), (pixels.shape[1], pixels.shape[0]))
    window = pixels[corner[1] : end[1], corner[0] : end[0]]
    if window.size == 0:
        return HeadWindow(np.zeros((1, 1, 3), np.float32), np.zeros((1, 1), np.float32), False, corner, 1.0)
    scale = min(1.0, WINDOW_PX / max(window.shape[:2]))
    small = log_from_srgb_bytes(cv2.resize(window, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    cells = _cells(small)
    share = _ring_histogram(cells, (middle - corner) * scale, half * scale)
    common = smooth_step(share[cells[..., 0], cells[..., 1], cells[..., 2]], *COMMON_SHARE).astype(np.float32)
    return HeadWindow(small, common, bool(share.any()), corner, scale)


def _cells(log_colour: np.ndarray) -> np.ndarray:
    """(H, W, 3) int: cell of each colour."""
    return np.floor((np.clip(log_colour, DARKEST_LOG, 0.01) - DARKEST_LOG) / CELL).astype(int)


def _ring_histogram(cells: np.ndarray, middle: np.ndarray, half: float) -> np.ndarray:
    """(C, C, C) share of the ring's pixels in each cell, its neighbours counting half."""
    rows, columns = np.mgrid[: cells.shape[0], : cells.shape[1]]
    distance = np.hypot(columns - middle[0], rows - middle[1]) / half
    ring = (distance > RING[0]) & (distance < RING[1]) & (rows < middle[1])
    side = int(np.ceil((0.01 - DARKEST_LOG) / CELL)) + 1
    counts = np.zeros((side, side, side))
    if not ring.any():
        return counts
    np.add.at(counts, tuple(cells[ring].T), 1.0 / ring.sum())
    for axis in range(3):
        padded = np.pad(counts, [(1, 1) if k == axis else (0, 0) for k in range(3)])
        before, here, after = (np.take(padded, range(shift, shift + side), axis=axis) for shift in range(3))
        counts = here + 0.5 * (before + after)
    return counts
