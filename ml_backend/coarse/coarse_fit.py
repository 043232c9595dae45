"""What the coarse stage reads off a photo."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ml_backend.rendering.camera import Camera


@dataclass(frozen=True)
class CoarseFit:
    """A head fitted to a photo.

    Attributes:
        shape: (S,) standard deviations; expression: (E,); pose: (15,) axis-angle.
        camera: in pixels of the photo.
        light: (9,3) spherical harmonics, linear RGB; albedo: (A,) standard deviations.
        landmark_error_percent: mean distance of the 68 landmarks, in percent of the outer eye corners' distance.
        warnings: sentences for the user.
    """

    shape: torch.Tensor
    expression: torch.Tensor
    pose: torch.Tensor
    camera: Camera
    light: torch.Tensor
    albedo: torch.Tensor
    landmark_error_percent: float
    warnings: tuple[str, ...] = ()
