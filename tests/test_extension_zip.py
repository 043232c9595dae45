"""The small zip: what it holds, that its bytes repeat, that Blender accepts, installs and enables it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from addon.exchange.conventions import VERSION
from assets.recipes.extension import contents, installed_check, manifest
from assets.recipes.extension.__main__ import build_small, main
from assets.recipes.extension.installed_check import EXTENSION_FOLDER, blender_tests, install, profile_environment
from assets.recipes.extension.zip_file import write_zip
from assets.recipes.refusal import Refusal

ROOT = Path(__file__).resolve().parents[1]
# the head, the tracker and the learned networks make up nearly all of it
MAX_BYTES = 30 * 2**20


@pytest.fixture(scope="module")
def small_zip(tmp_path_factory) -> Path:
    return build_small(tmp_path_factory.mktemp("zips"))


@pytest.fixture(scope="module")
def names(small_zip: Path) -> set[str]:
    with zipfile.ZipFile(small_zip) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


@pytest.fixture(scope="module")
def bpy_folder() -> Path:
    spec = find_spec("bpy")
    if spec is None or spec.origin is None:
        pytest.skip("bpy is not installed")
    return Path(spec.origin).parent


@pytest.fixture(scope="module")
def profile(small_zip: Path, bpy_folder: Path, tmp_path_factory) -> Path:
    """A fresh profile of Blender that has the small zip installed and enabled."""
    folder = tmp_path_factory.mktemp("profile")
    install(sys.executable, small_zip, folder)
    return folder


# --- what it holds --------------------------------------------------------------------------------------------------


def test_holds_all_that_runs_and_nothing_else(names):
    for folder in ("addon", "ml_backend"):
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}
        assert modules - {"addon/extension_root.py"} <= names
    assets = {path.relative_to(ROOT).as_posix() for path in (ROOT / "assets").glob("*.safetensors")}
    assert len(assets) >= 3
    assert assets <= names
    assert {"LICENSE", "NOTICE.md", "requirements.txt", "assets/licences/CC0-1.0.txt"} <= names
    top = {name.split("/")[0] for name in names}
    assert top == {"addon", "ml_backend", "assets", "__init__.py", "blender_manifest.toml",
                   "LICENSE", "NOTICE.md", "requirements.txt", "requirements-training.txt"}  # fmt: skip
    assert not [name for name in names if "recipes" in name or "__pycache__" in name or "/." in name]


def test_root_module_and_manifest(small_zip):
    with zipfile.ZipFile(small_zip) as archive:
        assert archive.read("__init__.py") == (ROOT / "addon" / "extension_root.py").read_bytes()
        document = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert document["version"] == VERSION
    assert not {"wheels", "platforms", "build"} & document.keys()
    assert small_zip.name == f"likeness-{VERSION}.zip"
    assert small_zip.stat().st_size < MAX_BYTES


def test_manifest_of_a_zip_with_wheels():
    document = tomllib.loads(manifest.manifest_text("linux-x64", ["wheels/b-1-py3-none-any.whl", "wheels/A.whl"]))
    assert document["platforms"] == ["linux-x64"]
    assert document["wheels"] == ["./wheels/A.whl", "./wheels/b-1-py3-none-any.whl"]
    # what is put in must not end up in a table
    assert document["permissions"].keys() == {"files", "network"}


def test_a_version_in_two_places_is_refused(monkeypatch, tmp_path):
    template = tmp_path / "blender_manifest.toml"
    template.write_text('version = "1.2.3"\n[permissions]\n')
    monkeypatch.setattr(manifest, "TEMPLATE", template)
    with pytest.raises(ValueError, match="has version, which the build puts in"):
        manifest.manifest_text()


def test_same_bytes_again(small_zip, tmp_path):
    assert build_small(tmp_path).read_bytes() == small_zip.read_bytes()


def test_order_and_time_of_files_leave_no_trace(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content" * 100)
    write_zip(tmp_path / "one.zip", {"b.txt": file, "a.whl": b"wheel"})
    file.touch()
    file.chmod(0o700)
    write_zip(tmp_path / "two.zip", {"a.whl": b"wheel", "b.txt": b"content" * 100})
    with zipfile.ZipFile(tmp_path / "one.zip") as one, zipfile.ZipFile(tmp_path / "two.zip") as two:
        for archive in (one, two):
            assert [entry.filename for entry in archive.infolist()] == ["a.whl", "b.txt"]
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            assert {entry.external_attr for entry in archive.infolist()} == {0o100644 << 16}
        # a wheel is compressed already
        assert one.getinfo("a.whl").compress_type == zipfile.ZIP_STORED
        assert one.read("b.txt") == two.read("b.txt")


def test_a_failed_build_leaves_the_older_zip(tmp_path):
    path = tmp_path / "a.zip"
    write_zip(path, {"a": b"old"})
    with pytest.raises(FileNotFoundError):
        write_zip(path, {"a": b"new", "b": tmp_path / "missing"})
    with zipfile.ZipFile(path) as archive:
        assert archive.read("a") == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_are_refused(monkeypatch, tmp_path):
    for name in contents.FOLDERS:
        (tmp_path / name).mkdir()
    (tmp_path / "addon" / "__pycache__").mkdir()
    (tmp_path / "addon" / "__pycache__" / "module.pyc").write_bytes(b"")
    (tmp_path / "assets" / ".hidden").write_bytes(b"")
    monkeypatch.setattr(contents, "ROOT", tmp_path)
    assert set(contents.extension_files()) == {*contents.FILES, "__init__.py"}
    (tmp_path / "assets" / "notes.orig").write_bytes(b"")
    with pytest.raises(Refusal, match=r"assets/notes\.orig is none of the files"):
        contents.extension_files()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--platform", "amiga"), "there is no platform amiga; choose from windows-x64, macos-arm64, linux-x64"),
        (("--platform", "linux-x64", "--python", "2.7"), "no Blender brings Python 2.7; choose from 3.11, 3.13"),
    ],
)
def test_unknown_targets_are_one_sentence(arguments, words, tmp_path, capsys):
    assert main(["--out", str(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err


# --- in Blender -----------------------------------------------------------------------------------------------------


def test_blender_accepts_the_zip(small_zip, bpy_folder):
    tools = list(bpy_folder.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
    assert tools, "this bpy has no extension tool"
    command = [sys.executable, str(tools[0]), "validate", str(small_zip)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_blender_installs_and_enables_the_zip(profile, names):
    folder = profile / EXTENSION_FOLDER
    installed = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert installed == names


@pytest.mark.usefixtures("bpy_folder")
def test_an_extension_that_fails_is_refused(tmp_path):
    archive, profile = tmp_path / "broken.zip", tmp_path / "profile"
    profile.mkdir()
    write_zip(archive, {"__init__.py": b"raise ValueError('not today')", "blender_manifest.toml":
                        manifest.manifest_text().encode()})  # fmt: skip
    with pytest.raises(Refusal, match=r"does not take broken\.zip: .*not today"):
        install(sys.executable, archive, profile)


def test_installed_modules_stand_for_the_checkouts(profile, tmp_path):
    folder = profile / EXTENSION_FOLDER
    # a test of its own, in a folder without a checkout's code
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    plugin = (ROOT / "tests" / "installed_extension.py").read_text(encoding="utf-8")
    (tmp_path / "tests" / "installed_extension.py").write_text(plugin, encoding="utf-8")
    (tmp_path / "tests" / "test_it.py").write_text(
        "import addon.exchange.errors as aliased\n"
        "from bl_ext.user_default.likeness.addon.exchange import errors\n"
        "def test_it():\n"
        "    assert aliased is errors\n"
        "    assert errors.LikenessError.__module__ == 'bl_ext.user_default.likeness.addon.exchange.errors'\n"
        "    assert errors.__spec__.name == errors.__name__\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.installed_extension", "tests/test_it.py"]
    environment = profile_environment(profile)
    done = subprocess.run(
        command, cwd=tmp_path, env=environment | {"LIKENESS_INSTALLED_EXTENSION": str(folder)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    # files from anywhere else are noticed
    done = subprocess.run(
        command, cwd=tmp_path, env=environment | {"LIKENESS_INSTALLED_EXTENSION": str(tmp_path / "elsewhere")},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "not from" in done.stdout + done.stderr


@pytest.mark.parametrize(("statuses", "expected"), [((0, 0), 0), ((0, 1), 1), ((-11, 0), 1)])
def test_a_crash_in_any_blender_fails_the_check(monkeypatch, tmp_path, statuses, expected):
    monkeypatch.setenv(installed_check.PYTHONS_VARIABLE, "/another/python")
    answers = dict(zip((sys.executable, "/another/python"), statuses, strict=True))
    monkeypatch.setattr(installed_check, "_check_in", lambda python, _archive, _folder: answers[python])
    assert installed_check.check_installed(tmp_path / "a.zip") == expected


def test_which_tests_concern_an_installed_extension(tmp_path):
    files = {
        "test_scene.py": "import bpy\nfrom addon.scene import build_avatar\n",
        "test_backend.py": "import torch\nfrom addon.exchange import errors\n",
        "test_through_another.py": "from tests.toy import head\n",
        "toy.py": "from addon.exchange import errors\nfrom ml_backend.head import head_file\n",
        "test_recipe.py": "from addon.exchange import errors\nfrom assets.recipes import tracker\n",
        "test_documents.py": "from pathlib import Path\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert blender_tests(tmp_path, has_torch=True) == ["test_backend.py", "test_scene.py", "test_through_another.py"]
    assert blender_tests(tmp_path, has_torch=False) == ["test_scene.py"]
