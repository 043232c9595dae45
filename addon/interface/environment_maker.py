"""Makes a Python environment for the backend: `venv`, then pip with what the extension requires. Without bpy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ..exchange.errors import Cancelled, LikenessError
from ..worker.process_group import ProcessGroup, group_options

# Blender itself is not a part of the backend
_NOT_FOR_THE_BACKEND = "bpy"
_LOOK_FOR_STOP_S = 0.2
# the end of what pip said, for people
_TAIL_LINES = 3


def environment_python(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def backend_packages(requirements: Path) -> list[str]:
    """What pip has to install for the backend.

    Args:
        requirements: a file of pip's; a line each, comments begin with #.

    Raises:
        LikenessError: it is not there.
    """
    try:
        lines = [line.partition("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise _failed(f"{requirements.name} is missing") from error
    return [line for line in lines if line and not line.startswith(_NOT_FOR_THE_BACKEND)]


def make_environment(
    base_python: Path, folder: Path, packages: Sequence[str], tell: Callable[[str], None], stop: threading.Event
) -> Path:
    """Make an environment in place of the one that may be there, which is moved aside until the new one is whole.

    Args:
        base_python: has the module venv with pip.
        folder: of the environment; an environment cannot be moved, so it is made in its place.
        packages: for pip, with versions.
        tell: gets a line of progress; stop: set by whoever wants it to end.

    Returns:
        The environment's interpreter.

    Raises:
        Cancelled: `stop` was set; what was there before is there again.
        LikenessError: a step failed; what was there before is there again.
    """
    older = folder.with_name(f"{folder.name}.old")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(older, ignore_errors=True)
        if folder.exists():
            folder.rename(older)
    except OSError as error:
        raise _failed(f"{folder} cannot be replaced ({error.strerror or error})") from error
    python = environment_python(folder)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off"]
    try:
        _run([str(base_python), "-I", "-m", "venv", str(folder)], tell, stop)
        _run([*pip, *packages], tell, stop)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if older.exists():
            older.rename(folder)
        raise
    shutil.rmtree(older, ignore_errors=True)
    return python


def _run(command: list[str], tell: Callable[[str], None], stop: threading.Event) -> None:
    """Run a command, passing on its lines; kills it when `stop` is set."""
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **group_options(),
        )
    except OSError as error:
        raise _failed(f"{command[0]} cannot be started ({error.strerror or error})") from error
    group = ProcessGroup(process)
    reader = threading.Thread(target=_pass_on, args=(process, lines, tell), daemon=True)
    reader.start()
    while process.poll() is None:
        if stop.wait(_LOOK_FOR_STOP_S):
            group.kill()
            process.wait()
    reader.join(_LOOK_FOR_STOP_S)
    if stop.is_set():
        raise Cancelled
    if process.returncode != 0:
        raise _failed(" / ".join(lines[-_TAIL_LINES:]) or f"it ended with status {process.returncode}")


def _pass_on(process: subprocess.Popen[bytes], lines: list[str], tell: Callable[[str], None]) -> None:
    for line in process.stdout:
        words = line.decode("utf-8", "replace").strip()
        if words:
            lines.append(words)
            tell(words)


def _failed(reason: str) -> LikenessError:
    """The reason alone; the interface puts it into a sentence."""
    return LikenessError("environment_failed", reason)
