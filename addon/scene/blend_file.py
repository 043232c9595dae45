"""Saves the .blend file: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import bpy

from .whole_file import whole_file


def save_blend(path: Path) -> None:
    """Save the current file beside its target, then rename it.

    Args:
        path: the .blend file; an existing one is replaced.

    Raises:
        LikenessError: the folder cannot be written, or the disk is full.
    """
    with whole_file(path) as partial:
        # a copy, so that the session keeps no name of a file that is about to be renamed; textures are PNG already
        bpy.ops.wm.save_as_mainfile(filepath=str(partial), copy=True, compress=False, check_existing=False)
