"""How good the detail networks are on held-out faces: closed-form figures, and a sheet to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch.nn import functional

from ml_backend.training.detail_losses import MM_PER_M, weighted_mean

# a spread below this, metres, is none: its correlation counts as 0
LEAST_SPREAD_M = 1e-9
# The sheet's relief: grey levels (0-1) for a slope of one millimetre a texel, lit from the upper left.
RELIEF_PER_MM = 3.0
# the sheet's cells, pixels
CELL_PX = 192


def correlation(values: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> float:
    """Pearson's correlation over all texels of a batch, weighted.

    Args:
        values, truth: (B,1,N,N); weight: (B,1,N,N) or (1,1,N,N).
    """
    weight = weight.expand_as(values).double()
    values, truth = values.double(), truth.double()
    a = values - weighted_mean(values, weight)
    b = truth - weighted_mean(truth, weight)
    spread = (weighted_mean(a * a, weight) * weighted_mean(b * b, weight)).sqrt()
    if float(spread) < LEAST_SPREAD_M**2:
        return 0.0
    return float(weighted_mean(a * b, weight) / spread)


def mean_correlation(values: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> float:
    """The mean of the correlations of each face (arguments as `correlation`): faint relief counts as much as deep."""
    each = weight.expand_as(values)
    return float(
        np.mean([correlation(values[i : i + 1], truth[i : i + 1], each[i : i + 1]) for i in range(len(values))])
    )


def rms_mm(values: torch.Tensor, weight: torch.Tensor) -> float:
    """Root of the weighted mean square of (B,1,N,N) metres, in mm."""
    return float(weighted_mean((MM_PER_M * values.double()) ** 2, weight.expand_as(values).double()).sqrt())


def swap_ratio(own: torch.Tensor, same_person: torch.Tensor, other_person: torch.Tensor, weight: torch.Tensor) -> float:
    """How much D changes with the image of one person, against how much it changes with the person; tension is kept.

    Args:
        own: (B,1,N,N) D(I, T); same_person: D(I', T), I' another image of the person; other_person: D(J, T).
        weight: (B,1,N,N) or (1,1,N,N).

    Returns:
        The ratio of the two root mean squares; infinity where changing the person changes nothing.
    """
    changed = rms_mm(own - other_person, weight)
    return rms_mm(own - same_person, weight) / changed if changed > 0 else float("inf")


def relief(displacement: torch.Tensor) -> np.ndarray:
    """(N,N) uint8: the shading of a displacement (N,N) in metres, lit from the upper left."""
    values = MM_PER_M * displacement
    across = functional.pad(values[:, 1:] - values[:, :-1], (0, 1))
    down = functional.pad(values[1:] - values[:-1], (0, 0, 0, 1))
    grey = 0.5 + RELIEF_PER_MM * (across + down)
    return (255 * grey.clamp(0, 1)).to(torch.uint8).cpu().numpy()


def sheet(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Put pictures (N,N) or (N,N,3) uint8 side by side, a row for each face.

    Returns:
        (H,W,3) uint8.
    """

    def cell(picture: np.ndarray) -> np.ndarray:
        picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
        return cv2.resize(picture, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)

    return np.concatenate([np.concatenate([cell(picture) for picture in row], 1) for row in rows], 0)
