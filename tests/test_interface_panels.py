"""What the panels and preferences say, and what drawing them costs."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.errors import LikenessError  # noqa: E402
from addon.interface import panels, registration, texts  # noqa: E402
from addon.interface.orders import Failure, FinishedAvatar, ImportOptions  # noqa: E402
from addon.interface.preferences import LikenessPreferences  # noqa: E402
from addon.worker.job import JobState  # noqa: E402
from tests.panel_page import Page, drawn, refuse_files  # noqa: E402

INTERFACE = Path(texts.__file__).parent
# the budget, and room for a machine that does other things: the bench prints the figure itself
MOST_DRAW_S = 0.002


def test_create_says_what_runs(stage):
    stage.hold()
    stage.order()
    stage.order()
    stage.tick_until(lambda: stage.session.queue.running.fraction == 0.5)
    page = drawn(panels.LIKENESS_PT_create)
    assert page.bars == [(0.5, "Fitting the head · 7 s left")]
    assert {"Ada", "Computed on CPU", "1 more waiting"} <= set(page.labels)
    assert "likeness.cancel" in page.buttons


def test_a_long_stage_leaves_room_for_the_time_that_is_left(stage, monkeypatch):
    monkeypatch.setattr(panels, "free_px", lambda *_: 120.0)
    job = SimpleNamespace(
        title="Ada", id="1", fraction=0.5, state=JobState.RUNNING, seconds_left=240.0,
        text="looking at 2024-06-11 14.03.22 holiday in the mountains.jpg",
    )  # fmt: skip
    page = Page()
    panels.draw_job(page, job)
    ((_fraction, words),) = page.bars
    assert re.fullmatch(r"Looking at.*….*s\.jpg · 4 min left", words)
    assert len(words) < len(job.text)


@pytest.mark.parametrize(
    ("code", "button"),
    [
        ("backend_missing", "likeness.open_preferences"),
        ("torch_missing", "likeness.open_preferences"),
        ("python_version", "likeness.open_preferences"),
        ("head_file_refused", "likeness.choose_flame"),
        ("not_flame", "likeness.choose_flame"),
        ("worker_died", "likeness.open_log"),
        ("fault", "likeness.open_log"),
    ],
)
def test_a_failure_has_the_button_that_mends_it(stage, code, button):
    stage.session.failure = Failure("Ada", LikenessError(code, "It broke.", "Mend it."))
    page = drawn(panels.LIKENESS_PT_create)
    assert {"Ada was not made", "It broke.", "Mend it."} <= set(page.labels)
    assert button in page.buttons


def test_a_photo_without_a_face_needs_no_button(stage):
    stage.session.failure = Failure("Ada", LikenessError("no_face", "No face.", "Choose another photo."))
    buttons = drawn(panels.LIKENESS_PT_create).buttons
    assert not {"likeness.open_preferences", "likeness.choose_flame", "likeness.open_log"} & set(buttons)


def test_a_missing_backend_is_said_before_the_first_photo(stage):
    stage.session.backend_error = LikenessError("backend_missing", "None.", "Choose one.")
    page = drawn(panels.LIKENESS_PT_create)
    assert texts.TEXTS["create.no_backend"] in page.labels
    assert "likeness.open_preferences" in page.buttons


def test_a_finished_avatar_is_offered(stage):
    stage.session.finished.append(FinishedAvatar(stage.folder, "Ada", 1, ImportOptions(), "wait.scene"))
    page = drawn(panels.LIKENESS_PT_create)
    assert {"Ada is finished", "The scene it was made for is not open"} <= set(page.labels)
    assert "likeness.import_finished" in page.buttons


def test_avatar_says_how_good_it_is(stage):
    assert drawn(panels.LIKENESS_PT_avatar).labels == ["Select an avatar"]
    stage.order()
    stage.finish()
    page = drawn(panels.LIKENESS_PT_avatar)
    assert page.labels == ["Fit: good"]
    assert page.buttons == ["likeness.view_from_photo", "likeness.personalise_folder"]
    details = drawn(panels.LIKENESS_PT_avatar_details)
    assert {"Landmark error: 2.0% of the eye distance", "Photo: photo.jpg", "Face 1 of 1"} <= set(details.labels)


@pytest.mark.parametrize("part", ["ARMATURE", "CAMERA"])
def test_every_part_leads_to_its_avatar(stage, part):
    stage.order()
    stage.finish()
    bpy.context.view_layer.objects.active = next(item for item in bpy.data.objects if item.type == part)
    assert drawn(panels.LIKENESS_PT_avatar).labels == ["Fit: good"]


def test_drawing_reads_no_files_and_is_quick(stage, monkeypatch):
    stage.order()
    stage.finish()
    for panel in panels.CLASSES:
        # thumbnails and bundled operators are met once
        drawn(panel)

    refuse_files(monkeypatch)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        for panel in panels.CLASSES:
            drawn(panel)
        times.append(time.perf_counter() - start)
    monkeypatch.undo()
    assert min(times) < MOST_DRAW_S


def test_no_timer_runs_when_nothing_is_to_be_done(stage):
    assert stage.session.tick() is None
    assert not bpy.app.timers.is_registered(stage.session._timer)
    stage.order()
    assert bpy.app.timers.is_registered(stage.session._timer)
    stage.finish()
    assert stage.session.tick() is None


def test_every_text_that_is_asked_for_is_there_and_every_text_is_asked_for():
    sources = {path.name: path.read_text(encoding="utf-8") for path in INTERFACE.glob("*.py")}
    code = "\n".join(source for name, source in sources.items() if not name.endswith("texts.py"))
    exact = set(re.findall(r'(?:text\(\s*|TEXTS\[|_?words\()"([a-z_.]+)"', code + sources["texts.py"]))
    assert exact <= set(texts.TEXTS), exact - set(texts.TEXTS)
    quoted = set(re.findall(r'"([a-z_.]+)"', code + sources["texts.py"].partition("TRANSLATIONS")[2]))
    families = ("option.", "preferences.device.")
    unused = {key for key in texts.TEXTS if key not in quoted and not key.startswith(families)}
    assert unused == {key for key in unused if key.removesuffix(".tip") in exact}


def test_texts_are_translated_before_they_are_filled_in(monkeypatch):
    # the wheel brings no languages, so the dictionary that Blender would ask stands in for it
    german = {(texts.CONTEXT, texts.TEXTS["finished"]): "{name} ist fertig"}
    translations = SimpleNamespace(pgettext_iface=lambda english, context: german[(context, english)])
    monkeypatch.setattr(texts, "bpy", SimpleNamespace(app=SimpleNamespace(translations=translations)))
    assert texts.text("finished", name="Ada") == "Ada ist fertig"


def test_every_operator_explains_itself(stage):
    for cls in registration.CLASSES:
        if issubclass(cls, bpy.types.Operator) and "INTERNAL" not in getattr(cls, "bl_options", ()):
            assert cls.bl_description.strip(), cls
            assert not cls.bl_description.endswith("."), cls


def test_registering_twice_in_a_row_is_clean(stage):
    registration.unregister()
    registration.register()
    assert bpy.context.scene.likeness.texture_px == "2048"


def preferences() -> LikenessPreferences:
    """The preferences that Blender keeps for us."""
    return bpy.context.preferences.addons[LikenessPreferences.bl_idname].preferences


def test_preferences_check_the_flame_file_when_it_is_chosen(stage):
    flame = stage.folder / "flame.pkl"
    flame.write_bytes(b"\0")
    preferences().flame_file = str(flame)
    stage.finish()
    assert stage.session.status["flame"] == "A FLAME head with 5023 vertices."
    preferences().flame_file = str(stage.folder / "gone.pkl")
    assert stage.session.status["flame"] == "gone.pkl is not there."


def test_preferences_test_the_chosen_python(stage):
    preferences().backend_python = str(stage.folder / "no_python")
    bpy.ops.likeness.test_backend()
    assert stage.session.status["backend"] == "Testing…"
    stage.finish()
    assert "There is no Python at" in stage.session.status["backend"]


def test_cache_is_measured_and_cleared(stage):
    cache = stage.folder / "cache"
    (cache / "faces").mkdir(parents=True)
    (cache / "faces" / "crop.png").write_bytes(b"\0" * 2_500_000)
    page = Page()
    LikenessPreferences._draw_cache(type("Preferences", (), {"layout": page})(), stage.session)
    stage.finish()
    assert stage.session.status["cache"].startswith("2.5 MB")
    bpy.ops.likeness.clear_cache("EXEC_DEFAULT")
    stage.finish()
    assert stage.session.status["cache"].startswith("0 B")
    assert list(cache.iterdir()) == []


def test_environment_is_only_made_online(stage):
    if bpy.app.online_access:
        pytest.skip("this Blender may go online")
    assert not bpy.ops.likeness.create_environment.poll()
