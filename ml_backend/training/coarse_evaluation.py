"""How good a coarse encoder is on faces that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from ml_backend.coarse.surface_error import neutral_vertices, surface_distances
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.head_code import HeadCode
from ml_backend.tracking.landmark_topology import NUM_CONTOUR
from ml_backend.training.coarse_batch import collate
from ml_backend.training.coarse_surface import CoarseSurface
from ml_backend.training.sample_cache import Sample
from ml_backend.training.tracker_noise import TrackerNoise

MM_PER_M = 1000.0
EVALUATION_BATCH = 16


@dataclass(frozen=True)
class EvaluationSettings:
    """The config's table [evaluation]: how many held-out samples are measured."""

    samples: int = 64

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError("evaluation.samples is below 1")


@dataclass(frozen=True)
class LandmarkErrors:
    """(B,) distances over the outer eye corners' distance, percent: of the contour, of the rest, of all 68."""

    boundary: torch.Tensor
    inner: torch.Tensor
    overall: torch.Tensor


def landmark_errors(
    surface: CoarseSurface, code: HeadCode, landmarks_68: torch.Tensor, eye_distance: torch.Tensor
) -> LandmarkErrors:
    """Errors of the 68 landmarks as in the first paper's table 1; the contour is the head's own at its yaw.

    Args:
        landmarks_68: (B,68,2) the true ones, crop coordinates.
        eye_distance: (B,) half crops between the true outer eye corners, in three dimensions.
    """
    vertices = surface.vertices(code)
    points = surface.landmarks_68.on(vertices)
    points = torch.cat([surface.contour_at_yaw(vertices, code.pose), points[:, NUM_CONTOUR:]], 1)
    distance = (code.project(points) - landmarks_68).norm(dim=-1)
    percent = 100 * distance / eye_distance[:, None]
    return LandmarkErrors(percent[:, :NUM_CONTOUR].mean(1), percent[:, NUM_CONTOUR:].mean(1), percent.mean(1))


def evaluate_encoder(
    encoder: CoarseEncoder,
    samples: Iterable[Sample],
    head: HeadModel,
    surface: CoarseSurface,
    size_px: int,
    noise: TrackerNoise | None = None,
) -> dict[str, float]:
    """Measure an encoder.

    Args:
        samples: held out; surface: of the head, on the CPU; size_px: side of the images that it sees.
        noise: what the landmarks that it is told are like; None where it reads none.

    Returns:
        surface_median_mm, surface_mean_mm (where there is a truth; over faces and over all points, after rigid
        alignment), boundary_percent, inner_percent, overall_percent.
    """
    device = encoder.mean_code.device
    distances: list[np.ndarray] = []
    landmarks: list[torch.Tensor] = []
    coming = iter(samples)
    chance = torch.Generator().manual_seed(0)
    while some := list(islice(coming, EVALUATION_BATCH)):
        batch = collate(some).resized(size_px)
        tracked = None if noise is None else noise(batch, chance).to(device)
        code = encoder(batch.image.to(device), tracked).to("cpu")
        errors = landmark_errors(surface, code, batch.landmarks_68, batch.eye_distance)
        landmarks.append(torch.stack([errors.boundary, errors.inner, errors.overall], 1))
        if batch.truth is not None:
            distances += [
                MM_PER_M * surface_distances(head, _neutral(head, true), _neutral(head, read))
                for true, read in zip(batch.truth.shape, code.shape, strict=True)
            ]
    boundary, inner, overall = torch.cat(landmarks).mean(0).tolist()
    figures = {"boundary_percent": boundary, "inner_percent": inner, "overall_percent": overall}
    if distances:
        medians = [float(np.median(each)) for each in distances]
        figures["surface_median_mm"] = float(np.median(medians))
        figures["surface_mean_mm"] = float(np.concatenate(distances).mean())
    return {name: round(value, 4) for name, value in figures.items()}


def _neutral(head: HeadModel, shape: torch.Tensor) -> np.ndarray:
    return neutral_vertices(head, shape).numpy()
