"""Which Python runs the backend: the preferences' one, the environment made here, or the one that came along."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import bpy

from ..exchange.errors import LikenessError
from ..worker.backend_environment import BackendEnvironment
from ..worker.worker_process import WorkerProcess
from .environment_maker import environment_python
from .extension_package import ROOT_FOLDER
from .preferences import preference_values
from .texts import text
from .user_folders import backend_folder, log_file


def chosen_environment() -> BackendEnvironment:
    """The backend that would be started now; whether it works, only a start tells.

    Raises:
        LikenessError: none is chosen, made or bundled.
    """
    chosen = preference_values().python
    if chosen:
        return BackendEnvironment(Path(bpy.path.abspath(chosen)), (ROOT_FOLDER,))
    made = environment_python(backend_folder())
    if made.is_file():
        return BackendEnvironment(made, (ROOT_FOLDER,))
    bundled = _bundled_packages()
    if bundled is not None:
        return BackendEnvironment(Path(sys.executable), (ROOT_FOLDER, bundled))
    raise LikenessError("backend_missing", text("error.no_backend"), text("error.no_backend.hint"))


def _bundled_packages() -> Path | None:
    """The site-packages that hold torch, which Blender made of the extension's wheels; torch is not loaded."""
    found = importlib.util.find_spec("torch")
    return Path(found.origin).parents[1] if found is not None and found.origin else None


def start_chosen_worker() -> WorkerProcess:
    """Start a worker as the preferences say.

    Raises:
        LikenessError: no backend is chosen, or it cannot be started.
    """
    values = preference_values()
    return WorkerProcess.start(chosen_environment(), log_file(), values.threads or None, values.device)
