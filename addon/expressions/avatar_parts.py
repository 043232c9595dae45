"""Finds the parts of an avatar in a scene: from any of its objects to the mesh, its keys and its bones."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.conventions import JOINT_NAMES
from ..exchange.errors import LikenessError

_NEVER_KEYED = "Basis"


class AvatarMissing(LikenessError):
    """There is no avatar where one is needed."""


@dataclass(frozen=True)
class AvatarParts:
    """What an expression moves.

    Attributes:
        mesh: the head's object, with the 52 ARKit keys.
        armature: its bones; None where the artist took the rig away.
    """

    mesh: bpy.types.Object
    armature: bpy.types.Object | None

    @property
    def shape_keys(self) -> bpy.types.Key:
        """The data-block that holds the keys and their animation."""
        return self.mesh.data.shape_keys

    def key_block(self, name: str) -> bpy.types.ShapeKey:
        """One key by its name."""
        return self.shape_keys.key_blocks[name]

    def moved_keys(self) -> list[bpy.types.ShapeKey]:
        """Every key that an artist moves: not the Basis, and not those that drivers move."""
        animation = self.shape_keys.animation_data
        driven = {curve.data_path for curve in animation.drivers} if animation else set()
        return [
            key
            for key in self.shape_keys.key_blocks
            if key.name != _NEVER_KEYED and key.path_from_id("value") not in driven
        ]

    def bone(self, joint: str) -> bpy.types.PoseBone | None:
        """The bone of a joint."""
        return self.armature.pose.bones.get(joint) if self.armature else None


def has_arkit_keys(candidate: bpy.types.Object) -> bool:
    """Whether an object is a mesh with the first and the last of the ARKit keys (cheap enough for a panel)."""
    keys = candidate.data.shape_keys if candidate.type == "MESH" else None
    return keys is not None and ARKIT_NAMES[0] in keys.key_blocks and ARKIT_NAMES[-1] in keys.key_blocks


def find_avatar(candidate: bpy.types.Object | None) -> AvatarParts | None:
    """The avatar that an object belongs to.

    Args:
        candidate: its mesh, its armature, or anything parented to the armature, such as the photo's camera.

    Returns:
        Its parts; None where the object is no avatar's.
    """
    if candidate is None:
        return None
    if has_arkit_keys(candidate):
        return AvatarParts(candidate, _armature_of(candidate))
    root = candidate if candidate.type == "ARMATURE" else candidate.parent
    if root is None or root.type != "ARMATURE":
        return None
    mesh = next((child for child in root.children if has_arkit_keys(child)), None)
    return AvatarParts(mesh, _armature_of(mesh)) if mesh else None


def require_avatar(candidate: bpy.types.Object | None) -> AvatarParts:
    """The avatar that an object belongs to.

    Raises:
        AvatarMissing: it belongs to none.
    """
    parts = find_avatar(candidate)
    if parts is None:
        raise AvatarMissing("avatar_missing", "No avatar is selected.", "Click the head of an avatar first.")
    return parts


def _armature_of(mesh_object: bpy.types.Object) -> bpy.types.Object | None:
    """The armature that deforms a mesh, if it has the joints of a head."""
    for modifier in mesh_object.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is not None:
            bones = modifier.object.pose.bones
            if all(joint in bones for joint in JOINT_NAMES):
                return modifier.object
    return None
