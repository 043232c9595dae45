"""Avatars in other programs' files: read back, they have the same vertices at every key."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.arkit import ARKIT_NAMES  # noqa: E402
from addon.export.engine_export import (  # noqa: E402
    EngineExportOptions,
    EngineFormat,
    export_for_engines,
    file_stem,
)
from addon.export.export_copy import ExportError  # noqa: E402
from addon.export.mesh_cache import export_mesh_cache  # noqa: E402
from addon.expressions.avatar_parts import AvatarParts, find_avatar  # noqa: E402
from addon.expressions.expression import Expression  # noqa: E402
from addon.expressions.keying import Easing, key_expression, show_expression  # noqa: E402
from addon.scene.build_avatar import build_avatar  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from tests.scene_small_avatar import small_head, small_package  # noqa: E402

TOLERANCE_M = 1e-4
IMPORTERS = {
    EngineFormat.GLTF: lambda path: bpy.ops.import_scene.gltf(filepath=str(path)),
    EngineFormat.FBX: lambda path: bpy.ops.import_scene.fbx(filepath=str(path)),
    EngineFormat.USD: lambda path: bpy.ops.wm.usd_import(filepath=str(path)),
}
FORMATS = list(IMPORTERS)


@pytest.fixture
def avatar(tmp_path: Path) -> AvatarParts:
    """In the photo's expression and pose, which must not get into the files' rest."""
    empty_scene()
    return find_avatar(build_avatar(small_package(tmp_path / "package", "perspective")).mesh)


def world_positions(mesh_object: bpy.types.Object, key_name: str) -> np.ndarray:
    """(V,3) metres, one key in world space, without any modifier."""
    key = mesh_object.data.shape_keys.key_blocks[key_name]
    positions = np.empty((len(key.data), 3), np.float32)
    key.data.foreach_get("co", positions.ravel())
    matrix = np.array(mesh_object.matrix_world)
    return positions @ matrix[:3, :3].T + matrix[:3, 3]


def imported(path: Path, engine_format: EngineFormat) -> bpy.types.Object:
    empty_scene()
    IMPORTERS[engine_format](path)
    bpy.context.view_layer.update()
    return next(part for part in bpy.data.objects if part.type == "MESH" and part.data.shape_keys)


def scene_state() -> tuple:
    """What an artist would miss: objects, selection, data-blocks."""
    layer = bpy.context.view_layer
    return (
        sorted(part.name for part in bpy.data.objects),
        sorted(part.name for part in layer.objects if part.select_get()),
        layer.objects.active.name if layer.objects.active else None,
        sorted(item.name for item in (*bpy.data.meshes, *bpy.data.materials, *bpy.data.images, *bpy.data.armatures)),
        sorted(key.name for key in bpy.data.shape_keys),
        sorted(collection.name for collection in bpy.data.collections),
    )


@pytest.mark.parametrize("engine_format", FORMATS)
def test_every_key_comes_back(avatar, tmp_path, engine_format):
    before = {name: world_positions(avatar.mesh, name) for name in ("Basis", *ARKIT_NAMES)}
    result = export_for_engines(avatar, tmp_path / "out", EngineExportOptions((engine_format,)))
    copy = imported(result.models[0], engine_format)
    names = {key.name for key in copy.data.shape_keys.key_blocks[1:]}
    assert names == set(ARKIT_NAMES)
    rest = copy.data.shape_keys.key_blocks[0].name
    # formats split vertices at seams: each one there belongs to the nearest of ours
    found = world_positions(copy, rest)
    distance = np.linalg.norm(found[:, None] - before["Basis"][None], axis=-1)
    assert distance.min(1).max() < TOLERANCE_M
    assert set(range(len(before["Basis"]))) == set(distance.argmin(1)), "no vertex is lost"
    nearest = distance.argmin(1)
    for name in ARKIT_NAMES:
        error = np.linalg.norm(world_positions(copy, name) - before[name][nearest], axis=-1)
        assert error.max() < TOLERANCE_M, name


@pytest.mark.parametrize("engine_format", [EngineFormat.FBX, EngineFormat.USD])
def test_quads_stay_quads(avatar, tmp_path, engine_format):
    """As the text about the wrinkles says: tension is that of the quads' edges."""
    corners = [polygon.loop_total for polygon in avatar.mesh.data.polygons]
    path = export_for_engines(avatar, tmp_path / "out", EngineExportOptions((engine_format,))).models[0]
    copy = imported(path, engine_format)
    assert sorted(polygon.loop_total for polygon in copy.data.polygons) == sorted(corners)
    assert len(copy.data.vertices) == len(small_head()["vertices"])


@pytest.mark.parametrize("engine_format", FORMATS)
def test_the_rig_comes_back_at_rest(avatar, tmp_path, engine_format):
    joints = {
        bone.name: np.array(avatar.armature.matrix_world @ bone.head_local) for bone in avatar.armature.data.bones
    }
    result = export_for_engines(avatar, tmp_path / "out", EngineExportOptions((engine_format,)))
    copy = imported(result.models[0], engine_format)
    armature = next(modifier.object for modifier in copy.modifiers if modifier.type == "ARMATURE")
    for bone in armature.data.bones:
        if bone.name in joints:
            np.testing.assert_allclose(np.array(armature.matrix_world @ bone.head_local), joints[bone.name], atol=1e-4)
    assert set(joints) <= {bone.name for bone in armature.data.bones}
    shown = np.empty((len(copy.data.vertices), 3), np.float32)
    evaluated = copy.evaluated_get(bpy.context.evaluated_depsgraph_get())
    evaluated.data.vertices.foreach_get("co", shown.ravel())
    rest = np.empty_like(shown)
    copy.data.shape_keys.key_blocks[0].data.foreach_get("co", rest.ravel())
    np.testing.assert_allclose(shown, rest, atol=1e-4)


@pytest.mark.parametrize("engine_format", FORMATS)
@pytest.mark.parametrize("baked_levels", [0, 1])
def test_names_are_the_avatars_own(avatar, tmp_path, engine_format, baked_levels):
    """An engine finds what it knew before, however often the avatar is exported."""
    options = EngineExportOptions((engine_format,), baked_levels=baked_levels)
    mesh_name = avatar.mesh.name + (" baked" if baked_levels else "")
    materials = {material.name for material in avatar.mesh.data.materials}
    copy = imported(export_for_engines(avatar, tmp_path / "out", options).models[0], engine_format)

    def as_written(name: str) -> bytes:
        # USD allows letters of ASCII, digits and underscores in names; other letters are several bytes
        return re.sub(b"[^a-zA-Z0-9_]", b"_", name.encode()) if engine_format is EngineFormat.USD else name.encode()

    assert as_written(copy.name) == as_written(mesh_name)
    assert {as_written(material.name) for material in copy.data.materials} == {as_written(name) for name in materials}


@pytest.mark.parametrize("engine_format", FORMATS)
def test_nothing_of_the_scene_comes_along(avatar, tmp_path, engine_format):
    """The photo's camera, lights and world stay; the folder of the textures holds the albedo alone."""
    result = export_for_engines(avatar, tmp_path / "out", EngineExportOptions((engine_format,)))
    assert [path.suffix for path in result.textures] == [".png"]
    imported(result.models[0], engine_format)
    assert not [part.name for part in bpy.data.objects if part.type in ("CAMERA", "LIGHT")]


def test_the_texture_comes_back(avatar, tmp_path):
    result = export_for_engines(avatar, tmp_path / "out", EngineExportOptions((EngineFormat.GLTF,)))
    copy = imported(result.models[0], EngineFormat.GLTF)
    images = [node.image for material in copy.data.materials for node in material.node_tree.nodes
              if node.type == "TEX_IMAGE"]  # fmt: skip
    assert images and all(image.size[0] > 0 for image in images)
    assert len(copy.data.materials) >= 3, "skin and both eyes"


def test_the_scene_is_as_it_was(avatar, tmp_path):
    # the drivers of the correctives have their say first
    bpy.context.view_layer.update()
    before, values = scene_state(), [key.value for key in avatar.shape_keys.key_blocks]
    export_for_engines(avatar, tmp_path / "out", EngineExportOptions(tuple(FORMATS), own_keys=True, animation=True))
    assert scene_state() == before
    assert [key.value for key in avatar.shape_keys.key_blocks] == values


def test_the_scene_is_as_it_was_when_it_fails(avatar, tmp_path):
    before = scene_state()
    target = tmp_path / "out"
    target.mkdir()
    # a folder stands where the file should go
    (target / f"{file_stem(avatar.mesh.name)}.glb").mkdir()
    with pytest.raises(ExportError):
        export_for_engines(avatar, target, EngineExportOptions((EngineFormat.GLTF,)))
    assert scene_state() == before


def test_a_file_in_place_of_the_folder_is_one_sentence(avatar, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError, match="cannot be written"):
        export_for_engines(avatar, tmp_path / "out", EngineExportOptions())


def test_own_keys_only_where_wanted_and_never_correctives(avatar, tmp_path):
    options = EngineExportOptions((EngineFormat.GLTF,), own_keys=True)
    copy = imported(export_for_engines(avatar, tmp_path / "out", options).models[0], EngineFormat.GLTF)
    names = {key.name for key in copy.data.shape_keys.key_blocks}
    assert "smile_left" in names
    assert not any(name.startswith("corrective") for name in names)


def test_animation_comes_along(avatar, tmp_path):
    show_expression(avatar, Expression({"jawOpen": 0.8}))
    key_expression(avatar, 20, Easing(10, 0, 10))
    options = EngineExportOptions((EngineFormat.GLTF,), animation=True)
    copy = imported(export_for_engines(avatar, tmp_path / "out", options).models[0], EngineFormat.GLTF)
    scene = bpy.context.scene
    values = []
    for frame in range(1, 40):
        scene.frame_set(frame)
        values.append(copy.data.shape_keys.key_blocks["jawOpen"].value)
    assert max(values) == pytest.approx(0.8, abs=1e-3)
    assert min(values) == pytest.approx(0.0, abs=1e-3)


def test_baked_keys_are_finer_and_pass_through_the_same_places(avatar, tmp_path):
    wanted = {name: world_positions(avatar.mesh, name) for name in ("Basis", "browInnerUp")}
    before = scene_state()
    options = EngineExportOptions((EngineFormat.GLTF,), baked_levels=1, wrinkles=False)
    path = export_for_engines(avatar, tmp_path / "out", options).models[0]
    assert scene_state() == before
    copy = imported(path, EngineFormat.GLTF)
    rest = copy.data.shape_keys.key_blocks[0].name
    found = {name: world_positions(copy, key) for name, key in (("Basis", rest), ("browInnerUp", "browInnerUp"))}
    # Euler: a closed mesh split once has about four times the vertices
    assert len(np.unique(found["Basis"].round(6), axis=0)) > 3.5 * len(wanted["Basis"])
    # the small head is of triangles, which are split flat: its own vertices stay where they are
    nearest = np.linalg.norm(wanted["Basis"][:, None] - found["Basis"][None], axis=-1).argmin(1)
    for name, positions in wanted.items():
        np.testing.assert_allclose(found[name][nearest], positions, atol=TOLERANCE_M)


def test_a_mesh_cache_plays_what_was_animated(avatar, tmp_path):
    if not hasattr(bpy.ops.wm, "alembic_import"):
        pytest.skip("this Blender has no Alembic")
    show_expression(avatar, Expression({"jawOpen": 1.0}))
    key_expression(avatar, 5, Easing(4, 0, 0))
    before = scene_state()
    export_mesh_cache(avatar, tmp_path / "take.abc", 1, 5)
    assert scene_state() == before
    name, wanted = avatar.mesh.name, {frame: shown_positions(avatar.mesh, frame) for frame in (1, 3, 5)}
    empty_scene()
    bpy.ops.wm.alembic_import(filepath=str(tmp_path / "take.abc"), as_background_job=False)
    copy = next(part for part in bpy.data.objects if part.type == "MESH")
    assert name.split()[0].encode("ascii", "ignore")[:1] in copy.name.encode("ascii", "ignore")
    for frame, positions in wanted.items():
        np.testing.assert_allclose(shown_positions(copy, frame), positions, atol=TOLERANCE_M, err_msg=f"frame {frame}")
    assert np.abs(wanted[5] - wanted[1]).max() > 1e-3, "something moves"


def shown_positions(mesh_object: bpy.types.Object, frame: int) -> np.ndarray:
    """(V,3) metres, what an object shows in a frame, in world space."""
    bpy.context.scene.frame_set(frame)
    evaluated = mesh_object.evaluated_get(bpy.context.evaluated_depsgraph_get())
    positions = np.empty((len(evaluated.data.vertices), 3), np.float32)
    evaluated.data.vertices.foreach_get("co", positions.ravel())
    matrix = np.array(evaluated.matrix_world)
    return positions @ matrix[:3, :3].T + matrix[:3, 3]


@pytest.mark.parametrize(("name", "stem"), [("Zoë small", "Zoë small"), ("a/b:c", "a_b_c"), ("...", "avatar")])
def test_file_names_that_every_system_takes(name: str, stem: str):
    assert file_stem(name) == stem
