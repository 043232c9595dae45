"""The extension's manifest, and the one place where the version number stands."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from addon.exchange.conventions import VERSION
from assets.recipes.extension.manifest import manifest_text

ROOT = Path(__file__).resolve().parents[1]
# the extensions platform's limits
MAX_TAGLINE, MAX_REASON = 64, 64
PLATFORM_TAGS = {"Import-Export", "Mesh", "Rigging", "Animation"}


@pytest.fixture
def manifest() -> dict:
    return tomllib.loads(manifest_text())


def test_names_and_licence(manifest):
    assert manifest["schema_version"] == "1.0.0"
    assert (manifest["id"], manifest["name"], manifest["type"]) == ("likeness", "Likeness", "add-on")
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert manifest["blender_version_min"] == "4.2.0"
    assert set(manifest["tags"]) <= PLATFORM_TAGS


def test_rules_of_the_platform(manifest):
    tagline = manifest["tagline"]
    assert 0 < len(tagline) <= MAX_TAGLINE
    assert tagline[-1].isalnum()
    assert "blender" not in (manifest["name"] + tagline).lower()
    assert manifest["permissions"].keys() == {"files", "network"}
    for reason in manifest["permissions"].values():
        assert 0 < len(reason) <= MAX_REASON
        assert reason[-1].isalnum()


def test_one_version(manifest):
    assert manifest["version"] == VERSION
    assert "version" not in tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "addon.exchange.conventions.VERSION"}
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _extension_tool() -> Path:
    """Blender's own command for extensions, which needs no Blender to run."""
    bpy = find_spec("bpy")
    if bpy is None or bpy.origin is None:
        pytest.skip("bpy is not installed")
    tools = list(Path(bpy.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
    if not tools:
        pytest.skip("this bpy has no extension tool")
    return tools[0]


def _validate(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(_extension_tool()), "validate", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_blender_accepts_the_manifest(tmp_path):
    (tmp_path / "__init__.py").write_text("")
    text = manifest_text()
    (tmp_path / "blender_manifest.toml").write_text(text, encoding="utf-8")
    done = _validate(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "blender_manifest.toml").write_text(text.replace('"likeness"', '"like ness"'), encoding="utf-8")
    assert _validate(tmp_path).returncode != 0  # it does look
