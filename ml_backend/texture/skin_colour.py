"""The person's own skin colour, and how much a colour looks like it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml_backend.texture.log_colour import chroma, luminance

# Least spread allowed, in logarithmic units: noise and JPEG blocks alone give this much.
MIN_CHROMA_SIGMA = 0.05
MIN_LUMINANCE_SIGMA = 0.14
# A face in hard light can look very uneven; a wider model would take hair for skin.
MAX_CHROMA_SIGMA = 0.09
MAX_LUMINANCE_SIGMA = 0.30
ROUNDS = 4
# Samples below this weight are not plain skin, and fewer than this many say nothing.
MIN_WEIGHT = 0.3
MIN_SAMPLES = 100
# Colours beyond this many standard deviations are left out of the next round.
INLIER_SIGMAS = 2.5


@dataclass(frozen=True)
class SkinColour:
    """A robust Gaussian over the light-free colour of skin.

    Attributes:
        mean_log: (3,) logarithmic linear RGB.
        chroma_mean: (2,); chroma_inverse: (2, 2) inverse covariance.
        luminance_mean, luminance_sigma: of the mean logarithm.
    """

    mean_log: np.ndarray
    chroma_mean: np.ndarray
    chroma_inverse: np.ndarray
    luminance_mean: float
    luminance_sigma: float

    def shifted(self, shift: np.ndarray) -> SkinColour:
        """The same skin with `shift` (3,) added to its logarithms."""
        return replace(
            self,
            mean_log=self.mean_log + shift,
            chroma_mean=self.chroma_mean + chroma(shift),
            luminance_mean=self.luminance_mean + float(luminance(shift)),
        )

    def chroma_distance(self, log_colour: np.ndarray) -> np.ndarray:
        """(...,) standard deviations between a colour's chroma and the skin's; dark colours are judged mildly."""
        green = log_colour[..., 1]
        red = log_colour[..., 0] - green - float(self.chroma_mean[0])
        blue = log_colour[..., 2] - green - float(self.chroma_mean[1])
        (of_red, mixed), (_, of_blue) = self.chroma_inverse.tolist()
        squared = red * red * of_red + red * blue * (2.0 * mixed) + blue * blue * of_blue
        darker = np.clip(self.luminance_mean - luminance(log_colour), 0.0, 2.0)
        return np.sqrt(np.maximum(squared, 0.0)) / (1.0 + 0.5 * darker)

    def luminance_offset(self, log_colour: np.ndarray) -> np.ndarray:
        """(...,) brightness over the skin's, in standard deviations; negative is darker."""
        return (luminance(log_colour) - self.luminance_mean) / self.luminance_sigma


def fit_skin_colour(log_albedo: np.ndarray, weights: np.ndarray, log_model: np.ndarray) -> SkinColour:
    """Fit the model to texels that are most likely bare skin.

    Args:
        log_albedo: (..., 3) logarithmic albedo.
        weights: (...,) 0-1, high on plain, well-seen skin of the face.
        log_model: (..., 3) of the albedo model, taken where the photo shows next to no such skin.

    Returns:
        The model.
    """
    used = weights > MIN_WEIGHT
    if used.sum() < MIN_SAMPLES:
        used, log_albedo, weights = np.ones_like(used), log_model, np.ones_like(weights)
    colours, weight = log_albedo[used], weights[used]
    keep = np.abs(luminance(colours) - np.median(luminance(colours))) < 2.0 * MAX_LUMINANCE_SIGMA
    for _ in range(ROUNDS):
        model = _gaussian(colours[keep], weight[keep])
        inlier = model.chroma_distance(colours) < INLIER_SIGMAS
        inlier &= np.abs(model.luminance_offset(colours)) < INLIER_SIGMAS
        if inlier.sum() < MIN_SAMPLES // 2:
            break
        keep = inlier
    return model


def _gaussian(colours: np.ndarray, weight: np.ndarray) -> SkinColour:
    colour_chroma, brightness = chroma(colours), luminance(colours)
    chroma_mean = np.average(colour_chroma, axis=0, weights=weight)
    offset = colour_chroma - chroma_mean
    covariance = (offset * weight[:, None]).T @ offset / weight.sum()
    values, axes = np.linalg.eigh(covariance)
    values = np.clip(values, MIN_CHROMA_SIGMA**2, MAX_CHROMA_SIGMA**2)
    mean = float(np.average(brightness, weights=weight))
    sigma = float(np.sqrt(np.average((brightness - mean) ** 2, weights=weight)))
    return SkinColour(
        np.average(colours, axis=0, weights=weight),
        chroma_mean,
        (axes / values) @ axes.T,
        mean,
        float(np.clip(sigma, MIN_LUMINANCE_SIGMA, MAX_LUMINANCE_SIGMA)),
    )
