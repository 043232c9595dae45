"""A small head-like ellipsoid with every field of a head model, for tests that need no shipped file."""

from __future__ import annotations

import numpy as np
import torch

from addon.exchange.arkit import NUM_ARKIT
from addon.exchange.conventions import JOINT_PARENTS
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel, SurfacePoints
from ml_backend.head.skinning import SkinnedModel

ROWS, COLUMNS = 24, 32
NUM_SHAPE, NUM_EXPRESSION = 8, 5
# half axes of an adult head, metres
HALF_AXES = (0.075, 0.11, 0.095)


def toy_head(seed: int = 0) -> HeadModel:
    """An ellipsoid with smooth random bases and random landmark points on its front."""
    generator = torch.Generator().manual_seed(seed)
    template, triangles, uv = _ellipsoid()
    count = len(template)
    skinning = torch.rand(count, 5, generator=generator).pow(4)
    skinning = skinning / skinning.sum(1, keepdim=True)
    joints = torch.tensor([[0, -0.1, 0], [0, -0.06, 0], [0, -0.01, 0.01], [0.03, 0.02, 0.07], [-0.03, 0.02, 0.07]])
    regressor = torch.zeros(5, count)
    regressor[torch.arange(5), torch.cdist(joints, template).argmin(1)] = 1
    shape_basis = _smooth_basis(template, NUM_SHAPE, generator)
    skinned = SkinnedModel(
        template=template,
        shape_basis=shape_basis,
        expression_basis=_smooth_basis(template, NUM_EXPRESSION, generator),
        pose_basis=0.001 * torch.randn(count, 3, 36, generator=generator),
        skinning_weights=skinning,
        joint_template=regressor @ template,
        joint_shape_basis=torch.einsum("jv,vcs->jcs", regressor, shape_basis),
        parents=JOINT_PARENTS,
    )
    front = (template[triangles].mean(1)[:, 2] > 0.02).nonzero()[:, 0]

    def points(*size: int) -> SurfacePoints:
        chosen = front[torch.randint(len(front), size, generator=generator)]
        weights = torch.rand(*size, 3, generator=generator)
        return SurfacePoints(chosen, weights / weights.sum(-1, keepdim=True))

    polygons = torch.cat([triangles, torch.full((len(triangles), 1), -1)], 1)
    names = ("face", "forehead", "brows", "eye_region_left", "eye_region_right", "nose", "lips", "cheeks", "chin",
             "ears", "scalp", "neck", "inner_mouth", "eyelids", "boundary")  # fmt: skip
    masks = {name: torch.zeros(count) for name in names}
    masks["face"] = (template[:, 2] > 0.0).float()
    return HeadModel(
        name="toy",
        licence="",
        source="tests",
        skinned=skinned,
        joint_regressor=regressor,
        polygons=polygons,
        triangles=triangles,
        triangle_polygon=torch.arange(len(triangles)),
        uv=uv,
        uv_polygons=polygons,
        uv_triangles=triangles,
        polygon_part=torch.zeros(len(triangles), dtype=torch.long),
        part_names=("skin",),
        expression_names=tuple(f"toy_{number}" for number in range(NUM_EXPRESSION)),
        landmarks_68=points(68),
        landmarks_478=points(478),
        landmarks_478_weight=torch.ones(478),
        landmarks_478_view_bias=torch.zeros(478, 2, 5),
        contour=points(3, 17),
        contour_yaw=torch.tensor([-0.5, 0.0, 0.5]),
        masks=masks,
        mirror_vertex=torch.arange(count),
        arkit_expression=0.2 * torch.rand(NUM_ARKIT, NUM_EXPRESSION, generator=generator),
        arkit_pose=torch.zeros(NUM_ARKIT, 15),
        expression_limits=torch.tensor([[0.0, 1.0]]).repeat(NUM_EXPRESSION, 1),
    )


def toy_albedo_model() -> AlbedoModel:
    """Even grey skin with two components that make it lighter."""
    return AlbedoModel(torch.full((8, 8, 3), 0.4), 0.02 * torch.ones(2, 8, 8, 3))


def _ellipsoid() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vertices (V,3), outward triangles (F,3), UVs (V,2) of an open-topped ellipsoid strip, seam at the back."""
    polar, azimuth = np.meshgrid(
        np.linspace(0.15, np.pi - 0.15, ROWS), np.linspace(-np.pi, np.pi, COLUMNS), indexing="ij"
    )
    unit = np.stack([np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)], -1)
    uv = np.stack([(azimuth + np.pi) / (2 * np.pi), 1 - polar / np.pi], -1)
    index = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    vertices = unit.reshape(-1, 3) * np.array(HALF_AXES)
    return (
        torch.from_numpy(vertices).float(),
        torch.from_numpy(triangles),
        torch.from_numpy(uv.reshape(-1, 2)).float(),
    )


def _smooth_basis(template: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """(V,3,count) millimetre-sized smooth displacements."""
    waves = 25 * torch.randn(3, count, generator=generator)
    phase = 6 * torch.rand(count, generator=generator)
    direction = torch.randn(3, count, generator=generator)
    return 0.003 * direction * torch.sin(template @ waves + phase)[:, None]
