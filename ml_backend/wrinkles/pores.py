"""Pores and fine skin relief at rest: scattered pits whose number and depth differ by region.

Visible facial pores are at least a quarter of a millimetre wide (Flament et al. 2015, a multi-ethnic study of 2,585
women) and most frequent on nose and forehead (Jung et al. 2014). Depths of some hundredths of a millimetre are those of
the skin's primary lines, 20 to 200 um; densities below them are chosen by eye, since a texel is as wide as a pore.
"""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.texture.photo_projection import smooth_step
from ml_backend.wrinkles.draw_lines import random_of
from ml_backend.wrinkles.wrinkle_surface import SkinTexels, WrinkleSurface

# pits for each square millimetre where pores are densest, and the part of that by region
PORES_PER_MM2 = 0.75
REGION_DENSITY = {"nose": 1.0, "cheeks": 0.8, "forehead": 0.6, "chin": 0.7, "neck": 0.25}
OTHER_DENSITY = 0.4
# a pit's standard deviation, and depth of the deepest, metres
PORE_SPREAD_M, PORE_DEPTH_M = 0.00022, 0.00005
# unevenness of the skin between the pores: the tenth of a millimetre of fine relief, blurred to the texel
FINE_DEPTH_M = 0.000008
# pores widen with age: Jung et al. 2014 (most between 30 and 50)
AGE_GAIN = 0.5
SMOOTH_REGIONS = ("lips", "inner_mouth", "eyelids", "scalp", "ears")


def pore_relief(surface: WrinkleSurface, texels: SkinTexels, seed: int, age: float) -> np.ndarray:
    """Relief of pores.

    Args:
        surface: the person's neutral; texels: its skin in the map.
        seed: the person's; age: 0-1.

    Returns:
        (N, N) float32 metres, 0 or below but for the fine relief; 0 on lips, lids, ears, scalp and other parts.
    """
    size = texels.size_px
    density, texel_m = _density(surface, texels)
    generator = random_of(seed, "pores")
    per_texel = PORES_PER_MM2 * 1e6 * texel_m**2
    chance = generator.random((size, size), dtype=np.float32)
    pits = np.where(chance < per_texel * density, 0.35 + 0.65 * (chance / max(per_texel, 1e-9)), 0).astype(np.float32)
    spread = max(PORE_SPREAD_M / texel_m, 0.45)
    # a pit of unit depth: the Gaussian's middle is 1 / (2 pi spread^2); below a texel it is the texel's mean
    depth = PORE_DEPTH_M * (1 + AGE_GAIN * (age - 0.4)) * 2 * np.pi * (PORE_SPREAD_M / texel_m) ** 2
    relief = -depth * cv2.GaussianBlur(pits, (0, 0), spread)
    fine = cv2.GaussianBlur(chance - 0.5, (0, 0), 0.8) * (FINE_DEPTH_M * 6)
    # a pit's blur must not reach where none may be
    return (np.maximum(relief, -1.5 * PORE_DEPTH_M) + fine) * np.minimum(4 * density, 1)


def _density(surface: WrinkleSurface, texels: SkinTexels) -> tuple[np.ndarray, float]:
    """(N, N) float32 0-1 relative density, and the size of a texel of the face in metres."""
    vertices = surface.neutral.numpy()
    zero = np.zeros(len(vertices), np.float32)

    def mask(name: str) -> np.ndarray:
        return surface.masks[name].numpy() if name in surface.masks else zero

    value = np.full(len(vertices), OTHER_DENSITY, np.float32)
    for name, density in REGION_DENSITY.items():
        value += mask(name) * (density - OTHER_DENSITY)
    excluded = np.max([mask(name) for name in SMOOTH_REGIONS], axis=0)
    value *= 1 - smooth_step(excluded, 0.05, 0.5)
    on_face = (mask("face")[texels.vertices[:, 0]] > 0.5).sum()
    dense = np.zeros(texels.size_px**2, np.float32)
    dense[texels.index] = (value[texels.vertices] * texels.barycentric).sum(1)
    triangles = surface.triangles.numpy()
    face = mask("face")[triangles[:, 0]] > 0.5
    corners = vertices[triangles[face]]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    texel_m = float(np.sqrt(area / max(on_face, 1)))
    return np.clip(dense, 0, 1).reshape(texels.size_px, -1), texel_m
