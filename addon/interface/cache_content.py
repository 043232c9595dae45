"""Measures and empties the cache, in steps. Without bpy."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

from ..worker.steps import MORE, Steps

# Windows' IO_REPARSE_TAG_MOUNT_POINT (winnt.h): a folder that stands for one elsewhere
_JUNCTION = 0xA0000003


def folder_size(folder: Path) -> Steps[int]:
    """Bytes of all files in a folder; 0 where there is none."""
    size = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        size += _size(path)
        yield MORE
    return size


def empty_folder(folder: Path) -> Steps[None]:
    """Delete what a folder holds, as far as the system lets us (another Blender may be reading)."""
    for path in _content(folder):
        if _is_folder(path):
            yield from empty_folder(path)
            with contextlib.suppress(OSError):
                path.rmdir()
        else:
            # what is in use stays, and its size visible
            with contextlib.suppress(OSError):
                path.unlink()
        yield MORE


def _content(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder, and no link to one."""
    try:
        status = path.lstat()
    except OSError:
        # removed by another Blender meanwhile
        return False
    return stat.S_ISDIR(status.st_mode) and getattr(status, "st_reparse_tag", 0) != _JUNCTION


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size if path.is_file() else 0
    except OSError:
        # removed by another Blender meanwhile
        return 0
