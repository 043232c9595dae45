"""Collects what an avatar shows in each frame of a range, for the exact wrinkles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import bpy
import numpy as np

from ..exchange.conventions import JOINT_NAMES
from ..exchange.errors import LikenessError
from ..exchange.expression_states import LAST_FRAME, ExpressionStates
from ..expressions.avatar_parts import AvatarParts
from ..scene.joint_axes import axis_angle_from_bone

# Strengths and radians are rounded to so many: it moves the skin by a micrometre at most (the neck's joint is 0.1 m
# from the face), and the same pose gives the same numbers wherever the head stands.
_DECIMALS = 5
# every property of a bone through which it can be posed
_BONE_CHANNELS = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle", "scale")


def collect_states(
    context: bpy.types.Context,
    avatar: AvatarParts,
    frames: range,
    package_names: Mapping[str, str],
    progress: Callable[[float], None] = lambda _fraction: None,
) -> ExpressionStates:
    """Go through a range of frames, and back to where the artist was.

    Drivers, constraints and everything else that moves keys and bones counts.

    Args:
        context: its scene and view layer show the avatar.
        avatar: whose keys and bones are read.
        frames: rising, of the timeline.
        package_names: name of each key of the mesh that the avatar's package knows, to the package's name of it; other
            keys are not part of the exact wrinkles.
        progress: called with the part done, 0-1.

    Raises:
        LikenessError: there is no frame, or one that image sequences cannot count.
    """
    if not frames or frames[0] < 0 or frames[-1] > LAST_FRAME:
        raise LikenessError(
            "frames", f"Frames {frames.start} to {frames.stop - 1} cannot be baked.", "Choose frames from 0 upwards."
        )
    names = [name for name in package_names if name in avatar.shape_keys.key_blocks]
    values = np.zeros((len(frames), len(names)), np.float32)
    joints = np.zeros((len(frames), len(JOINT_NAMES), 3), np.float32)
    with _frames_kept(context, avatar), _light(avatar.mesh):
        for row, frame in enumerate(frames):
            progress(row / len(frames))
            context.scene.frame_set(frame)
            depsgraph = context.evaluated_depsgraph_get()
            values[row] = _key_values(avatar, depsgraph, names)
            joints[row] = _joint_rotations(avatar, depsgraph)
    progress(1.0)
    return ExpressionStates(
        np.array(frames, np.int32), tuple(package_names[name] for name in names), _rounded(values), _rounded(joints)
    )


def _key_values(avatar: AvatarParts, depsgraph: bpy.types.Depsgraph, names: list[str]) -> list[float]:
    """What the keys add to the mesh."""
    keys = avatar.shape_keys.evaluated_get(depsgraph).key_blocks
    return [0.0 if keys[name].mute else keys[name].value for name in names]


def _joint_rotations(avatar: AvatarParts, depsgraph: bpy.types.Depsgraph) -> np.ndarray:
    """(5,3) axis-angle, relative to the parent, model axes: the bones after their constraints."""
    rotations = np.zeros((len(JOINT_NAMES), 3), np.float32)
    if avatar.armature is None:
        return rotations
    armature = avatar.armature.evaluated_get(depsgraph)
    for row, joint in enumerate(JOINT_NAMES):
        bone = armature.pose.bones[joint]
        local = armature.convert_space(pose_bone=bone, matrix=bone.matrix, from_space="POSE", to_space="LOCAL")
        rotations[row] = axis_angle_from_bone(joint, local.to_quaternion())
    return rotations


def _rounded(values: np.ndarray) -> np.ndarray:
    # adding 0 makes every -0 a 0
    return np.round(values.astype(np.float64), _DECIMALS).astype(np.float32) + np.float32(0)


@contextmanager
def _frames_kept(context: bpy.types.Context, avatar: AvatarParts) -> Iterator[None]:
    """Come back to the present frame and to what the avatar showed in it, keyed or not."""
    scene = context.scene
    frame, subframe = scene.frame_current, scene.frame_subframe
    keys = {key.name: key.value for key in avatar.moved_keys()}
    bones = list(avatar.armature.pose.bones) if avatar.armature is not None else []
    poses = [[tuple(getattr(bone, channel)) for channel in _BONE_CHANNELS] for bone in bones]
    try:
        yield
    finally:
        scene.frame_set(frame, subframe=subframe)
        for name, value in keys.items():
            if avatar.key_block(name).value != value:
                avatar.key_block(name).value = value
        for bone, pose in zip(bones, poses, strict=True):
            for channel, shown in zip(_BONE_CHANNELS, pose, strict=True):
                if tuple(getattr(bone, channel)) != shown:
                    setattr(bone, channel, shown)


@contextmanager
def _light(mesh_object: bpy.types.Object) -> Iterator[None]:
    """Leave out what comes after keys and bones, which costs most of a frame's time."""
    shown = [item for item in mesh_object.modifiers if item.show_viewport and item.type != "ARMATURE"]
    for modifier in shown:
        modifier.show_viewport = False
    try:
        yield
    finally:
        for modifier in shown:
            modifier.show_viewport = True
