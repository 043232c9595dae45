"""Backgrounds of synthetic faces: unsharp rooms, plain walls, gradients, shapes, noise; nothing of a photo."""

from __future__ import annotations

import cv2
import numpy as np


def draw_background(random: np.random.Generator, size_px: int) -> np.ndarray:
    """(size_px, size_px, 3) float32 linear."""
    kind = random.choice(
        ["room", "wall", "gradient", "shapes", "noise", "foliage"], p=[0.3, 0.15, 0.13, 0.22, 0.1, 0.1]
    )
    maker = {"room": _room, "wall": _wall, "gradient": _gradient, "shapes": _shapes, "noise": _noise,
             "foliage": _foliage}[str(kind)]  # fmt: skip
    image = np.clip(maker(random, size_px) * random.uniform(0.35, 1.3), 0, 2)
    return image.astype(np.float32)


def _colour(random: np.random.Generator) -> np.ndarray:
    """(3,) linear; greys and muted colours are commoner than bright ones."""
    grey = random.uniform(0.02, 0.9)
    saturation = random.beta(1, 2.5)
    return grey * (1 + saturation * random.uniform(-0.9, 0.9, 3))


def _room(random: np.random.Generator, size: int) -> np.ndarray:
    cells = random.integers(3, 9, 2)
    small = np.stack([_colour(random) for _ in range(cells[0] * cells[1])]).reshape(*cells, 3).astype(np.float32)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)


def _wall(random: np.random.Generator, size: int) -> np.ndarray:
    image = np.broadcast_to(_colour(random), (size, size, 3)).astype(np.float32)
    shade = cv2.resize(
        random.uniform(0.75, 1.2, (3, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )
    return image * shade[..., None]


def _gradient(random: np.random.Generator, size: int) -> np.ndarray:
    angle = random.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    across = np.clip(rows * np.sin(angle) + columns * np.cos(angle) + 0.5, 0, 1)[..., None]
    if random.random() < 0.3:
        across = np.clip(np.hypot(rows, columns) * 1.6, 0, 1)[..., None]
    return _colour(random) * (1 - across) + _colour(random) * across


def _shapes(random: np.random.Generator, size: int) -> np.ndarray:
    image = np.ascontiguousarray(_wall(random, size))
    for _ in range(random.integers(3, 16)):
        colour = _colour(random).tolist()
        x, y, w, h = (int(v) for v in random.uniform(-0.2, 1.1, 4) * size)
        if random.random() < 0.65:
            cv2.rectangle(image, (x, y), (x + abs(w) // 2, y + abs(h)), colour, -1)
        else:
            cv2.circle(image, (x, y), abs(w) // 3 + 2, colour, -1)
    return _unsharp(random, image, size)


def _noise(random: np.random.Generator, size: int) -> np.ndarray:
    image = np.zeros((size, size, 3), np.float32)
    for cells in (4, 9, 24, 60):
        layer = random.random((cells, cells, 3), dtype=np.float32) * _colour(random).astype(np.float32)
        image += cv2.resize(layer, (size, size), interpolation=cv2.INTER_CUBIC) * random.uniform(0.2, 0.7)
    grey = image.mean(2, keepdims=True)
    return np.clip(grey + (image - grey) * random.beta(1, 2), 0, 1)


def _foliage(random: np.random.Generator, size: int) -> np.ndarray:
    """Many small blots of related colours, as leaves or a crowd."""
    ground, leaf = _colour(random), _colour(random)
    image = np.broadcast_to(ground, (size, size, 3)).astype(np.float32).copy()
    for _ in range(random.integers(80, 200)):
        x, y = (int(v) for v in random.random(2) * size)
        axes = tuple(int(v) + 2 for v in random.exponential(size / 30, 2))
        colour = (leaf * random.uniform(0.3, 1.6)).tolist()
        cv2.ellipse(image, (x, y), axes, random.uniform(0, 180), 0, 360, colour, -1)
    return _unsharp(random, image, size)


def _unsharp(random: np.random.Generator, image: np.ndarray, size: int) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), random.uniform(0.001, 0.05) * size + 0.3)
