"""Gives an avatar's mesh its wrinkles: rest position, tension, subdivision and displacement as modifiers."""

from __future__ import annotations

import bpy
import numpy as np

from ..scene.mesh_object import MASK_PREFIX, smooth_in_renders
from .modifier_inputs import set_input
from .tension_group import TENSION_GROUP, tension_group
from .wrinkle_group import (
    AREA_ATTRIBUTE,
    COMPRESSED_MAP,
    EXPANDED_MAP,
    NEUTRAL_MAP,
    REAL_DISPLACEMENT,
    WRINKLE_GROUP,
    wrinkle_group,
)
from .wrinkle_maps import WrinkleMaps

# Quads of 4 mm become 2 mm in the viewport, at a speed that plays, and 1 mm in renders; what is finer is bump.
VIEWPORT_LEVELS = 1
RENDER_LEVELS = 2
GLABELLA = "glabella"
# The glabella lies between the brows, about 20 mm wide and high; full within the first distance from its middle, gone
# at the second; metres.
_GLABELLA_FULL_M, _GLABELLA_END_M = 0.008, 0.018
_MIDLINE_M = 0.004


def add_wrinkles(mesh_object: bpy.types.Object, maps: WrinkleMaps) -> None:
    """Add the modifiers that play wrinkles, behind those that the object has (shape keys and bones come first).

    A head of quads is displaced on a subdivided surface; one of triangles, which subdivides badly, by the shader alone.

    Args:
        mesh_object: with its masks and its wrinkle area (`store_wrinkle_area`) as attributes.
        maps: the avatar's displacement maps.
    """
    mesh_object.add_rest_position_attribute = True
    _store_glabella(mesh_object.data)
    _add_group(mesh_object, TENSION_GROUP, tension_group())
    subdivision = smooth_in_renders(mesh_object)
    if subdivision is not None:
        subdivision.levels, subdivision.render_levels = VIEWPORT_LEVELS, RENDER_LEVELS
        subdivision.show_viewport = True
        # A third of its time, for about 0.01 mm of form (2 mm edges on a radius of 80 mm).
        subdivision.use_limit_surface = False
        # The maps were made for coordinates that are linear inside the head's own polygons; and that is faster.
        subdivision.uv_smooth = "NONE"
    wrinkles = _add_group(mesh_object, WRINKLE_GROUP, wrinkle_group())
    images = {NEUTRAL_MAP: maps.neutral, COMPRESSED_MAP: maps.compressed, EXPANDED_MAP: maps.expanded}
    for name, value in (images | maps.figures()).items():
        set_input(wrinkles, name, value)
    set_input(wrinkles, REAL_DISPLACEMENT, subdivision is not None)


def tension_modifier(mesh_object: bpy.types.Object) -> bpy.types.NodesModifier | None:
    """The object's modifier that stores tension; None where it has none."""
    return _find_modifier(mesh_object, TENSION_GROUP)


def wrinkle_modifier(mesh_object: bpy.types.Object) -> bpy.types.NodesModifier | None:
    """The object's modifier with strength, regions and maps; None where it has none."""
    return _find_modifier(mesh_object, WRINKLE_GROUP)


def _find_modifier(mesh_object: bpy.types.Object, group_name: str) -> bpy.types.NodesModifier | None:
    for modifier in mesh_object.modifiers:
        # appending into a file that has such a group puts a number behind the name
        if modifier.type == "NODES" and modifier.node_group and modifier.node_group.name.split(".")[0] == group_name:
            return modifier
    return None


def _add_group(mesh_object: bpy.types.Object, name: str, group: bpy.types.NodeTree) -> bpy.types.NodesModifier:
    modifier = mesh_object.modifiers.new(name, "NODES")
    modifier.node_group = group
    # the rest position does not exist while the mesh is edited
    modifier.show_in_editmode = False
    return modifier


def store_wrinkle_area(mesh: bpy.types.Mesh, skin_slot: int) -> None:
    """Store which vertices may be displaced: 1 where all polygons are skin, else 0.

    Args:
        mesh: with its material indices set.
        skin_slot: the material slot of the skin.
    """
    slot = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slot)
    corner_counts = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", corner_counts)
    vertex_of_corner = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", vertex_of_corner)
    area = np.ones(len(mesh.vertices), np.float32)
    area[vertex_of_corner[np.repeat(slot != skin_slot, corner_counts)]] = 0.0
    mesh.attributes.new(AREA_ATTRIBUTE, "FLOAT", "POINT").data.foreach_set("value", area)


def _store_glabella(mesh: bpy.types.Mesh) -> None:
    """A mask of the skin between the brows, where the mesh has a mask of the brows."""
    brows = mesh.attributes.get(f"{MASK_PREFIX}brows")
    if brows is None or f"{MASK_PREFIX}{GLABELLA}" in mesh.attributes:
        return
    weight = np.empty(len(mesh.vertices), np.float32)
    brows.data.foreach_get("value", weight)
    positions = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", positions.ravel())
    centre = _between_brows(positions, weight)
    if centre is None:
        return
    distance = np.linalg.norm(positions - centre, axis=1)
    inside = np.clip((_GLABELLA_END_M - distance) / (_GLABELLA_END_M - _GLABELLA_FULL_M), 0.0, 1.0)
    mesh.attributes.new(f"{MASK_PREFIX}{GLABELLA}", "FLOAT", "POINT").data.foreach_set("value", inside)


def _between_brows(positions: np.ndarray, brow_weight: np.ndarray) -> np.ndarray | None:
    """(3,) the foremost point of the middle at the height of the brows, Blender space; None without brows."""
    middle = np.abs(positions[:, 0]) < _MIDLINE_M
    if not brow_weight.any() or not middle.any():
        return None
    height = np.average(positions[:, 2], weights=brow_weight)
    near = np.flatnonzero(middle)[np.argsort(np.abs(positions[middle, 2] - height))[:4]]
    # the face looks towards -Y
    return positions[near[np.argmin(positions[near, 1])]]
