"""The Blender objects of an avatar: mesh, keys, rig, stored states, materials."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.arkit import ARKIT_NAMES  # noqa: E402
from addon.exchange.conventions import JOINT_NAMES  # noqa: E402
from addon.scene.armature import pose_armature  # noqa: E402
from addon.scene.build_avatar import AvatarObjects, AvatarOptions, build_avatar  # noqa: E402
from addon.scene.joint_axes import JOINT_LIMITS  # noqa: E402
from addon.scene.photo_state import NEUTRAL, apply_state  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from tests.scene_small_avatar import PHOTO_EXPRESSION, PHOTO_POSE, skinned, small_head, small_package  # noqa: E402

NUM_OWN = len(PHOTO_EXPRESSION)


@pytest.fixture
def avatar(tmp_path: Path) -> AvatarObjects:
    empty_scene()
    return build_avatar(small_package(tmp_path, "perspective"))


def to_blender(points: np.ndarray) -> np.ndarray:
    """(x, -z, y), written out a second time so that the tests do not trust the code's own matrix."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def evaluated(avatar: AvatarObjects) -> np.ndarray:
    bpy.context.view_layer.update()
    mesh = avatar.mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    positions = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", positions.ravel())
    return positions


def key_positions(avatar: AvatarObjects, key_name: str) -> np.ndarray:
    key = avatar.mesh.data.shape_keys.key_blocks[key_name]
    positions = np.empty((len(key.data), 3), np.float32)
    key.data.foreach_get("co", positions.ravel())
    return positions


def test_sliders_have_the_heads_ranges_and_reach_the_photo(avatar):
    keys = avatar.mesh.data.shape_keys.key_blocks
    ranges = {key.name: (key.slider_min, key.slider_max) for key in keys}
    assert ranges["smile_left"] == (0.0, 1.0)
    assert ranges["expression_Basis"] == (-3.0, 3.0)
    # the head says 1.2; in the photo it is 1.4
    assert ranges["expression_jawOpen"] == pytest.approx((0.0, 1.4))
    assert ranges["jawOpen"] == (0.0, 1.0)


def test_mesh_is_the_neutral_head_in_blender_axes(avatar):
    head, mesh = small_head(), avatar.mesh.data
    np.testing.assert_allclose(key_positions(avatar, "Basis"), to_blender(head["vertices"]), atol=1e-7)
    polygons = [[vertex for vertex in row if vertex >= 0] for row in head["polygons"].tolist()]
    assert [list(polygon.vertices) for polygon in mesh.polygons] == polygons
    assert all(polygon.use_smooth for polygon in mesh.polygons)
    # counter-clockwise from outside: normals point away from the middle
    skin = [polygon for polygon in mesh.polygons if polygon.index < 280]
    assert all(polygon.normal.dot(polygon.center) > 0 for polygon in skin)
    corners = head["uv_polygons"][head["uv_polygons"] >= 0]
    uv = np.array([loop.uv[:] for loop in mesh.uv_layers[0].data])
    np.testing.assert_allclose(uv, head["uv"][corners], atol=1e-6)


def test_masks_are_attributes(avatar):
    values = np.array([item.value for item in avatar.mesh.data.attributes["mask_lips"].data])
    np.testing.assert_allclose(values, small_head()["mask_lips"], atol=1e-6)


def test_keys_have_their_names_order_and_offsets(avatar):
    head = small_head()
    keys = [key.name for key in avatar.mesh.data.shape_keys.key_blocks]
    assert keys[0] == "Basis"
    assert tuple(keys[1:53]) == ARKIT_NAMES
    assert keys[53:56] == ["smile_left", "expression_jawOpen", "expression_Basis"]
    for key_name, offsets in zip(keys[1:56], [*head["arkit_keys"], *head["expression_keys"]], strict=True):
        expected = to_blender(head["vertices"] + offsets)
        np.testing.assert_allclose(key_positions(avatar, key_name), expected, atol=1e-6, err_msg=key_name)


def test_opens_with_the_photos_expression_and_pose(avatar):
    pose = {joint: vector for joint, vector in PHOTO_POSE.items() if joint != "root"}
    expected = skinned(small_head(), np.array(list(PHOTO_EXPRESSION.values())), pose)
    np.testing.assert_allclose(evaluated(avatar), to_blender(expected), atol=1e-6)


def test_neutral_option_opens_with_the_basis(tmp_path):
    empty_scene()
    neutral = build_avatar(small_package(tmp_path, "perspective"), AvatarOptions(show_photo_state=False))
    np.testing.assert_allclose(evaluated(neutral), to_blender(small_head()["vertices"]), atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_rig_is_the_published_skinning_formula(avatar, seed):
    head, generator = small_head(), np.random.default_rng(seed)
    # small enough to stay inside every limit, the bones' own included
    pose = {joint: generator.uniform(-0.08, 0.08, 3) for joint in JOINT_NAMES}
    pose["neck"] = generator.uniform(-0.4, 0.4, 3)
    pose["root"] = generator.uniform(-2, 2, 3)
    pose["jaw"] = np.array([generator.uniform(0, 0.5), *generator.uniform(-0.08, 0.08, 2)])
    values = generator.uniform(0, 1, NUM_OWN)
    apply_state(NEUTRAL, avatar.armature, avatar.expression_keys)
    pose_armature(avatar.armature, pose)
    for key, value in zip(avatar.expression_keys[52:], values, strict=True):
        key.value = value
    np.testing.assert_allclose(evaluated(avatar), to_blender(skinned(head, values, pose)), atol=2e-6)


def test_bones_stand_at_the_joints(avatar):
    joints = to_blender(small_head()["joints"])
    bones = avatar.armature.data.bones
    assert [bone.name for bone in bones] == list(JOINT_NAMES)
    np.testing.assert_allclose([bone.head_local[:] for bone in bones], joints, atol=1e-6)
    assert [bone.parent and bone.parent.name for bone in bones] == [None, "root", "neck", "neck", "neck"]


def test_limits_stop_a_bone_but_hold_what_was_photographed(avatar):
    apply_state(NEUTRAL, avatar.armature, avatar.expression_keys)

    def shown(joint: str, angle: float) -> np.ndarray:
        pose_armature(avatar.armature, {joint: np.array([angle, 0, 0])})
        return evaluated(avatar)

    still = np.zeros(NUM_OWN)
    at_limit = skinned(small_head(), still, {"left_eye": (np.radians(JOINT_LIMITS["left_eye"].x[1]), 0, 0)})
    np.testing.assert_allclose(shown("left_eye", 1.5), to_blender(at_limit), atol=2e-6)
    # the photo's jaw is further open than jaws usually are
    photographed = skinned(small_head(), still, {"jaw": (0.69, 0, 0)})
    np.testing.assert_allclose(shown("jaw", 0.69), to_blender(photographed), atol=2e-6)
    assert np.abs(shown("jaw", 1.0) - shown("jaw", 0.75)).max() < 1e-6


def test_correctives_follow_the_bones_without_python(avatar):
    shape_keys = avatar.mesh.data.shape_keys
    drivers = {curve.data_path: curve.driver for curve in shape_keys.animation_data.drivers}
    # nine for the neck, nine for the jaw, less the jaw's one that does nothing
    assert len(drivers) == 17
    assert all(driver.is_simple_expression and driver.is_valid for driver in drivers.values())
    assert 'key_blocks["corrective_jaw_22"].value' not in drivers


def test_stored_states_come_back(avatar):
    photo = evaluated(avatar)
    for state, positions in (("neutral", to_blender(small_head()["vertices"])), ("photo expression", photo)):
        _assign(avatar.mesh.data.shape_keys, f"Zoë small {state}")
        _assign(avatar.armature, f"Zoë small {state} pose")
        bpy.context.scene.frame_set(1)
        np.testing.assert_allclose(evaluated(avatar), positions, atol=1e-6, err_msg=state)
    assert all(action.use_fake_user for action in bpy.data.actions)


def _assign(owner, action_name: str) -> None:
    assert owner.animation_data.action is None or owner.animation_data.action.name != action_name
    owner.animation_data.action = bpy.data.actions[action_name]


def test_photo_state_is_written_down_for_scripts(avatar):
    document = json.loads(avatar.mesh["likeness_photo_state"])
    expected = {"smile_left": 0.7, "expression_jawOpen": 1.4, "expression_Basis": -0.3}
    assert document["expression"] == expected
    assert {joint: tuple(vector) for joint, vector in document["pose"].items()} == PHOTO_POSE


def test_each_part_has_its_material(avatar):
    mesh, head = avatar.mesh.data, small_head()
    slots = [material.name for material in mesh.materials]
    assert slots == ["Zoë small skin", "Zoë small left_eye", "Zoë small right_eye", "Zoë small inner_mouth"]
    index = np.array([polygon.material_index for polygon in mesh.polygons])
    np.testing.assert_array_equal(index[head["polygon_part"] == 2], 2)
    corners = np.where(head["polygons"] < 0, head["polygons"][:, 2:3], head["polygons"])
    np.testing.assert_array_equal(index == 3, head["mask_inner_mouth"][corners].all(1))
    assert (index == 3).any()


def test_skin_displaces_in_metres(avatar):
    skin = avatar.mesh.data.materials["Zoë small skin"]
    nodes = {node.bl_idname: node for node in skin.node_tree.nodes}
    displacement = nodes["ShaderNodeDisplacement"]
    assert displacement.inputs["Scale"].default_value == pytest.approx(0.0015)
    assert displacement.inputs["Midlevel"].default_value == pytest.approx(0.5)
    assert displacement.inputs["Height"].links[0].from_node.image.colorspace_settings.name == "Non-Color"
    assert nodes["ShaderNodeOutputMaterial"].inputs["Displacement"].is_linked
    eye = avatar.mesh.data.materials["Zoë small left_eye"]
    assert not any(node.bl_idname == "ShaderNodeDisplacement" for node in eye.node_tree.nodes)


def test_scene_holds_the_avatar_and_nothing_else(avatar):
    shown = {item.name for item in bpy.context.scene.objects}
    assert shown == {item.name for item in avatar.collection.objects}
    assert {item.type for item in avatar.collection.objects} == {"MESH", "ARMATURE", "CAMERA", "LIGHT"}
    assert avatar.collection.name == "Zoë small"


def test_a_second_avatar_leaves_the_first_alone(avatar, tmp_path):
    before = evaluated(avatar)
    second = build_avatar(small_package(tmp_path, "orthographic"))
    pose_armature(second.armature, {"jaw": np.array([0.4, 0, 0])})
    np.testing.assert_array_equal(evaluated(avatar), before)
    assert second.mesh.modifiers["Armature"].object == second.armature
