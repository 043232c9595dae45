"""Export from the panel and the File menu: files, the words meanwhile, and what is said when it cannot be."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.errors import LikenessError  # noqa: E402
from addon.interface import export_operators, export_panel, guarded_operator, stepwise_operator  # noqa: E402
from addon.interface.texts import TEXTS  # noqa: E402
from tests.panel_page import Page, drawn  # noqa: E402

STEM = "Zoë small"
NO_MODELS = {"gltf": False, "fbx": False, "usd": False}


@pytest.fixture
def head(stage) -> bpy.types.Object:
    """A neutral avatar with wrinkles, its head active."""
    return stage.wrinkled_head()


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def things() -> list[str]:
    kinds = (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.images, bpy.data.collections)
    return sorted(item.name for kind in kinds for item in kind)


# what is written


def test_engines_get_models_textures_and_wrinkle_maps(stage, head, capfd):
    folder, before = stage.folder / "game", things()
    bpy.ops.likeness.export_for_engines(directory=str(folder), fbx=False)
    assert files_of(folder) == {
        f"{STEM}.glb",
        "wrinkles.txt",
        *(f"textures/{STEM}_displacement_{role}.png" for role in ("neutral", "compressed", "expanded")),
        *(name for name in files_of(folder) if name.startswith("textures/") and "displacement" not in name),
    }
    assert (folder / f"{STEM}.glb").read_bytes()[:4] == b"glTF"
    assert things() == before
    assert f"Info: {STEM}.glb, wrinkle maps written to {folder}" in capfd.readouterr().out


def test_wrinkle_maps_alone(stage, head):
    folder = stage.folder / "maps"
    bpy.ops.likeness.export_for_engines(directory=str(folder), **NO_MODELS)
    assert files_of(folder) == {
        "wrinkles.txt",
        *(f"textures/{STEM}_displacement_{role}.png" for role in ("neutral", "compressed", "expanded")),
    }
    told = (folder / "wrinkles.txt").read_text(encoding="utf-8")
    assert f"textures/{STEM}_displacement_compressed.png" in told
    assert "clamp( tension / 0.3, 0, 1)" in told


def test_fbx_and_usd(stage, head):
    folder = stage.folder / "film"
    bpy.ops.likeness.export_for_engines(directory=str(folder), gltf=False, usd=True, wrinkles=False)
    assert {f"{STEM}.fbx", f"{STEM}.usdc"} <= files_of(folder)
    assert "wrinkles.txt" not in files_of(folder)


def test_a_mesh_cache_of_the_frames_that_play(stage, head, capfd):
    scene = bpy.context.scene
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = 3, 5
    bpy.ops.likeness.export_mesh_cache(filepath=str(stage.folder / "take"))
    assert (stage.folder / "take.abc").stat().st_size > 0
    assert f"take.abc, frames 3 to 5, written to {stage.folder}" in capfd.readouterr().out


# what cannot be


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"directory": "out", **NO_MODELS, "wrinkles": False}, "Nothing was chosen for export"),
        ({"directory": ""}, "No folder was chosen"),
        ({"directory": "a file"}, "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(stage, head, options, words):
    (stage.folder / "a file").write_text("in the way")
    before = things()
    if options["directory"]:
        options = {**options, "directory": str(stage.folder / options["directory"])}
    with pytest.raises(RuntimeError, match=words) as raised_error:
        bpy.ops.likeness.export_for_engines(**options)
    assert "Traceback" not in str(raised_error.value)
    assert things() == before


def test_an_avatar_without_wrinkles_has_no_maps_to_export(stage):
    bpy.ops.likeness.import_package("EXEC_DEFAULT", filepath=str(stage.fake / "package" / "avatar.json"))
    with pytest.raises(RuntimeError, match="no wrinkle maps"):
        bpy.ops.likeness.export_for_engines(directory=str(stage.folder / "out"), **NO_MODELS)


def test_a_cache_without_frames_or_folder_is_one_sentence(stage, head):
    with pytest.raises(RuntimeError, match="range of frames is empty"):
        bpy.ops.likeness.export_mesh_cache(filepath=str(stage.folder / "take.abc"), first_frame=9, last_frame=2)
    with pytest.raises(RuntimeError, match="was not written") as raised_error:
        bpy.ops.likeness.export_mesh_cache(filepath=str(stage.folder / "none" / "take.abc"), last_frame=2)
    assert "Likeness" not in str(raised_error.value), "no defect of ours"


def test_only_object_mode(stage, head):
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match="Object Mode"):
        bpy.ops.likeness.export_for_engines(directory=str(stage.folder / "out"))
    bpy.ops.object.mode_set(mode="OBJECT")


# where it is found


def test_buttons_and_menu(head):
    expected = ["likeness.export_for_engines", "likeness.export_mesh_cache"]
    assert drawn(export_panel.LIKENESS_PT_export).buttons == expected
    menu = Page()
    export_panel.draw_export_menu(SimpleNamespace(layout=menu), bpy.context)
    assert menu.buttons == expected


# words meanwhile


class Work(stepwise_operator.StepwiseOperator):
    """Two steps, as an operator that Blender runs."""

    bl_idname = "likeness.test_work"

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.done, self.reports = fails, [], []
        self._is_watched = True

    def steps(self, context) -> Generator[str, None, str]:
        try:
            yield "one"
            self.done.append(1)
            if self.fails:
                raise LikenessError("full", "The disk is full.")
            yield "two"
            self.done.append(2)
            return "Both done"
        finally:
            self.done.append("tidy")

    def report(self, kind: set[str], words: str) -> None:
        self.reports.append((*kind, words))


class Window:
    """A context that keeps what the status bar says, whether a timer runs, and the shape of the cursor."""

    def __init__(self) -> None:
        self.words, self.timers, self.cursor = [], [], "DEFAULT"
        self.window_manager = SimpleNamespace(
            event_timer_add=lambda _pause, window: self.timers.append("timer") or "timer",
            event_timer_remove=self.timers.remove,
            modal_handler_add=lambda operator: None,
        )
        self.workspace = SimpleNamespace(status_text_set=self.words.append)
        self.window = SimpleNamespace(cursor_modal_set=self._set_cursor, cursor_modal_restore=self._set_cursor)

    def _set_cursor(self, shape: str = "DEFAULT") -> None:
        self.cursor = shape


def event(kind: str) -> SimpleNamespace:
    return SimpleNamespace(type=kind)


def test_every_step_is_said_before_it_is_done():
    work, window = Work(), Window()
    assert work.execute(window) == stepwise_operator.RUNNING
    assert (window.words, work.done, window.cursor) == (["one"], [], "WAIT")
    assert work.modal(window, event("MOUSEMOVE")) == stepwise_operator.RUNNING
    assert work.done == [], "only the timer goes on"
    assert work.modal(window, event("TIMER")) == stepwise_operator.RUNNING
    assert (window.words, work.done) == (["one", "two"], [1])
    assert work.modal(window, event("TIMER")) == guarded_operator.FINISHED
    assert work.done == [1, 2, "tidy"]
    assert work.reports == [("INFO", "Both done")]
    assert (window.words[-1], window.timers, window.cursor) == (None, [], "DEFAULT")


@pytest.mark.parametrize("ends", ["ESC", "failure", "closed window"])
def test_whatever_ends_it_leaves_nothing_behind(ends):
    work, window = Work(fails=ends == "failure"), Window()
    work.execute(window)
    if ends == "closed window":
        work.cancel(window)
    else:
        assert work.modal(window, event("ESC" if ends == "ESC" else "TIMER")) == guarded_operator.CANCELLED
    assert work.done[-1] == "tidy"
    assert 2 not in work.done
    assert (window.words[-1], window.timers, window.cursor) == (None, [], "DEFAULT")
    said = {"ESC": ("WARNING", TEXTS["stopped"]), "failure": ("ERROR", "The disk is full.")}
    assert [report[:2] for report in work.reports] == ([said[ends]] if ends in said else [])


def test_a_stopped_export_takes_its_copy_away(stage, head):
    before = things()
    chosen = SimpleNamespace(
        directory=str(stage.folder / "out"),
        chosen_options=lambda: export_operators.EngineExportOptions(wrinkles=False),
    )
    steps = export_operators.LIKENESS_OT_export_for_engines.steps(chosen, bpy.context)
    assert next(steps) == TEXTS["export.copy"]
    assert next(steps) == TEXTS["export.model"].format(name=f"{STEM}.glb")
    assert things() != before
    steps.close()
    assert things() == before
