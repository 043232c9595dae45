"""A plugin for pytest: `addon` is the extension that lies in Blender's profile, under Blender's name for it.

`build.py extension --check` installs a zip and starts pytest with `-p tests.installed_extension`. The tests go on
importing `addon`; they get the very modules of `bl_ext.user_default.likeness.addon`, so relative imports, the
preferences' name and class registration are those of an installed extension.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

EXTENSION = "bl_ext.user_default.likeness"
# the folder that the extension was installed into; build.py sets it
FOLDER_VARIABLE = "LIKENESS_INSTALLED_EXTENSION"


class InstalledModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers imports of `addon` with the installed extension's modules."""

    def __init__(self) -> None:
        self._own_specs: dict[str, importlib.machinery.ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for `addon` and what is below it; none for anything else."""
        if name != "addon" and not name.startswith("addon."):
            return None
        if importlib.util.find_spec(f"{EXTENSION}.{name}") is None:
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The installed module itself, not a second copy."""
        module = importlib.import_module(f"{EXTENSION}.{spec.name}")
        self._own_specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already; give it back the spec that the import system has just replaced."""
        module.__spec__ = self._own_specs[module.__spec__.name]


def pytest_configure(config: pytest.Config) -> None:
    """Enable the extension once, as Blender does, and put its modules in the place of the checkout's."""
    import bpy  # noqa: I001  (Blender's own modules can be found once bpy is imported)
    import addon_utils

    if addon_utils.enable(EXTENSION, default_set=True) is None:
        pytest.exit(f"Blender {bpy.app.version_string} does not enable {EXTENSION}", returncode=1)
    # the tests register and unregister by themselves
    addon_utils.disable(EXTENSION, default_set=True)
    sys.meta_path.insert(0, InstalledModules())


def pytest_report_header() -> str:
    """Say what is tested."""
    import bpy

    return f"Blender {bpy.app.version_string}, the extension in {installed_folder()}"


def pytest_collection_finish() -> None:
    """Refuse to go on where a test imported anything but the installed files."""
    folder = installed_folder()
    ours = ("addon", "ml_backend", "assets")
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] in ours]
    strangers = [file for module in modules if (file := _file(module)) and not file.is_relative_to(folder)]
    if strangers or not modules:
        raise pytest.UsageError(f"not from {folder}: {', '.join(map(str, strangers)) or 'nothing was imported'}")


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


def installed_folder() -> Path:
    """Where the extension lies."""
    return Path(os.environ[FOLDER_VARIABLE]).resolve()
