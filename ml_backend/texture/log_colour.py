"""Logarithmic colour: light multiplies, so that in logarithms it can be added and taken away."""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.rendering.colour import linear_from_srgb_u8, srgb_u8_from_linear

# Added before the logarithm: the darkest step of an 8-bit photo that still carries colour (about 6/255 sRGB).
LOG_FLOOR = 0.002
# Brightness (logarithm) below which a photo's colour is noise, and above which it is sound: 2% and 6% of white.
NOISY_COLOUR = (-3.9, -2.8)


def log_from_srgb_bytes(pixels: np.ndarray) -> np.ndarray:
    """Logarithm of the linear light of 8-bit sRGB pixels, (H, W, 3) uint8 to float32."""
    table = np.log(linear_from_srgb_u8(np.arange(256, dtype=np.uint8)) + LOG_FLOOR)
    return cv2.LUT(np.ascontiguousarray(pixels), table.reshape(256, 1))


def log_from_linear(linear: np.ndarray) -> np.ndarray:
    """Logarithm of linear light, with the same floor as for photos."""
    return np.log(np.maximum(linear, 0.0) + LOG_FLOOR).astype(np.float32)


def srgb_bytes_from_log(log_colour: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 sRGB of logarithmic linear light; a table over the logarithm keeps it quick on large textures."""
    steps = 4096
    low, high = np.log(LOG_FLOOR), np.log(1.0 + LOG_FLOOR)
    table = srgb_u8_from_linear(np.exp(np.linspace(low, high, steps)) - LOG_FLOOR)
    scaled = np.clip((log_colour - low) * ((steps - 1) / (high - low)), 0, steps - 1)
    return table[scaled.astype(np.uint16)]


def luminance(log_colour: np.ndarray) -> np.ndarray:
    """Mean of the three logarithms: the brightness that shading changes by the same amount in every channel."""
    # numpy's mean over a short last axis is several times slower
    return (log_colour[..., 0] + log_colour[..., 1] + log_colour[..., 2]) / np.float32(3.0)


def chroma(log_colour: np.ndarray) -> np.ndarray:
    """(..., 2) log(R/G) and log(B/G), which grey shading leaves alone."""
    return np.stack([log_colour[..., 0] - log_colour[..., 1], log_colour[..., 2] - log_colour[..., 1]], axis=-1)


def with_calm_colour(log_photo: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth the colour, not the brightness, of what is nearly black: there an 8-bit photo's colour is noise.

    Args:
        log_photo: (H, W, 3) logarithmic linear RGB with the photo's light.
        sigma: how far to smooth, pixels.

    Returns:
        (H, W, 3).
    """
    brightness = luminance(log_photo)[..., None]
    colour = log_photo - brightness
    low, high = NOISY_COLOUR
    noisy = np.clip((high - brightness) / (high - low), 0.0, 1.0)
    return brightness + colour + (cv2.GaussianBlur(colour, (0, 0), sigma) - colour) * noisy
