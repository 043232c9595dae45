"""The one skinning of Likeness: a linear shape model posed by linear blend skinning, and its derivatives.

S(beta, theta, psi) = skin(T + B_S beta + B_E psi + B_P vec(R(theta) - I), J(beta), theta, W), as FLAME
(Li et al. 2017, eq. 1-3).
Every array is in model space, metres and radians; theta is relative to the parent joint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


def rotation_matrices(axis_angle: torch.Tensor) -> torch.Tensor:
    """Turn axis-angle vectors into rotation matrices (Rodrigues' formula).

    Args:
        axis_angle: (..., 3) radians.

    Returns:
        (..., 3, 3); smooth and differentiable at zero.
    """
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    # Taylor series near zero, so that the derivative there is exact too
    sine_term = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine_term = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    cross = cross_matrices(axis_angle)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + sine_term * cross + cosine_term * (cross @ cross)


def rotation_derivatives(axis_angle: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Derivatives of rotation matrices by their axis-angle vectors.

    Args:
        axis_angle: (..., 3) radians; rotation: (..., 3, 3) their matrices.

    Returns:
        (..., 3, 3, 3): the first of the three last axes counts the vector's components.

    Source: dR = [J_l(v) dv]_x R with the left Jacobian J_l = I + (1 - cos a)/a^2 [v]_x + (a - sin a)/a^3 [v]_x^2.
    """
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = squared < 1e-4
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    second = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / (safe * angle))
    cross = cross_matrices(axis_angle)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    left_jacobian = identity + first * cross + second * (cross @ cross)
    return cross_matrices(left_jacobian.transpose(-1, -2)) @ rotation[..., None, :, :]


def cross_matrices(vectors: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) matrices [v]_x of vectors (..., 3), so that [v]_x w = v x w."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vectors.shape, 3)


@dataclass(frozen=True)
class Linearization:
    """Positions and their derivatives at one set of parameters.

    Attributes:
        positions: (N,3) metres.
        by_shape: (N,3,S); by_expression: (N,3,E); by_pose: (N,3,15).
    """

    positions: torch.Tensor
    by_shape: torch.Tensor
    by_expression: torch.Tensor
    by_pose: torch.Tensor


@dataclass(frozen=True)
class SkinnedModel:
    """A linear shape model with skinning, for all vertices of a head or for some of them.

    Attributes:
        template: (N,3) metres.
        shape_basis: (N,3,S) metres per standard deviation.
        expression_basis: (N,3,E) metres at coefficient 1.
        pose_basis: (N,3,9(J-1)) pose correctives.
        skinning_weights: (N,J).
        joint_template: (J,3) joints of the template; joint_shape_basis: (J,3,S) their change by shape.
        parents: J parent indices, -1 for the root, parents before children.
    """

    template: torch.Tensor
    shape_basis: torch.Tensor
    expression_basis: torch.Tensor
    pose_basis: torch.Tensor
    skinning_weights: torch.Tensor
    joint_template: torch.Tensor
    joint_shape_basis: torch.Tensor
    parents: tuple[int, ...]

    def select(self, vertex_index: torch.Tensor) -> SkinnedModel:
        """The same model for the given vertices only.

        Args:
            vertex_index: (M,) int64.
        """
        return replace(
            self,
            template=self.template[vertex_index],
            shape_basis=self.shape_basis[vertex_index],
            expression_basis=self.expression_basis[vertex_index],
            pose_basis=self.pose_basis[vertex_index],
            skinning_weights=self.skinning_weights[vertex_index],
        )

    def joints(self, shape: torch.Tensor) -> torch.Tensor:
        """Joint positions of a neutral head.

        Args:
            shape: (B,S) standard deviations.

        Returns:
            (B,J,3) metres.
        """
        return self.joint_template + torch.einsum("bs,jcs->bjc", shape, self.joint_shape_basis)

    def positions(self, shape: torch.Tensor, expression: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
        """Posed vertices.

        Args:
            shape: (B,S); expression: (B,E); pose: (B,3J) axis-angle.

        Returns:
            (B,N,3) metres.
        """
        local = rotation_matrices(pose.reshape(pose.shape[0], -1, 3))
        rest = self.rest_positions(shape, expression, local)
        rotations, offsets = self._joint_transforms(local, self.joints(shape))
        return self._blend(rest, rotations, offsets)

    def rest_positions(self, shape: torch.Tensor, expression: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
        """Vertices before skinning, pose correctives included.

        Args:
            shape: (B,S); expression: (B,E); local: (B,J,3,3) joint rotations relative to the parent.

        Returns:
            (B,N,3) metres.
        """
        feature = (local[:, 1:] - torch.eye(3, dtype=local.dtype, device=local.device)).flatten(1)
        coefficients = torch.cat([shape, expression, feature], 1)
        basis = torch.cat([self.shape_basis, self.expression_basis, self.pose_basis], 2).flatten(0, 1)
        return self.template + (coefficients @ basis.T).reshape(coefficients.shape[0], -1, 3)

    def linearize(self, shape: torch.Tensor, expression: torch.Tensor, pose: torch.Tensor) -> Linearization:
        """Positions and exact derivatives for one set of parameters.

        Args:
            shape: (S,); expression: (E,); pose: (3J,).

        Source: own derivation. With the rotations fixed the model is linear in shape and expression; the pose columns
        carry the derivative of each joint's rotation down the tree by the product rule.
        """
        vectors = pose.reshape(1, -1, 3)
        local = rotation_matrices(vectors)
        rotations, offsets = self._joint_transforms(local, self.joints(shape[None]))
        rest = self.rest_positions(shape[None], expression[None], local)
        blended = torch.einsum("nj,jab->nab", self.skinning_weights, rotations[0])
        joint_columns = self.joint_shape_basis.permute(2, 0, 1)
        _, offset_columns = self._joint_transforms(local.expand(len(joint_columns), -1, -1, -1), joint_columns)
        by_shape = blended @ self.shape_basis + torch.einsum("nj,sjc->ncs", self.skinning_weights, offset_columns)
        return Linearization(
            self._blend(rest, rotations, offsets)[0],
            by_shape,
            blended @ self.expression_basis,
            self._by_pose(vectors[0], local[0], self.joints(shape[None])[0], rest[0], blended),
        )

    def _by_pose(
        self,
        vectors: torch.Tensor,
        local: torch.Tensor,
        joints: torch.Tensor,
        rest: torch.Tensor,
        blended: torch.Tensor,
    ) -> torch.Tensor:
        """(N,3,3J) derivative of the posed vertices by the axis-angle vectors (J,3)."""
        count = len(self.parents)
        tangents = local.new_zeros(3 * count, count, 3, 3)
        turned = rotation_derivatives(vectors, local)
        for joint in range(count):
            tangents[3 * joint : 3 * joint + 3, joint] = turned[joint]
        world, world_tangents, origin_tangents = [local[0]], [tangents[:, 0]], [local.new_zeros(3 * count, 3)]
        for joint, parent in enumerate(self.parents[1:], start=1):
            bone = joints[joint] - joints[parent]
            world.append(world[parent] @ local[joint])
            world_tangents.append(world_tangents[parent] @ local[joint] + world[parent] @ tangents[:, joint])
            origin_tangents.append(origin_tangents[parent] + world_tangents[parent] @ bone)
        turning = torch.stack(world_tangents, 1)
        moving = torch.stack(origin_tangents, 1) - (turning @ joints[..., None])[..., 0]
        skinned = torch.einsum("nj,pjab,nb->nap", self.skinning_weights, turning, rest)
        skinned = skinned + torch.einsum("nj,pja->nap", self.skinning_weights, moving)
        correctives = self.pose_basis @ tangents[:, 1:].flatten(1).T
        return skinned + blended @ correctives

    def _joint_transforms(self, local: torch.Tensor, joints: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """World rotation (B,J,3,3) and offset (B,J,3) of each joint, so that a bound point p goes to R p + o."""
        rotations, origins = [local[:, 0]], [joints[:, 0]]
        for joint, parent in enumerate(self.parents[1:], start=1):
            rotations.append(rotations[parent] @ local[:, joint])
            bone = (joints[:, joint] - joints[:, parent])[..., None]
            origins.append(origins[parent] + (rotations[parent] @ bone)[..., 0])
        world = torch.stack(rotations, 1)
        return world, torch.stack(origins, 1) - (world @ joints[..., None])[..., 0]

    def _blend(self, rest: torch.Tensor, rotations: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Linear blend skinning of (B,N,3) rest positions."""
        blended = torch.einsum("nj,bjac->bnac", self.skinning_weights, rotations)
        moved = torch.einsum("nj,bjc->bnc", self.skinning_weights, offsets)
        return (blended @ rest[..., None])[..., 0] + moved
