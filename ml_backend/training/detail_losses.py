"""The losses of the detail stage, one function for each (first paper, section 3.3; weights stand in the tasks).

Displacements come in metres and are compared in millimetres. All weights (B,1,N,N) are 0-1, 0 where nothing is asked;
a loss is the weighted mean over its texels, so that windows with little skin count no less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

MM_PER_M = 1e3
# Where the truth is compared, millimetres: below, errors count squared (the mean wins), above, as they are.
ROUNDED_MM = 0.05
# SSIM: side of its window, texels; its two constants for a range of 1 mm (Wang et al. 2004: 0.01 and 0.03 squared).
SSIM_PX = 7
SSIM_RANGE_MM = 1.0
# ID-MRF (Wang et al. 2018, eq. 1): bandwidth and guard; features beyond this many places are taken at a stride.
MRF_BANDWIDTH = 0.5
MRF_GUARD = 1e-5
MRF_PLACES = 1024
# The stand-in compares gradients at this many halvings of the resolution.
GRADIENT_SCALES = 3
# Least weight of a sum of weights: a window without any skin gives 0, not a division by 0.
LEAST_WEIGHT = 1e-6
# How strongly symmetry is asked for where the photo shows the skin well.
SYMMETRY_WHERE_SEEN = 0.1

FeatureNetwork = Callable[[torch.Tensor], torch.Tensor | Sequence[torch.Tensor]]


def weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean over texels and channels of (B,C,H,W) values with weights (B,1,H,W)."""
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp(min=LEAST_WEIGHT)


def steps(image: torch.Tensor) -> torch.Tensor:
    """Forward differences of (B,C,H,W) along columns and rows as (B,2C,H,W), 0 at the far border."""
    across = functional.pad(image[..., :, 1:] - image[..., :, :-1], (0, 1))
    down = functional.pad(image[..., 1:, :] - image[..., :-1, :], (0, 0, 0, 1))
    return torch.cat([across, down], 1)


def supervised_loss(displacement: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Displacement against synthetic truth: mean of |D - D*| and of |grad D - grad D*|, in mm, both rounded at 0.

    Args:
        displacement, truth: (B,1,N,N) metres; weight: (B,1,N,N).

    Source: own; the gradients make thin lines count beside broad folds.
    """
    difference = MM_PER_M * (displacement - truth)
    return weighted_mean(_rounded(difference), weight) + weighted_mean(_rounded(steps(difference)), weight)


def _rounded(difference: torch.Tensor) -> torch.Tensor:
    """|x| with a parabola below ROUNDED_MM: what nobody can foresee (pores) becomes its mean there, not its median."""
    return functional.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none", beta=ROUNDED_MM)


def photometric_loss(rendered: torch.Tensor, photo: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """L_phoD: mean |I_UV - U(A, l, N_D)| over seen skin.

    Args:
        rendered: (B,3,N,N) the shaded texture, sRGB 0-1; photo: (B,3,N,N) the unwrapped photo; weight: (B,1,N,N).

    Source: first paper, section 3.3 (L_phoD of eq. 4), on the unwrapped photo instead of the picture.
    """
    return weighted_mean((rendered - photo).abs(), weight)


def mrf_loss(
    rendered: torch.Tensor, photo: torch.Tensor, weight: torch.Tensor, features: FeatureNetwork | None
) -> torch.Tensor:
    """L_mrf: high frequencies of the shaded texture against those of the photo.

    Args:
        rendered, photo: (B,3,N,N) sRGB 0-1; weight: (B,1,N,N).
        features: a network that gives one or several (B,C,h,w) feature images (the paper: VGG19's conv3_2 and conv4_2),
            supplied by the user; without one, `gradient_loss` stands in.

    Source: Wang et al. 2018, Image Inpainting via Generative Multi-column CNNs, eq. 1 and 2.
    """
    if features is None:
        return gradient_loss(rendered, photo, weight)
    made, wanted = features(rendered * weight), features(photo * weight)
    if isinstance(made, torch.Tensor):
        made, wanted = [made], [wanted]
    return torch.stack([_mrf_of_layer(a, b) for a, b in zip(made, wanted, strict=True)]).sum()


def gradient_loss(rendered: torch.Tensor, photo: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The stand-in for L_mrf: mean |grad log I - grad log U| of brightness, over GRADIENT_SCALES halvings.

    Differences of logarithms do not depend on how bright or how dark the skin is. Arguments as `mrf_loss`.
    Source: own.
    """
    log_ratio = _log_brightness(rendered) - _log_brightness(photo)
    total = log_ratio.new_zeros(())
    for _ in range(GRADIENT_SCALES):
        # both ends of a step must be seen
        seen = -functional.max_pool2d(-weight, 3, 1, 1)
        total = total + weighted_mean(steps(log_ratio).abs(), seen)
        log_ratio, weight = functional.avg_pool2d(log_ratio, 2), functional.avg_pool2d(weight, 2)
    return total / GRADIENT_SCALES


def smoothness_loss(displacement: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """L_smo: mean |Laplacian of D|, mm: against spikes between neighbouring texels.

    Args:
        displacement: (B,1,N,N) metres; weight: (B,1,N,N).

    Source: first paper, section 3.3 (a smoothness loss; its form is ours).
    """
    padded = functional.pad(MM_PER_M * displacement, (1, 1, 1, 1), mode="replicate")
    middle = padded[..., 1:-1, 1:-1]
    across, down = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:], padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return weighted_mean((across + down - 4 * middle).abs(), weight)


def size_loss(displacement: torch.Tensor) -> torch.Tensor:
    """L_regD: mean |D|, mm, over the whole window: skin without detail stays smooth.

    Args:
        displacement: (B,1,N,N) metres.

    Source: first paper, section 3.3 (detail regularisation).
    """
    return MM_PER_M * displacement.abs().mean()


def teacher_loss(displacement: torch.Tensor, taught: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """L_Tchr = L_pho(D, D_UNet) + L_ssim(D, D_UNet): mean difference in mm, and 1 - SSIM.

    Args:
        displacement, taught: (B,1,N,N) metres, of the student and of the teacher; weight: (B,1,N,N).

    Source: first paper, eq. 5.
    """
    difference = weighted_mean(MM_PER_M * (displacement - taught).abs(), weight)
    return difference + weighted_mean(1 - similarity(MM_PER_M * displacement, MM_PER_M * taught), weight)


def similarity(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """SSIM at every texel of two (B,1,N,N) images in mm, over a box of SSIM_PX texels; the same shape, at most 1.

    Source: Wang et al. 2004, Image Quality Assessment, eq. 13, with a box in place of the Gaussian.
    """

    def mean(image: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(image, SSIM_PX, 1, SSIM_PX // 2, count_include_pad=False)

    c1, c2 = (0.01 * SSIM_RANGE_MM) ** 2, (0.03 * SSIM_RANGE_MM) ** 2
    a, b = mean(first), mean(second)
    variance_a, variance_b = mean(first * first) - a * a, mean(second * second) - b * b
    covariance = mean(first * second) - a * b
    return (2 * a * b + c1) * (2 * covariance + c2) / ((a * a + b * b + c1) * (variance_a + variance_b + c2))


def symmetry_loss(
    displacement: torch.Tensor, mirror: torch.Tensor, weight: torch.Tensor, confidence: torch.Tensor
) -> torch.Tensor:
    """L_sym: mean |D - mirrored D|, mm, strong where the photo does not show the skin and soft where it does.

    Args:
        displacement: (B,1,N,N) metres; mirror: (N,N,2) from `FaceWindow.mirror`.
        weight, confidence: (B,1,N,N).

    Source: first paper, eq. 6 (soft symmetry); the weights are ours.
    """
    grid = mirror[None].expand(len(displacement), -1, -1, -1)
    # what the photo shows teaches the hidden half, not the other way round
    mirrored = functional.grid_sample(displacement.detach(), grid, padding_mode="border", align_corners=False)
    asked = weight * (SYMMETRY_WHERE_SEEN + (1 - SYMMETRY_WHERE_SEEN) * (1 - confidence))
    return weighted_mean(MM_PER_M * (displacement - mirrored).abs(), asked)


def swap_loss(own: torch.Tensor, swapped: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The core of L_dc: mean |D(I, T) - D(I', T)|, mm, for two images I and I' of one person.

    Eq. 7 asks for more, all of L_animD on D(I', T) against what I shows; the task does that by giving the swapped
    displacement to the other losses as well.

    Args:
        own, swapped: (B,1,N,N) metres; weight: (B,1,N,N).

    Source: first paper, eq. 7.
    """
    return weighted_mean(MM_PER_M * (own - swapped).abs(), weight)


def _log_brightness(image: torch.Tensor) -> torch.Tensor:
    """(B,1,H,W) logarithm of the mean of the channels of sRGB 0-1, one grey level added."""
    return (image.mean(1, keepdim=True).clamp(min=0) + 1 / 255).log()


def _mrf_of_layer(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """ID-MRF of one layer's features (B,C,h,w): every wanted feature must be the nearest of some made feature."""
    centre = wanted.mean((2, 3), keepdim=True)
    made, wanted = (functional.normalize(_places(image - centre), dim=1) for image in (made, wanted))
    cosine = made.transpose(1, 2) @ wanted  # (B, made, wanted)
    best = cosine.topk(min(2, cosine.shape[2]), dim=2)
    wanted_index = torch.arange(cosine.shape[2], device=cosine.device)
    # the largest similarity to any other wanted feature
    other = torch.where(best.indices[..., :1] == wanted_index, best.values[..., -1:], best.values[..., :1])
    relative = torch.exp(cosine / (other.clamp(min=0) + MRF_GUARD) / MRF_BANDWIDTH - _row_peak(cosine, other))
    share = relative / relative.sum(2, keepdim=True)
    return -share.amax(1).mean(1).clamp(min=MRF_GUARD).log().mean()


def _row_peak(cosine: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(B, made, 1) largest exponent of each row, taken off before exp so that nothing overflows."""
    return (cosine / (other.clamp(min=0) + MRF_GUARD) / MRF_BANDWIDTH).amax(2, keepdim=True).detach()


def _places(image: torch.Tensor) -> torch.Tensor:
    """(B,C,P) features at no more than about MRF_PLACES places."""
    stride = max(1, round((image.shape[2] * image.shape[3] / MRF_PLACES) ** 0.5))
    return image[..., ::stride, ::stride].flatten(2)
