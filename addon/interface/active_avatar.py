"""The avatar that the active object belongs to, at little cost: panels ask at every redraw."""

from __future__ import annotations

import bpy

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.conventions import JOINT_NAMES
from ..exchange.errors import LikenessError
from ..expressions.avatar_parts import AvatarParts, find_avatar, has_arkit_keys
from .texts import text

# Rig to the name of its head: the children of an object are found by looking at every object of the file.
_head_of_rig: dict[int, str] = {}
# Shape keys to the place of ARKit's last: a key is found by comparing the names of all before it.
_last_places: dict[int, int] = {}
# Objects that were part of an avatar when they were looked at.
_seen_parts: set[int] = set()


def may_have_avatar(context: bpy.types.Context) -> bool:
    """Whether the active object belongs to an avatar, or did once in this session; for polls of panels.

    It costs a microsecond at each redraw, where the keys cost ten. Who draws asks `active_avatar`.
    """
    candidate = context.object
    if candidate is None:
        return False
    if candidate.session_uid in _seen_parts:
        return True
    found = has_active_avatar(context)
    if found:
        _seen_parts.add(candidate.session_uid)
    return found


def has_active_avatar(context: bpy.types.Context) -> bool:
    """Whether the active object belongs to an avatar; for polls of buttons, of which a panel has a dozen."""
    candidate = context.object
    if candidate is None:
        return False
    return (candidate.type == "MESH" and _is_head(candidate)) or active_avatar(context) is not None


def _is_head(mesh_object: bpy.types.Object) -> bool:
    """What `has_arkit_keys` says, at a tenth of its time where it has said so before."""
    keys = mesh_object.data.shape_keys
    if keys is None:
        return False
    blocks, place = keys.key_blocks, _last_places.get(keys.session_uid, 0)
    if place < len(blocks) and blocks[place].name == ARKIT_NAMES[-1] and ARKIT_NAMES[0] in blocks:
        return True
    found = has_arkit_keys(mesh_object)
    if found:
        _last_places[keys.session_uid] = blocks.find(ARKIT_NAMES[-1])
    return found


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
    avatar = active_avatar(context)
    reason = _why_none(context) if avatar is None else _why_not_changed(avatar)
    if reason:
        raise LikenessError("no_avatar", reason)
    return avatar


def why_not_posed(context: bpy.types.Context) -> str:
    """Why the active object has no avatar that can be changed, for people; empty where it has one."""
    candidate = context.object
    if not has_active_avatar(context):
        return _why_none(context)
    if candidate.library is None and candidate.override_library is None and candidate.type == "MESH":
        # by far the most common; `posed_avatar` looks at the other parts
        return ""
    avatar = active_avatar(context)
    return _why_none(context) if avatar is None else _why_not_changed(avatar)


def _why_none(context: bpy.types.Context) -> str:
    return text("expression.linked" if _shows_linked_avatar(context.object) else "avatar.poll")


def _why_not_changed(avatar: AvatarParts) -> str:
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
