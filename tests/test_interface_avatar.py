"""The buttons of the Avatar panel, and one photo through the real worker."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.avatar_package import read_package  # noqa: E402
from addon.interface import registration  # noqa: E402
from addon.interface.avatar_properties import describe_again, photo_light_of  # noqa: E402
from addon.interface.neutral_shape import neutral_vertices  # noqa: E402
from addon.interface.user_folders import folder_name, log_file  # noqa: E402
from addon.scene.viewport_light import nearest_studio_light  # noqa: E402
from addon.worker.worker_process import WorkerProcess  # noqa: E402
from tests.interface_stage import Stage, python_of_tests  # noqa: E402

PORTRAIT = Path(__file__).resolve().parents[1] / ".cache" / "astronaut.png"
# a cold start, and each stage, on a machine that does other things besides
REAL_JOB_S = 240.0


@pytest.fixture
def head(stage) -> bpy.types.Object:
    stage.order()
    stage.finish()
    return bpy.context.object


def key_offsets(head: bpy.types.Object, name: str) -> np.ndarray:
    keys = head.data.shape_keys.key_blocks
    positions = np.empty((len(keys[name].data), 3), np.float32)
    keys[name].data.foreach_get("co", positions.ravel())
    return positions - neutral_vertices(head)


def pixel(image: bpy.types.Image) -> tuple[float, ...]:
    return tuple(image.pixels[:3])


def test_view_from_photo(stage, head):
    bpy.ops.likeness.view_from_photo()
    view = next(area.spaces.active for area in bpy.context.screen.areas if area.type == "VIEW_3D")
    scene = bpy.context.scene
    assert view.region_3d.view_perspective == "CAMERA"
    assert view.shading.type == "MATERIAL"
    assert scene.camera.data.background_images[0].image.name.endswith("photo")
    assert (scene.render.resolution_x, scene.render.resolution_y) == (96, 120)
    assert scene.frame_end == 250


def shown_view() -> bpy.types.SpaceView3D:
    return next(area.spaces.active for area in bpy.context.screen.areas if area.type == "VIEW_3D")


def package_light(folder: Path) -> np.ndarray:
    return read_package(folder).parameters.light


def test_view_from_photo_lights_the_view_as_the_photo(stage, head):
    settings, images = shown_view().shading, len(bpy.data.images)
    light = package_light(Path(head.likeness.package))
    np.testing.assert_allclose(photo_light_of(head), light, rtol=1e-6)
    bpy.ops.likeness.view_from_photo()
    camera = np.array(bpy.context.scene.camera.matrix_world.to_3x3())
    expected = nearest_studio_light(light, camera)
    assert settings.studio_light == expected.name
    assert settings.studiolight_rotate_z == pytest.approx(expected.rotation, abs=1e-5)
    assert settings.studiolight_intensity == pytest.approx(expected.intensity, rel=1e-5)
    assert len(bpy.data.images) == images
    assert not any(item.type == "LIGHT" for item in bpy.data.objects)


@pytest.mark.parametrize("own", ["option", "world", "lights", "rendered", "old avatar"])
def test_view_from_photo_leaves_other_light_alone(stage, head, own):
    settings = shown_view().shading
    settings.type = "RENDERED" if own == "rendered" else "MATERIAL"
    settings.use_scene_world, settings.use_scene_lights = own == "world", own == "lights"
    if own == "old avatar":
        head.likeness.photo_light = [0.0] * 27
    kind = settings.type
    before = settings.studiolight_rotate_z, settings.studiolight_intensity
    bpy.ops.likeness.view_from_photo(photo_light=own != "option")
    assert (settings.studiolight_rotate_z, settings.studiolight_intensity) == before
    assert settings.type == kind


def test_turning_the_photo_light_off_brings_the_views_own_back(stage, head):
    settings = shown_view().shading
    settings.type = "MATERIAL"
    settings.use_scene_world = settings.use_scene_lights = False
    settings.studio_light, settings.studiolight_rotate_z, settings.studiolight_intensity = "city.exr", 0.5, 0.75
    bpy.ops.likeness.view_from_photo()
    assert settings.studiolight_intensity != 0.75
    # what the redo panel does: the same properties, and the one that was changed
    before = {"light_before": "city.exr", "rotation_before": 0.5, "intensity_before": 0.75}
    bpy.ops.likeness.view_from_photo(photo_light=False, **before)
    found = settings.studio_light, settings.studiolight_rotate_z, settings.studiolight_intensity
    assert found == ("city.exr", 0.5, 0.75)


@pytest.mark.parametrize("is_same_photo", [True, False])
def test_an_updated_avatar_has_the_light_of_the_photo_that_its_camera_shows(stage, head, is_same_photo):
    package = read_package(Path(head.likeness.package))
    light = package.parameters.light.copy()
    other = replace(package, parameters=replace(package.parameters, light=light * 1.5))
    if not is_same_photo:
        head.likeness.photo_name = "another.png"
    describe_again(head, other)
    np.testing.assert_allclose(photo_light_of(head), light * (1.5 if is_same_photo else 1.0), rtol=1e-6)


def test_view_from_photo_clears_the_face(stage, head):
    overlay = shown_view().overlay
    bpy.ops.likeness.view_from_photo()
    drawn = ("floor", "axis_x", "axis_y", "cursor", "object_origins", "bones")
    assert not any(getattr(overlay, f"show_{name}") for name in drawn)
    assert overlay.show_outline_selected
    overlay.show_bones = True
    bpy.context.view_layer.objects.active = head.parent
    bpy.ops.object.mode_set(mode="POSE")
    bpy.ops.likeness.view_from_photo()
    assert overlay.show_bones


def test_view_without_the_camera_says_so(stage, head):
    bpy.data.objects.remove(next(item for item in bpy.data.objects if item.type == "CAMERA"))
    with pytest.raises(RuntimeError, match="camera is not in this scene"):
        bpy.ops.likeness.view_from_photo()


def test_texture_is_read_again_after_an_edit(stage, head):
    image = next(image for image in bpy.data.images if image.name.endswith("albedo"))
    before = pixel(image)
    folder = Path(head.likeness.package)
    # the grey photo has another grey than the texture
    (folder / "albedo.png").write_bytes((folder / "photo.png").read_bytes())
    bpy.ops.likeness.reload_texture()
    assert pixel(image) != before
    assert image.packed_file is not None


def test_a_texture_that_is_no_png_changes_nothing(stage, head):
    image = next(image for image in bpy.data.images if image.name.endswith("albedo"))
    before = pixel(image)
    (Path(head.likeness.package) / "albedo.png").write_bytes(b"JFIF")
    with pytest.raises(RuntimeError, match="not a PNG"):
        bpy.ops.likeness.reload_texture()
    assert pixel(image) == before


def test_neutral_shape_goes_out_and_comes_back_changed(stage, head):
    path = stage.folder / "neutral.obj"
    bpy.ops.likeness.export_neutral("EXEC_DEFAULT", filepath=str(path))
    neutral, smile = neutral_vertices(head), key_offsets(head, "smile_left")
    lines = path.read_text().splitlines()
    # 10 mm up, which is Y in the file and Z in Blender
    moved = [
        f"v {line.split()[1]} {float(line.split()[2]) + 0.01} {line.split()[3]}" if line.startswith("v ") else line
        for line in lines
    ]
    path.write_text("\n".join(moved))
    bpy.ops.likeness.reload_neutral("EXEC_DEFAULT", filepath=str(path))
    np.testing.assert_allclose(neutral_vertices(head), neutral + np.array([0, 0, 0.01]), atol=2e-7)
    np.testing.assert_allclose(key_offsets(head, "smile_left"), smile, atol=2e-7)


def test_exported_shape_is_what_blenders_own_importer_makes_of_it(stage, head):
    path = stage.folder / "neutral.obj"
    bpy.ops.likeness.export_neutral("EXEC_DEFAULT", filepath=str(path))
    expected, num_polygons = neutral_vertices(head), len(head.data.polygons)
    bpy.ops.wm.obj_import(filepath=str(path))
    imported = bpy.context.selected_objects[0]
    bpy.context.view_layer.update()
    positions = np.array([imported.matrix_world @ vertex.co for vertex in imported.data.vertices])
    np.testing.assert_allclose(positions, expected, atol=1e-6)
    assert len(imported.data.polygons) == num_polygons


@pytest.mark.parametrize(
    ("content", "message"),
    [("v 0 0 0\n", "has 1 vertices"), ("v 0 zero 0\n", "not a readable OBJ"), ("", "not a readable OBJ")],
)
def test_a_wrong_neutral_changes_nothing(stage, head, content, message):
    before = neutral_vertices(head)
    path = stage.folder / "wrong.obj"
    path.write_text(content)
    with pytest.raises(RuntimeError, match=message):
        bpy.ops.likeness.reload_neutral("EXEC_DEFAULT", filepath=str(path))
    np.testing.assert_array_equal(neutral_vertices(head), before)


def test_a_package_that_was_moved_is_found_again(stage, head):
    old = Path(head.likeness.package)
    new = old.rename(stage.folder / "elsewhere")
    with pytest.raises(RuntimeError, match="Find Package"):
        bpy.ops.likeness.reload_texture()
    bpy.ops.likeness.find_package("EXEC_DEFAULT", filepath=str(new / "avatar.json"))
    bpy.ops.likeness.reload_texture()
    text = (new / "avatar.json").read_text().replace("2026-01-01", "2025-01-01")
    (new / "avatar.json").write_text(text)
    with pytest.raises(RuntimeError, match="another avatar"):
        bpy.ops.likeness.find_package("EXEC_DEFAULT", filepath=str(new / "avatar.json"))


def test_buttons_are_grey_without_an_avatar(stage):
    names = ("view_from_photo", "reload_texture", "export_neutral", "reload_neutral", "reveal_package", "find_package")
    assert not any(getattr(bpy.ops.likeness, name).poll() for name in (*names, "personalise_folder"))
    assert bpy.ops.likeness.folder.poll()


def test_an_image_object_becomes_an_avatar(stage):
    image = bpy.data.images.load(str(stage.photo))
    empty = bpy.data.objects.new("Photo", None)
    empty.empty_display_type = "IMAGE"
    empty.data = image
    bpy.context.scene.collection.objects.link(empty)
    assert not bpy.ops.likeness.image_object.poll()
    bpy.context.view_layer.objects.active = empty
    bpy.ops.likeness.image_object()
    stage.finish()
    assert bpy.context.object.likeness.role == "HEAD"


def test_a_defect_is_one_sentence_and_a_traceback_in_the_log(stage, head, monkeypatch):
    def fail(*_arguments):
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr("addon.interface.avatar_operators.match_photo", fail)
    with pytest.raises(RuntimeError, match="Something went wrong in Likeness: by accident"):
        bpy.ops.likeness.view_from_photo()
    assert "ZeroDivisionError" in log_file_text(stage)


def log_file_text(stage: Stage) -> str:
    return (stage.folder / "user" / log_file().name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada", "Ada"),
        ("a/b:c", "a_b_c"),
        ("con", "avatar con"),
        (" . ", "avatar"),
        ("Zoë", "Zoë"),
        ("x" * 99, "x" * 60),
    ],
)
def test_folder_names_suit_every_system(name, expected):
    assert folder_name(name) == expected


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="this Python has no torch")
@pytest.mark.skipif(not PORTRAIT.is_file(), reason="the portrait is not in .cache (build.py test fetches it)")
def test_a_photo_through_the_real_worker(stage):
    registration.close_session()
    environment, ticks = python_of_tests(), []

    def start() -> WorkerProcess:
        stage.workers.append(WorkerProcess.start(environment, log_file(), threads=1, device="cpu"))
        return stage.workers[-1]

    now = registration.open_session(start, lambda: environment)
    bpy.ops.likeness.photo("EXEC_DEFAULT", filepath=str(PORTRAIT), face=0, texture_px="1024")
    end, stages = time.monotonic() + REAL_JOB_S, set()
    while now.busy:
        assert time.monotonic() < end, now.queue.jobs
        is_importing = bool(now.finished)
        begun = time.perf_counter()
        now.tick()
        if not is_importing and not now.finished:
            ticks.append(time.perf_counter() - begun)
        if now.queue.running is not None:
            stages.add(now.queue.running.stage)
        time.sleep(0.02)
    assert now.failure is None, now.failure
    assert bpy.context.object.likeness.role == "HEAD"
    assert bpy.context.object.likeness.photo_name == PORTRAIT.name
    assert len(stages) >= 5
    # the budget is 2 ms; the median leaves out what other programs do to a tick
    assert float(np.median(ticks)) < 0.002
