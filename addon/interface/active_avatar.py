"""The avatar that the active object belongs to, at little cost: panels ask at every redraw."""

from __future__ import annotations

import bpy

from ..exchange.conventions import JOINT_NAMES
from ..exchange.errors import LikenessError
from ..expressions.avatar_parts import AvatarParts, find_avatar, has_arkit_keys
from .texts import text

# Rig to the name of its head: the children of an object are found by looking at every object of the file.
_head_of_rig: dict[int, str] = {}


def active_avatar(context: bpy.types.Context) -> AvatarParts | None:
    """The avatar whose head, rig or other part is the active object; None without one."""
    candidate = context.object
    if candidate is None:
        return None
    if has_arkit_keys(candidate):
        return find_avatar(candidate)
    rig = candidate if candidate.type == "ARMATURE" else candidate.parent
    if rig is None or rig.type != "ARMATURE" or not all(joint in rig.pose.bones for joint in JOINT_NAMES):
        return None
    head = bpy.data.objects.get(_head_of_rig.get(rig.session_uid, ""))
    if head is not None and head.parent == rig and has_arkit_keys(head):
        return find_avatar(head)
    avatar = find_avatar(rig)
    if avatar is not None:
        _head_of_rig[rig.session_uid] = avatar.mesh.name
    return avatar


def posed_avatar(context: bpy.types.Context) -> AvatarParts:
    """The active object's avatar, to be changed.

    Raises:
        LikenessError: there is none, or it is linked.
    """
    reason = why_not_posed(context)
    if reason:
        raise LikenessError("no_avatar", reason)
    return active_avatar(context)


def why_not_posed(context: bpy.types.Context) -> str:
    """Why the active object has no avatar that can be changed, for people; empty where it has one."""
    avatar = active_avatar(context)
    if avatar is None:
        return text("expression.linked" if _shows_linked_avatar(context.object) else "avatar.poll")
    changed = [avatar.mesh, avatar.mesh.data, *([avatar.armature] if avatar.armature else [])]
    if not all(item.is_editable for item in changed):
        return text("expression.linked")
    # Blender overrides a whole hierarchy, and lets only those parts be changed that were asked for
    overrides = [item.override_library for item in changed if item.override_library is not None]
    return text("expression.override") if any(override.is_system_override for override in overrides) else ""


def _shows_linked_avatar(candidate: bpy.types.Object | None) -> bool:
    """Whether an object is an empty that shows another file's avatar."""
    collection = candidate.instance_collection if candidate is not None else None
    return (
        collection is not None
        and collection.library is not None
        and any(has_arkit_keys(item) for item in collection.all_objects)
    )
