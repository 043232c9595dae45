"""A folder is replaced whole or not at all, whatever fails, whoever else writes, and whenever the process dies."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from addon.exchange.errors import PackageError
from addon.exchange.whole_folder import STALE_S, check_place, whole_folder

ROOT = Path(__file__).resolve().parents[1]


def always(_folder: Path) -> bool:
    return True


def write(target: Path, content: str) -> None:
    with whole_folder(target, always) as folder:
        for name in ("a", "b", "c"):
            (folder / name).write_text(content)


def contents(target: Path) -> set[str]:
    return {(target / name).read_text() for name in ("a", "b", "c")}


def failing(function: Callable, error: BaseException, applies: Callable[..., bool]) -> tuple[Callable, list[int]]:
    """A stand-in that fails at its first call that applies, and a list that says how often it has."""
    failures: list[int] = []

    def stand_in(*arguments: object) -> object:
        if not failures and applies(*arguments):
            failures.append(1)
            raise error
        return function(*arguments)

    return stand_in, failures


STEPS = {
    "flush": ("os.fsync", lambda _target: lambda *_arguments: True),
    "old one aside": ("pathlib.Path.rename", lambda target: lambda source, _new: source == target),
    "new one in place": ("pathlib.Path.rename", lambda target: lambda _source, new: new == target),
}
ERRORS = [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EACCES, "Permission denied")]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [*ERRORS, KeyboardInterrupt()], ids=["full", "denied", "interrupt"])
def test_a_failure_at_any_step_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
):
    target = tmp_path / "folder"
    write(target, "old")
    name, applies = STEPS[step]
    original = os.fsync if name == "os.fsync" else Path.rename
    stand_in, failures = failing(original, error, applies(target))
    monkeypatch.setattr(name, stand_in)
    with pytest.raises(PackageError if isinstance(error, OSError) else KeyboardInterrupt):
        write(target, "new")
    assert failures
    assert contents(target) == {"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_full_disk_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stand_in, _ = failing(os.fsync, ERRORS[0], lambda *_arguments: True)
    monkeypatch.setattr("os.fsync", stand_in)
    with pytest.raises(PackageError, match=r"No space left on device\. Choose a folder .* that has room"):
        write(tmp_path / "folder", "new")
    assert not list(tmp_path.iterdir())


def test_writers_at_once_leave_one_whole_folder(tmp_path: Path):
    target = tmp_path / "folder"
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                write(target, str(number))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(contents(target)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_killed_writer_leaves_the_old_one(tmp_path: Path):
    target = tmp_path / "folder"
    write(target, "old")
    program = (
        "import sys, time; from pathlib import Path; from addon.exchange.whole_folder import whole_folder\n"
        "with whole_folder(Path(sys.argv[1]), lambda folder: True) as folder:\n"
        "    (folder / 'a').write_text('half')\n    print('half', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(target)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert contents(target) == {"old"}
    (leftover,) = [path for path in tmp_path.iterdir() if path != target]
    # a fresh leftover may belong to a living writer; an old one goes with the next writing
    write(target, "new")
    assert leftover.exists()
    long_ago = time.time() - STALE_S - 1
    os.utime(leftover, (long_ago, long_ago))
    write(target, "newer")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_leftovers_of_other_folders_stay(tmp_path: Path):
    other = tmp_path / ".other.x.part"
    other.mkdir()
    os.utime(other, (0, 0))
    write(tmp_path / "folder", "new")
    assert other.exists()


@pytest.mark.parametrize("name", ["a folder", "写真" * 40, "ünï [x] *", ".hidden"])
def test_names(tmp_path: Path, name: str):
    write(tmp_path / name, "new")
    write(tmp_path / name, "newer")
    assert contents(tmp_path / name) == {"newer"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_is_followed(tmp_path: Path):
    write(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    write(tmp_path / "link", "new")
    assert contents(tmp_path / "real") == {"new"}
    assert (tmp_path / "link").is_symlink()


def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path):
    target = tmp_path / "folder"

    def is_ours(folder: Path) -> bool:
        return not (folder / "work").exists()

    with pytest.raises(PackageError, match="other files"), whole_folder(target, is_ours) as folder:
        (folder / "a").write_text("new")
        target.mkdir()
        (target / "work").write_text("mine")
    assert (target / "work").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_impossible_name_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(PackageError, match="name too long"):
        check_place(tmp_path / ("x" * 300), always)
