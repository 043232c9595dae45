"""Wrinkles in Blender: tension by nodes against numpy, displacement against its closed form, inputs, copies, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.tension import TENSION_PER_M, polygon_edges, vertex_tension  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from addon.wrinkles import tension_group, wrinkle_group  # noqa: E402
from addon.wrinkles.add_wrinkles import tension_modifier, wrinkle_modifier  # noqa: E402
from addon.wrinkles.modifier_inputs import get_input, input_path, set_input  # noqa: E402
from addon.wrinkles.tension_overlay import has_tension_overlay, set_tension_overlay  # noqa: E402
from tests import wrinkle_sheet  # noqa: E402
from tests.wrinkle_sheet import EDGE_M, SQUEEZE, STRETCH, evaluated, height_mm, make_sheet, point_values, positions  # noqa: E402

# the middle of the sheet, away from its free border
INNER_M = 0.006


@pytest.fixture
def sheet() -> bpy.types.Object:
    empty_scene()
    return make_sheet()


def tension_of(factor: float) -> float:
    return float(np.tanh(0.5 * TENSION_PER_M * EDGE_M * (1 - factor)))


def set_keys(sheet: bpy.types.Object, **values: float) -> None:
    for key in sheet.data.shape_keys.key_blocks[1:]:
        key.value = values.get(key.name, 0.0)


def heights_mm(sheet: bpy.types.Object) -> np.ndarray:
    return 1000 * positions(evaluated(sheet))[:, 2]


def moved_ellipsoid() -> tuple[bpy.types.Object, np.ndarray, np.ndarray, np.ndarray]:
    """An object with tension alone, in a random shape; its neutral and current vertices, and its polygons."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=16, radius=0.1)
    mesh_object = bpy.context.object
    neutral = positions(mesh_object.data)
    noise = np.random.default_rng(0).normal(0, 0.0005, neutral.shape)
    current = (neutral * [1.1, 0.95, 1.0] + noise).astype(np.float32)
    mesh_object.shape_key_add(name="Basis")
    key = mesh_object.shape_key_add(name="moved", from_mix=False)
    key.data.foreach_set("co", current.ravel())
    key.value = 1.0
    mesh_object.add_rest_position_attribute = True
    modifier = mesh_object.modifiers.new("Tension", "NODES")
    modifier.node_group = tension_group.tension_group()
    polygons = [[*polygon.vertices, -1][:4] for polygon in mesh_object.data.polygons]
    return mesh_object, neutral, current, np.array(polygons)


def test_nodes_agree_with_numpy():
    empty_scene()
    mesh_object, neutral, current, polygons = moved_ellipsoid()
    edges = polygon_edges(polygons)
    expected = vertex_tension(neutral.astype(float), current.astype(float), edges)
    mesh = evaluated(mesh_object)
    np.testing.assert_allclose(point_values(mesh, "tension"), expected, atol=1e-5)
    np.testing.assert_allclose(point_values(mesh, "tension_compress"), np.clip(expected, 0, 1), atol=1e-5)
    np.testing.assert_allclose(point_values(mesh, "tension_stretch"), np.clip(-expected, 0, 1), atol=1e-5)
    assert expected.max() > 0.2 > -0.2 > expected.min()


def test_neutral_is_the_basis_whichever_key_is_active_or_edited():
    empty_scene()
    mesh_object, *_ = moved_ellipsoid()
    before = point_values(evaluated(mesh_object), "tension")
    mesh_object.active_shape_key_index = 1
    np.testing.assert_array_equal(point_values(evaluated(mesh_object), "tension"), before)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.object.mode_set(mode="OBJECT")
    np.testing.assert_allclose(point_values(evaluated(mesh_object), "tension"), before, atol=1e-6)
    mesh_object.data.shape_keys.key_blocks["moved"].value = 0
    np.testing.assert_array_equal(point_values(evaluated(mesh_object), "tension"), 0)


def test_rigid_motion_by_a_bone_is_no_tension(sheet):
    bpy.ops.object.armature_add()
    armature = bpy.context.object
    group = sheet.vertex_groups.new(name=armature.data.bones[0].name)
    group.add(range(len(sheet.data.vertices)), 1.0, "REPLACE")
    modifier = sheet.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    sheet.modifiers.move(len(sheet.modifiers) - 1, 0)
    armature.pose.bones[0].rotation_mode = "XYZ"
    armature.pose.bones[0].rotation_euler = (0.7, -0.4, 1.1)
    armature.pose.bones[0].location = (0.1, 0.2, -0.1)
    mesh = evaluated(sheet)
    np.testing.assert_allclose(point_values(mesh, "tension"), 0, atol=2e-5)
    assert np.abs(positions(mesh)).max() > 0.05


def test_mask_inputs(sheet):
    modifier = tension_modifier(sheet)
    set_keys(sheet, squeeze=1.0)
    tension = point_values(evaluated(sheet), "tension")
    set_input(modifier, tension_group.STRENGTH, 1.5)
    set_input(modifier, tension_group.BIAS, -0.1)
    mesh = evaluated(sheet)
    np.testing.assert_allclose(point_values(mesh, "tension"), tension, atol=1e-6)
    np.testing.assert_allclose(point_values(mesh, "tension_compress"), np.clip(1.5 * (tension - 0.1), 0, 1), atol=1e-5)


def test_smoothing_spreads_the_masks_and_leaves_the_tension():
    empty_scene()
    mesh_object, *_ = moved_ellipsoid()
    sharp = evaluated(mesh_object)
    tension, spread = point_values(sharp, "tension"), point_values(sharp, "tension_compress").std()
    set_input(tension_modifier(mesh_object), tension_group.SMOOTHING, 5)
    smooth = evaluated(mesh_object)
    np.testing.assert_array_equal(point_values(smooth, "tension"), tension)
    assert 0.1 * spread < point_values(smooth, "tension_compress").std() < 0.9 * spread


def test_tension_is_the_same_however_much_is_subdivided(sheet):
    set_keys(sheet, squeeze=0.7)
    found = []
    for levels in (0, 1, 2):
        sheet.modifiers["Subdivision"].levels = levels
        mesh = evaluated(sheet)
        inner = (np.abs(positions(mesh)[:, :2]) < INNER_M).all(1)
        found.append(point_values(mesh, "tension")[inner])
    expected = tension_of(1 - 0.7 * 0.2)
    assert len({len(values) for values in found}) == 3
    for values in found:
        np.testing.assert_allclose(values, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value"), [(SQUEEZE, 0.0), (SQUEEZE, 0.3), (SQUEEZE, 1.0), (STRETCH, 0.5), (STRETCH, 1.0)]
)
def test_height_is_the_documented_blend(sheet, key, value):
    set_keys(sheet, **{key: value})
    tension = tension_of(1 + value * (wrinkle_sheet.FACTORS[key] - 1))
    np.testing.assert_allclose(heights_mm(sheet), height_mm(np.array(tension)), atol=1e-4)


def test_strengths(sheet):
    modifier = wrinkle_modifier(sheet)
    at_rest, squeezed = (height_mm(np.array(tension)) for tension in (0.0, tension_of(0.8)))
    set_keys(sheet, squeeze=1.0)
    for inputs, expected in (
        ({wrinkle_group.STRENGTH: 0.5}, 0.5 * squeezed),
        ({wrinkle_group.DYNAMIC_WRINKLES: 0.5}, at_rest + 0.5 * (squeezed - at_rest)),
        ({wrinkle_group.DYNAMIC_WRINKLES: 0.0}, at_rest),
        ({wrinkle_group.STATIC_DETAIL: 0.0}, squeezed - at_rest),
        ({wrinkle_group.STRENGTH: 0.0}, 0.0),
    ):
        before = {name: get_input(modifier, name) for name in inputs}
        for name, value in inputs.items():
            set_input(modifier, name, value)
        np.testing.assert_allclose(heights_mm(sheet), expected, atol=1e-4, err_msg=str(inputs))
        for name, value in before.items():
            set_input(modifier, name, value)


def test_region_weighs_its_wrinkles_and_no_others(sheet):
    set_keys(sheet, squeeze=1.0)
    set_input(wrinkle_modifier(sheet), "Forehead", 0.0)
    at_rest, squeezed = (height_mm(np.array(tension)) for tension in (0.0, tension_of(0.8)))
    mesh = evaluated(sheet)
    place, height = positions(mesh)[:, 0], 1000 * positions(mesh)[:, 2]
    np.testing.assert_allclose(height[place > 0.9 * EDGE_M], at_rest, atol=1e-4)
    np.testing.assert_allclose(height[place < -0.1 * EDGE_M], squeezed, atol=1e-4)


def test_bump_only_leaves_the_mesh_where_it_is_and_keeps_the_shaders_weights(sheet):
    set_keys(sheet, squeeze=1.0)
    weights = point_values(evaluated(sheet), wrinkle_group.WEIGHTS_ATTRIBUTE)
    set_input(wrinkle_modifier(sheet), wrinkle_group.REAL_DISPLACEMENT, False)
    mesh = evaluated(sheet)
    np.testing.assert_array_equal(positions(mesh)[:, 2], 0)
    np.testing.assert_array_equal(point_values(mesh, wrinkle_group.WEIGHTS_ATTRIBUTE), weights)
    np.testing.assert_allclose(weights, np.tile([1, 1, tension_of(0.8)], (len(weights), 1)), atol=1e-5)


def test_inputs_can_be_keyed_and_driven(sheet):
    modifier = wrinkle_modifier(sheet)
    set_keys(sheet, squeeze=1.0)
    path = input_path(modifier, wrinkle_group.DYNAMIC_WRINKLES)
    for frame, value in ((1, 0.0), (11, 1.0)):
        set_input(modifier, wrinkle_group.DYNAMIC_WRINKLES, value)
        assert sheet.keyframe_insert(path, frame=frame)
    driver = sheet.driver_add(input_path(modifier, "Chin")).driver
    driver.expression = "frame / 10"
    at_rest, squeezed = (height_mm(np.array(tension)) for tension in (0.0, tension_of(0.8)))
    for frame, expected in ((1, at_rest), (6, (at_rest + squeezed) / 2), (11, squeezed)):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(heights_mm(sheet), expected, atol=1e-4)
    evaluated_object = sheet.evaluated_get(bpy.context.evaluated_depsgraph_get())
    assert get_input(wrinkle_modifier(evaluated_object), "Chin") == pytest.approx(1.1)


def test_each_avatar_has_its_own_maps_and_all_share_the_groups(sheet):
    other = make_sheet("other", compressed=0.6)
    copy = sheet.copy()
    bpy.context.scene.collection.objects.link(copy)
    for item in (sheet, other):
        set_keys(item, squeeze=1.0)
    tension = np.array(tension_of(0.8))
    for item, compressed in ((sheet, wrinkle_sheet.COMPRESSED), (other, 0.6), (copy, wrinkle_sheet.COMPRESSED)):
        np.testing.assert_allclose(heights_mm(item), height_mm(tension, compressed), atol=1e-4)
    assert wrinkle_modifier(other).node_group == wrinkle_modifier(sheet).node_group
    assert len(bpy.data.node_groups) == 3


def test_saved_linked_and_reloaded(sheet, tmp_path: Path):
    set_keys(sheet, squeeze=1.0)
    expected = heights_mm(sheet)
    path = tmp_path / "sheet.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    np.testing.assert_allclose(heights_mm(bpy.data.objects["sheet"]), expected, atol=1e-6)
    empty_scene()
    with bpy.data.libraries.load(str(path), link=True) as (_, wanted):
        wanted.objects = ["sheet"]
    linked = bpy.data.objects["sheet"]
    bpy.context.scene.collection.objects.link(linked)
    np.testing.assert_allclose(heights_mm(linked), expected, atol=1e-6)
    make_sheet("own")
    assert wrinkle_modifier(bpy.data.objects["own"]).node_group.library is None


def test_undo_brings_the_wrinkles_back(sheet):
    set_keys(sheet, squeeze=1.0)
    expected = heights_mm(sheet)
    bpy.ops.ed.undo_push(message="before")
    set_input(wrinkle_modifier(sheet), wrinkle_group.STRENGTH, 0.0)
    bpy.ops.ed.undo_push(message="after")
    np.testing.assert_allclose(heights_mm(sheet), 0, atol=1e-6)
    bpy.ops.ed.undo()
    np.testing.assert_allclose(heights_mm(bpy.data.objects["sheet"]), expected, atol=1e-6)


def test_overlay_shows_the_masks_and_gives_the_views_back(sheet):
    set_keys(sheet, squeeze=1.0)
    views = [space for screen in bpy.data.screens for area in screen.areas for space in area.spaces]
    views = [view for view in views if view.type == "VIEW_3D"]
    for view in views:
        view.shading.type, view.shading.color_type = "MATERIAL", "RANDOM"
    assert views
    set_tension_overlay(sheet, True)
    assert has_tension_overlay(sheet)
    mesh = evaluated(sheet)
    colour = point_values(mesh, "tension_color")
    np.testing.assert_allclose(colour, np.tile([tension_of(0.8), 0, 0, 1], (len(colour), 1)), atol=1e-5)
    assert mesh.attributes.active_color_name == "tension_color"
    assert {(view.shading.type, view.shading.color_type) for view in views} == {("SOLID", "VERTEX")}
    set_tension_overlay(sheet, False)
    assert not has_tension_overlay(sheet)
    assert "tension_color" not in evaluated(sheet).attributes
    assert {view.shading.type for view in views} == {"MATERIAL"}
    for view in views:
        view.shading.type = "SOLID"
        assert view.shading.color_type == "RANDOM"


def test_groups_open_readable(sheet):
    for group in bpy.data.node_groups:
        frames = [node for node in group.nodes if node.type == "FRAME"]
        loose = [node for node in group.nodes if node.type not in ("FRAME", "GROUP_INPUT", "GROUP_OUTPUT", "SWITCH")]
        assert len(frames) >= 3 and all(frame.label for frame in frames)
        assert all(node.parent is not None for node in loose)
        places = [
            tuple(node.location_absolute if hasattr(node, "location_absolute") else node.location) for node in loose
        ]
        assert len(set(places)) == len(places), group.name
        inputs = [i for i in group.interface.items_tree if i.item_type == "SOCKET" and i.in_out == "INPUT"]
        assert all(item.description for item in inputs if item.socket_type != "NodeSocketGeometry")
