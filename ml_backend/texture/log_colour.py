"""Logarithmic colour: light multiplies, so that in logarithms it can be added and taken away."""

from __future__ import annotations

from functools import reduce

import cv2
import numpy as np

from ml_backend.rendering.colour import linear_from_srgb_u8, srgb_u8_from_linear

# Added before the logarithm: the darkest step of an 8-bit photo that still carries colour (about 6/255 sRGB).
LOG_FLOOR = 0.002
# Brightness (logarithm) below which a photo's colour is noise, and above which it is sound: 2% and 6% of white.
NOISY_COLOUR = (-3.9, -2.8)
# Rows that are turned into bytes at once: their numbers stay in the processor's cache.
BYTE_ROWS = 32
# What is smoothed further than this, in pixels, is smoothed at a quarter of the size.
COARSE_SIGMA = 6.0
_THIRDS = np.full((1, 3), 1.0 / 3.0, np.float32)


def log_from_srgb_bytes(pixels: np.ndarray) -> np.ndarray:
    """Logarithm of the linear light of 8-bit sRGB pixels, (H, W, 3) uint8 to float32."""
    table = np.log(linear_from_srgb_u8(np.arange(256, dtype=np.uint8)) + LOG_FLOOR)
    return cv2.LUT(np.ascontiguousarray(pixels), table.reshape(256, 1))


def log_from_linear(linear: np.ndarray) -> np.ndarray:
    """Logarithm of linear light, with the same floor as for photos."""
    return cv2.log(np.maximum(linear, 0.0).astype(np.float32) + np.float32(LOG_FLOOR)).reshape(linear.shape)


def srgb_bytes_from_log(log_colour: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 sRGB of logarithmic linear light; a table over the logarithm keeps it quick on large textures."""
    steps = 4096
    low, high = np.log(LOG_FLOOR), np.log(1.0 + LOG_FLOOR)
    table = srgb_u8_from_linear(np.exp(np.linspace(low, high, steps)) - LOG_FLOOR)
    result = np.empty(log_colour.shape, np.uint8)
    for start in range(0, len(log_colour), BYTE_ROWS):
        scaled = log_colour[start : start + BYTE_ROWS] - np.float32(low)
        scaled *= np.float32((steps - 1) / (high - low))
        np.clip(scaled, 0, steps - 1, out=scaled)
        np.take(table, scaled.astype(np.uint16), out=result[start : start + BYTE_ROWS], mode="clip")
    return result


def luminance(log_colour: np.ndarray) -> np.ndarray:
    """Mean of the three logarithms: the brightness that shading changes by the same amount in every channel."""
    # numpy's mean over a short last axis is several times slower than either
    if log_colour.ndim == 3 and log_colour.dtype == np.float32:
        return cv2.transform(log_colour, _THIRDS)
    return (log_colour[..., 0] + log_colour[..., 1] + log_colour[..., 2]) / np.float32(3.0)


def largest_channel(image: np.ndarray) -> np.ndarray:
    """(H, W) the largest of the channels of an image (H, W, C); numpy's maximum over a short last axis is slow."""
    return reduce(cv2.max, cv2.split(image))


def chroma(log_colour: np.ndarray) -> np.ndarray:
    """(..., 2) log(R/G) and log(B/G), which grey shading leaves alone."""
    return np.stack([log_colour[..., 0] - log_colour[..., 1], log_colour[..., 2] - log_colour[..., 1]], axis=-1)


def of_chroma(log_chroma: np.ndarray) -> np.ndarray:
    """(3,) the logarithmic colour of a log(R/G) and log(B/G) (2,) whose `luminance` is 0."""
    return np.array([log_chroma[0], 0.0, log_chroma[1]]) - log_chroma.sum() / 3.0


def in_colour(field: np.ndarray) -> np.ndarray:
    """(H, W, 3) a field (H, W) three times: numpy multiplies colours by it faster than by a short last axis of 1."""
    return cv2.merge([field, field, field])


def over(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: colours `above` laid over `below` with an opacity of `share` (H, W)."""
    result = cv2.subtract(above, below)
    cv2.multiply(result, in_colour(share.astype(np.float32, copy=False)), result)
    return cv2.add(result, below, result)


def plus_colour(image: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(H, W, 3) the image with one colour (3,) added everywhere."""
    return cv2.add(image, (*map(float, colour), 0.0))


def with_calm_colour(log_photo: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth the colour, not the brightness, of what is nearly black: there an 8-bit photo's colour is noise.

    Args:
        log_photo: (H, W, 3) logarithmic linear RGB with the photo's light.
        sigma: how far to smooth, pixels.

    Returns:
        (H, W, 3).
    """
    brightness = luminance(log_photo)
    low, high = NOISY_COLOUR
    noisy = np.clip((high - brightness) / (high - low), 0.0, 1.0)
    if not noisy.any():
        return log_photo
    grey = in_colour(brightness)
    colour = log_photo - grey
    return grey + over(colour, _blurred(colour, sigma), noisy)


def coarsely_blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """A wide Gaussian blur, worked out at a quarter of the size; sigma in pixels of the image."""
    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma < COARSE_SIGMA else coarsely_blurred(image, sigma)
