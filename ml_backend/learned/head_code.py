"""What the coarse encoder says of a face: the head's parameters, camera, light and albedo, as one vector."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.spherical_harmonics import NUM_COEFFICIENTS

NUM_POSE = 15
NUM_CAMERA = 3
NUM_LIGHT = NUM_COEFFICIENTS * 3


@dataclass(frozen=True)
class CodeSizes:
    """How many numbers the blocks have that depend on the head: shape S, expression E, albedo A."""

    shape: int
    expression: int
    albedo: int

    @classmethod
    def of(cls, head: HeadModel, albedo: AlbedoModel) -> CodeSizes:
        """The sizes for a head and its albedo basis."""
        return cls(head.num_shape, head.num_expression, albedo.num_coefficients)

    @property
    def blocks(self) -> dict[str, int]:
        """Size of each block of the vector, in its order."""
        return {
            "shape": self.shape,
            "expression": self.expression,
            "pose": NUM_POSE,
            "albedo": self.albedo,
            "camera": NUM_CAMERA,
            "light": NUM_LIGHT,
        }

    @property
    def length(self) -> int:
        """Length of the whole vector."""
        return sum(self.blocks.values())


@dataclass(frozen=True)
class HeadCode:
    """A batch of heads as seen in face crops.

    Attributes:
        shape: (B,S) standard deviations; expression: (B,E); pose: (B,15) axis-angle; albedo: (B,A) standard deviations.
        camera: (B,3) = (s, tx, ty), scaled orthographic, in half crops (per metre): x = s X + tx, y = -s Y + ty in the
            crop's coordinates, -1 to 1, y down.
        light: (B,9,3) spherical harmonics, linear RGB.
    """

    shape: torch.Tensor
    expression: torch.Tensor
    pose: torch.Tensor
    albedo: torch.Tensor
    camera: torch.Tensor
    light: torch.Tensor

    @classmethod
    def from_vector(cls, vector: torch.Tensor, sizes: CodeSizes) -> HeadCode:
        """Cut vectors (B, sizes.length) into their blocks."""
        shape, expression, pose, albedo, camera, light = vector.split(list(sizes.blocks.values()), dim=1)
        return cls(shape, expression, pose, albedo, camera, light.reshape(-1, NUM_COEFFICIENTS, 3))

    @property
    def vector(self) -> torch.Tensor:
        """(B,L) all blocks in a row."""
        return torch.cat([getattr(self, field.name).flatten(1) for field in fields(self)], 1)

    @property
    def sizes(self) -> CodeSizes:
        """The sizes of its own blocks."""
        return CodeSizes(self.shape.shape[1], self.expression.shape[1], self.albedo.shape[1])

    def __len__(self) -> int:
        return len(self.shape)

    def to(self, device: torch.device | str) -> HeadCode:
        """The same on another device."""
        return HeadCode(*(getattr(self, field.name).to(device) for field in fields(self)))

    def select(self, index: torch.Tensor | slice) -> HeadCode:
        """Some of the batch, or the batch in another order."""
        return HeadCode(*(getattr(self, field.name)[index] for field in fields(self)))

    def with_shape_of(self, other: HeadCode) -> HeadCode:
        """The same views of the shapes of other heads."""
        return replace(self, shape=other.shape)

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """Where points of the posed heads are in the crops.

        Args:
            points: (B,N,3) metres, model space.

        Returns:
            (B,N,2) crop coordinates, -1 to 1, y down.
        """
        flip = points.new_tensor([1.0, -1.0])
        return points[..., :2] * flip * self.camera[:, None, :1] + self.camera[:, None, 1:]
