"""The photo's own expression and pose: set on the objects, stored as actions, and written down as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ..exchange.conventions import JOINT_NAMES
from .armature import pose_armature

PROPERTY_NAME = "likeness_photo_state"
ACTION_FRAME = 1


@dataclass(frozen=True)
class AvatarState:
    """One expression and pose.

    Attributes:
        expression: shape key name to value; keys that are not named are 0.
        pose: joint name to axis-angle (3,), radians, model axes; without the root's, which the camera carries.
    """

    expression: dict[str, float]
    pose: dict[str, np.ndarray]


NEUTRAL = AvatarState({}, {})


def apply_state(
    state: AvatarState,
    armature_object: bpy.types.Object,
    expression_keys: Sequence[bpy.types.ShapeKey],
) -> None:
    """Set the values of the keys and the rotations of the bones.

    Args:
        state: what to show.
        armature_object: its bones are turned.
        expression_keys: every key that no driver moves.
    """
    pose_armature(armature_object, state.pose)
    for key_block in expression_keys:
        key_block.value = state.expression.get(key_block.name, 0.0)


def store_state_as_actions(
    name: str,
    state: AvatarState,
    armature_object: bpy.types.Object,
    expression_keys: Sequence[bpy.types.ShapeKey],
) -> tuple[bpy.types.Action, bpy.types.Action]:
    """Keep a state as two actions that an artist can assign: one for the shape keys, one for the bones.

    Two, because before Blender 4.4 an action serves one kind of data only. Leaves the state set and no action assigned.

    Args:
        name: of the shape keys' action; the bones' has " pose" behind it.
        state: what to store.
        armature_object: has the bones.
        expression_keys: every key that no driver moves; at least one.

    Returns:
        The shape keys' action and the bones'.
    """
    apply_state(state, armature_object, expression_keys)
    for key_block in expression_keys:
        key_block.keyframe_insert("value", frame=ACTION_FRAME)
    for joint in JOINT_NAMES:
        armature_object.pose.bones[joint].keyframe_insert("rotation_euler", frame=ACTION_FRAME)
    return (
        _detach_action(expression_keys[0].id_data, name),
        _detach_action(armature_object, f"{name} pose"),
    )


def _detach_action(owner: bpy.types.ID, name: str) -> bpy.types.Action:
    action = owner.animation_data.action
    action.name = name
    action.use_fake_user = True
    owner.animation_data.action = None
    return action


def write_state_property(mesh_object: bpy.types.Object, state: AvatarState, root_axis_angle: np.ndarray) -> None:
    """Write a state as JSON to a custom property of the object, for scripts.

    Args:
        mesh_object: gets the property PROPERTY_NAME.
        state: what to write; values that are 0 are left out.
        root_axis_angle: (3,) the head's global rotation in the photo, radians, model axes.
    """
    pose = {"root": root_axis_angle, **state.pose}
    document = {
        "expression": {key: value for key, value in state.expression.items() if value != 0},
        "pose": {joint: [float(component) for component in pose.get(joint, np.zeros(3))] for joint in JOINT_NAMES},
    }
    mesh_object[PROPERTY_NAME] = json.dumps(document)
