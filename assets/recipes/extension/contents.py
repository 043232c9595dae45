"""What lies in every zip, whatever the platform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assets.recipes.refusal import Refusal

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("addon", "ml_backend", "assets")
# what the folders hold; anything else there is a leftover, or a kind of asset to be added here
SUFFIXES = {".py", ".safetensors", ".toml", ".txt", ".json", ".png"}
# the file that becomes the extension's root, and the recipes, which are never needed at run time
ROOT_MODULE = "addon/extension_root.py"
LEFT_OUT = ("assets/recipes/",)
# requirements.txt: what an environment for the backend needs, for whoever makes one
FILES = ("LICENSE", "NOTICE.md", "requirements.txt", "requirements-training.txt")


def extension_files() -> dict[str, bytes | Path]:
    """Name in the zip → file, of everything but the manifest and the wheels.

    Raises:
        Refusal: a folder holds a file of an unknown kind.
    """
    files: dict[str, bytes | Path] = {name: ROOT / name for name in FILES}
    for folder in FOLDERS:
        files |= {name: ROOT / name for name in _names(folder)}
    files["__init__.py"] = ROOT / ROOT_MODULE
    return files


def _names(folder: str) -> Iterator[str]:
    for path in (ROOT / folder).rglob("*"):
        relative = path.relative_to(ROOT)
        name = relative.as_posix()
        hidden = any(part.startswith((".", "__pycache__")) for part in relative.parts)
        if hidden or name == ROOT_MODULE or name.startswith(LEFT_OUT) or not path.is_file():
            continue
        if path.suffix not in SUFFIXES:
            raise Refusal(f"{name} is none of the files that an extension has; remove it and run this again.")
        yield name
