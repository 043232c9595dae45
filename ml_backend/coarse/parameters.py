"""The unknowns of the coarse fit as one vector, and how points in the image depend on them.

The vector is [shape S | expression E | pose 15 | camera 3]. The camera's three numbers are, orthographic: log scale and
centre in pixels; perspective: log distance of the head's origin and its image in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from ml_backend.head.skinning import Linearization, SkinnedModel
from ml_backend.rendering.camera import PERSPECTIVE, SCALED_ORTHOGRAPHIC, Camera

NUM_POSE = 15
NUM_CAMERA = 3


@dataclass(frozen=True)
class FitParameters:
    """One value of the unknowns.

    Attributes:
        shape: (S,); expression: (E,); pose: (15,) axis-angle.
        view: (3,) the camera's unknowns (module docstring).
        focal_px: of the perspective camera; None for the scaled orthographic one.
        image_size_px: (width, height).
    """

    shape: torch.Tensor
    expression: torch.Tensor
    pose: torch.Tensor
    view: torch.Tensor
    focal_px: float | None
    image_size_px: tuple[int, int]

    @property
    def vector(self) -> torch.Tensor:
        return torch.cat([self.shape, self.expression, self.pose, self.view])

    def moved(self, step: torch.Tensor) -> FitParameters:
        """The parameters after adding a step (P,)."""
        sizes = [len(self.shape), len(self.expression), NUM_POSE, NUM_CAMERA]
        shape, expression, pose, view = (self.vector + step).split(sizes)
        return replace(self, shape=shape, expression=expression, pose=pose, view=view)

    @property
    def camera(self) -> Camera:
        x, y = self.view[1].item(), self.view[2].item()
        if self.focal_px is None:
            return Camera(
                SCALED_ORTHOGRAPHIC, self.image_size_px, scale_px_per_m=math.exp(self.view[0].item()), centre_px=(x, y)
            )
        distance = math.exp(self.view[0].item())
        principal = (self.image_size_px[0] / 2, self.image_size_px[1] / 2)
        offset = tuple(
            (value - middle) * distance / self.focal_px for value, middle in zip((x, y), principal, strict=True)
        )
        return Camera(
            PERSPECTIVE,
            self.image_size_px,
            focal_px=self.focal_px,
            principal_px=principal,
            translation_m=(offset[0], offset[1], distance),
        )

    @property
    def px_per_m(self) -> float:
        """Size of a metre at the head, in pixels."""
        size = math.exp(self.view[0].item())
        return size if self.focal_px is None else self.focal_px / size


@dataclass(frozen=True)
class PointJacobian:
    """Points and their derivatives.

    Attributes:
        positions: (N,3) metres; by_model: (N,3,P-3), by all parameters but the camera's.
        image: (N,2) pixels; image_by_parameters: (N,2,P).
    """

    positions: torch.Tensor
    by_model: torch.Tensor
    image: torch.Tensor
    image_by_parameters: torch.Tensor


def linearize_vertices(model: SkinnedModel, parameters: FitParameters) -> PointJacobian:
    """Linearise all vertices of `model`."""
    line: Linearization = model.linearize(parameters.shape, parameters.expression, parameters.pose)
    by_model = torch.cat([line.by_shape, line.by_expression, line.by_pose], 2)
    return PointJacobian(line.positions, by_model, *_project(parameters, line.positions, by_model))


def linearize_points(
    model: SkinnedModel, parameters: FitParameters, corner_index: torch.Tensor, corner_weight: torch.Tensor
) -> PointJacobian:
    """Linearise points on a surface, each a weighted sum of vertices of `model`.

    Args:
        corner_index: (N,K) vertices of the model; corner_weight: (N,K).
    """
    line: Linearization = model.linearize(parameters.shape, parameters.expression, parameters.pose)
    by_vertex = torch.cat([line.by_shape, line.by_expression, line.by_pose], 2)
    positions = (line.positions[corner_index] * corner_weight[..., None]).sum(1)
    by_model = sum(
        by_vertex[corner_index[:, k]] * corner_weight[:, k, None, None] for k in range(corner_index.shape[1])
    )
    return PointJacobian(positions, by_model, *_project(parameters, positions, by_model))


def _project(
    parameters: FitParameters, positions: torch.Tensor, by_model: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image points (N,2) and their derivatives (N,2,P)."""
    camera = parameters.camera
    identity = torch.eye(2, dtype=positions.dtype).expand(len(positions), 2, 2)
    flip = positions.new_tensor([1.0, -1.0, -1.0])
    if parameters.focal_px is None:
        size = flip[:2] * camera.scale_px_per_m
        offset = positions[:, :2] * size
        columns = torch.cat([by_model[:, :2] * size[:, None], offset[:, :, None], identity], 2)
        return offset + parameters.view[1:], columns
    by_model = by_model * flip[:, None]
    moved = positions * flip + positions.new_tensor(camera.translation_m)
    depth = moved[:, 2:]
    # derivative of focal * xy / z by (x, y, z)
    by_point = parameters.focal_px / depth[:, :, None] * torch.cat([identity, -(moved[:, :2] / depth)[:, :, None]], 2)
    by_log_distance = by_point @ positions.new_tensor(camera.translation_m)[:, None]
    by_centre = by_point[:, :, :2] * (camera.translation_m[2] / parameters.focal_px)
    columns = torch.cat([by_point @ by_model, by_log_distance, by_centre], 2)
    image = moved[:, :2] * parameters.focal_px / depth + positions.new_tensor(camera.principal_px)
    return image, columns
