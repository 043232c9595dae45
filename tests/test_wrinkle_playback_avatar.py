"""Wrinkles of an avatar that is built from its package: what moves, what shades, what stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.avatar_description import WrinkleDescription  # noqa: E402
from addon.exchange.avatar_package import COMPRESSED_FILE, DISPLACEMENT_FILE, EXPANDED_FILE, AvatarPackage  # noqa: E402
from addon.scene.build_avatar import AvatarObjects, AvatarOptions, build_avatar  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from addon.scene.visible_edges import evaluated_positions  # noqa: E402
from addon.wrinkles.add_wrinkles import tension_modifier, wrinkle_modifier  # noqa: E402
from addon.wrinkles.modifier_inputs import get_input, set_input  # noqa: E402
from addon.wrinkles.wrinkle_group import REAL_DISPLACEMENT  # noqa: E402
from tests.scene_small_avatar import small_head, small_package  # noqa: E402
from tests.wrinkle_sheet import evaluated, point_values, positions  # noqa: E402

SCALE_MM = 2.0


@pytest.fixture
def package(tmp_path: Path) -> AvatarPackage:
    """A package whose wrinkle maps are those of another avatar's package: its flat displacement map."""
    plain = small_package(tmp_path, "perspective")
    for name in (COMPRESSED_FILE, EXPANDED_FILE):
        (tmp_path / name).write_bytes((tmp_path / DISPLACEMENT_FILE).read_bytes())
    wrinkles = WrinkleDescription(32, SCALE_MM, 0.5, 0.3, 0.4, 5.0, 1, 0.4)
    return replace(plain, description=replace(plain.description, wrinkles=wrinkles))


@pytest.fixture
def avatar(package: AvatarPackage) -> AvatarObjects:
    empty_scene()
    return build_avatar(package, AvatarOptions(show_photo_state=False))


def test_order_of_the_modifiers(avatar):
    """The small head has many triangles, so nothing subdivides it and the shader alone wrinkles it."""
    assert [item.type for item in avatar.mesh.modifiers] == ["ARMATURE", "NODES", "NODES"]
    assert avatar.mesh.add_rest_position_attribute
    assert not get_input(wrinkle_modifier(avatar.mesh), REAL_DISPLACEMENT)


def test_inputs_tell_how_the_maps_are_read(avatar):
    modifier = wrinkle_modifier(avatar.mesh)
    found = [get_input(modifier, name) for name in ("Wrinkle Scale (mm)", "Full Compression", "Full Stretch")]
    assert found == pytest.approx([SCALE_MM, 0.3, 0.4])
    assert get_input(modifier, "Neutral Scale (mm)") == pytest.approx(1.5)
    names = [get_input(modifier, f"{name} Map").name for name in ("Neutral", "Compressed", "Expanded")]
    assert names == [f"Zoë small displacement{suffix}" for suffix in ("", " compressed", " expanded")]
    group = next(n for n in avatar.mesh.data.materials[0].node_tree.nodes if n.bl_idname == "ShaderNodeGroup")
    assert group.inputs["Full Compression"].default_value == pytest.approx(0.3)
    assert group.inputs["Expanded Map"].links[0].from_node.image == get_input(modifier, "Expanded Map")


def test_only_the_skin_moves(avatar):
    modifier = wrinkle_modifier(avatar.mesh)
    set_input(modifier, REAL_DISPLACEMENT, True)
    # the map holds 0.5 everywhere: every vertex would move outwards by 0.4 mm
    set_input(modifier, "Neutral Midlevel", 0.1)
    set_input(modifier, "Neutral Scale (mm)", 1.0)
    moved = np.linalg.norm(positions(evaluated(avatar.mesh)) - evaluated_positions_in_blender(avatar), axis=1)
    head = small_head()
    corners = np.where(head["polygons"] < 0, head["polygons"][:, 2:3], head["polygons"])
    slot = np.array([polygon.material_index for polygon in avatar.mesh.data.polygons])
    other = np.unique(corners[slot != 0])
    skin = np.setdiff1d(corners, other)
    np.testing.assert_allclose(moved[skin], 0.4e-3, atol=1e-6)
    np.testing.assert_array_equal(moved[other], 0)


def evaluated_positions_in_blender(avatar: AvatarObjects) -> np.ndarray:
    """What the modifiers before the wrinkles give."""
    found = evaluated_positions(avatar.mesh)
    return np.stack([found[:, 0], -found[:, 2], found[:, 1]], -1)


def test_second_avatar_of_the_same_name(avatar, package):
    """It gets numbered materials and images, and wrinkles all the same."""
    second = build_avatar(package, AvatarOptions(show_photo_state=False))
    area = [point_values(item.mesh.data, "wrinkle_area") for item in (avatar, second)]
    np.testing.assert_array_equal(area[0], area[1])
    assert area[0].any()
    own, other = (get_input(wrinkle_modifier(item.mesh), "Compressed Map") for item in (avatar, second))
    assert own != other
    assert tension_modifier(avatar.mesh).node_group == tension_modifier(second.mesh).node_group


def test_positions_are_the_heads_own_vertices(avatar):
    avatar.mesh.modifiers.new("Subdivision", "SUBSURF")
    assert evaluated_positions(avatar.mesh).shape == small_head()["vertices"].shape
    np.testing.assert_allclose(evaluated_positions(avatar.mesh), small_head()["vertices"], atol=1e-6)
    assert len(evaluated(avatar.mesh).vertices) > 3 * len(small_head()["vertices"])


def test_shader_bends_the_normal_in_place_of_the_displacement_output(avatar):
    skin, *others = avatar.mesh.data.materials
    nodes = {node.bl_idname: node for node in skin.node_tree.nodes}
    assert nodes["ShaderNodeBsdfPrincipled"].inputs["Normal"].links[0].from_node == nodes["ShaderNodeGroup"]
    assert not nodes["ShaderNodeOutputMaterial"].inputs["Displacement"].is_linked
    assert not any(node.bl_idname == "ShaderNodeGroup" for item in others for node in item.node_tree.nodes)


def test_package_without_wrinkles_is_built_as_before(tmp_path):
    empty_scene()
    plain = build_avatar(small_package(tmp_path, "perspective"))
    assert wrinkle_modifier(plain.mesh) is None and tension_modifier(plain.mesh) is None
    assert [item.type for item in plain.mesh.modifiers if item.type == "NODES"] == []
    assert not bpy.data.node_groups
