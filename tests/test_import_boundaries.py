"""Who may import what: the backend no bpy, the add-on no torch, the exchange nothing but numpy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLENDER = {"bpy", "bmesh", "mathutils", "bpy_extras", "gpu", "aud", "idprop"}
LEARNING = {"torch", "torchvision", "timm", "pytorch3d", "cv2", "scipy", "safetensors", "PIL"}
# the preview sheet lays its pictures and words out with Pillow; it is drawn by build.py, never inside the extension
PREVIEW_FILES = {"preview_sheet", "preview_layout"}


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Absolute names of every module that a file imports, inside functions too.

    Args:
        package: dotted name of the package the file lies in, which relative imports start from.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _absolute(node, package)
        elif isinstance(node, ast.Call) and _is_dynamic_import(node.func) and node.args:
            yield _constant_name(node.args[0])


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    base = ".".join(parents[: len(parents) - node.level + 1])
    return f"{base}.{node.module}" if node.module else base


def _is_dynamic_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("__import__", "import_module")


def _constant_name(argument: ast.expr) -> str:
    # a computed name cannot be checked, so it counts as forbidden
    return str(argument.value) if isinstance(argument, ast.Constant) else "<computed>"


def files_and_imports(folder: str) -> list[tuple[str, set[str]]]:
    """(file, top-level names of what it imports) for each Python file of a folder."""
    result = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        package = ".".join(path.relative_to(ROOT).parent.parts)
        names = set(imported_modules(path.read_text(encoding="utf-8"), package))
        result.append((str(path.relative_to(ROOT)), names))
    assert result, folder
    return result


def top_level(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(("file", "names"), files_and_imports("ml_backend"))
def test_backend_never_imports_blender(file: str, names: set[str]):
    assert not top_level(names) & (BLENDER | {"<computed>"}), file
    beyond = {name for name in names if name.startswith("addon") and not name.startswith("addon.exchange")}
    assert not beyond, f"{file} imports {beyond}; the backend may use addon.exchange only"


@pytest.mark.parametrize(("file", "names"), files_and_imports("addon"))
def test_add_on_never_imports_torch_or_the_backend(file: str, names: set[str]):
    forbidden = LEARNING | {"ml_backend", "assets", "tests", "<computed>"}
    if Path(file).stem in PREVIEW_FILES:
        forbidden = forbidden - {"PIL"}
    assert not top_level(names) & forbidden, file


@pytest.mark.parametrize(("file", "names"), files_and_imports("addon/exchange"))
def test_exchange_uses_the_standard_library_and_numpy(file: str, names: set[str]):
    allowed = set(sys.stdlib_module_names) | {"numpy"}
    foreign = {name for name in names if name.split(".")[0] not in allowed and not name.startswith("addon.exchange")}
    assert not foreign, f"{file} imports {foreign}"


def test_add_on_uses_relative_imports():
    # as an extension the package is called bl_ext.REPOSITORY.likeness, so its own name is not known
    for path in (ROOT / "addon").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert not (node.module or "").startswith("addon"), path
            if isinstance(node, ast.Import):
                assert not any(alias.name.split(".")[0] == "addon" for alias in node.names), path


def test_walk_sees_hidden_imports():
    source = "def f():\n    if 1:\n        import torch.nn\n        from . import bpy_like\n        __import__('bpy')\n"
    assert set(imported_modules(source, "addon.scene")) == {"torch.nn", "addon.scene", "bpy"}
    assert set(imported_modules("from ..exchange.errors import X", "addon.scene")) == {"addon.exchange.errors"}
    assert set(imported_modules("import_module(name)", "addon")) == {"<computed>"}


@pytest.mark.parametrize(
    ("starting_point", "heavy"),
    [
        # registering an extension must cost nothing, and reading a package from a farm's Python must need nothing
        ("addon, addon.exchange.avatar_package", "torch bpy cv2 scipy PIL safetensors"),
        # a wrong command line is answered before torch's seconds
        ("ml_backend.__main__", "torch bpy cv2 scipy"),
    ],
)
def test_starting_points_stay_light(starting_point: str, heavy: str):
    program = f"import sys, {starting_point}; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
