"""Everything that an avatar shows, its own keys and bones included: read, shown, mirrored, kept in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.conventions import JOINT_NAMES
from ..exchange.errors import LikenessError
from ..expressions.avatar_parts import AvatarParts
from ..expressions.expression import Expression, mirrored_name
from ..expressions.keying import read_expression, show_expression
from ..scene.photo_state import PROPERTY_NAME, AvatarState
from .texts import text

_SIDES = (("_left", "_right"), ("_right", "_left"))
# differences that no eye sees and no artist made
_SAME = 1e-6


def read_state(avatar: AvatarParts) -> AvatarState:
    """What an avatar shows now: every key that an artist moves, and its joints but the root."""
    keys = {key.name: key.value for key in avatar.moved_keys() if abs(key.value) > _SAME}
    return AvatarState(keys, {joint: np.array(turn) for joint, turn in read_expression(avatar).joints.items()})


def show_state(avatar: AvatarParts, state: AvatarState, strength: float = 1.0, joints: bool = True) -> None:
    """Show a state; keys and joints that it does not name go to rest, and keys that this head lacks are left out.

    Args:
        avatar: what to move.
        state: what to show.
        strength: factor on all of it.
        joints: turn the bones as well; the root, which places the head, stays.
    """
    for key in avatar.moved_keys():
        key.value = state.expression.get(key.name, 0.0) * strength
    shapes = {name: value for name, value in state.expression.items() if name in ARKIT_NAMES}
    turns = {joint: tuple(turn) for joint, turn in state.pose.items() if joint in JOINT_NAMES[1:]}
    show_expression(avatar, Expression(shapes, turns).scaled(strength), joints)


def add_expression(avatar: AvatarParts, expression: Expression) -> None:
    """Add an expression to what is shown; keys stop at the ends of their ranges."""
    for name, value in expression.shapes.items():
        if name in avatar.shape_keys.key_blocks:
            avatar.key_block(name).value += value


def mirrored_state(state: AvatarState) -> AvatarState:
    """The state that a mirror would show: left and right changed over."""
    turns = Expression({}, {joint: tuple(turn) for joint, turn in state.pose.items()}).mirrored().joints
    return AvatarState(
        {_other_side(name): value for name, value in state.expression.items()},
        {joint: np.array(turn) for joint, turn in turns.items()},
    )


def _other_side(name: str) -> str:
    """The key on the other side: ARKit's names, and those of head models, which end in _left and _right."""
    for here, there in _SIDES:
        if name.endswith(here):
            return name[: -len(here)] + there
    return mirrored_name(name)


def has_photo_state(mesh_object: bpy.types.Object) -> bool:
    """Whether a head knows the photo's expression."""
    return PROPERTY_NAME in mesh_object


def photo_state(mesh_object: bpy.types.Object) -> AvatarState:
    """The expression and pose of the photo that a head was made of.

    Raises:
        LikenessError: the head does not know it.
    """
    return _state_of(mesh_object.get(PROPERTY_NAME, ""), text("expression.no_photo"), "")


def write_copied_state(path: Path, state: AvatarState) -> None:
    """Keep a state for pasting, here or in another Blender.

    Raises:
        LikenessError: the file cannot be written.
    """
    turns = {joint: [float(component) for component in turn] for joint, turn in state.pose.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"expression": state.expression, "pose": turns}), encoding="utf-8")
    except OSError as error:
        raise LikenessError(
            "copy_unwritable",
            text("expression.copy.unwritable", folder=path.parent),
            text("expression.copy.unwritable.hint"),
        ) from error


def read_copied_state(path: Path) -> AvatarState:
    """What `write_copied_state` has kept.

    Raises:
        LikenessError: nothing was copied.
    """
    try:
        written = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        written = ""
    return _state_of(written, text("expression.paste.empty"), text("expression.paste.empty.hint"))


def _state_of(written: str, message: str, hint: str) -> AvatarState:
    """A state from JSON that a person may have edited."""
    try:
        document = json.loads(written)
        expression, pose = document["expression"], document["pose"]
        return AvatarState(_numbers(expression), {joint: np.array(_turn(turn)) for joint, turn in pose.items()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LikenessError("no_expression", message, hint) from error


def _numbers(values: Mapping[str, float]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}


def _turn(turn: list[float]) -> tuple[float, float, float]:
    x, y, z = (float(component) for component in turn)
    return (x, y, z)
