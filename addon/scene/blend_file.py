"""Saves the .blend file: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import bpy

from ..exchange.errors import LikenessError


def save_blend(path: Path) -> None:
    """Save the current file beside its target, then rename it.

    Args:
        path: the .blend file; an existing one is replaced.

    Raises:
        LikenessError: the folder cannot be written, or the disk is full.
    """
    path = path.absolute()
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.blend")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a copy, so that the session keeps no name of a file that is about to be renamed
        bpy.ops.wm.save_as_mainfile(filepath=str(partial), copy=True, compress=False, check_existing=False)
        partial.replace(path)
    except (RuntimeError, OSError) as error:
        raise LikenessError(
            "blend_not_written",
            f"{path} cannot be written.",
            "Choose a folder that you may write to, on a disk with space left.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
