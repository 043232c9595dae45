"""Every head in FLAME's parameterisation: geometry, topology, texture layout, landmarks and regions in one class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from addon.exchange.conventions import JOINT_PARENTS
from ml_backend.head.skinning import SkinnedModel


@dataclass(frozen=True)
class SurfacePoints:
    """Points fixed to a triangle mesh.

    Attributes:
        triangle: (..., ) int64 index of a triangle.
        barycentric: (..., 3) weights of its corners.
    """

    triangle: torch.Tensor
    barycentric: torch.Tensor

    def on(self, vertices: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
        """Where the points lie on the given vertices.

        Args:
            vertices: (B,V,3); triangles: (F,3).

        Returns:
            (B, ..., 3).
        """
        corners = vertices[:, triangles[self.triangle]]
        return (corners * self.barycentric[..., None]).sum(-2)


@dataclass(frozen=True)
class HeadModel:
    """A head; the fields are those of the head file (docs/architecture.md).

    Attributes:
        skinned: the geometry of all V vertices.
        joint_regressor: (J,V).
        polygons: (Q,4) int64, -1 as fourth corner of a triangle; triangles: (F,3); triangle_polygon: (F,).
        uv: (U,2); uv_polygons: (Q,4); uv_triangles: (F,3).
        polygon_part: (Q,) index into part_names.
        landmarks_68, landmarks_478: embeddings; landmarks_478_weight: (478,) how well each is determined.
        landmarks_478_view_bias: (478,2,5) how the tracker strays from it with the view (coarse/view_bias.py).
        contour: (Y,17) embedding of the iBUG contour; contour_yaw: (Y,) radians.
        masks: name -> (V,) 0-1.
        mirror_vertex: (V,) int64.
        arkit_expression: (52,E); arkit_pose: (52,15).
        expression_limits: (E,2) the range in which each expression coefficient looks right.
    """

    name: str
    licence: str
    source: str
    skinned: SkinnedModel
    joint_regressor: torch.Tensor
    polygons: torch.Tensor
    triangles: torch.Tensor
    triangle_polygon: torch.Tensor
    uv: torch.Tensor
    uv_polygons: torch.Tensor
    uv_triangles: torch.Tensor
    polygon_part: torch.Tensor
    part_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    landmarks_68: SurfacePoints
    landmarks_478: SurfacePoints
    landmarks_478_weight: torch.Tensor
    landmarks_478_view_bias: torch.Tensor
    contour: SurfacePoints
    contour_yaw: torch.Tensor
    masks: dict[str, torch.Tensor]
    mirror_vertex: torch.Tensor
    arkit_expression: torch.Tensor
    arkit_pose: torch.Tensor
    expression_limits: torch.Tensor

    @property
    def num_vertices(self) -> int:
        return self.skinned.template.shape[0]

    @property
    def num_shape(self) -> int:
        return self.skinned.shape_basis.shape[2]

    @property
    def num_expression(self) -> int:
        return self.skinned.expression_basis.shape[2]

    @cached_property
    def triangle_part(self) -> torch.Tensor:
        """(F,) part of each triangle."""
        return self.polygon_part[self.triangle_polygon]

    def part_vertices(self, name: str) -> torch.Tensor:
        """(K,) int64 rising: the vertices of a part that the head has."""
        return self.triangles[self.triangle_part == self.part_names.index(name)].unique()

    def vertices(self, shape: torch.Tensor, expression: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
        """Posed vertices, model space.

        Args:
            shape: (B,S) standard deviations; expression: (B,E); pose: (B,15) axis-angle.

        Returns:
            (B,V,3) metres.
        """
        return self.skinned.positions(shape, expression, pose)

    def joints(self, shape: torch.Tensor) -> torch.Tensor:
        """(B,5,3) joints of the neutral head, metres, for shape (B,S)."""
        return self.skinned.joints(shape)

    def arkit_offsets(self, shape: torch.Tensor) -> torch.Tensor:
        """The 52 ARKit shapes as offsets from a person's neutral.

        Args:
            shape: (S,).

        Returns:
            (52,V,3) metres: S(beta, theta_k, psi_k) - S(beta, 0, 0).
        """
        count = self.arkit_expression.shape[0]
        posed = self.vertices(shape.expand(count, -1), self.arkit_expression, self.arkit_pose)
        zero = torch.zeros(1, self.num_expression, dtype=shape.dtype, device=shape.device)
        return posed - self.vertices(shape[None], zero, torch.zeros_like(self.arkit_pose[:1]))

    @staticmethod
    def parents() -> tuple[int, ...]:
        """Parent of each joint; the root has -1."""
        return JOINT_PARENTS


def vertex_normals(vertices: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Unit vertex normals, area-weighted, outward for counter-clockwise triangles.

    Args:
        vertices: (B,V,3); triangles: (F,3).

    Returns:
        (B,V,3).
    """
    # all heads' vertices in one row: sums into rows are several times faster than into the second dimension
    first = vertices.shape[1] * torch.arange(len(vertices), device=triangles.device)
    corners = (first[:, None, None] + triangles).reshape(-1, 3).unbind(1)
    rows = vertices.reshape(-1, 3)
    a, b, c = (rows.index_select(0, corner) for corner in corners)
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(rows)
    for corner in corners:
        total.index_add_(0, corner, face)
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-12).reshape(vertices.shape)
