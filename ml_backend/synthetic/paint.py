"""Layers of paint on a linear texture, and the noises that they are made of."""

from __future__ import annotations

import cv2
import numpy as np


def lay_over(texture: np.ndarray, colour: np.ndarray, opacity: np.ndarray) -> None:
    """Lay a colour over a texture in place.

    Args:
        texture: (N, N, 3) linear; colour: (3,) or (N, N, 3); opacity: (N, N) 0-1.
    """
    alpha = opacity[..., None].astype(np.float32)
    texture += (np.asarray(colour, np.float32) - texture) * alpha


def tint(texture: np.ndarray, factor: np.ndarray, amount: np.ndarray) -> None:
    """Multiply a texture in place by a colour (3,), as far as amount (N, N) 0-1 says: skin shines through."""
    texture *= 1 + (np.asarray(factor, np.float32) - 1) * amount[..., None].astype(np.float32)


def smooth_noise(random: np.random.Generator, size: int, spread_px: float) -> np.ndarray:
    """(size, size) float32 noise with a spread of 1 that is even over about spread_px."""
    reduction = max(1, int(spread_px / 2))
    small = random.standard_normal((-(-size // reduction) + 2,) * 2, dtype=np.float32)
    small = cv2.GaussianBlur(small, (0, 0), max(spread_px / reduction, 0.3))
    noise = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    return noise / max(float(noise.std()), 1e-6)


def strands(
    size: tuple[int, int], roots: np.ndarray, steps: np.ndarray, shade: np.ndarray, width_px: int = 1
) -> np.ndarray:
    """Draw hairs as an image of opacity.

    Args:
        size: (rows, columns) of the image.
        roots: (K, 2) pixels; steps: (K, M, 2) from each point of a hair to the next.
        shade: (K,) 0-1, opacity of each hair; equal ones are drawn together.
        width_px: of each hair.

    Returns:
        (rows, columns) float32 0-1, the highest of the hairs at each pixel within the eight levels of shade.
    """
    image = np.zeros(size, np.uint8)
    points = np.concatenate([roots[:, None], roots[:, None] + np.cumsum(steps, 1)], 1)
    fixed = np.round((points - 0.5) * 16).astype(np.int32)
    level = np.clip(np.ceil(shade * 8), 1, 8).astype(int)
    for value in range(1, 9):
        chosen = list(fixed[level == value])
        if chosen:
            cv2.polylines(image, chosen, False, value * 255 // 8, width_px, cv2.LINE_AA, 4)
    return image.astype(np.float32) / 255
