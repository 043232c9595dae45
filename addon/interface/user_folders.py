"""Where things are kept: packages beside the .blend, the rest in the user's folder of the extension."""

from __future__ import annotations

import errno
import re
import tempfile
import unicodedata
from pathlib import Path

import bpy

from ..exchange.errors import LikenessError
from ..exchange.user_cache import default_cache_folder
from .extension_package import PACKAGE
from .texts import text

# beside the .blend
PACKAGES_FOLDER = "likeness"
# what file systems of all platforms take; leaves room for the writer's temporary names
_LONGEST_NAME = 60
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
# names that Windows keeps for devices
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def user_folder() -> Path:
    """The folder for what belongs to the user and not to a file; not made yet, perhaps."""
    if PACKAGE.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(PACKAGE))
    # run from a checkout, where Blender has no folder for it
    return Path(bpy.utils.user_resource("DATAFILES", path="likeness"))


def cache_folder() -> Path:
    """For what can be made again without the user: registered heads, pictures of faces."""
    return default_cache_folder()


def backend_folder() -> Path:
    """The environment that Create Backend Environment makes."""
    return user_folder() / "backend"


def log_file() -> Path:
    """The backend writes its standard error there, the interface its failures."""
    return user_folder() / "likeness.log"


def copied_expression_file() -> Path:
    """Where Copy Expression keeps what Paste Expression shows, for every Blender of this user."""
    return user_folder() / "copied_expression.json"


def packages_folder() -> Path:
    """Beside the saved .blend, or in the user's folder."""
    if bpy.data.filepath:
        return Path(bpy.path.abspath("//")) / PACKAGES_FOLDER
    return user_folder() / "avatars"


def free_package_folder(name: str, taken: set[Path]) -> Path:
    """A folder for a new package; no package that exists, or is being written, is replaced.

    Args:
        name: of the avatar.
        taken: folders that jobs are going to write.

    Raises:
        LikenessError: nothing can be written there.
    """
    parent = packages_folder()
    _check_writable(parent)
    stem = folder_name(name)
    number = 1
    while True:
        folder = parent / (stem if number == 1 else f"{stem} {number}")
        if folder not in taken and not folder.exists():
            return folder
        number += 1


def folder_name(name: str) -> str:
    """A name that every file system takes."""
    cleaned = _NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", name))[:_LONGEST_NAME].strip(" .")
    if not cleaned or _DEVICES.fullmatch(cleaned):
        return f"avatar {cleaned}".strip()
    return cleaned


def path_in_blend(path: Path) -> str:
    """A path as it is kept in the .blend: relative to it where possible."""
    if not bpy.data.filepath:
        return str(path)
    try:
        return bpy.path.relpath(str(path))
    except ValueError:
        # another drive
        return str(path)


def path_from_blend(kept: str) -> Path:
    """The path that `path_in_blend` has kept."""
    return Path(bpy.path.abspath(kept))


def _check_writable(folder: Path) -> None:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file is in the way")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise LikenessError(
            "place_unwritable",
            text("error.place", folder=folder, reason=error.strerror or error),
            text("error.place.hint"),
        ) from error
