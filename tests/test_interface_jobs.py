"""Photos become avatars in the scene while Blender goes on: jobs, undo, and all that may happen meanwhile."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.interface import registration  # noqa: E402
from addon.interface.avatar_properties import head_of  # noqa: E402
from addon.interface.extension_package import PACKAGE  # noqa: E402
from addon.interface.face_picker import _face_items  # noqa: E402

# what small_package calls itself
NAME = "Zoë small"


def heads() -> list[bpy.types.Object]:
    return [item for item in bpy.context.scene.objects if item.likeness.role == "HEAD"]


def scene_state() -> dict:
    """All that a failure must leave alone."""
    view_layer = bpy.context.view_layer
    return {
        "objects": sorted(bpy.data.objects.keys()),
        "data": [sorted(item.name for item in getattr(bpy.data, kind)) for kind in ("meshes", "images", "materials")],
        "more": [sorted(item.name for item in getattr(bpy.data, kind)) for kind in ("worlds", "actions", "armatures")],
        "groups": sorted(bpy.data.node_groups.keys()),
        "collections": sorted(bpy.data.collections.keys()),
        "selected": sorted(item.name for item in view_layer.objects.selected),
        "active": view_layer.objects.active and view_layer.objects.active.name,
        "camera": bpy.context.scene.camera and bpy.context.scene.camera.name,
        "render": (bpy.context.scene.render.resolution_x, bpy.context.scene.render.engine),
        "frames": (bpy.context.scene.frame_current, bpy.context.scene.frame_end),
        "transform": bpy.context.scene.view_settings.view_transform,
    }


def add_cube(name: str = "Cube") -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    cube = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(cube)
    bpy.context.view_layer.objects.active = cube
    cube.select_set(True)
    return cube


def test_a_photo_comes_into_the_scene_and_one_undo_takes_it_away(stage):
    add_cube()
    bpy.ops.ed.undo_push(message="before")
    before = scene_state()
    stage.order()
    stage.finish()
    (head,) = heads()
    assert bpy.context.view_layer.objects.active == head
    assert [item.name for item in bpy.context.view_layer.objects.selected] == [NAME]
    assert (head.likeness.photo_name, head.likeness.quality_words) == ("photo.jpg", "good")
    assert Path(head.likeness.package, "avatar.json").is_file()
    bpy.ops.ed.undo()
    assert scene_state() == before
    bpy.ops.ed.redo()
    assert len(heads()) == 1


def test_the_scenes_own_settings_stay_unless_asked(stage):
    scene = bpy.context.scene
    scene.frame_end, scene.frame_current, scene.render.resolution_x = 250, 17, 1920
    engine, transform, world = scene.render.engine, scene.view_settings.view_transform, scene.world
    stage.order()
    stage.finish()
    assert (scene.frame_end, scene.frame_current, scene.render.resolution_x) == (250, 17, 1920)
    assert (scene.render.engine, scene.view_settings.view_transform, scene.world) == (engine, transform, world)
    assert scene.camera is None
    stage.order(match_render=True, photo_light=True)
    stage.finish()
    assert scene.camera.likeness.role == "CAMERA"
    assert (scene.render.resolution_x, scene.render.resolution_y) == (96, 120)
    assert scene.world != world
    assert scene.frame_end == 250


def test_several_photos_wait_for_each_other(stage):
    names = ["one.png", "two.png", "three.png"]
    for name in names:
        (stage.folder / name).write_bytes(stage.photo.read_bytes())
    files = [{"name": name} for name in names]
    bpy.ops.likeness.photo("EXEC_DEFAULT", directory=str(stage.folder), files=files, face=1)
    assert len(stage.session.queue.jobs) == 3
    stage.finish()
    assert len(heads()) == 3
    assert len({head.likeness.package for head in heads()}) == 3
    assert len(stage.workers) == 1


def test_progress_and_cancel(stage):
    before = scene_state()
    stage.hold()
    stage.order()
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.5)
    job = stage.session.queue.running
    assert (job.text, job.seconds_left) == ("fitting the head", 7.0)
    bpy.ops.likeness.cancel(job=job.id)
    stage.finish()
    assert scene_state() == before
    assert stage.session.failure is None
    # the fake worker does not hear the message, so it was killed; the next photo gets a new one
    stage.release()
    stage.order()
    stage.finish()
    assert len(heads()) == 1


def test_no_thread_runs_beside_blender(stage):
    """While an operator runs, a second thread of Python's may meet Blender's own code inside Python: both crash."""
    before = set(sys._current_frames())
    (stage.folder / "cache").mkdir()
    stage.hold()
    stage.order()
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.5)
    stage.session.measure_cache()
    bpy.context.preferences.addons[PACKAGE].preferences.backend_python = str(stage.folder / "no_python")
    bpy.ops.likeness.test_backend()
    assert set(sys._current_frames()) <= before
    stage.session.queue.cancel_all()
    stage.tick_until(lambda: not stage.session.queue.jobs)
    assert set(sys._current_frames()) <= before


def test_a_failure_is_one_sentence_and_changes_nothing(stage):
    before = scene_state()
    (stage.fake / "fail").touch()
    stage.order()
    stage.finish()
    assert scene_state() == before
    assert stage.session.failure.error.message == "No face was found."
    assert not (stage.folder / "user" / "avatars" / "Ada").exists()
    bpy.ops.likeness.dismiss(key="")
    assert stage.session.failure is None


@pytest.mark.parametrize("name", ["head.safetensors", "albedo.png", "displacement.png", "photo.png", "avatar.json"])
def test_a_damaged_package_changes_nothing(stage, name):
    add_cube()
    before = scene_state()
    path = stage.fake / "package" / name
    path.write_bytes(path.read_bytes()[:-9])
    stage.order()
    stage.finish()
    assert scene_state() == before
    assert "damaged" in stage.session.failure.error.message
    assert stage.session.finished == []


def test_a_failure_half_way_through_building_is_taken_back(stage, monkeypatch):
    add_cube()
    before = scene_state()

    def fail(*_arguments):
        raise RuntimeError("no more memory")

    # after mesh, materials, rig, keys and actions are made
    monkeypatch.setattr("addon.interface.place_avatar.mark_objects", fail)
    stage.order(photo_light=True, match_render=True)
    stage.finish()
    assert scene_state() == before
    assert "no more memory" in stage.session.failure.error.message


def test_another_file_opened_meanwhile_keeps_the_avatar_for_later(stage):
    stage.hold()
    stage.order()
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.5)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    before = scene_state()
    stage.release()
    stage.finish()
    assert scene_state() == before
    (avatar,) = stage.session.finished
    assert avatar.wait == "wait.scene"
    bpy.ops.likeness.import_finished(package=str(avatar.package))
    assert len(heads()) == 1
    assert stage.session.finished == []


def test_undo_and_deleting_an_avatar_meanwhile(stage):
    stage.order()
    stage.finish()
    stage.hold()
    stage.order()
    stage.tick_until(lambda: stage.session.queue.running is not None)
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    assert heads() == []
    bpy.ops.ed.undo_push(message="deleted")
    bpy.ops.ed.undo()
    stage.release()
    stage.finish()
    assert len(heads()) == 2
    bpy.ops.ed.undo()
    assert len(heads()) == 1


def test_switched_off_meanwhile(stage):
    stage.hold()
    stage.order()
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.5)
    registration.unregister()
    assert stage.workers[0].wait(5.0)
    assert not hasattr(bpy.types.Scene, "likeness")
    assert not hasattr(bpy.types, "LIKENESS_PT_create")


def test_edit_mode_is_not_interrupted(stage):
    cube = add_cube()
    bpy.ops.object.mode_set(mode="EDIT")
    stage.order()
    stage.tick_until(lambda: bool(stage.session.finished) and stage.session.finished[0].wait == "wait.mode")
    assert cube.mode == "EDIT"
    assert heads() == []
    bpy.ops.object.mode_set(mode="OBJECT")
    stage.finish()
    assert len(heads()) == 1


def test_edit_mode_is_left_by_the_button(stage):
    cube = add_cube()
    bpy.ops.object.mode_set(mode="EDIT")
    stage.order()
    stage.tick_until(lambda: bool(stage.session.finished) and stage.session.finished[0].wait == "wait.mode")
    bpy.ops.likeness.import_finished(package=str(stage.session.finished[0].package))
    assert cube.mode == "OBJECT"
    assert len(heads()) == 1
    stage.finish()


def library_with_collection(folder: Path) -> Path:
    """A .blend with a collection `Set` that holds a triangle."""
    collection = bpy.data.collections.new("Set")
    mesh = bpy.data.meshes.new("Prop")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    collection.objects.link(bpy.data.objects.new("Prop", mesh))
    path = folder / "library.blend"
    bpy.data.libraries.write(str(path), {collection})
    bpy.data.collections.remove(collection)
    bpy.data.orphans_purge(do_recursive=True)
    return path


@pytest.mark.parametrize("is_override", [False, True])
def test_linked_and_override_collections_may_be_active(stage, is_override):
    with bpy.data.libraries.load(str(library_with_collection(stage.folder)), link=True) as (_there, here):
        here.collections = ["Set"]
    linked = bpy.data.collections["Set"]
    bpy.context.scene.collection.children.link(linked)
    if is_override:
        linked.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer, do_fully_editable=True)
    layers = bpy.context.view_layer.layer_collection.children
    shown = next(layer for layer in layers if (layer.collection.override_library is not None) == is_override)
    bpy.context.view_layer.active_layer_collection = shown
    prop = shown.collection.objects[0]
    bpy.context.view_layer.objects.active = prop
    prop.select_set(True)
    members = set(shown.collection.objects.keys())
    stage.order()
    stage.finish()
    assert len(heads()) == 1
    assert set(shown.collection.objects.keys()) == members


def test_the_same_name_twice(stage):
    for _ in range(2):
        stage.order()
        stage.finish()
    assert sorted(head.name for head in heads()) == [NAME, f"{NAME}.001"]
    assert len({head.likeness.avatar_id for head in heads()}) == 2
    for head in heads():
        camera = next(item for item in head.users_collection[0].objects if item.type == "CAMERA")
        assert head_of(camera) == head


def is_in_local_view(item: bpy.types.Object, view: bpy.types.SpaceView3D) -> bool:
    # only the evaluated object knows
    bpy.context.view_layer.update()
    return item.evaluated_get(bpy.context.evaluated_depsgraph_get()).local_view_get(view)


def test_local_view_shows_the_avatar(stage):
    outside, inside = add_cube("Other"), add_cube()
    outside.select_set(False)
    area = next(area for area in bpy.context.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(area=area, region=region):
        bpy.ops.view3d.localview()
    view = area.spaces.active
    assert is_in_local_view(inside, view)
    assert not is_in_local_view(outside, view)
    stage.order()
    stage.finish()
    assert all(is_in_local_view(item, view) for item in heads()[0].users_collection[0].objects)


def test_one_face_is_not_asked_for(stage):
    stage.order(face=0)
    stage.finish()
    assert len(heads()) == 1
    kinds = [json.loads(line)["kind"] for line in (stage.fake / "jobs.txt").read_text().splitlines()]
    assert kinds == ["faces", "photo"]


def test_several_faces_are_asked_for(stage):
    (stage.fake / "faces").write_text("3")
    stage.order(face=0)
    stage.finish()
    assert heads() == []
    (choice,) = stage.session.choices
    bpy.ops.likeness.choose_face("EXEC_DEFAULT", key=choice.key, faces={"1", "3"})
    assert stage.session.choices == []
    stage.finish()
    jobs = [json.loads(line) for line in (stage.fake / "jobs.txt").read_text().splitlines()]
    assert [job["options"]["face"] for job in jobs[1:]] == [1, 3]
    assert [job["options"]["name"] for job in jobs[1:]] == ["Ada 1", "Ada 3"]
    assert len(heads()) == 2


def test_identity_survives_save_rename_and_duplicate(stage):
    blend = stage.folder / "scene" / "film.blend"
    blend.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    stage.order()
    stage.finish()
    (head,) = heads()
    assert head.likeness.package.replace("\\", "/") == "//likeness/Ada"
    assert (blend.parent / "likeness" / "Ada" / "avatar.json").is_file()
    head.name = "Somebody"
    bpy.ops.object.duplicate()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert {head.likeness.package.replace("\\", "/") for head in heads()} == {"//likeness/Ada"}
    assert {head.likeness.photo_name for head in heads()} == {"photo.jpg"}
    assert len(heads()) == 2


def test_at_the_cursor(stage):
    bpy.context.scene.cursor.location = (1, 2, 3)
    stage.order(at_cursor=True)
    stage.order()
    stage.finish()
    moved, still = (head for head in sorted(heads(), key=lambda head: -head.parent.location.x))
    bpy.context.view_layer.update()
    np.testing.assert_allclose(moved.matrix_world.translation, (1, 2, 3), atol=1e-6)
    np.testing.assert_allclose(still.matrix_world.translation, (0, 0, 0), atol=1e-6)
    cameras = [
        next(item for item in head.users_collection[0].objects if item.type == "CAMERA") for head in (moved, still)
    ]
    np.testing.assert_allclose(
        cameras[0].matrix_world.translation - cameras[1].matrix_world.translation, (1, 2, 3), atol=1e-5
    )


def test_a_folder_without_rights_is_said_at_once(stage, monkeypatch):
    # a file in the way refuses even root
    (stage.folder / "user").mkdir(exist_ok=True)
    (stage.folder / "user" / "avatars").write_text("")
    with pytest.raises(RuntimeError, match="No avatar can be written"):
        stage.order()
    assert stage.session.queue.jobs == ()


def test_a_missing_backend_is_said_and_mended(stage, monkeypatch):
    registration.close_session()
    monkeypatch.setattr("addon.interface.backend_choice._bundled_packages", lambda: None)
    registration.open_session(registration.start_chosen_worker, registration.chosen_environment)
    assert stage.session.backend_error.code == "backend_missing"
    stage.order()
    stage.finish()
    assert stage.session.failure.error.code == "backend_missing"


def test_no_texts_are_missing_in_the_dialog(stage):
    (stage.fake / "faces").write_text("2")
    stage.order(face=0)
    stage.finish()
    choice = stage.session.choices[0]
    dialog = type("Dialog", (), {"key": choice.key})
    names = [item[1] for item in _face_items(dialog, None)]
    assert names == ["Face 1", "Face 2"]
    # Blender points to the texts, so they stay while it asks again
    assert list(map(id, names)) == [id(item[1]) for item in _face_items(dialog, None)]
