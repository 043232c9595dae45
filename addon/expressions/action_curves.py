"""F-curves of an action, before and after Blender 4.4 gave actions layers and slots."""

from __future__ import annotations

import bpy
import numpy as np


def assign_new_action(owner: bpy.types.ID, name: str) -> bpy.types.Action:
    """Give a data-block an empty action of its own; the one it had stays in the file.

    Args:
        owner: an object, or shape keys.
        name: of the action.
    """
    animation = owner.animation_data or owner.animation_data_create()
    if animation.action is not None:
        # an artist's work must not vanish because nothing uses it any more
        animation.action.use_fake_user = True
    action = bpy.data.actions.new(name)
    animation.action = action
    if hasattr(action, "slots"):
        animation.action_slot = action.slots.new(owner.id_type, owner.name)
    return action


def curves_of(owner: bpy.types.ID) -> list[bpy.types.FCurve]:
    """The curves that animate a data-block; none where it has no action."""
    animation = owner.animation_data
    if animation is None or animation.action is None:
        return []
    if not hasattr(animation, "action_slot"):
        return list(animation.action.fcurves)
    bag = _channelbag(animation)
    return list(bag.fcurves) if bag is not None else []


def find_curve(owner: bpy.types.ID, data_path: str, index: int = 0) -> bpy.types.FCurve | None:
    """The curve of one property."""
    return next(
        (curve for curve in curves_of(owner) if curve.data_path == data_path and curve.array_index == index), None
    )


def write_curve(owner: bpy.types.ID, data_path: str, index: int, frames: np.ndarray, values: np.ndarray) -> None:
    """Write one property's whole curve at once, linear between its points.

    Args:
        owner: has an action already, and that action has no such curve.
        data_path: from the owner to the property; index: of a vector's component, 0 for a number.
        frames: (N,) rising; values: (N,).
    """
    action = owner.animation_data.action
    if hasattr(action, "fcurve_ensure_for_datablock"):
        curve = action.fcurve_ensure_for_datablock(owner, data_path, index=index)
    else:
        curve = action.fcurves.new(data_path, index=index)
    points = curve.keyframe_points
    points.add(len(frames))
    points.foreach_set("co", np.stack([frames, values], axis=-1).astype(np.float32).ravel())
    linear = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value
    points.foreach_set("interpolation", np.full(len(frames), linear, np.int32))
    curve.update()


def _channelbag(animation: bpy.types.AnimData):
    """The curves of the slot that a data-block uses, in the action's one layer and strip."""
    for layer in animation.action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(animation.action_slot) if animation.action_slot else None
            if bag is not None:
                return bag
    return None
