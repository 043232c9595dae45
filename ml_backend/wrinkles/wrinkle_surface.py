"""The person's surface as the wrinkle prior needs it: everything of it stands in an avatar package."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ml_backend.head.head_model import HeadModel
from ml_backend.texture.texel_map import TexelMap
from ml_backend.wrinkles.line_systems import ANCHOR_LANDMARKS, Place
from ml_backend.wrinkles.tension import head_edges


@dataclass(frozen=True)
class WrinkleSurface:
    """A person's neutral head and what moves it.

    Attributes:
        neutral: (V, 3) metres, model space.
        triangles: (F, 3) int64, of the skin only.
        edges: (E, 2) int64, of all polygons, each once.
        arkit_keys: (52, V, 3) offsets at 1.
        masks: region name -> (V,) 0-1.
        anchors: landmark number -> (3,) its place on the neutral.
    """

    neutral: torch.Tensor
    triangles: torch.Tensor
    edges: torch.Tensor
    arkit_keys: torch.Tensor
    masks: dict[str, torch.Tensor]
    anchors: dict[int, np.ndarray]

    @cached_property
    def centres(self) -> np.ndarray:
        """(F, 3) middles of the triangles."""
        return self.neutral.numpy()[self.triangles.numpy()].mean(1, dtype=np.float64)

    @cached_property
    def normals(self) -> np.ndarray:
        """(F, 3) unit normals of the triangles."""
        return triangle_normals(self.neutral.numpy().astype(np.float64), self.triangles.numpy())

    @cached_property
    def middle(self) -> np.ndarray:
        """(3,) the mean of the vertices."""
        return self.neutral.numpy().mean(0, dtype=np.float64)

    @cached_property
    def outward(self) -> np.ndarray:
        """(F,) bool, the triangles that face away from the middle of the head."""
        return np.einsum("fi,fi->f", self.normals, self.centres - self.middle) > 0

    @cached_property
    def key_lengths(self) -> torch.Tensor:
        """(52, V) metres by which each key moves each vertex."""
        return self.arkit_keys.norm(dim=-1)

    def place(self, place: Place) -> np.ndarray:
        """(3,) metres, the weighted mean of anchors."""
        return sum(weight * self.anchors[number] for number, weight in place.items())


def triangle_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F, 3) unit normals of triangles (F, 3) on vertices (V, 3); zero where a triangle is flat."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class SkinTexels:
    """The texels that show skin.

    Attributes:
        size_px: N, rows and columns of the grid.
        index: (T,) int64 flat positions; vertices: (T, 3) int64 their triangles' corners; barycentric: (T, 3).
    """

    size_px: int
    index: np.ndarray
    vertices: np.ndarray
    barycentric: np.ndarray

    def select(self, chosen: np.ndarray) -> SkinTexels:
        """The texels of a mask (T,)."""
        number = np.flatnonzero(chosen)
        return replace(
            self, index=self.index[number], vertices=self.vertices.take(number, 0),
            barycentric=self.barycentric.take(number, 0),
        )  # fmt: skip


def anchor_points(head: HeadModel, neutral: torch.Tensor) -> dict[int, np.ndarray]:
    """Where the anchors of the line families lie on a neutral head (V, 3)."""
    numbers = torch.tensor(ANCHOR_LANDMARKS)
    triangle, weights = head.landmarks_478.triangle[numbers], head.landmarks_478.barycentric[numbers]
    points = (neutral[head.triangles[triangle]] * weights[..., None]).sum(-2)
    return dict(zip(ANCHOR_LANDMARKS, points.numpy().astype(np.float64), strict=True))


def surface_of_head(head: HeadModel, shape: torch.Tensor) -> WrinkleSurface:
    """The surface of a person on a head model.

    Args:
        head: the model; shape: (S,) standard deviations.
    """
    zero_expression, zero_pose = torch.zeros(1, head.num_expression), torch.zeros(1, head.arkit_pose.shape[1])
    neutral = head.vertices(shape[None], zero_expression, zero_pose)[0]
    skin = head.part_names.index("skin")
    return WrinkleSurface(
        neutral=neutral,
        triangles=head.triangles[head.triangle_part == skin],
        edges=head_edges(head),
        arkit_keys=head.arkit_offsets(shape),
        masks=head.masks,
        anchors=anchor_points(head, neutral),
    )


def skin_texels(texels: TexelMap, skin_part: int = 0) -> SkinTexels:
    """The texels of a texture grid whose part is skin."""
    chosen = np.flatnonzero(texels.part.reshape(-1)[texels.index] == skin_part)
    return SkinTexels(
        texels.size_px,
        texels.index[chosen],
        texels.vertices.take(chosen, 0).astype(np.int64),
        texels.barycentric.take(chosen, 0),
    )
