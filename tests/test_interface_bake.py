"""Bake Wrinkles as an artist meets it: what the worker is asked, where images lie, what is shown, Remove Bake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.arkit import ARKIT_NAMES  # noqa: E402
from addon.exchange.expression_states import read_states  # noqa: E402
from addon.exchange.wrinkle_frames import FrameIndex, frame_file_name, write_index  # noqa: E402
from addon.interface.bake_folder import bake_folder, bake_owner  # noqa: E402
from addon.interface.bake_panel import LIKENESS_PT_exact_wrinkles  # noqa: E402
from addon.wrinkles.exact_frames import ExactFrames, exact_frames  # noqa: E402
from ml_backend.wrinkles.exr_file import write_grey_exr  # noqa: E402
from tests import interface_stage  # noqa: E402
from tests.interface_stage import Stage, raised  # noqa: E402
from tests.panel_page import drawn  # noqa: E402
from tests.scene_small_avatar import small_package  # noqa: E402
from tests.wrinkled_package import add_flat_maps  # noqa: E402

# a backend that bakes by copying one image under the name of each frame; it waits where the folder has `wait`
_BAKING = """
import pathlib, shutil, struct
folder = pathlib.Path(__file__).parent.parent

def frames_of(states):
    content = pathlib.Path(states).read_bytes()
    header = struct.unpack("<Q", content[:8])[0]
    place = json.loads(content[8:8 + header])["frames"]["data_offsets"]
    return struct.unpack(f"<{(place[1] - place[0]) // 4}i", content[8 + header + place[0]:8 + header + place[1]])

threading.Thread(target=beat, daemon=True).start()
say(**READY)
while True:
    message = hear()
    if message["type"] != "job":
        continue
    job = message["job"]
    (folder / "jobs.txt").open("a").write(json.dumps(message) + "\\n")
    frames = frames_of(message["states"])
    shutil.copy(message["states"], folder / "states")
    while (folder / "wait").exists() and not (folder / "go").exists():
        text = f"baking wrinkles: frame {frames[0]} (1 of {len(frames)})"
        say(type="progress", job=job, stage="bake_frames", text=text, fraction=0.25, seconds_left=7.0)
        time.sleep(0.02)
    target = pathlib.Path(message["folder"])
    target.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        shutil.copy(folder / "image.exr", target / f"wrinkles_{frame:04d}.exr")
    index = {"format": "likeness-wrinkle-frames-1", "owner": message["owner"], "size_px": 4, "frames": {}}
    (target / "wrinkles.json").write_text(json.dumps(index))
    result = {"folder": message["folder"], "frames_made": len(frames), "frames_kept": 0}
    say(type="done", job=job, result=result)
"""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch) -> Stage:
    monkeypatch.setattr(interface_stage, "COPYING", _BAKING)
    with raised(tmp_path, monkeypatch) as stage:
        write_grey_exr(stage.fake / "image.exr", np.full((4, 4), 0.25))
        package = tmp_path / "package"
        small_package(package, "perspective")
        add_flat_maps(package)
        bpy.ops.likeness.import_package("EXEC_DEFAULT", filepath=str(package), photo_expression=False)
        bpy.context.scene.frame_start, bpy.context.scene.frame_end = 3, 6
        yield stage


def head() -> bpy.types.Object:
    return bpy.context.view_layer.objects.active


def bake(**options: object) -> None:
    assert bpy.ops.likeness.bake_wrinkles("EXEC_DEFAULT", **options) == {"FINISHED"}


def jobs(stage: Stage) -> list[dict]:
    """What the worker was told to do."""
    return [json.loads(line) for line in (stage.fake / "jobs.txt").read_text().splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.exr"))


def test_the_scenes_frames_are_baked_and_shown(stage):
    bake()
    stage.finish()
    (job,) = jobs(stage)
    folder = stage.folder / "package" / "wrinkles"
    assert (job["kind"], job["package"], job["folder"]) == ("wrinkles", str(stage.folder / "package"), str(folder))
    assert names(folder) == [frame_file_name(frame) for frame in (3, 4, 5, 6)]
    assert exact_frames(head()) == ExactFrames(str(folder), 3, 6)
    # what the worker was given goes when it has ended
    assert not list((stage.folder / "cache" / "bakes").iterdir())
    assert stage.session.tick() is None


def test_showing_a_bake_is_one_undo_step(stage):
    bpy.ops.ed.undo_push(message="before")
    bake()
    stage.finish()
    assert exact_frames(head()) is not None
    bpy.ops.ed.undo()
    assert exact_frames(head()) is None
    bpy.ops.ed.redo()
    assert exact_frames(head()) is not None


def test_frames_of_ones_own(stage):
    bake(range="OWN", first=10, last=11)
    stage.finish()
    frames = exact_frames(head())
    assert (frames.first, frames.last) == (10, 11)
    with pytest.raises(RuntimeError, match="There is no frame from 12 to 11"):
        bake(range="OWN", first=12, last=11)


def test_a_saved_file_keeps_its_images_beside_it(stage):
    (stage.folder / "project").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(stage.folder / "project" / "shot.blend"))
    bake()
    stage.finish()
    folder = stage.folder / "project" / "likeness" / head().name / "wrinkles"
    assert len(names(folder)) == 4
    assert exact_frames(head()).folder == f"//likeness/{head().name}/wrinkles"


def test_two_files_side_by_side_do_not_take_each_others_images(stage):
    bpy.ops.wm.save_as_mainfile(filepath=str(stage.folder / "one.blend"))
    first = bake_folder(head(), stage.folder / "package", ())
    first.mkdir(parents=True)
    write_index(first / "wrinkles.json", FrameIndex(bake_owner(head()), 4))
    assert bake_folder(head(), stage.folder / "package", ()) == first
    bpy.ops.wm.save_as_mainfile(filepath=str(stage.folder / "two.blend"))
    second = bake_folder(head(), stage.folder / "package", ())
    assert second.parent.name == f"{head().name} 2"
    # nor a folder of the artist's that is called alike
    second.mkdir(parents=True)
    (second / "notes.txt").touch()
    assert bake_folder(head(), stage.folder / "package", ()).parent.name == f"{head().name} 3"


def test_duplicates_bake_into_folders_of_their_own(stage):
    original = head()
    copy = original.copy()
    copy.data = original.data.copy()
    bpy.context.scene.collection.objects.link(copy)
    bake()
    bpy.context.view_layer.objects.active = copy
    bake()
    stage.finish()
    folders = {exact_frames(item).folder for item in (original, copy)}
    assert folders == {str(stage.folder / "package" / name) for name in ("wrinkles", "wrinkles 2")}
    # each finds its own again
    bpy.context.view_layer.objects.active = original
    bake()
    stage.finish()
    assert exact_frames(original).folder == str(stage.folder / "package" / "wrinkles")


def test_progress_and_cancel(stage):
    (stage.fake / "wait").touch()
    bake()
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.25)
    job = stage.session.queue.running
    assert (job.title, job.text) == (f"Wrinkle bake of {head().name}", "baking wrinkles: frame 3 (1 of 4)")
    bpy.ops.likeness.cancel(job=job.id)
    stage.finish()
    assert exact_frames(head()) is None
    assert stage.session.failure is None
    assert not list((stage.folder / "cache" / "bakes").iterdir())


def test_a_head_that_is_gone_is_said_in_one_sentence(stage):
    (stage.fake / "wait").touch()
    bake()
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.25)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    (stage.fake / "go").touch()
    stage.finish()
    assert "not in the open file" in stage.session.failure.error.message
    assert "wrinkles" in stage.session.failure.error.hint


def test_an_artist_in_the_middle_of_something_is_not_disturbed(stage):
    (stage.fake / "wait").touch()
    bake()
    bpy.ops.object.mode_set(mode="EDIT")
    (stage.fake / "go").touch()
    stage.tick_until(lambda: bool(stage.session.bakes) and stage.session.bakes[0].wait == "wait.mode")
    assert exact_frames(head()) is None
    bpy.ops.object.mode_set(mode="OBJECT")
    stage.finish()
    assert exact_frames(head()) is not None


def test_remove_bake_and_undo(stage):
    assert not bpy.ops.likeness.remove_bake.poll()
    bake()
    stage.finish()
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.likeness.remove_bake("EXEC_DEFAULT", True)
    assert exact_frames(head()) is None
    assert len(names(stage.folder / "package" / "wrinkles")) == 4
    bpy.ops.ed.undo()
    assert exact_frames(head()) is not None


def test_a_lost_package_is_said(stage):
    head().likeness.package = str(stage.folder / "nowhere")
    with pytest.raises(RuntimeError, match="Find Package"):
        bake()


def test_the_states_name_the_packages_shapes_and_no_others(stage):
    key = head().shape_key_add(name="scar", from_mix=False)
    key.value = 1.0
    head().data.shape_keys.key_blocks["mouthSmileLeft"].value = 0.5
    bake()
    stage.finish()
    states = read_states(stage.fake / "states")
    own = json.loads((stage.folder / "package" / "avatar.json").read_text())["expression_names"]
    assert states.key_names == (*ARKIT_NAMES, *own)
    assert states.key_values[:, states.key_names.index("mouthSmileLeft")].tolist() == [0.5] * 4


def test_the_panel_says_what_is_baked(stage):
    page = drawn(LIKENESS_PT_exact_wrinkles)
    assert LIKENESS_PT_exact_wrinkles.poll(bpy.context)
    assert page.labels == ["No frames are baked; wrinkles play live"]
    assert page.buttons == ["likeness.bake_wrinkles"]
    (stage.fake / "wait").touch()
    bake()
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.25)
    page = drawn(LIKENESS_PT_exact_wrinkles)
    assert [fraction for fraction, _words in page.bars] == [0.25] and "likeness.cancel" in page.buttons
    (stage.fake / "go").touch()
    stage.finish()
    page = drawn(LIKENESS_PT_exact_wrinkles)
    assert "Frames 3 to 6 are baked" in page.labels
    assert [options["text"] for _owner, _name, options in page.fields] == ["Exact Wrinkles"]
    assert page.buttons == ["likeness.bake_wrinkles", "likeness.remove_bake"]
