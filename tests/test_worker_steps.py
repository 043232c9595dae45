"""Work in steps and processes read without a thread: nothing waits, and all ends as it should."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from addon.exchange.errors import Cancelled, LikenessError
from addon.interface.cache_content import empty_folder, folder_size
from addon.interface.environment_maker import environment_python, make_environment
from addon.worker.child_output import ChildOutput
from addon.worker.stepwise_process import run_in_steps
from tests.worker_programs import PYTHON, ROOT, result_of

_THREADS = {"threading", "_thread", "concurrent", "multiprocessing", "asyncio", "queue"}


@pytest.fixture
def pipe() -> Iterator[tuple[ChildOutput, int]]:
    """The reading end, and the descriptor of the other."""
    reading, writing = os.pipe()
    output = ChildOutput(os.fdopen(reading, "rb", 0))
    yield output, writing
    output.close()


def test_output_is_read_without_waiting(pipe: tuple[ChildOutput, int]):
    output, writing = pipe
    assert output.read() == b""
    assert not output.has_ended
    os.write(writing, b"some words")
    assert output.read() == b"some words"
    assert output.read() == b""
    os.write(writing, b"last words")
    os.close(writing)
    assert output.read() == b"last words"
    assert not output.has_ended
    assert output.read() == b""
    assert output.has_ended


def test_closed_output_is_not_read(pipe: tuple[ChildOutput, int]):
    output, writing = pipe
    os.write(writing, b"words")
    output.close()
    assert output.read() == b""
    assert output.has_ended
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"words")
    os.close(writing)


def test_a_process_is_seen_to_its_end():
    # more than a pipe holds, so that it waits until it is read
    program = "import sys; print('x' * 200000); print('all'); sys.stderr.write('wrong\\nat last'); sys.exit(3)"
    told: list[bytes] = []
    ended = result_of(run_in_steps([sys.executable, "-c", program], tell=told.append))
    assert ended.status == 3
    assert ended.output == (b"x" * 200000, b"all")
    assert ended.errors == (b"wrong", b"at last")
    assert sorted(told) == sorted(ended.output + ended.errors)


def test_a_process_that_takes_too_long_is_killed(tmp_path: Path):
    steps = run_in_steps([sys.executable, "-c", sleeper(tmp_path)], timeout_s=0.6)
    with pytest.raises(TimeoutError):
        result_of(steps)
    assert_gone(tmp_path)


@pytest.mark.parametrize("end", ["close", "throw"])
def test_steps_that_end_early_kill_the_process(tmp_path: Path, end: str):
    steps = run_in_steps([sys.executable, "-c", sleeper(tmp_path)])
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        next(steps)
    if end == "close":
        steps.close()
    else:
        with pytest.raises(Cancelled):
            steps.throw(Cancelled())
    assert_gone(tmp_path)


def sleeper(folder: Path) -> str:
    """A program that tells its number, and stays."""
    part, whole = str(folder / "part"), str(folder / "pid")
    return (
        f"import os, time; open({part!r}, 'w').write(str(os.getpid())); os.rename({part!r}, {whole!r}); time.sleep(60)"
    )


def assert_gone(folder: Path) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_the_cache_is_measured_and_emptied_but_nothing_beside_it(tmp_path: Path):
    cache, beside = tmp_path / "cache", tmp_path / "beside"
    for folder in (cache / "faces" / "one", beside):
        folder.mkdir(parents=True)
        (folder / "picture.png").write_bytes(b"\0" * 1000)
    (cache / "head").write_bytes(b"\0" * 10)
    (cache / "link").symlink_to(beside, target_is_directory=True)
    assert result_of(folder_size(cache)) == 1010
    result_of(empty_folder(cache))
    assert list(cache.iterdir()) == []
    assert (beside / "picture.png").is_file()
    result_of(empty_folder(tmp_path / "none"))
    assert result_of(folder_size(tmp_path / "none")) == 0


# --- the environment --------------------------------------------------------------------------------------------------


def small_wheel(folder: Path) -> str:
    """A package that pip can install without a network."""
    path = folder / "small-1.0-py3-none-any.whl"
    about = "small-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("small.py", "answer = 42\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"small.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return str(path)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The folder of an environment that is there already."""
    folder = tmp_path / "backend"
    folder.mkdir()
    (folder / "mark").touch()
    return folder


def test_an_environment_is_made_in_place_of_the_older_one(tmp_path: Path, older: Path):
    lines: list[str] = []
    python = result_of(make_environment(PYTHON, older, ["--no-index", small_wheel(tmp_path)], lines.append))
    assert python == environment_python(older)
    said = subprocess.run([python, "-c", "import small; print(small.answer)"], capture_output=True, text=True)
    assert said.stdout == "42\n"
    assert any("small" in line for line in lines)
    assert not (older / "mark").exists()
    assert not list(tmp_path.glob("backend.*"))


def test_a_step_that_fails_leaves_the_older_environment(tmp_path: Path, older: Path):
    with pytest.raises(LikenessError) as failure:
        result_of(make_environment(tmp_path / "no python", older, ["small"], lambda _line: None))
    assert failure.value.code == "environment_failed"
    assert "no python" in failure.value.message
    assert (older / "mark").is_file()


@pytest.mark.parametrize("end", ["cancelled", "add-on switched off"])
def test_an_environment_that_is_stopped_leaves_the_older_one(tmp_path: Path, older: Path, end: str):
    steps = make_environment(PYTHON, older, ["small"], lambda _line: None)
    deadline = time.monotonic() + 10
    while not (older / "pyvenv.cfg").exists():
        assert time.monotonic() < deadline
        next(steps)
        assert not (older / "mark").exists()
    if end == "cancelled":
        with pytest.raises(Cancelled):
            steps.throw(Cancelled())
            result_of(steps)
        assert not list(tmp_path.glob("backend.*"))
    else:
        steps.close()
    assert (older / "mark").is_file()
    assert not (older / "pyvenv.cfg").exists()


# --- the rule ---------------------------------------------------------------------------------------------------------


def test_the_add_on_starts_no_thread():
    """Blender crashes when one wakes up inside an operator (see addon/worker/steps.py)."""
    paths = sorted((ROOT / "addon").rglob("*.py"))
    assert paths
    assert [str(path) for path in paths if imported_by(path) & _THREADS] == []


def imported_by(path: Path) -> set[str]:
    """The first names of the modules that a file imports, its own package's left out."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names
