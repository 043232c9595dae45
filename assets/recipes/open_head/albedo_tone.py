"""The range of human skin tones as three linear components of one colour.

Twenty painted skins have two tones, light and dark, and nothing between; so the tone does not come from them. It comes
from a small optical model: light crosses the epidermis with its melanin and the dermis with its blood twice,

    R_c = surface + dermis_c · exp(-melanin · a_c - blood · b_c)          c = red, green, blue

Source: own derivation. That melanin absorbs as wavelength^-3.33 is a fact from S. Jacques, "Skin optics" (1998); blood
absorbs green most, blue less, red hardly. The free constants are set so that the ends of the range have the colours of
very light and very dark skin (about sRGB 233 191 173 and 96 55 31).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WAVELENGTHS_NM = np.array([610.0, 545.0, 460.0])  # middles of the sRGB primaries
MELANIN_ABSORPTION = (WAVELENGTHS_NM / WAVELENGTHS_NM[1]) ** -3.33
BLOOD_ABSORPTION = np.array([0.08, 1.0, 0.75])
DERMIS = np.array([0.85, 0.72, 0.55])
SURFACE = 0.020
LIGHTEST_MELANIN, DARKEST_MELANIN = 0.05, 3.0
BLOOD_MEAN, BLOOD_SIGMA = 0.30, 0.12
# The lightest and the darkest skin lie this many standard deviations from the mean. A uniform spread would say 1.7, but
# then 2.5 would be far outside what people look like, and have negative blue.
END_OF_RANGE_SIGMAS = 2.5
MEAN_TOWARDS_CURVE = 0.2
LEAST_SIGMA = 0.008  # of the third component, in linear RGB: room for white balance


@dataclass(frozen=True)
class ToneSpace:
    """Linear RGB of a face's skin: mean (3,) and components (3, 3), rows per standard deviation, lighter first."""

    mean: np.ndarray
    components: np.ndarray


def skin_reflectance(melanin: np.ndarray, blood: np.ndarray) -> np.ndarray:
    """The colour of skin.

    Args:
        melanin: (...) optical depth of the epidermis at 545 nm, both ways.
        blood: (...) the same of the dermis' blood.

    Returns:
        (..., 3) linear RGB.
    """
    depth = melanin[..., None] * MELANIN_ABSORPTION + blood[..., None] * BLOOD_ABSORPTION
    return SURFACE + DERMIS * np.exp(-depth)


def human_tone_space() -> ToneSpace:
    """Fits three components to the model's colours, with melanin spread evenly in red reflectance and blood normally.

    The first is the straight line between the ends of the range: a principal axis would follow the curve of the colours
    in its middle and leave the range, with negative blue, at its dark end. The other two are the principal axes of the
    distances from that line: more blood or less, and the curve.
    """
    ends = np.exp(-MELANIN_ABSORPTION[0] * np.array([DARKEST_MELANIN, LIGHTEST_MELANIN]))
    share = np.linspace(0, 1, 65)
    melanin = -np.log(ends[0] + share * (ends[1] - ends[0])) / MELANIN_ABSORPTION[0]
    sigmas = np.linspace(-2.5, 2.5, 21)
    colours = skin_reflectance(*np.meshgrid(melanin, BLOOD_MEAN + BLOOD_SIGMA * sigmas, indexing="ij"))
    weights = np.exp(-0.5 * sigmas**2) / np.exp(-0.5 * sigmas**2).sum() / len(melanin)
    dark, light = skin_reflectance(np.array([DARKEST_MELANIN, LIGHTEST_MELANIN]), np.full(2, BLOOD_MEAN))
    offsets = colours - (dark + share[:, None, None] * (light - dark))
    bend = np.einsum("msc,s->c", offsets, weights)
    offsets = offsets - bend
    variances, axes = np.linalg.eigh(np.einsum("msc,msd,s->cd", offsets, offsets, weights))
    deviations = np.sqrt(np.maximum(variances[:0:-1], LEAST_SIGMA**2))
    across = (axes[:, :0:-1] * deviations).T
    across *= np.sign(across[:, :1])
    # the mean may not go all the way from the straight line to the curve, or the dark end would turn negative
    mean = (dark + light) / 2 + MEAN_TOWARDS_CURVE * bend
    return ToneSpace(mean, np.vstack([(light - dark) / (2 * END_OF_RANGE_SIGMAS), across]))
