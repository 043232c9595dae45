"""Shows an avatar alone where something else hides it from every side, as the cube of Blender's first scene does."""

from __future__ import annotations

import bpy
from mathutils import Vector

# what lets one see through it
_SEE_THROUGH = frozenset({"WIRE", "BOUNDS"})


def enclosing_object(context: bpy.types.Context, head: bpy.types.Object) -> bpy.types.Object | None:
    """A visible object around the whole head that belongs to something else; None where the head is open to view.

    Args:
        context: whose view layer, and 3D view if it has one.
        head: of an avatar.
    """
    low, high = _bounds(head)
    for other in context.visible_objects:
        if other.type != "MESH" or other.display_type in _SEE_THROUGH or _is_part(other, head):
            continue
        other_low, other_high = _bounds(other)
        # of the three axes, each
        if all(map(float.__le__, other_low, low)) and all(map(float.__ge__, other_high, high)):
            return other
    return None


def show_alone(view: bpy.types.SpaceView3D, window: bpy.types.Window, head: bpy.types.Object) -> bool:
    """Let a 3D view show the avatar's objects only; returns whether Blender lets us.

    Args:
        view: not in local view yet.
        window: that it is in.
        head: of an avatar, in the window's view layer.
    """
    area = next((area for area in window.screen.areas if area.spaces.active == view), None)
    if area is None:
        return False
    region = next(region for region in area.regions if region.type == "WINDOW")
    layer = window.view_layer
    selected, active = layer.objects.selected[:], layer.objects.active
    # the operator takes what is selected
    for item in selected:
        item.select_set(False, view_layer=layer)
    head.select_set(True, view_layer=layer)
    with bpy.context.temp_override(window=window, area=area, region=region):
        is_alone = bpy.ops.view3d.localview.poll() and bpy.ops.view3d.localview(frame_selected=False) == {"FINISHED"}
    for item in layer.objects:
        item.select_set(item in selected, view_layer=layer)
        if is_alone and _is_part(item, head):
            item.local_view_set(view, True)
    layer.objects.active = active
    return is_alone


def _bounds(item: bpy.types.Object) -> tuple[Vector, Vector]:
    """Lowest and highest x, y and z in the world, metres."""
    corners = [item.matrix_world @ Vector(corner) for corner in item.bound_box]
    return Vector(map(min, zip(*corners, strict=True))), Vector(map(max, zip(*corners, strict=True)))


def _is_part(item: bpy.types.Object, head: bpy.types.Object) -> bool:
    return item == head or (item.likeness.avatar_id == head.likeness.avatar_id != "")
