"""Shows expressions on an avatar and keys them on the timeline, as Blender keys anything else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import bpy

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.conventions import JOINT_NAMES
from ..scene.armature import bone_euler
from ..scene.joint_axes import axis_angle_from_bone
from .action_curves import find_curve
from .avatar_parts import AvatarParts
from .expression import Expression

_ROTATION = "rotation_euler"
_VALUE = "value"
# differences that no eye sees and no artist made
_SAME = 1e-6


@dataclass(frozen=True)
class Easing:
    """How an expression comes and goes, in frames.

    Attributes:
        frames_in: before the expression's frame, the curves leave what they had; 0 = none.
        hold: the expression stays for so long.
        frames_out: after it, they are back; 0 = the expression stays.
    """

    frames_in: int = 6
    hold: int = 0
    frames_out: int = 6


@dataclass(frozen=True)
class _Channel:
    """One property that an expression moves."""

    owner: bpy.types.ID
    holder: bpy.types.ShapeKey | bpy.types.PoseBone
    attribute: str

    @property
    def data_path(self) -> str:
        return self.holder.path_from_id(self.attribute)

    def insert(self, frame: float, options: set[str] = frozenset()) -> None:
        # the group is what the Action editor folds the curves under
        group = self.holder.name if isinstance(self.holder, bpy.types.PoseBone) else ""
        self.holder.keyframe_insert(self.attribute, frame=frame, group=group, options=set(options))

    def is_animated(self) -> bool:
        return find_curve(self.owner, self.data_path) is not None

    def show_at(self, frame: float) -> None:
        """Set the property to what its curves say at a frame; without curves it stays."""
        if self.attribute == _VALUE:
            curve = find_curve(self.owner, self.data_path)
            if curve is not None:
                self.holder.value = curve.evaluate(frame)
            return
        rotation = self.holder.rotation_euler.copy()
        for index in range(3):
            curve = find_curve(self.owner, self.data_path, index)
            if curve is not None:
                rotation[index] = curve.evaluate(frame)
        self.holder.rotation_euler = rotation

    def get(self):
        value = getattr(self.holder, self.attribute)
        return value if self.attribute == _VALUE else value.copy()


def read_expression(avatar: AvatarParts) -> Expression:
    """What an avatar shows now: its ARKit keys and its joints but the root."""
    shapes = {name: avatar.key_block(name).value for name in ARKIT_NAMES if name in avatar.shape_keys.key_blocks}
    joints = {}
    for joint in JOINT_NAMES[1:]:
        bone = avatar.bone(joint)
        if bone is not None:
            joints[joint] = tuple(axis_angle_from_bone(joint, bone.rotation_euler.to_quaternion()))
    return Expression(
        {name: value for name, value in shapes.items() if abs(value) > _SAME},
        {joint: vector for joint, vector in joints.items() if max(map(abs, vector)) > _SAME},
    )


def show_expression(avatar: AvatarParts, expression: Expression, joints: bool = False) -> None:
    """Set the ARKit keys to an expression; keys it does not name go to 0.

    Args:
        avatar: what to move.
        expression: what to show; values outside a key's range are held at its ends, as Blender does.
        joints: also turn the bones; those it does not name go to rest. The root, which places the head, stays.
    """
    for name in ARKIT_NAMES:
        key = avatar.shape_keys.key_blocks.get(name)
        if key is not None:
            key.value = expression.shapes.get(name, 0.0)
    if joints:
        for joint in JOINT_NAMES[1:]:
            bone = avatar.bone(joint)
            if bone is not None:
                bone.rotation_mode = "XYZ"
                bone.rotation_euler = bone_euler(joint, expression.joints.get(joint, (0.0, 0.0, 0.0)))


def clear_expression(avatar: AvatarParts) -> None:
    """Set every key that an artist moves to 0 and every joint but the root to rest."""
    for key in avatar.moved_keys():
        key.value = 0.0
    show_expression(avatar, Expression(), joints=True)


def key_expression(
    avatar: AvatarParts,
    frame: int,
    easing: Easing = Easing(),
    joints: bool = False,
    listed: set[tuple[bpy.types.ID, str]] | None = None,
) -> int:
    """Key what the avatar shows at a frame, easing in from and out to what its curves had there.

    A property takes part where it is shown away from rest or animated already, so that the expression replaces what
    was at the frame and nothing else gets curves.

    Args:
        avatar: shows the expression.
        frame: of the timeline.
        easing: frames before and after.
        joints: key neck, jaw and eyes as well.
        listed: key these properties only (see `keying_set_paths`); None = all.

    Returns:
        How many properties got keys.
    """
    channels = [
        channel
        for channel in _channels(avatar, joints)
        if (listed is None or (channel.owner, channel.data_path) in listed)
        and (_is_shown(channel) or channel.is_animated())
    ]
    shown = [channel.get() for channel in channels]
    for channel, value in zip(channels, shown, strict=True):
        _key_channel(channel, value, frame, easing)
    return len(channels)


def _key_channel(channel: _Channel, value, frame: int, easing: Easing) -> None:
    """The keys of one property: before, at the frame, at the end of the hold, after."""
    animated = channel.is_animated()
    ends = []
    if easing.frames_in:
        ends.append(frame - easing.frames_in)
    if easing.frames_out:
        ends.append(frame + easing.hold + easing.frames_out)
    # what the curves say at the ends has to be read before the first new key changes it
    rests = [_rest_at(channel, end, animated) for end in ends]
    for end, rest in zip(ends, rests, strict=True):
        setattr(channel.holder, channel.attribute, rest)
        channel.insert(end)
    setattr(channel.holder, channel.attribute, value)
    for held in sorted({frame, frame + easing.hold}):
        channel.insert(held)


def _rest_at(channel: _Channel, frame: int, animated: bool):
    """What a property has at a frame: by its curves, else 0."""
    if not animated:
        return 0.0 if channel.attribute == _VALUE else (0.0, 0.0, 0.0)
    before = channel.get()
    channel.show_at(frame)
    found = channel.get()
    setattr(channel.holder, channel.attribute, before)
    return found


def auto_key(context: bpy.types.Context, avatar: AvatarParts, joints: bool = False) -> bool:
    """Key what the avatar shows at the current frame, where Blender's own sliders would.

    Follows the scene's settings of auto keying: on or off, only where keys are already, only what the active keying
    set lists.

    Returns:
        Whether anything was keyed.
    """
    settings = context.scene.tool_settings
    if not settings.use_keyframe_insert_auto:
        return False
    only_replace = settings.auto_keying_mode == "REPLACE_KEYS"
    listed = keying_set_paths(context.scene) if settings.use_keyframe_insert_keyingset else None
    keyed = False
    for channel in _channels(avatar, joints):
        if listed is not None and (channel.owner, channel.data_path) not in listed:
            continue
        if only_replace and not channel.is_animated():
            continue
        # auto keying follows a change, and keys at rest on 52 sliders would only be in the artist's way
        if _is_shown(channel) or channel.is_animated():
            channel.insert(context.scene.frame_current, {"INSERTKEY_REPLACE"} if only_replace else set())
            keyed = True
    return keyed


def keying_set_paths(scene: bpy.types.Scene) -> set[tuple[bpy.types.ID, str]] | None:
    """What the active keying set lists; None where there is none, or where it is computed by a rule of its own."""
    active = scene.keying_sets.active
    return {(path.id, path.data_path) for path in active.paths} if active else None


def _channels(avatar: AvatarParts, joints: bool) -> Iterable[_Channel]:
    for key in avatar.moved_keys():
        yield _Channel(avatar.shape_keys, key, _VALUE)
    if joints and avatar.armature is not None:
        for joint in JOINT_NAMES[1:]:
            bone = avatar.bone(joint)
            if bone is not None:
                yield _Channel(avatar.armature, bone, _ROTATION)


def _is_shown(channel: _Channel) -> bool:
    """Whether a property stands away from rest."""
    value = channel.get()
    return abs(value) > _SAME if channel.attribute == _VALUE else max(map(abs, value)) > _SAME
