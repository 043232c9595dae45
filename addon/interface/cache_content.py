"""Measures and empties the cache. Without bpy, for a thread."""

from __future__ import annotations

import shutil
from pathlib import Path


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder; 0 where there is none."""
    return sum(_size(path) for path in folder.rglob("*")) if folder.is_dir() else 0


def empty_folder(folder: Path) -> None:
    """Delete what a folder holds, as far as the system lets us (another Blender may be reading)."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            _remove(path)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size if path.is_file() else 0
    except OSError:
        # removed by another Blender meanwhile
        return 0


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        # in use; its size stays visible
        return
