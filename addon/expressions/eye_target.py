"""An object that an avatar's eyes look at."""

from __future__ import annotations

import bpy
from mathutils import Vector

from .avatar_parts import AvatarMissing, AvatarParts

CONSTRAINT_NAME = "Look at target"
EYES = ("left_eye", "right_eye")
# as far away as the other person of a conversation
_DISTANCE_M = 1.0
_SIZE_M = 0.03


def find_eye_target(avatar: AvatarParts) -> bpy.types.Object | None:
    """The object that the eyes look at; None where they follow their bones."""
    constraint = _constraint(avatar, EYES[0])
    return constraint.target if constraint else None


def add_eye_target(avatar: AvatarParts, collection: bpy.types.Collection) -> bpy.types.Object:
    """Make the eyes look at an empty in front of the face; a target that is there already is kept.

    The eyes keep their limits: a target that they cannot reach is looked at as far as they turn.

    Args:
        avatar: has a rig.
        collection: gets the empty.

    Raises:
        AvatarMissing: the avatar has no rig.
    """
    if avatar.armature is None:
        raise AvatarMissing("rig_missing", "This avatar has no rig.", "Import it again to get its bones back.")
    target = find_eye_target(avatar)
    if target is not None:
        return target
    target = bpy.data.objects.new(f"{avatar.mesh.name} eye target", None)
    target.empty_display_type = "SPHERE"
    target.empty_display_size = _SIZE_M
    collection.objects.link(target)
    # parented to the rig as a whole: the gaze stays put while the neck turns, and goes along when the rig is moved
    target.parent = avatar.armature
    target.location = _in_front(avatar)
    for joint in EYES:
        _track(avatar.armature.pose.bones[joint], target)
    return target


def remove_eye_target(avatar: AvatarParts) -> None:
    """Let the eyes follow their bones again."""
    target = find_eye_target(avatar)
    for joint in EYES:
        bone = avatar.bone(joint)
        if bone is not None and CONSTRAINT_NAME in bone.constraints:
            bone.constraints.remove(bone.constraints[CONSTRAINT_NAME])
    if target is not None and target.parent == avatar.armature:
        bpy.data.objects.remove(target)


def _track(bone: bpy.types.PoseBone, target: bpy.types.Object) -> None:
    """Aim a bone at the target, before the limits that it has."""
    constraint = bone.constraints.new("DAMPED_TRACK")
    constraint.name = CONSTRAINT_NAME
    constraint.target = target
    constraint.track_axis = "TRACK_Y"
    # limits act on what comes before them
    bone.constraints.move(len(bone.constraints) - 1, 0)


def _in_front(avatar: AvatarParts) -> Vector:
    """The place straight ahead of both eyes at rest, in the rig's own space."""
    bones = avatar.armature.data.bones
    middle = sum((bones[joint].head_local for joint in EYES), Vector()) / len(EYES)
    ahead = sum(((bones[joint].tail_local - bones[joint].head_local).normalized() for joint in EYES), Vector())
    return middle + ahead.normalized() * _DISTANCE_M


def _constraint(avatar: AvatarParts, joint: str) -> bpy.types.Constraint | None:
    bone = avatar.bone(joint)
    return bone.constraints.get(CONSTRAINT_NAME) if bone is not None else None
