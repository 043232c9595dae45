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


def test_warm_process_takes_one_job(tmp_path):
    small_package(tmp_path / "päckage 包", "perspective")
    blend = tmp_path / "out put" / "avätar.blend"
    job = {"package": str(tmp_path / "päckage 包"), "blend": str(blend), "preview": None}
    result = run_scene("-", standard_input=json.dumps(job) + "\n")
    ready, answer = answers(result)
    assert ready == "ready"
    document = json.loads(answer)
    assert document["done"] is True
    assert set(document["timings_s"]) == {"read_package", "blender_objects", "save_blend"}
    assert result.returncode == 0
    with bpy.data.libraries.load(str(blend)) as (stored, _):
        assert "Zoë small" in stored.objects


def test_warm_process_without_job_ends_quietly():
    result = run_scene("-", standard_input="")
    assert (answers(result), result.returncode) == (["ready"], 0)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("not json", "job_unreadable"),
        ('["a list"]', "job_unreadable"),
        ('{"package": "nowhere"}', "job_unreadable"),
        ('{"package": "/nowhere/at/all", "blend": "x.blend", "preview": null}', None),
    ],
)
def test_warm_process_says_what_failed(line, code):
    result = run_scene("-", standard_input=line + "\n")
    failed = json.loads(answers(result)[1])["failed"]
    assert failed["message"] and failed["hint"]
    assert code is None or failed["code"] == code
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
