"""The backend's command line: what it prints, its exit status, and that it leaves nothing half done."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from addon.exchange.avatar_package import read_package
from ml_backend import pipeline
from ml_backend.__main__ import main
from ml_backend.pipeline import PipelineOptions, Stage, make_avatar

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--texture-size", "256", "--displacement-size", "256"]


@pytest.fixture(scope="module")
def made(astronaut_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """A package made by the real command, and what the command printed."""
    package = tmp_path_factory.mktemp("out") / "Ünï cödé 写真" / "avatar"
    command = [sys.executable, "-m", "ml_backend", "photo", str(astronaut_photo), "--out", str(package)]
    done = subprocess.run([*command, *SMALL, "--json", "--name", "Eileen"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return package, done


@pytest.mark.slow
def test_makes_a_package_that_reads_back(made: tuple[Path, subprocess.CompletedProcess]):
    package, _ = made
    avatar = read_package(package)
    origin = avatar.description.provenance.photo
    assert avatar.description.name == "Eileen"
    assert (origin.original_name, origin.width, origin.height) == ("astronaut.png", 512, 512)
    assert (origin.faces_found, origin.face_used) == (1, 1)
    assert avatar.description.texture.size_px == 256
    assert avatar.description.quality.landmark_error_percent < 5


@pytest.mark.slow
def test_json_is_one_document(made: tuple[Path, subprocess.CompletedProcess]):
    package, done = made
    document = json.loads(done.stdout)
    assert document["package"] == str(package)
    assert document["avatar"]["name"] == "Eileen"
    assert set(document["timings_s"]) == {stage.value for stage in Stage}


@pytest.mark.slow
def test_progress_goes_to_standard_error_in_order(made: tuple[Path, subprocess.CompletedProcess]):
    lines = made[1].stderr.splitlines()
    assert all(line.startswith("[") for line in lines), "a library's warning reached the user"
    fractions = [int(line[1:5].strip(" %")) for line in lines]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 100
    assert [line.split("] ")[1] for line in lines[:-1]] == [stage.value for stage in Stage]


def refused(capsys: pytest.CaptureFixture, arguments: list[str]) -> str:
    """Run a command that must be refused; returns its sentence."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("likeness: ")
    return lines[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--face", "0"], "counted from 1"),
        (["--face", "-3"], "counted from 1"),
        (["--texture-size", "100"], "256 to 4096"),
        (["--displacement-size", "9000"], "256 to 4096"),
        (["--focal-mm", "nan"], "not a lens"),
        (["--focal-mm", "0"], "not a lens"),
        (["--focal-mm", "inf"], "not a lens"),
        (["--head", "nothing.pkl"], "nothing.pkl"),
    ],
)
def test_impossible_options(
    tmp_path: Path, astronaut_photo: Path, capsys: pytest.CaptureFixture, options: list[str], words: str
):
    out = tmp_path / "avatar"
    assert words in refused(capsys, ["photo", str(astronaut_photo), "--out", str(out), *options])
    assert not list(tmp_path.iterdir())


def test_face_beyond_the_count(tmp_path: Path, astronaut_photo: Path, capsys: pytest.CaptureFixture):
    sentence = refused(capsys, ["photo", str(astronaut_photo), "--out", str(tmp_path / "avatar"), "--face", "2"])
    assert "one face" in sentence
    assert "--face 1" in sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["photo"],
        ["photo", "a.jpg"],
        ["photo", "a.jpg", "b.jpg", "--out", "x"],
        ["photo", "a.jpg", "--out", "x", "--texture-size", "large"],
        ["photo", "a.jpg", "--out", "x", "--camera", "fisheye"],
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture, arguments: list[str]):
    assert "--help" in refused(capsys, arguments)
    assert main([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_refusal_as_json(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["photo", str(tmp_path / "none.jpg"), "--out", str(tmp_path / "avatar"), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "photo_missing"
    assert error["hint"]


def test_a_taken_place_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "notes.txt").write_text("mine")
    assert "other files" in refused(capsys, ["photo", "does not matter.jpg", "--out", str(tmp_path)])
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("place", ["taken", "taken/inside", "x" * 300])
def test_an_impossible_place_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture, place: str):
    (tmp_path / "taken").write_text("mine")
    sentence = refused(capsys, ["photo", "does not matter.jpg", "--out", str(tmp_path / place)])
    assert "Choose a" in sentence
    assert (tmp_path / "taken").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here that refuses everyone, root included")
def test_an_unwritable_place_is_refused_before_any_work(capsys: pytest.CaptureFixture):
    sentence = refused(capsys, ["photo", "does not matter.jpg", "--out", "/proc/self/avatar"])
    assert "that you may write to" in sentence


def test_a_defect_gives_one_sentence_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("ml_backend.__main__.make_avatar", broken)
    assert main(["photo", "a.jpg", "--out", str(tmp_path / "avatar")]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "ZeroDivisionError" in error
    assert main(["photo", "a.jpg", "--out", str(tmp_path / "avatar"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_cancelling_leaves_nothing(tmp_path: Path, astronaut_photo: Path):
    def cancel(stage: Stage, _fraction: float) -> None:
        if stage is Stage.FIND_FACE:
            raise pipeline.LikenessError("cancelled", "Cancelled.")

    with pytest.raises(pipeline.LikenessError, match="Cancelled"):
        make_avatar(astronaut_photo, tmp_path / "avatar", PipelineOptions(), cancel)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_is_a_cancel(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ml_backend.__main__.make_avatar", interrupted)
    assert refused(capsys, ["photo", "a.jpg", "--out", str(tmp_path / "avatar")]) == (
        "likeness: Cancelled. Nothing was written."
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_stopped_process_leaves_nothing(tmp_path: Path, astronaut_photo: Path):
    command = [sys.executable, "-m", "ml_backend", "photo", str(astronaut_photo), "--out", str(tmp_path / "avatar")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if Stage.LOAD_MODELS.value in line:
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 2
    assert rest.splitlines()[-1] == "likeness: Cancelled. Nothing was written."
    assert not list(tmp_path.iterdir())
