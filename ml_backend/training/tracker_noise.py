"""Landmarks of rendered faces as the tracker would give them: strayed by the view, and uncertain."""

from __future__ import annotations

import torch

from ml_backend.coarse.landmark_term import LANDMARK_SIGMA_M
from ml_backend.coarse.view_bias import view_bias_px
from ml_backend.head.head_model import HeadModel
from ml_backend.training.coarse_batch import CoarseBatch

# neighbours err together: this share of the error's variance is a smooth field, the rest each landmark's own
SMOOTH_SHARE = 0.8
# over which such a field changes, metres on the face: about a feature's size
SMOOTH_LENGTH_M = 0.025
# keeps the field's covariance invertible
JITTER = 1e-3
# between the outer eye corners of the mean head
EYE_DISTANCE_M = 0.088
# One face in so many has errors this much larger: hands, hair and blur.
POOR_SHARE, POOR_FACTOR = 0.15, 3.0


class TrackerNoise:
    """Makes landmarks uncertain.

    Args:
        head: whose points the landmarks are.
        left_out_share: of faces, of which no landmark is told, so that the picture is read as well.
    """

    def __init__(self, head: HeadModel, left_out_share: float) -> None:
        self._view_bias = head.landmarks_478_view_bias
        self._left_out_share = left_out_share
        points = head.landmarks_478.on(head.skinned.template[None], head.triangles)[0].double()
        squared = torch.cdist(points, points).square()
        covariance = torch.exp(-squared / (2 * SMOOTH_LENGTH_M**2))
        self._smooth = torch.linalg.cholesky(covariance + JITTER * torch.eye(len(points))).float()

    def __call__(self, batch: CoarseBatch, chance: torch.Generator) -> torch.Tensor:
        """What a tracker would say.

        Args:
            batch: on the processor; the landmarks of photos are a tracker's already and are only made uncertain.

        Returns:
            (B,478,2) crop coordinates; NaN for faces that are left out.
        """
        landmarks = batch.landmarks_478
        count = len(landmarks)
        # half crops per metre: the outer eye corners of a head are about as far apart as those of every other
        scale = batch.eye_distance / EYE_DISTANCE_M
        if batch.truth is not None:
            scale = batch.truth.camera[:, 0]
            landmarks = landmarks + view_bias_px(self._view_bias, batch.truth.pose[:, :3], scale)
        own = torch.randn(landmarks.shape, generator=chance)
        field = self._smooth @ torch.randn(landmarks.shape, generator=chance)
        error = SMOOTH_SHARE**0.5 * field + (1 - SMOOTH_SHARE) ** 0.5 * own
        poor = torch.rand(count, generator=chance) < POOR_SHARE
        size = LANDMARK_SIGMA_M * scale * torch.where(poor, POOR_FACTOR, 1.0)
        left_out = torch.rand(count, generator=chance) < self._left_out_share
        noisy = landmarks + size[:, None, None] * error
        return torch.where(left_out[:, None, None], torch.full_like(noisy, torch.nan), noisy)
