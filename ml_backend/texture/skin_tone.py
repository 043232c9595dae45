"""How bright the skin itself is: a photo shows only the product of skin and light."""

from __future__ import annotations

import numpy as np
import torch

from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.rendering.spherical_harmonics import basis

# Light on the face, as a logarithm over that of a well-exposed photo: own choice after looking at some thirty
# portraits; faces in front of windows lie 0.8 under it. And people's skin tones around the albedo model's mean.
LIGHT_SIGMA = 0.45
TONE_SIGMA = 0.45
# A well-exposed photo has this much linear light at its 90th percentile, and its light on the face is this bright.
EXPOSED_QUANTILE, EXPOSED_BRIGHTNESS = 0.9, 0.5
EXPOSED_LIGHT = 1.15
# A photo that is dark all over was underexposed: its light is expected to be darker by this power of its brightness.
EXPOSURE_POWER = 0.5
# Normals of the face's front and of its sides; the light on them tells a face that is lit from behind: then this part
# of what the sides have more, in logarithms, was missing in front, up to a limit (a bright rim is not all the light).
FRONT, SIDES = (0.0, 0.0, 1.0), ((0.95, 0.0, 0.31), (-0.95, 0.0, 0.31))
CONTRE_JOUR_PART, CONTRE_JOUR_LIMIT = 0.7, 0.5
# No more than this is moved from skin to light or back, logarithm.
LIMITS = (-0.5, 0.35)
# Where skin lies in log(R/G) and log(B/G) of linear sRGB: own choice, worked out from CIELAB lightness 35 to 70, chroma
# 16 to 25 and hue angles of 45 to 65 degrees, with some room.
SKIN_RED, SKIN_BLUE = (0.40, 0.85), (-0.70, -0.22)


def contre_jour(light: torch.Tensor) -> float:
    """How much dimmer than usual the light on a face's front is because it comes from behind.

    Args:
        light: (9, 3) spherical harmonics.

    Returns:
        Logarithm, 0 where the front is lit as well as the darker of the sides.
    """
    front, *sides = (basis(torch.tensor([FRONT, *SIDES])) @ light.cpu()).mean(dim=-1).clamp(min=0.02).tolist()
    return float(np.clip(CONTRE_JOUR_PART * np.log(min(sides) / front), 0.0, CONTRE_JOUR_LIMIT))


def natural_chroma(chroma_mean: np.ndarray) -> np.ndarray:
    """(2,) the colour of skin nearest to a mean log(R/G) and log(B/G): a dark photo's or coloured light's is none."""
    low, high = np.transpose([SKIN_RED, SKIN_BLUE])
    return np.clip(chroma_mean, low, high)


def tone_shift(
    pixels: np.ndarray, log_light: float, log_skin: float, log_mean_skin: float, log_dimmed: float = 0.0
) -> float:
    """Share the brightness of a face between its skin and its light in the most likely way.

    A fit settles the product; how it is shared follows from how much lights and how much skins differ.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        log_light: mean logarithm of the shading on visible skin.
        log_skin: mean logarithm of the skin's albedo over that shading.
        log_mean_skin: the same of the albedo model's mean.
        log_dimmed: by how much the light is expected to be dimmer than in a usual portrait.

    Returns:
        What to add to the logarithm of the albedo, and to take from that of the light.

    Source: own derivation; the maximum of the product of two log-normal priors along the line of equal brightness.
    """
    rows, columns = (max(1, side // 200) for side in pixels.shape[:2])
    brightness = linear_from_srgb_u8(pixels[::rows, ::columns]).mean(axis=-1)
    exposed = np.clip(np.quantile(brightness, EXPOSED_QUANTILE) / EXPOSED_BRIGHTNESS, 0.05, 2.0)
    light_error = log_light - np.log(EXPOSED_LIGHT * exposed**EXPOSURE_POWER) + log_dimmed
    tone_error = log_skin - log_mean_skin
    precision = LIGHT_SIGMA**-2 + TONE_SIGMA**-2
    return float(np.clip((light_error * LIGHT_SIGMA**-2 - tone_error * TONE_SIGMA**-2) / precision, *LIMITS))
