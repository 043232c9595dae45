"""Cameras: model space to image pixels and depth (conventions: docs/architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

SCALED_ORTHOGRAPHIC = "scaled_orthographic"
PERSPECTIVE = "perspective"


@dataclass(frozen=True)
class Camera:
    """A camera at rest in front of the head; global rotation turns the head, not the camera.

    Attributes:
        kind: SCALED_ORTHOGRAPHIC or PERSPECTIVE.
        image_size_px: (width, height).
        scale_px_per_m, centre_px: of the scaled orthographic camera: u = scale (X, -Y) + centre.
        focal_px, principal_px, translation_m: of the perspective camera: p = (X, -Y, -Z) + translation,
            u = focal (p_x, p_y) / p_z + principal.
    """

    kind: str
    image_size_px: tuple[int, int]
    scale_px_per_m: float = 0.0
    centre_px: tuple[float, float] = (0.0, 0.0)
    focal_px: float = 0.0
    principal_px: tuple[float, float] = (0.0, 0.0)
    translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """Project points.

        Args:
            points: (..., 3) metres, model space after posing.

        Returns:
            (..., 3): x right and y down in pixels, depth in metres (smaller is nearer).
        """
        seen = points * points.new_tensor([1.0, -1.0, -1.0])
        if self.kind == SCALED_ORTHOGRAPHIC:
            image = seen[..., :2] * self.scale_px_per_m + points.new_tensor(self.centre_px)
            return torch.cat([image, seen[..., 2:]], -1)
        seen = seen + points.new_tensor(self.translation_m)
        image = seen[..., :2] * self.focal_px / seen[..., 2:] + points.new_tensor(self.principal_px)
        return torch.cat([image, seen[..., 2:]], -1)

    def view_directions(self, points: torch.Tensor) -> torch.Tensor:
        """Unit vectors from points towards the camera, model space.

        Args:
            points: (..., 3) metres.

        Returns:
            (..., 3).
        """
        if self.kind == SCALED_ORTHOGRAPHIC:
            return points.new_tensor([0.0, 0.0, 1.0]).expand_as(points)
        eye = points.new_tensor(self.translation_m) * points.new_tensor([-1.0, 1.0, 1.0])
        return torch.nn.functional.normalize(eye - points, dim=-1)
