"""Similarities of the image plane: how a head, its camera and its light follow when a picture is turned, scaled, moved.

A head seen by a scaled-orthographic camera and then turned in the image is the head turned about the view axis and seen
by another scaled-orthographic camera. This is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ml_backend.head.skinning import rotation_matrices
from ml_backend.rendering.spherical_harmonics import basis

# directions on a sphere at which lights are compared; nine in general position would do
NUM_DIRECTIONS = 64
# below this sine of half of the angle a rotation is its own cross matrix
SMALL = 1e-7


@dataclass(frozen=True)
class ImageSimilarity:
    """A batch of maps of image points: u -> scale R(roll) u + shift, x right and y down.

    Attributes:
        scale: (B,); roll: (B,) radians, positive clockwise on the screen; shift: (B,2).
    """

    scale: torch.Tensor
    roll: torch.Tensor
    shift: torch.Tensor

    @property
    def matrix(self) -> torch.Tensor:
        """(B,2,2) linear part."""
        cosine, sine = self.roll.cos(), self.roll.sin()
        rotation = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
        return self.scale[:, None, None] * rotation

    def apply(self, points: torch.Tensor) -> torch.Tensor:
        """(B,N,2) images of points (B,N,2)."""
        return points @ self.matrix.transpose(1, 2) + self.shift[:, None]

    @property
    def turn(self) -> torch.Tensor:
        """(B,3,3) the turn of the head about the view axis that goes with it, model space (y up)."""
        zero = torch.zeros_like(self.roll)
        return rotation_matrices(torch.stack([zero, zero, -self.roll], -1))


@dataclass(frozen=True)
class MovedView:
    """Pose (B,15), camera (B,3) = (s, tx, ty) and light (B,9,3) in the moved image."""

    pose: torch.Tensor
    camera: torch.Tensor
    light: torch.Tensor


def move_view(
    pose: torch.Tensor, camera: torch.Tensor, light: torch.Tensor, root: torch.Tensor, motion: ImageSimilarity
) -> MovedView:
    """Pose, camera and light that give the moved image.

    Args:
        pose: (B,15) axis-angle; camera: (B,3): x = s X + tx, y = -s Y + ty; light: (B,9,3).
        root: (B,3) the root joint of each head, metres, model space: what the global rotation turns about.

    Source: own derivation. With the turn Q about the view axis, the new global rotation Q R moves a point p to
    Q (p - r) + r; the image of the difference Q r - r goes into the camera's shift.
    """
    turn = motion.turn
    flip = camera.new_tensor([1.0, -1.0])
    stray = ((turn @ root[..., None])[..., 0] - root)[:, :2] * flip
    scale = camera[:, :1] * motion.scale[:, None]
    shift = motion.apply(camera[:, None, 1:])[:, 0] + scale * stray
    rotation = axis_angle(turn @ rotation_matrices(pose[:, :3]))
    return MovedView(torch.cat([rotation, pose[:, 3:]], 1), torch.cat([scale, shift], 1), light_rotation(turn) @ light)


def light_rotation(rotation: torch.Tensor) -> torch.Tensor:
    """(B,9,9) what turns spherical-harmonics light: shading by M l at R n is shading by l at n.

    Args:
        rotation: (B,3,3).

    Source: rotations map the harmonics of each degree onto themselves, so that comparing the two at enough directions
    determines M exactly.
    """
    directions = _directions(rotation)
    inverse = torch.linalg.pinv(basis(directions))
    return inverse @ basis(directions @ rotation)


def axis_angle(rotation: torch.Tensor) -> torch.Tensor:
    """Axis-angle vectors of rotation matrices.

    Args:
        rotation: (B,3,3).

    Returns:
        (B,3) radians, of length at most pi.

    Source: the unit quaternion, each matrix by its own largest component (Shepperd 1978).
    """
    trace = rotation.diagonal(dim1=1, dim2=2).sum(-1)
    squares = torch.stack([trace, *rotation.diagonal(dim1=1, dim2=2).unbind(-1)], -1)
    # four times the products of the quaternion's components (w, x, y, z)
    m = rotation
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    ww, xx, yy, zz = (
        1 + trace,
        1 + 2 * m[:, 0, 0] - trace,
        1 + 2 * m[:, 1, 1] - trace,
        1 + 2 * m[:, 2, 2] - trace,
    )
    products = torch.stack([ww, wx, wy, wz, wx, xx, xy, xz, wy, xy, yy, yz, wz, xz, yz, zz], -1).reshape(-1, 4, 4)
    largest = squares.argmax(-1)
    quaternion = products[torch.arange(len(m), device=m.device), largest]
    quaternion = torch.nn.functional.normalize(quaternion, dim=-1)
    quaternion = torch.where(quaternion[:, :1] < 0, -quaternion, quaternion)
    sine = quaternion[:, 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, quaternion[:, :1])
    return quaternion[:, 1:] * torch.where(sine < SMALL, torch.full_like(sine, 2.0), angle / sine.clamp(min=SMALL))


def _directions(like: torch.Tensor) -> torch.Tensor:
    """(N,3) directions spread over the sphere (a Fibonacci spiral)."""
    number = torch.arange(NUM_DIRECTIONS, dtype=like.dtype, device=like.device)
    height = 1 - (2 * number + 1) / NUM_DIRECTIONS
    radius = (1 - height * height).sqrt()
    angle = number * torch.pi * (3 - 5**0.5)
    return torch.stack([radius * angle.cos(), height, radius * angle.sin()], -1)
