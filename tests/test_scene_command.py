"""The command line `python -m addon.scene`, as the backend and a person use it, and the preview sheet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from tests.scene_small_avatar import small_package  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]
TIMEOUT_S = 300


def run_scene(*arguments: str, standard_input: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "addon.scene", *arguments],
        cwd=REPOSITORY,
        input=standard_input,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


def answers(result: subprocess.CompletedProcess[str]) -> list[str]:
    return result.stdout.splitlines()


def job_line(package: Path, blend: Path) -> str:
    return json.dumps({"package": str(package), "blend": str(blend), "preview": None}) + "\n"


def test_warm_process_does_one_job_after_the_other(tmp_path):
    small_package(tmp_path / "päckage 包", "perspective")
    small_package(tmp_path / "second", "orthographic")
    blends = [tmp_path / "out put" / "avätar.blend", tmp_path / "second.blend"]
    lines = job_line(tmp_path / "päckage 包", blends[0]) + "\n" + job_line(tmp_path / "second", blends[1])
    result = run_scene("-", standard_input=lines)
    ready, *rest = answers(result)
    assert ready == "ready"
    documents = [json.loads(answer) for answer in rest]
    assert [document["done"] for document in documents] == [True, True]
    assert set(documents[0]["timings_s"]) == {"read_package", "blender_objects", "save_blend"}
    assert result.returncode == 0
    for blend in blends:
        with bpy.data.libraries.load(str(blend)) as (stored, _):
            # the second file holds nothing of the first
            assert sorted(stored.objects) == sorted(name for name in stored.objects if name.startswith("Zoë small"))
            assert stored.objects.count("Zoë small") == 1


def test_warm_process_without_job_ends_quietly():
    result = run_scene("-", standard_input="")
    assert (answers(result), result.returncode) == (["ready"], 0)


UNREADABLE_JOBS = (
    "not json",
    '["a list"]',
    '{"package": "nowhere"}',
    '{"package": 3, "blend": "x.blend"}',
)


def test_warm_process_says_what_failed_and_goes_on(tmp_path):
    small_package(tmp_path / "package", "orthographic")
    missing = job_line(tmp_path / "nothing", tmp_path / "x.blend")
    good = job_line(tmp_path / "package", tmp_path / "a.blend")
    result = run_scene("-", standard_input="".join(line + "\n" for line in UNREADABLE_JOBS) + missing + good)
    failures = [json.loads(answer)["failed"] for answer in answers(result)[1:-1]]
    assert [failure["code"] for failure in failures] == ["job_unreadable"] * len(UNREADABLE_JOBS) + ["not_a_package"]
    assert all(failure["message"] and failure["hint"] for failure in failures)
    assert json.loads(answers(result)[-1])["done"] is True
    assert result.returncode == 0
    assert not (tmp_path / "x.blend").exists()


def test_warm_process_ends_with_the_status_of_the_last_job(tmp_path):
    small_package(tmp_path / "package", "orthographic")
    good = job_line(tmp_path / "package", tmp_path / "a.blend")
    result = run_scene("-", standard_input=good + "not json\n")
    assert ["done" in json.loads(answer) for answer in answers(result)[1:]] == [True, False]
    assert result.returncode == 2


def test_command_line_names_a_missing_package_in_one_sentence(tmp_path):
    result = run_scene(str(tmp_path / "nothing"), "--blend", str(tmp_path / "a.blend"))
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_unwritable_target_is_refused_and_leaves_nothing(tmp_path):
    small_package(tmp_path / "package", "orthographic")
    (tmp_path / "file").write_text("not a folder")
    before = sorted(tmp_path.iterdir())
    result = run_scene(str(tmp_path / "package"), "--blend", str(tmp_path / "file" / "a.blend"))
    assert result.returncode == 2
    assert "cannot be written" in result.stderr
    assert sorted(tmp_path.iterdir()) == before
