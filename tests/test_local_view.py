"""View from Photo where something hides the avatar, as the cube of Blender's first scene does."""

from __future__ import annotations

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.interface.local_view import enclosing_object  # noqa: E402
from tests.interface_stage import Stage  # noqa: E402


def head_in_a_cube(stage: Stage, size_m: float) -> tuple[bpy.types.Object, bpy.types.Object]:
    bpy.ops.mesh.primitive_cube_add(size=size_m)
    cube = bpy.context.object
    stage.order()
    stage.finish()
    head = bpy.context.object
    bpy.context.view_layer.update()
    return head, cube


def view() -> bpy.types.SpaceView3D:
    return next(area.spaces.active for area in bpy.context.screen.areas if area.type == "VIEW_3D")


def is_shown(item: bpy.types.Object) -> bool:
    bpy.context.view_layer.update()
    return item.evaluated_get(bpy.context.evaluated_depsgraph_get()).local_view_get(view())


def test_an_avatar_inside_a_cube_is_shown_alone(stage):
    head, cube = head_in_a_cube(stage, 2.0)
    selected = list(bpy.context.selected_objects)
    bpy.ops.likeness.view_from_photo()
    assert view().local_view is not None
    assert not is_shown(cube)
    assert all(is_shown(item) for item in head.users_collection[0].objects)
    assert list(bpy.context.selected_objects) == selected
    assert bpy.context.object == head


def test_pressing_it_again_changes_nothing(stage):
    _head, cube = head_in_a_cube(stage, 2.0)
    bpy.ops.likeness.view_from_photo()
    bpy.ops.likeness.view_from_photo()
    assert view().local_view is not None
    assert not is_shown(cube)


def test_what_does_not_hide_it_stays_in_view(stage):
    head, cube = head_in_a_cube(stage, 0.05)
    assert enclosing_object(bpy.context, head) is None
    bpy.ops.likeness.view_from_photo()
    assert view().local_view is None
    cube.scale = (100, 100, 100)
    cube.display_type = "WIRE"
    bpy.context.view_layer.update()
    assert enclosing_object(bpy.context, head) is None
    cube.display_type = "TEXTURED"
    assert enclosing_object(bpy.context, head) == cube
    cube.hide_set(True)
    assert enclosing_object(bpy.context, head) is None
