"""A folder of photos becomes an avatar, or makes one in the scene more personal, as an artist meets it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.conventions import blender_from_model  # noqa: E402
from addon.exchange.safetensors_file import read_safetensors, write_safetensors  # noqa: E402
from addon.interface import drawn_sentence, panels  # noqa: E402
from addon.interface.drawn_sentence import free_px, shortened  # noqa: E402
from addon.interface.folder_list import LIKENESS_UL_folder, photo_list, row_name, ticks  # noqa: E402
from addon.interface.folder_report_panel import (  # noqa: E402
    LIKENESS_PT_avatar_photos,
    LIKENESS_UL_avatar_photos,
)
from addon.interface.neutral_shape import neutral_vertices  # noqa: E402
from addon.wrinkles.add_wrinkles import wrinkle_modifier  # noqa: E402
from addon.wrinkles.map_blend import NEUTRAL_SCALE, WRINKLE_SCALE  # noqa: E402
from addon.wrinkles.modifier_inputs import get_input  # noqa: E402
from addon.wrinkles.wrinkle_shader import find_shading  # noqa: E402
from tests.interface_stage import Stage  # noqa: E402
from tests.panel_page import Context, Page, drawn, refuse_files  # noqa: E402
from tests.scene_small_avatar import _write_png, small_package  # noqa: E402
from tests.test_interface_jobs import add_cube, heads, scene_state  # noqa: E402
from tests.wrinkled_package import add_flat_maps  # noqa: E402

PHOTOS = ("bad.jpg", "good 1.jpg", "good 2.jpg", "wall.jpg")
GROWTH = 1.25
ALBEDO_GREY = 77
RECORD = [
    {"name": "good 1.jpg", "sha256": "", "verdict": "used", "landmark_error_percent": 1.0},
    {"name": "good 2.jpg", "sha256": "", "verdict": "used", "landmark_error_percent": 2.0},
    {"name": "bad.jpg", "sha256": "", "verdict": "blurred"},
]
HELD_OUT = {"photos": 3, "before_percent": 2.44, "after_percent": 1.76}
LONG_NAME = "2024-06-11 14.03.22 holiday in the mountains.jpg"


@pytest.fixture
def photos(stage: Stage) -> Path:
    """A folder that the fake worker judges by the names."""
    folder = stage.folder / "Ada's photos"
    folder.mkdir()
    for name in PHOTOS:
        (folder / name).touch()
    return folder


@pytest.fixture
def personal(stage: Stage) -> Path:
    """The package that the fake worker gives for a folder: everything is larger, darker, read otherwise."""
    folder = stage.fake / "personal"
    small_package(folder, "perspective")
    add_flat_maps(folder)
    arrays, _ = read_safetensors(folder / "head.safetensors")
    for name in ("vertices", "joints", "arkit_keys"):
        arrays[name] = arrays[name] * np.float32(GROWTH)
    write_safetensors(folder / "head.safetensors", arrays)
    _write_png(folder / "albedo.png", np.full((64, 64, 3), ALBEDO_GREY, np.uint8))
    document = json.loads((folder / "avatar.json").read_text(encoding="utf-8"))
    for name in ("head.safetensors", "albedo.png"):
        content = (folder / name).read_bytes()
        document["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    document["provenance"]["folder"] = RECORD
    document["held_out"] = HELD_OUT
    document["displacement"]["scale_mm"], document["wrinkles"]["scale_mm"] = 2.5, 3.5
    (folder / "avatar.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def jobs(stage: Stage) -> list[dict]:
    return [json.loads(line) for line in (stage.fake / "jobs.txt").read_text().splitlines()]


def choose(folder: Path, **options: object) -> None:
    bpy.ops.likeness.folder("EXEC_DEFAULT", directory=str(folder), **options)


def albedo_of(head: bpy.types.Object) -> bpy.types.Image:
    nodes = [node for slot in head.material_slots for node in slot.material.node_tree.nodes]
    return next(node.image for node in nodes if node.type == "TEX_IMAGE" and "albedo" in node.image.name)


def grey_of(image: bpy.types.Image) -> int:
    """The grey of a texture of one colour, as its file has it."""
    return round(image.pixels[0] * 255)


def test_a_folder_is_listed_before_anything_is_made(stage, photos):
    before = scene_state()
    choose(photos, with_subfolders=True, most_photos=7)
    stage.finish()
    (job,) = jobs(stage)
    assert (job["kind"], job["folder"]) == ("judge_folder", str(photos))
    assert job["choice"] == {"with_subfolders": True, "most_photos": 7, "overruled": {}, "person": None}
    assert ticks() == {"bad.jpg": False, "good 1.jpg": True, "good 2.jpg": True, "wall.jpg": False}
    page = drawn(panels.LIKENESS_PT_create)
    assert "2 of 4 photos used, Ada's photos" in page.labels
    assert "Please look at the list." in page.labels
    assert {"likeness.make_folder_avatar", "likeness.close_folder"} <= set(page.buttons)
    assert "likeness.judge_folder_again" not in page.buttons
    assert scene_state() == before


def test_the_list_makes_an_avatar_that_one_undo_takes_away(stage, photos, personal):
    add_cube()
    bpy.ops.ed.undo_push(message="before")
    before = scene_state()
    choose(photos, texture_px="512", adapters=False, wrinkle_age=0.75)
    stage.finish()
    bpy.ops.likeness.make_folder_avatar()
    assert stage.session.review is None
    stage.finish()
    job = jobs(stage)[-1]
    assert (job["kind"], job["choice"]["overruled"]) == ("folder", {})
    assert job["options"] == {
        "name": "Ada's photos", "texture_px": 512, "displacement_px": 1024, "wrinkle_age": 0.75, "adapters": False,
    }  # fmt: skip
    (head,) = heads()
    assert Path(head.likeness.package).name == "Ada's photos"
    bpy.ops.ed.undo()
    assert scene_state() == before


def rows_of(record: bpy.types.bpy_struct) -> list[str]:
    """The words in the list of an avatar's photos."""
    page = Page()
    for photo in record.photos:
        LIKENESS_UL_avatar_photos.draw_item(None, None, page, record, photo, 0, record, "photo_active", 0, 0)
    return page.labels


def make_avatar_of(stage: Stage, photos: Path) -> bpy.types.Object:
    choose(photos)
    stage.finish()
    bpy.ops.likeness.make_folder_avatar()
    stage.finish()
    (head,) = heads()
    return head


def test_the_panel_reports_on_photos_used_and_held_out(stage, photos, personal):
    head = make_avatar_of(stage, photos)
    words = " ".join(drawn(panels.LIKENESS_PT_avatar).labels)
    assert "Made of 2 photos, of 3 in the folder Landmark error over all photos: 1.5%" in words
    assert "On 3 photos that were held out: 2.4% before, 1.8% now." in words
    assert LIKENESS_PT_avatar_photos.poll(Context())
    assert rows_of(head.likeness) == ["good 1.jpg", "used, 1.0%", "good 2.jpg", "used, 2.0%", "bad.jpg", "blurred"]
    drawn(LIKENESS_PT_avatar_photos)
    # the report is in the file, not in the package
    path = stage.folder / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), check_existing=False)
    Path(head.likeness.package, "avatar.json").unlink()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    (head,) = heads()
    assert len(rows_of(head.likeness)) == 6
    assert head.likeness.held_out_photos == 3


@pytest.mark.parametrize(("held_out", "words"), [(None, ""), (HELD_OUT | {"photos": 1}, "On one photo that was held")])
def test_few_photos_held_out_are_reported_as_they_are(stage, photos, personal, held_out, words):
    document = json.loads((personal / "avatar.json").read_text(encoding="utf-8"))
    document["held_out"] = held_out
    (personal / "avatar.json").write_text(json.dumps(document), encoding="utf-8")
    make_avatar_of(stage, photos)
    said = " ".join(drawn(panels.LIKENESS_PT_avatar).labels)
    assert ("held out" in said) == bool(words)
    assert words in said


def test_an_avatar_of_one_photo_has_no_report(stage):
    stage.order()
    stage.finish()
    assert "held out" not in " ".join(drawn(panels.LIKENESS_PT_avatar).labels)
    assert not LIKENESS_PT_avatar_photos.poll(Context())


@pytest.mark.parametrize("room_px", [60, 120, 180])
def test_a_long_name_keeps_both_ends(room_px):
    cut = shortened(LONG_NAME, room_px)
    head, _, tail = cut.partition("…")
    assert LONG_NAME.startswith(head)
    assert LONG_NAME.endswith(tail)
    assert abs(len(head) - len(tail)) <= 1
    # Blender's own measure: it fits, and two letters more would not
    assert shortened(cut, room_px) == cut
    wider = LONG_NAME[: len(head) + 1] + "…" + LONG_NAME[-len(tail) - 1 :]
    assert shortened(wider, room_px) != wider


def test_a_row_drops_folders_and_the_ending_before_it_cuts():
    assert row_name("later/portraits/IMG_0413.jpg", 300) == "IMG_0413.jpg"
    # room for the name alone, by Blender's measure
    room_px = next(room for room in range(20, 300) if shortened("IMG_0413", room) == "IMG_0413")
    assert row_name("later/IMG_0413.jpg", room_px) == "IMG_0413"
    assert "…" in row_name("later/IMG_0413.jpg", room_px - 1)


def test_a_short_name_stays_whole(monkeypatch):
    assert shortened("Ada.jpg", 300) == "Ada.jpg"
    # there is no region outside of a window
    assert shortened(LONG_NAME, free_px(100)) == LONG_NAME
    region = type("Region", (), {"width": 300})()
    monkeypatch.setattr(drawn_sentence, "bpy", SimpleNamespace(context=SimpleNamespace(
        region=region, preferences=bpy.context.preferences)))  # fmt: skip
    assert free_px(100) == 200
    assert 100 < free_px(100, "extreme pose") < 150


def test_ticks_overrule_the_verdicts(stage, photos):
    choose(photos)
    stage.finish()
    rows = photo_list().photos
    rows["bad.jpg"].use, rows["good 1.jpg"].use = True, False
    page = drawn(panels.LIKENESS_PT_create)
    assert "2 of 4 photos used, Ada's photos" in page.labels
    page.button("likeness.judge_folder_again").press()
    stage.finish()
    assert jobs(stage)[-1]["choice"]["overruled"] == {"bad.jpg": True, "good 1.jpg": False}
    # judged as ticked, so nothing is otherwise any more; what is ticked now comes on top
    assert "likeness.judge_folder_again" not in drawn(panels.LIKENESS_PT_create).buttons
    photo_list().photos["good 1.jpg"].use = True
    bpy.ops.likeness.make_folder_avatar()
    stage.finish()
    assert jobs(stage)[-1]["choice"]["overruled"] == {"bad.jpg": True, "good 1.jpg": True}


def test_each_row_says_what_became_of_its_photo(stage, photos):
    choose(photos)
    stage.finish()
    shown = photo_list()
    shown.photos["good 2.jpg"].use = False
    page = Page()
    for photo in shown.photos:
        LIKENESS_UL_folder.draw_item(None, None, page, shown, photo, 0, shown, "active", 0, 0)
    assert page.labels == [
        "bad.jpg",
        "blurred",
        "good 1.jpg",
        "used",
        "good 2.jpg",
        "your choice",
        "wall.jpg",
        "blurred",
    ]
    assert {name for _, name, _ in page.fields} == {"use"}
    shown.active = 1
    assert "good 1.jpg Why good 1.jpg. 90% sure that it is" in " ".join(drawn(panels.LIKENESS_PT_create).labels)


def test_one_photo_is_too_few(stage, photos):
    choose(photos)
    stage.finish()
    photo_list().photos["good 1.jpg"].use = False
    with pytest.raises(RuntimeError, match="At least two photos are needed"):
        bpy.ops.likeness.make_folder_avatar()
    assert len(jobs(stage)) == 1
    assert stage.session.review is not None


def test_closing_the_list_leaves_nothing(stage, photos):
    choose(photos)
    stage.finish()
    thumbnails = stage.session.review.thumbnails
    assert thumbnails.is_dir()
    bpy.ops.likeness.close_folder()
    assert not thumbnails.exists()
    assert ticks() == {}
    assert "likeness.make_folder_avatar" not in drawn(panels.LIKENESS_PT_create).buttons
    with pytest.raises(RuntimeError, match="Choose the folder again"):
        bpy.ops.likeness.make_folder_avatar()


def test_another_file_does_not_show_the_list(stage, photos):
    choose(photos)
    stage.finish()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert "likeness.make_folder_avatar" not in drawn(panels.LIKENESS_PT_create).buttons
    choose(photos)
    stage.finish()
    assert "likeness.make_folder_avatar" in drawn(panels.LIKENESS_PT_create).buttons


@pytest.mark.parametrize(("name", "words"), [("", "Choose the folder"), ("gone", "gone is not there")])
def test_a_folder_that_is_not_there_is_said(stage, name, words):
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.likeness.folder("EXEC_DEFAULT", directory=str(stage.folder / name) if name else "")
    assert stage.session.queue.jobs == ()


def test_a_job_on_a_folder_is_cancelled(stage, photos):
    before = scene_state()
    stage.hold()
    choose(photos)
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.5)
    bpy.ops.likeness.cancel(job=stage.session.queue.running.id)
    stage.finish()
    assert (stage.session.review, stage.session.failure) == (None, None)
    assert scene_state() == before


def test_drawing_the_list_reads_no_files(stage, photos, monkeypatch):
    choose(photos)
    stage.finish()
    # the thumbnail is met once
    drawn(panels.LIKENESS_PT_create)
    refuse_files(monkeypatch)
    drawn(panels.LIKENESS_PT_create)


# --- an avatar in the scene -------------------------------------------------------------------------------------------


def edited_head(stage: Stage) -> bpy.types.Object:
    """An avatar with wrinkles that an artist has renamed, keyed, and given nodes and a key of their own."""
    head = stage.wrinkled_head()
    head.name = "Hero"
    blocks = head.data.shape_keys.key_blocks
    blocks["jawOpen"].value = 0.5
    blocks["jawOpen"].keyframe_insert("value", frame=3)
    own = head.shape_key_add(name="my key", from_mix=False)
    own.data[0].co.x += 0.01
    material = head.material_slots[0].material
    material.name = "Hero skin"
    material.node_tree.nodes.new("ShaderNodeHueSaturation").name = "mine"
    return head


def personalise(stage: Stage, photos: Path) -> None:
    bpy.ops.likeness.personalise_folder("EXEC_DEFAULT", directory=str(photos))
    stage.finish()
    assert "likeness.make_folder_avatar" in drawn(panels.LIKENESS_PT_create).buttons
    bpy.ops.likeness.make_folder_avatar()
    stage.finish()
    assert stage.session.failure is None, stage.session.failure


def key_offsets(head: bpy.types.Object, name: str) -> np.ndarray:
    data = head.data.shape_keys.key_blocks[name].data
    positions = np.empty((len(data), 3), np.float32)
    data.foreach_get("co", positions.ravel())
    return positions - neutral_vertices(head)


def test_an_avatar_takes_keys_bones_and_maps_and_keeps_the_rest(stage, photos, personal):
    head = edited_head(stage)
    old_package = head.likeness.package
    action = head.data.shape_keys.animation_data.action
    before = {"neutral": neutral_vertices(head), "jawOpen": key_offsets(head, "jawOpen")}
    own_offset = key_offsets(head, "my key")
    names = {kind: sorted(getattr(bpy.data, kind).keys()) for kind in ("objects", "materials", "actions", "images")}
    personalise(stage, photos)
    assert [job["choice"]["person"] for job in jobs(stage)] == [str(Path(old_package).resolve())] * 2
    assert {kind: sorted(getattr(bpy.data, kind).keys()) for kind in names} == names
    (head,) = heads()
    np.testing.assert_allclose(neutral_vertices(head), before["neutral"] * GROWTH, atol=1e-6)
    np.testing.assert_allclose(key_offsets(head, "jawOpen"), before["jawOpen"] * GROWTH, atol=1e-6)
    np.testing.assert_allclose(key_offsets(head, "my key"), own_offset, atol=1e-6)
    assert head.data.shape_keys.key_blocks["jawOpen"].value == 0.5
    assert head.data.shape_keys.animation_data.action == action
    arrays, _ = read_safetensors(personal / "head.safetensors")
    jaw = head.parent.data.bones["jaw"].head_local
    np.testing.assert_allclose(jaw, blender_from_model(arrays["joints"])[2], atol=1e-6)
    assert grey_of(albedo_of(head)) == ALBEDO_GREY
    material = head.material_slots[0].material
    assert (head.name, material.name) == ("Hero", "Hero skin")
    assert "mine" in material.node_tree.nodes
    modifier, shading = wrinkle_modifier(head), find_shading(material)
    assert (get_input(modifier, NEUTRAL_SCALE), get_input(modifier, WRINKLE_SCALE)) == (2.5, 3.5)
    assert shading.inputs[WRINKLE_SCALE].default_value == 3.5
    assert Path(head.likeness.package).name == "Hero"
    assert (head.likeness.photos_used, head.likeness.photos_found) == (2, 3)
    assert rows_of(head.likeness)[:2] == ["good 1.jpg", "used, 1.0%"]
    assert head.likeness.held_out_after == pytest.approx(HELD_OUT["after_percent"])
    # the new package is the avatar's own from now on
    bpy.ops.likeness.reload_texture()
    assert Path(old_package, "avatar.json").is_file()


def test_one_undo_takes_all_of_it_back(stage, photos, personal):
    head = edited_head(stage)
    old = (neutral_vertices(head), key_offsets(head, "jawOpen"), head.likeness.package, grey_of(albedo_of(head)))
    jaw = head.parent.data.bones["jaw"].head_local.copy()
    bpy.ops.ed.undo_push(message="edited")
    personalise(stage, photos)
    assert grey_of(albedo_of(heads()[0])) != old[3]
    bpy.ops.ed.undo()
    (head,) = heads()
    assert (rows_of(head.likeness), head.likeness.held_out_photos) == ([], 0)
    np.testing.assert_array_equal(neutral_vertices(head), old[0])
    np.testing.assert_array_equal(key_offsets(head, "jawOpen"), old[1])
    assert (head.likeness.package, grey_of(albedo_of(head))) == old[2:]
    assert head.parent.data.bones["jaw"].head_local == jaw
    assert get_input(wrinkle_modifier(head), WRINKLE_SCALE) == 2.0
    bpy.ops.ed.redo()
    assert grey_of(albedo_of(heads()[0])) == ALBEDO_GREY


def test_a_hidden_rig_is_moved_and_hidden_again(stage, photos, personal):
    head = edited_head(stage)
    head.parent.hide_set(True)
    jaw = head.parent.data.bones["jaw"].head_local.copy()
    personalise(stage, photos)
    assert head.parent.data.bones["jaw"].head_local != jaw
    assert head.parent.hide_get()


def test_a_rig_that_cannot_be_edited_is_said_and_nothing_changes(stage, photos, personal):
    head = edited_head(stage)
    bpy.ops.likeness.personalise_folder("EXEC_DEFAULT", directory=str(photos))
    stage.finish()
    head.parent.hide_viewport = True
    neutral = neutral_vertices(head)
    before = scene_state()
    bpy.ops.likeness.make_folder_avatar()
    stage.finish()
    assert "cannot be edited" in stage.session.failure.error.message
    np.testing.assert_array_equal(neutral_vertices(head), neutral)
    assert grey_of(albedo_of(head)) == 200
    assert scene_state() == before


def test_an_image_of_the_artists_own_stays(stage, photos, personal):
    head = edited_head(stage)
    painted = bpy.data.images.new("painted", 8, 8)
    painted.filepath_raw = str(stage.folder / "albedo.png")
    painted.file_format = "PNG"
    painted.save()
    for slot in head.material_slots:
        for node in slot.material.node_tree.nodes:
            if node.type == "TEX_IMAGE" and node.image.name.endswith("albedo"):
                node.image = painted
    personalise(stage, photos)
    assert painted.packed_file is None
    assert grey_of(painted) == 0


def test_a_head_that_is_gone_gives_a_new_avatar(stage, photos, personal):
    head = edited_head(stage)
    bpy.ops.likeness.personalise_folder("EXEC_DEFAULT", directory=str(photos))
    stage.finish()
    bpy.ops.likeness.make_folder_avatar()
    bpy.data.objects.remove(head)
    stage.finish()
    assert len(heads()) == 1
    assert heads()[0].likeness.photos_used == 2


def test_another_mesh_is_refused_and_nothing_changes(stage, photos, personal):
    head = edited_head(stage)
    bpy.ops.likeness.personalise_folder("EXEC_DEFAULT", directory=str(photos))
    stage.finish()
    head.shape_key_clear()
    before = scene_state()
    bpy.ops.likeness.make_folder_avatar()
    stage.finish()
    assert "another mesh" in stage.session.failure.error.message
    assert grey_of(albedo_of(head)) == 200
    assert scene_state() == before


def test_a_head_without_a_photo_is_nobody_yet(stage, photos):
    bpy.ops.likeness.import_package("EXEC_DEFAULT", filepath=str(stage.fake / "package" / "avatar.json"))
    bpy.context.object.likeness.has_photo = False
    bpy.ops.likeness.personalise_folder("EXEC_DEFAULT", directory=str(photos))
    stage.finish()
    assert jobs(stage)[0]["choice"]["person"] is None
