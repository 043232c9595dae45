"""Where an avatar's exact wrinkles are kept: beside the .blend, or in the package's folder while it is not saved."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import bpy

from ..exchange.wrinkle_frames import read_index
from ..wrinkles.add_wrinkles import wrinkle_modifier
from ..wrinkles.exact_frames import exact_frames
from .user_folders import folder_name, packages_folder, path_from_blend

WRINKLES_FOLDER = "wrinkles"


def bake_owner(head: bpy.types.Object) -> str:
    """Whose frames a folder holds: scenes of a project that lie side by side must not take each other's."""
    return f"{Path(bpy.data.filepath).name}/{head.name}"


def bake_folder(head: bpy.types.Object, package: Path, taken: Collection[Path]) -> Path:
    """The folder for a head's frames: the one it had, or a new one that belongs to nobody.

    Args:
        head: with wrinkles.
        package: its package's folder.
        taken: folders that jobs for other heads are going to fill.
    """
    in_use = {*taken, *_folders_of_others(head)}
    owner = bake_owner(head)
    return next(folder for folder in _candidates(head, package) if folder not in in_use and _may_fill(folder, owner))


def _candidates(head: bpy.types.Object, package: Path) -> Iterator[Path]:
    """//likeness/NAME/wrinkles, or PACKAGE/wrinkles; then with numbers."""
    number = 1
    while True:
        suffix = "" if number == 1 else f" {number}"
        if bpy.data.filepath:
            yield packages_folder() / f"{folder_name(head.name)}{suffix}" / WRINKLES_FOLDER
        else:
            yield package / f"{WRINKLES_FOLDER}{suffix}"
        number += 1


def _may_fill(folder: Path, owner: str) -> bool:
    """Whether a folder is new or this owner's."""
    if not folder.exists():
        return True
    index = read_index(folder)
    return index.owner == owner if index is not None else folder.is_dir() and not any(folder.iterdir())


def _folders_of_others(head: bpy.types.Object) -> Iterator[Path]:
    for other in bpy.data.objects:
        if other == head or other.type != "MESH" or wrinkle_modifier(other) is None:
            continue
        frames = exact_frames(other)
        if frames is not None:
            yield path_from_blend(frames.folder)
