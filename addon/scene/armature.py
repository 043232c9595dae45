"""Makes the armature: a bone for each joint of the head, limits, locks, and the modifier that deforms the mesh."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Euler, Quaternion, Vector

from ..exchange.conventions import JOINT_NAMES, JOINT_PARENTS, blender_from_model
from .joint_axes import bone_axes_in_blender, bone_limits, bone_quaternion

MODIFIER_NAME = "Armature"
LIMIT_NAME = "Limit Rotation"
# Lengths are only for the hand that grabs the bone: about chin and cornea seen from their joints, metres.
_BONE_LENGTH_M = {"jaw": 0.09, "left_eye": 0.035, "right_eye": 0.035}
_SHORTEST_BONE_M = 0.03


def make_armature(name: str, joints: np.ndarray, collection: bpy.types.Collection) -> bpy.types.Object:
    """Make an armature object whose bones stand at the joints, with locks and limits.

    Args:
        name: of the object and its data.
        joints: (5,3) metres, model space, in the order of JOINT_NAMES.
        collection: gets the object; must be in the current view layer.

    Returns:
        The armature object, in pose at rest.
    """
    armature_object = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    collection.objects.link(armature_object)
    armature_object.data.display_type = "WIRE"
    armature_object.show_in_front = True
    view_layer = bpy.context.view_layer
    previously_active = view_layer.objects.active
    view_layer.objects.active = armature_object
    # bones can only be made in edit mode, which only the operator enters
    bpy.ops.object.mode_set(mode="EDIT")
    _add_bones(armature_object.data, joints)
    bpy.ops.object.mode_set(mode="OBJECT")
    view_layer.objects.active = previously_active
    for joint in JOINT_NAMES:
        _lock_bone(armature_object.pose.bones[joint])
    return armature_object


def _add_bones(armature: bpy.types.Armature, joints: np.ndarray) -> None:
    heads = blender_from_model(np.asarray(joints, np.float64))
    eyes_above_neck = float(heads[3:5, 2].mean() - heads[1, 2])
    lengths = {"root": float(heads[1, 2] - heads[0, 2]), "neck": eyes_above_neck, **_BONE_LENGTH_M}
    for index, joint in enumerate(JOINT_NAMES):
        bone = armature.edit_bones.new(joint)
        axes = bone_axes_in_blender(joint)
        bone.head = Vector(heads[index])
        bone.tail = bone.head + Vector(axes[:, 1]) * max(lengths[joint], _SHORTEST_BONE_M)
        bone.align_roll(Vector(axes[:, 2]))
        if JOINT_PARENTS[index] >= 0:
            bone.parent = armature.edit_bones[JOINT_NAMES[JOINT_PARENTS[index]]]


def _lock_bone(bone: bpy.types.PoseBone) -> None:
    """Joints turn, they do not slide or grow; Euler angles, because animators edit their curves."""
    bone.rotation_mode = "XYZ"
    if bone.name == "root":
        return
    bone.lock_location = (True, True, True)
    bone.lock_scale = (True, True, True)
    constraint = bone.constraints.new("LIMIT_ROTATION")
    constraint.name = LIMIT_NAME
    constraint.owner_space = "LOCAL"
    # the handles in the viewport stop where the bone stops
    constraint.use_transform_limit = True
    _set_limits(bone, bone_limits(bone.name))


def _set_limits(bone: bpy.types.PoseBone, limits: tuple[tuple[float, float], ...]) -> None:
    """Write the limits (radians, bone axes) to the constraint and to the bone's inverse kinematics."""
    constraint = bone.constraints[LIMIT_NAME]
    for axis, (low, high) in zip("xyz", limits, strict=True):
        for owner, pattern in ((constraint, "{}_{}"), (bone, "ik_{}_{}")):
            setattr(owner, pattern.format("min", axis), low)
            setattr(owner, pattern.format("max", axis), high)
        setattr(constraint, f"use_limit_{axis}", True)
        setattr(bone, f"use_ik_limit_{axis}", True)


def bone_euler(joint: str, axis_angle: np.ndarray) -> Euler:
    """Euler angles XYZ of a bone that turn its joint by an axis-angle vector (3,), radians, model axes."""
    return Quaternion(bone_quaternion(joint, axis_angle)).to_euler("XYZ")


def widen_limits(armature_object: bpy.types.Object, pose: dict[str, np.ndarray]) -> None:
    """Widen the limits to hold a pose that was really seen.

    Args:
        armature_object: made by `make_armature`.
        pose: joint name to axis-angle (3,), radians, model axes; the root is not limited.
    """
    for joint, axis_angle in pose.items():
        if joint == "root":
            continue
        angles = bone_euler(joint, axis_angle)
        limits = tuple(
            (min(low, angle), max(high, angle)) for (low, high), angle in zip(bone_limits(joint), angles, strict=True)
        )
        _set_limits(armature_object.pose.bones[joint], limits)


def pose_armature(armature_object: bpy.types.Object, pose: dict[str, np.ndarray]) -> None:
    """Turn the bones.

    Args:
        armature_object: made by `make_armature`.
        pose: joint name to axis-angle (3,), radians, model axes; joints that are not named go to rest.
    """
    for joint in JOINT_NAMES:
        armature_object.pose.bones[joint].rotation_euler = bone_euler(joint, pose.get(joint, np.zeros(3)))


def deform_with_armature(mesh_object: bpy.types.Object, armature_object: bpy.types.Object) -> None:
    """Parent a mesh to an armature and let its bones deform it by linear blend skinning."""
    mesh_object.parent = armature_object
    modifier = mesh_object.modifiers.new(MODIFIER_NAME, "ARMATURE")
    modifier.object = armature_object
    modifier.use_vertex_groups = True
    modifier.use_bone_envelopes = False
    # preserving volume would be dual quaternions; the head's weights and correctives are made for linear blending
    modifier.use_deform_preserve_volume = False
