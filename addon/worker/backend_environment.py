"""Which Python runs the backend, with which folders, and whether it can."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..exchange.errors import LikenessError
from ..exchange.worker_messages import FailedMessage, MalformedMessage, ReadyMessage, WrongProtocol, worker_message
from .steps import Steps
from .stepwise_process import EndedProcess, run_in_steps

CHOOSE_BACKEND = "Choose the backend's Python in the preferences, for instance the .venv that build.py makes."
# the end of what a probe printed is enough for the log and for people
_EXCERPT = 300


@dataclass(frozen=True)
class BackendEnvironment:
    """The backend's place.

    Attributes:
        python: the interpreter.
        search_paths: where its packages lie: the extension's root first, then the site-packages of bundled wheels.
    """

    python: Path
    search_paths: tuple[Path, ...]

    def command(self, *arguments: str) -> list[str]:
        """The command line of the worker with further arguments."""
        return [str(self.python), "-m", "ml_backend", "worker", *arguments]

    def variables(self) -> dict[str, str]:
        """The environment of the worker: the user's, without what leads Python astray."""
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("PYTHON")}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(str(path) for path in self.search_paths),
            "PYTHONUTF8": "1",
            "PYTHONNOUSERSITE": "1",
            # nothing is written into the extension's folder
            "PYTHONDONTWRITEBYTECODE": "1",
            # the folder it is started in is nobody's search path
            "PYTHONSAFEPATH": "1",
            "PYTHONUNBUFFERED": "1",
        }


@dataclass(frozen=True)
class BackendReport:
    """What a backend that works runs on.

    Attributes:
        version: of Likeness; python, torch: theirs.
        device: "cpu", "cuda:0" or "mps"; device_name: for people; threads: on the processor.
    """

    version: str
    python: str
    torch: str
    device: str
    device_name: str
    threads: int


def check_environment(
    environment: BackendEnvironment, timeout_s: float = 60.0, device: str | None = None
) -> Steps[BackendReport]:
    """Start the backend's Python once, without loading any model, and report what it has.

    Args:
        timeout_s: torch's first start from a slow disk takes tens of seconds.
        device: as the preferences have it ("auto", "cpu", "cuda", "mps").

    Raises:
        LikenessError: Python is missing or too old, a package or the device is missing, or nothing answers.
    """
    command = environment.command("--check", *(("--device", device) if device else ()))
    try:
        ended = yield from run_in_steps(command, environment.variables(), timeout_s)
    except TimeoutError as error:
        raise LikenessError(
            "backend_slow", f"{environment.python} did not answer within {timeout_s:.0f} s.", CHOOSE_BACKEND
        ) from error
    except (OSError, ValueError) as error:
        raise python_unusable(environment.python, error) from error
    return _report(environment.python, ended)


def python_unusable(python: Path, error: Exception) -> LikenessError:
    """The sentence for an interpreter that cannot be started."""
    if not python.exists():
        return LikenessError("python_missing", f"There is no Python at {python}.", CHOOSE_BACKEND)
    reason = getattr(error, "strerror", None) or str(error)
    return LikenessError("python_unusable", f"{python} cannot be started: {reason}.", CHOOSE_BACKEND)


def start_failure(python: Path, errors: str) -> LikenessError:
    """The sentence for a process that ended without a word of its own.

    Args:
        errors: the end of what it wrote to standard error.
    """
    if "No module named" in errors and any(name in errors for name in ("ml_backend", "addon")):
        return LikenessError(
            "backend_packages", "The backend's own files were not found.", "Install the extension again."
        )
    last = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "")
    said = f": {last[:_EXCERPT]}" if last else ""
    return LikenessError("python_unusable", f"{python} cannot run the backend{said}.", CHOOSE_BACKEND)


def _report(python: Path, ended: EndedProcess) -> BackendReport:
    for line in ended.output:
        try:
            message = worker_message(line)
        except WrongProtocol as error:
            raise protocol_mismatch(error.protocol) from error
        except MalformedMessage:
            break
        if isinstance(message, FailedMessage):
            raise LikenessError(message.code, message.message, message.hint)
        if isinstance(message, ReadyMessage):
            return BackendReport(
                message.version, message.python, message.torch, message.device, message.device_name, message.threads
            )
    raise start_failure(python, b"\n".join(ended.errors).decode("utf-8", "replace"))


def protocol_mismatch(protocol: object) -> LikenessError:
    """The sentence for a worker of another version."""
    return LikenessError(
        "worker_protocol",
        f"The backend belongs to another version of Likeness (it speaks protocol {protocol!s:.20}).",
        "Install the extension again, and restart Blender.",
    )
