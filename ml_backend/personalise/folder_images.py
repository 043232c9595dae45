"""Lists the images of a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from addon.exchange.errors import PhotoError

# What is read, and what phones write: that is listed too, so that its owner learns why it was not used where this
# installation has no decoder for it.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif")


@dataclass(frozen=True)
class FolderImage:
    """An image file of a folder, not yet opened.

    Attributes:
        name: for people, the path relative to the folder, with `/` between its parts.
        path: where it is.
    """

    name: str
    path: Path


def list_images(folder: Path, with_subfolders: bool = False) -> tuple[FolderImage, ...]:
    """List the images of a folder, in the order of their names.

    Hidden files and folders are left out: on shared disks they are other systems' shadows of the photos. Links to
    folders are not followed, so that no image is met twice and no ring is walked for ever.

    Args:
        folder: to look in; with_subfolders: and in all folders below it.

    Raises:
        PhotoError: the folder is missing, cannot be opened, or holds no image.
    """
    if not folder.is_dir():
        raise PhotoError("folder_missing", f"There is no folder {folder}.", "Choose the folder that holds the photos.")
    paths = _files_below(folder) if with_subfolders else _files_in(folder)
    images = [
        FolderImage(_name(path, folder), path)
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not images:
        raise PhotoError(
            "folder_without_images",
            f"{folder.name or folder} holds no images.",
            "Put photos (JPEG, PNG, WebP or TIFF) into it"
            + ("." if with_subfolders else ", or let sub-folders be searched as well."),
        )
    return tuple(sorted(images, key=lambda image: image.name))


def _files_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _files_below(folder: Path) -> list[Path]:
    # a folder below that cannot be opened is passed over; the one that was asked for is not
    _files_in(folder)
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root) / name for name in files]
    return found


def _unreadable(folder: Path, error: OSError) -> PhotoError:
    return PhotoError(
        "folder_unreadable",
        f"{folder.name or folder} could not be opened: {error.strerror}.",
        "Check the access rights of the folder.",
    )


def _name(path: Path, folder: Path) -> str:
    # a file name may hold bytes that are no text; a report may not
    return path.relative_to(folder).as_posix().encode("utf-8", "replace").decode("utf-8")
