"""sRGB in files, linear light in shading (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np


def linear_from_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light, float32, of sRGB values in 0-1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_from_srgb_u8(pixels: np.ndarray) -> np.ndarray:
    """Linear light, float32, of 8-bit sRGB."""
    return _LINEAR_OF_U8[pixels]


def srgb_from_linear(values: np.ndarray) -> np.ndarray:
    """sRGB in 0-1, float32, of linear light, clipped."""
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * np.power(values, 1 / 2.4) - 0.055).astype(np.float32)


def srgb_u8_from_linear(values: np.ndarray) -> np.ndarray:
    """8-bit sRGB of linear light, clipped."""
    return (srgb_from_linear(values) * 255 + 0.5).astype(np.uint8)


_LINEAR_OF_U8 = linear_from_srgb(np.arange(256, dtype=np.float32) / 255)
