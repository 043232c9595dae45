"""How bright the skin itself is: a photo shows only the product of skin and light."""

from __future__ import annotations

import numpy as np

from ml_backend.rendering.colour import linear_from_srgb_u8

# Light on the face, as a logarithm over that of a well-exposed photo: own choice after looking at some thirty
# portraits; faces in front of windows lie 0.8 under it. And people's skin tones around the albedo model's mean.
LIGHT_SIGMA = 0.45
TONE_SIGMA = 0.45
# A well-exposed photo has this much linear light at its 90th percentile, and its light on the face is this bright.
EXPOSED_QUANTILE, EXPOSED_BRIGHTNESS = 0.9, 0.5
EXPOSED_LIGHT = 1.15
# A photo that is dark all over was underexposed: its light is expected to be darker by this power of its brightness.
EXPOSURE_POWER = 0.5
# No more than this is moved from skin to light or back, logarithm.
LIMITS = (-0.7, 0.35)


def tone_shift(pixels: np.ndarray, log_light: float, log_skin: float, log_mean_skin: float) -> float:
    """Share the brightness of a face between its skin and its light in the most likely way.

    A fit settles the product; how it is shared follows from how much lights and how much skins differ.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        log_light: mean logarithm of the shading on visible skin.
        log_skin: mean logarithm of the skin's albedo over that shading.
        log_mean_skin: the same of the albedo model's mean.

    Returns:
        What to add to the logarithm of the albedo, and to take from that of the light.

    Source: own derivation; the maximum of the product of two log-normal priors along the line of equal brightness.
    """
    rows, columns = (max(1, side // 200) for side in pixels.shape[:2])
    brightness = linear_from_srgb_u8(pixels[::rows, ::columns]).mean(axis=-1)
    exposed = np.clip(np.quantile(brightness, EXPOSED_QUANTILE) / EXPOSED_BRIGHTNESS, 0.05, 2.0)
    light_error = log_light - np.log(EXPOSED_LIGHT * exposed**EXPOSURE_POWER)
    tone_error = log_skin - log_mean_skin
    precision = LIGHT_SIGMA**-2 + TONE_SIGMA**-2
    return float(np.clip((light_error * LIGHT_SIGMA**-2 - tone_error * TONE_SIGMA**-2) / precision, *LIMITS))
