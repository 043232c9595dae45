"""How bright and of what hue the skin itself is: a photo shows only the product of skin and light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.rendering.spherical_harmonics import basis
from ml_backend.texture.eye_whites import SCLERA, EyeWhites
from ml_backend.texture.log_colour import chroma, luminance, of_chroma

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
# No more than this is moved from light to skin, logarithm: of brightness, and of R/G and B/G to either side.
LIMITS = (-0.6, 0.35)
HUE_LIMIT = 0.35
# Darker skin is redder and less blue: log(R/G) and log(B/G) over the logarithm of brightness, from fair to dark skin of
# CIELAB (70, 12, 16), (60, 14, 20), (45, 15, 21), (35, 12, 16); and how far skin of one brightness differs in them.
HUE_BY_TONE = (-0.28, 0.30)
SKIN_HUE_SIGMA = 0.07
# Lights differ from candle to sky, hardly from green to purple: log(R/G) and log(B/G) along black bodies near 6500 K,
# worked out from their CIE colours, and how far lights differ along and across after white balance (own choice).
WARM_AXIS = (0.45, -0.89)
WARMTH_SIGMA, TINT_SIGMA = 0.25, 0.12
# The whites of the eyes say how blue and bright the light is at least: lids and lashes shade them and skin mingles with
# them at the borders, so that they are sure to one side alone. Spreads of logarithms, own reading of 27 photos: of hue
# where the light would be redder than they are, and where not; of brightness where the skin would be brighter, and not.
WHITES_HUE_SIGMAS = (0.12, 0.50)
WHITES_BRIGHTNESS_SIGMAS = (0.35, 0.90)
# Which of the one-sided evidence is on its sure side is settled after a few rounds.
ROUNDS = 8
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


@dataclass(frozen=True)
class SkinAndLight:
    """A face's colours as a fit shares them between skin and light; mean logarithms of linear RGB, each (3,).

    Attributes:
        skin: of the albedo of plain visible skin; typical: of the albedo model's mean there.
        light: of the shading there.
        dimmed: by how much the light is expected to be dimmer than in a usual portrait, logarithm.
    """

    skin: np.ndarray
    typical: np.ndarray
    light: np.ndarray
    dimmed: float = 0.0


def skin_shift(pixels: np.ndarray, face: SkinAndLight, whites: EyeWhites | None = None) -> np.ndarray:
    """Share the colour of a face between its skin and its light in the most likely way.

    A fit settles the product; how it is shared follows from how much skins and lights differ, and from the whites of
    the eyes, which are nearly the same in all people.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        face: as the fit shares it.
        whites: of the eyes, in the photo; None where they are not to be seen.

    Returns:
        (3,) what to add to the logarithm of the albedo, and to take from that of the light.

    Source: own derivation; the most likely skin under Gaussian priors of skin and light (one-sided for the whites),
    along the line of equal product.
    """
    skin, typical, light = (_tone(colour) for colour in (face.skin, face.typical, face.light))
    expected = np.log(EXPOSED_LIGHT * _exposure(pixels) ** EXPOSURE_POWER) - face.dimmed
    rows, goals = _prior_rows(skin - typical, light - np.array([expected, 0.0, 0.0]))
    shift = np.linalg.lstsq(rows, goals, rcond=None)[0]
    if whites is not None:
        evidence, wanted = _whites_evidence(light, whites)
        for _ in range(ROUNDS):
            # beyond what the whites allow when the skin would take less of the red and more of the brightness
            beyond = np.array([shift[0] > wanted[0], shift[1] < wanted[1], shift[2] > wanted[2]])
            precise = np.where(beyond, *evidence.T)
            shift = np.linalg.lstsq(
                np.concatenate([rows, np.diag(precise)]), np.concatenate([goals, precise * wanted]), rcond=None
            )[0]
    low, high = np.array([LIMITS, (-HUE_LIMIT, HUE_LIMIT), (-HUE_LIMIT, HUE_LIMIT)]).T
    brightness, *hue = np.clip(shift, low, high)
    return (brightness + of_chroma(np.array(hue))).astype(np.float32)


def _tone(log_colour: np.ndarray) -> np.ndarray:
    """(3,) brightness, log(R/G), log(B/G) of a logarithmic colour (3,)."""
    return np.array([luminance(log_colour), *chroma(log_colour)])


def _exposure(pixels: np.ndarray) -> float:
    """How bright the photo is over a well-exposed one."""
    rows, columns = (max(1, side // 200) for side in pixels.shape[:2])
    brightness = linear_from_srgb_u8(pixels[::rows, ::columns]).mean(axis=-1)
    return float(np.clip(np.quantile(brightness, EXPOSED_QUANTILE) / EXPOSED_BRIGHTNESS, 0.05, 2.0))


def _prior_rows(tone: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and goals, in standard deviations, of the shift (3,) of skin's brightness and hue.

    Args:
        tone: (3,) of the skin over the albedo model's mean; light: (3,) over the expected one.
    """
    # darker than the mean and no redder is as unlikely as redder than the mean and no darker
    of_skin = np.array([
        [1.0 / TONE_SIGMA, 0.0, 0.0],
        [-HUE_BY_TONE[0] / SKIN_HUE_SIGMA, 1.0 / SKIN_HUE_SIGMA, 0.0],
        [-HUE_BY_TONE[1] / SKIN_HUE_SIGMA, 0.0, 1.0 / SKIN_HUE_SIGMA],
    ])  # fmt: skip
    warm, cool = np.array(WARM_AXIS) / np.linalg.norm(WARM_AXIS)
    of_light = np.array([
        [1.0 / LIGHT_SIGMA, 0.0, 0.0],
        [0.0, warm / WARMTH_SIGMA, cool / WARMTH_SIGMA],
        [0.0, -cool / TINT_SIGMA, warm / TINT_SIGMA],
    ])  # fmt: skip
    return np.concatenate([of_skin, of_light]), np.concatenate([-of_skin @ tone, of_light @ light])


def _whites_evidence(light: np.ndarray, whites: EyeWhites) -> tuple[np.ndarray, np.ndarray]:
    """What the whites say of the shift (3,): its precision (3, 2) beyond and within, and where it is wanted (3,)."""
    told = _tone(whites.log_colour - np.log(SCLERA))
    spreads = np.array([WHITES_BRIGHTNESS_SIGMAS, WHITES_HUE_SIGMAS, WHITES_HUE_SIGMAS])
    return np.sqrt(whites.readable) / spreads, light - told
