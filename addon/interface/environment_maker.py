"""Makes a Python environment for the backend: `venv`, then pip with what the extension requires. Without bpy.

Each step is a process of its own, also the removal of an environment, whose ten thousand files take seconds.
"""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from ..exchange.errors import LikenessError
from ..worker.steps import Steps
from ..worker.stepwise_process import run_in_steps

# Blender itself is not a part of the backend
_NOT_FOR_THE_BACKEND = "bpy"
# the end of what pip said, for people
_TAIL_LINES = 3
_REMOVE_PROGRAM = "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)"


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
    base_python: Path, folder: Path, packages: Sequence[str], tell: Callable[[str], None]
) -> Steps[Path]:
    """Make an environment in place of the one that may be there, which is moved aside until the new one is whole.

    Where its steps end early, what was there before is there again.

    Args:
        base_python: has the module venv with pip.
        folder: of the environment; an environment cannot be moved, so it is made in its place.
        packages: for pip, with versions.
        tell: gets a line of progress.

    Returns:
        The environment's interpreter.

    Raises:
        LikenessError: a step failed; what was there before is there again.
    """
    older, failed = (folder.with_name(folder.name + suffix) for suffix in (".old", ".failed"))
    yield from _remove(base_python, older, failed)
    _move_aside(folder, older)
    python = environment_python(folder)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off"]
    try:
        yield from _run([str(base_python), "-I", "-m", "venv", str(folder)], tell)
        yield from _run([*pip, *packages], tell)
    except GeneratorExit:
        _put_back(older, folder, failed)
        raise
    except Exception:
        _put_back(older, folder, failed)
        yield from _remove(base_python, failed)
        raise
    yield from _remove(base_python, older)
    return python


def _move_aside(folder: Path, older: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rename(older)
    except OSError as error:
        raise _failed(f"{folder} cannot be replaced ({error.strerror or error})") from error


def _put_back(older: Path, folder: Path, failed: Path) -> None:
    """The older environment is back at once; the unfinished one is removed when there is time."""
    # what a program still holds on Windows cannot be moved
    with contextlib.suppress(OSError):
        if folder.exists():
            folder.rename(failed)
        if older.exists():
            older.rename(folder)


def _remove(python: Path, *folders: Path) -> Steps[None]:
    """Remove folders, as far as the system lets us."""
    for folder in folders:
        if folder.exists():
            yield from _run([str(python), "-I", "-c", _REMOVE_PROGRAM, str(folder)], lambda _line: None)


def _run(command: Sequence[str], tell: Callable[[str], None]) -> Steps[None]:
    """Run a command, passing on its lines."""
    last_lines: deque[str] = deque(maxlen=_TAIL_LINES)

    def pass_on(line: bytes) -> None:
        words = line.decode("utf-8", "replace").strip()
        if words:
            last_lines.append(words)
            tell(words)

    try:
        ended = yield from run_in_steps(command, tell=pass_on)
    except (OSError, ValueError) as error:
        raise _failed(f"{command[0]} cannot be started ({getattr(error, 'strerror', None) or error})") from error
    if ended.status != 0:
        raise _failed(" / ".join(last_lines) or f"it ended with status {ended.status}")


def _failed(reason: str) -> LikenessError:
    """The reason alone; the interface puts it into a sentence."""
    return LikenessError("environment_failed", reason)
