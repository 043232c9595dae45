"""A copy of an avatar's head, subdivided, with its wrinkles baked into the mesh and into every key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np

from ..expressions.avatar_parts import AvatarParts
from ..scene.armature import MODIFIER_NAME
from ..scene.shape_keys import BASIS_NAME
from ..wrinkles.add_wrinkles import wrinkle_modifier
from ..wrinkles.modifier_inputs import set_input
from ..wrinkles.wrinkle_group import REAL_DISPLACEMENT


@contextmanager
def baked_copy(avatar: AvatarParts, levels: int) -> Iterator[AvatarParts]:
    """Bake subdivision and displacement into keys, and take the copy away afterwards.

    Every key of the copy holds what the avatar shows when that key alone is at 1: the movement with its wrinkles. Keys
    add up, so two that wrinkle the same skin add their wrinkles.

    Args:
        avatar: is not changed.
        levels: of subdivision; each makes four polygons of one.
    """
    posed = _undeformed_copy(avatar, levels)
    made: list[bpy.types.ID] = [posed.data, posed]
    try:
        baked = _bake(avatar, posed)
        made += [baked.data, baked]
        yield AvatarParts(baked, avatar.armature)
    finally:
        # at once: an object whose mesh is removed first goes with it
        bpy.data.batch_remove(made)


def _undeformed_copy(avatar: AvatarParts, levels: int) -> bpy.types.Object:
    """The head with its modifiers but the armature's, so that keys are baked in the rest pose."""
    copy = avatar.mesh.copy()
    copy.data = avatar.mesh.data.copy()
    copy.parent = None
    copy.animation_data_clear()
    keys = copy.data.shape_keys
    keys.animation_data_clear()
    for key in keys.key_blocks:
        key.value = 0.0
        key.mute = False
    copy.show_only_shape_key = False
    for modifier in list(copy.modifiers):
        if modifier.type == "ARMATURE":
            copy.modifiers.remove(modifier)
    _subdivide(copy, levels)
    bpy.context.scene.collection.objects.link(copy)
    copy.hide_set(False)
    return copy


def _subdivide(copy: bpy.types.Object, levels: int) -> None:
    """Set the subdivision, and let the displacement move what it makes."""
    wrinkles = wrinkle_modifier(copy)
    subdivision = next((modifier for modifier in copy.modifiers if modifier.type == "SUBSURF"), None)
    if subdivision is None:
        # a head of triangles has none, since they round badly; split flat they keep their shape
        subdivision = copy.modifiers.new("Subdivision", "SUBSURF")
        subdivision.subdivision_type = "SIMPLE"
        if wrinkles is not None:
            copy.modifiers.move(len(copy.modifiers) - 1, list(copy.modifiers).index(wrinkles))
    subdivision.levels = levels
    subdivision.show_viewport = True
    if wrinkles is not None:
        set_input(wrinkles, REAL_DISPLACEMENT, True)


def _bake(avatar: AvatarParts, posed: bpy.types.Object) -> bpy.types.Object:
    """A new object whose Basis and keys are what `posed` shows."""
    rest = posed.evaluated_get(_updated())
    mesh = bpy.data.meshes.new_from_object(rest, preserve_all_data_layers=True, depsgraph=_updated())
    mesh.name = f"{avatar.mesh.name} baked"
    baked = bpy.data.objects.new(mesh.name, mesh)
    baked.matrix_basis = avatar.mesh.matrix_basis
    for group in avatar.mesh.vertex_groups:
        baked.vertex_groups.new(name=group.name)
    bpy.context.scene.collection.objects.link(baked)
    baked.shape_key_add(name=BASIS_NAME, from_mix=False)
    for moved in avatar.moved_keys():
        key = posed.data.shape_keys.key_blocks[moved.name]
        key.value = 1.0
        added = baked.shape_key_add(name=key.name, from_mix=False)
        added.data.foreach_set("co", _evaluated_positions(posed, len(mesh.vertices)))
        added.value = 0.0
        key.value = 0.0
    if avatar.armature is not None:
        modifier = baked.modifiers.new(MODIFIER_NAME, "ARMATURE")
        modifier.object = avatar.armature
        # exporters want the armature for the parent of what it deforms
        baked.parent = avatar.armature
        baked.matrix_parent_inverse = avatar.mesh.matrix_parent_inverse
    return baked


def _updated() -> bpy.types.Depsgraph:
    bpy.context.view_layer.update()
    return bpy.context.evaluated_depsgraph_get()


def _evaluated_positions(posed: bpy.types.Object, count: int) -> np.ndarray:
    """(count * 3,) metres, what the object shows now."""
    positions = np.empty(count * 3, np.float32)
    posed.evaluated_get(_updated()).data.vertices.foreach_get("co", positions)
    return positions
