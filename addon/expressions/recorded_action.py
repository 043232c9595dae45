"""Recordings and generated blinks as actions of an avatar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Euler, Quaternion

from ..exchange.arkit import ARKIT_NAMES
from ..scene.joint_axes import bone_quaternion
from .action_curves import assign_new_action, write_curve
from .avatar_parts import AvatarParts
from .blinks import Blink
from .live_link_csv import FaceRecording

_BLINK_KEYS = ("eyeBlinkLeft", "eyeBlinkRight")
_HEAD, _LEFT_EYE, _RIGHT_EYE = range(3)
# what the eyeLook shapes say as well: either they or the bones turn the eyes
_GAZE_KEYS = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))


@dataclass(frozen=True)
class RecordingOptions:
    """How a recording goes onto an avatar.

    Attributes:
        start_frame: of the first row.
        head: turn the neck as the head turned.
        eye_bones: turn the eyes by their bones; the eyeLook shapes, which say the same, then stay at 0.
    """

    start_frame: float = 1.0
    head: bool = True
    eye_bones: bool = False


def import_recording(
    avatar: AvatarParts, recording: FaceRecording, name: str, frames_per_second: float, options: RecordingOptions
) -> list[bpy.types.Action]:
    """Give an avatar a recording as its actions; what it had stays in the file.

    Every row becomes a key at its own time, so that nothing is lost where the scene's frame rate is another.

    Args:
        avatar: gets the actions.
        recording: what was performed.
        name: of the actions; the bones' has " pose" behind it.
        frames_per_second: of the scene.
        options: what to use of it, and where it starts.

    Returns:
        The shape keys' action and, where bones are turned, theirs.
    """
    frames = options.start_frame + recording.times_s * frames_per_second
    shape_keys = avatar.shape_keys
    actions = [assign_new_action(shape_keys, name)]
    turn_eyes = options.eye_bones and recording.turns is not None
    for column, shape in enumerate(ARKIT_NAMES):
        key = shape_keys.key_blocks.get(shape)
        if key is None or (turn_eyes and shape in _GAZE_KEYS):
            continue
        write_curve(shape_keys, key.path_from_id("value"), 0, frames, recording.shapes[:, column])
    turned = _turned_joints(options) if recording.turns is not None and avatar.armature is not None else {}
    if turned:
        actions.append(assign_new_action(avatar.armature, f"{name} pose"))
        for joint, row in turned.items():
            _write_turns(avatar, joint, frames, recording.turns[:, row])
    return actions


def _turned_joints(options: RecordingOptions) -> dict[str, int]:
    joints = {"neck": _HEAD} if options.head else {}
    return joints | ({"left_eye": _LEFT_EYE, "right_eye": _RIGHT_EYE} if options.eye_bones else {})


def _write_turns(avatar: AvatarParts, joint: str, frames: np.ndarray, turns: np.ndarray) -> None:
    """The curves of a bone's Euler angles, each continuing from the one before without a jump."""
    bone = avatar.bone(joint)
    bone.rotation_mode = "XYZ"
    angles = np.empty_like(turns)
    previous = Euler((0.0, 0.0, 0.0))
    for row, turn in enumerate(turns):
        previous = Quaternion(bone_quaternion(joint, turn)).to_euler("XYZ", previous)
        angles[row] = previous
    path = bone.path_from_id("rotation_euler")
    for index in range(3):
        write_curve(avatar.armature, path, index, frames, angles[:, index])


def key_blinks(avatar: AvatarParts, blinks: Sequence[Blink], frames_per_second: float, start_frame: float) -> int:
    """Key blinks over whatever the eyes do already.

    Args:
        avatar: gets the keys.
        blinks: seconds from the start.
        frames_per_second: of the scene.
        start_frame: where the blinks' time begins.

    Returns:
        How many keys were set.
    """
    keyed = 0
    for blink in blinks:
        moments = ((blink.start_s, 0.0), (blink.closed_s, 1.0), (blink.opening_s, 1.0), (blink.end_s, 0.0))
        for name in _BLINK_KEYS:
            key = avatar.shape_keys.key_blocks[name]
            for moment_s, value in moments:
                key.value = value
                key.keyframe_insert("value", frame=start_frame + moment_s * frames_per_second)
                keyed += 1
    return keyed
