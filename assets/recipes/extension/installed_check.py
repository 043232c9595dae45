"""Installs a zip into fresh Blender profiles and runs the tests against what was installed."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from assets.recipes.extension.contents import FOLDERS, ROOT
from assets.recipes.refusal import Refusal
from assets.recipes.sources import clean_environment

# Pythons that have another version of bpy, separated as in PATH; tests/test_scene_versions.py reads it too
PYTHONS_VARIABLE = "LIKENESS_BPY_PYTHONS"
# packages that only the backend's environment has
BACKEND_PACKAGES = {"torch", "torchvision", "cv2", "scipy", "safetensors", "ml_backend"}
INSTALL_TIMEOUT_S = 300
PLUGIN = "tests.installed_extension"
# where Blender's default repository for files lies in a profile
EXTENSION_FOLDER = Path("extensions", "user_default", "likeness")

# Arguments: the zip. A class that is still registered at the end makes some versions crash.
_INSTALL = """
import sys
import bpy, addon_utils
done = bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
name = "bl_ext.user_default.likeness"
enabled = addon_utils.check(name)[1]
addon_utils.disable(name)
sys.exit(0 if done == {"FINISHED"} and enabled else 1)
"""


def check_installed(archive: Path) -> int:
    """Install and test, in this Python's Blender and in those of `LIKENESS_BPY_PYTHONS`.

    Returns:
        0 when all tests passed everywhere, else 1.

    Raises:
        Refusal: a Blender does not install or enable the extension.
    """
    others = [python for python in os.environ.get(PYTHONS_VARIABLE, "").split(os.pathsep) if python]
    failed = []
    for python in (sys.executable, *others):
        with tempfile.TemporaryDirectory(prefix="likeness-") as folder:
            # a Blender that dies by a signal has a negative status
            if status := _check_in(python, archive.absolute(), Path(folder).resolve()):
                failed.append(f"{python} (status {status})")
    if failed:
        print(f"The installed extension fails in {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _check_in(python: str, archive: Path, folder: Path) -> int:
    profile = folder / "profile"
    profile.mkdir()
    installed = install(python, archive, profile)
    stage = folder / "likeness"
    _lay_out(stage, installed)
    tests = [f"tests/{name}" for name in blender_tests(stage / "tests", _has_torch(python))]
    environment = profile_environment(profile) | {"LIKENESS_INSTALLED_EXTENSION": str(installed)}
    command = [python, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=stage, env=environment).returncode


def profile_environment(profile: Path) -> dict[str, str]:
    """The environment of a Blender that knows only this profile."""
    return clean_environment() | {"BLENDER_USER_RESOURCES": str(profile), "PYTHONDONTWRITEBYTECODE": "1"}


def install(python: str, archive: Path, profile: Path) -> Path:
    """Install and enable a zip once; returns the folder it was installed into.

    Args:
        python: a Python that has bpy.
        profile: an empty folder, the user's resources of that Blender.

    Raises:
        Refusal: Blender says no.
    """
    done = subprocess.run(
        [python, "-c", _INSTALL, str(archive)],
        cwd=profile,
        env=profile_environment(profile),
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reasons = [line for line in lines if "Error" in line] or lines[-1:] or ["it ended without a reason"]
        raise Refusal(f"the Blender of {python} does not take {archive.name}: {' / '.join(dict.fromkeys(reasons))}")
    return profile / EXTENSION_FOLDER


def _lay_out(stage: Path, installed: Path) -> None:
    """A folder like the checkout, whose tests are the checkout's and whose code is the installed extension."""
    stage.mkdir()
    for name in FOLDERS:
        (stage / name).symlink_to(installed / name, target_is_directory=True)
    shutil.copytree(ROOT / "tests", stage / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", stage)
    for source, link in ((ROOT / ".cache", stage / ".cache"), (ROOT.parent / "shared", stage.parent / "shared")):
        if source.is_dir():
            link.symlink_to(source, target_is_directory=True)


def _has_torch(python: str) -> bool:
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    return subprocess.run([python, "-c", program], env=clean_environment()).returncode == 0


def blender_tests(folder: Path, has_torch: bool) -> list[str]:
    """Names of the test files that concern the installed extension.

    Those are the files that use the add-on, by themselves or through another file of the folder, and not the recipes,
    which no zip has. A Blender without torch runs those that need no backend.
    """
    unwanted = {"assets.recipes"} | (set() if has_torch else BACKEND_PACKAGES)
    names = []
    for file in sorted(folder.glob("test_*.py")):
        imported = set(_imported(file, folder))
        if "addon" in imported and not imported & unwanted:
            names.append(file.name)
    return names


def _imported(file: Path, folder: Path) -> Iterator[str]:
    """What a file imports, and what the test files that it imports do: first names, and the first two."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for module in modules:
            parts = module.split(".")
            yield parts[0]
            yield ".".join(parts[:2])
            inner = folder / f"{parts[1]}.py" if parts[0] == "tests" and len(parts) > 1 else None
            if inner and inner.is_file() and inner != file:
                yield from _imported(inner, folder)
