"""Writes a folder whole or not at all: beside its place first, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .errors import PackageError

# names have at most 255 bytes; this leaves room for what is put around them, in any alphabet
_NAME_PART = 40
_NEW, _OLD = ".part", ".old"
_OUR_LEFTOVER = re.compile(r"\..+\.likeness-\d+-\w+\.(part|old)")
# each writer that comes between costs one more attempt
_ATTEMPTS = 20
# what a killed process left behind is removed after this; writing takes seconds
STALE_S = 3600.0


def check_place(target: Path, replaceable: Callable[[Path], bool]) -> None:
    """Refuse, before any work, a place where the folder cannot be put.

    Args:
        target: the folder to be.
        replaceable: whether a folder with content that lies there may be replaced.

    Raises:
        PackageError: a file or another folder lies there, or the folder around it cannot be written.
    """
    try:
        if _lies_there(target) and not _may_go(target, replaceable):
            raise PackageError(
                "target_taken", f"{target} holds other files than an avatar.", "Choose a new folder for the avatar."
            )
        # missing folders are made when there is something to put into them
        parent = next(folder for folder in target.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=parent) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise _unwritable(target, error) from error


def _lies_there(target: Path) -> bool:
    """Whether a folder lies at the target; a file there is refused."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(mode):
        raise PackageError("target_taken", f"{target} is a file.", "Choose a new folder for the avatar.")
    return True


def _may_go(folder: Path, replaceable: Callable[[Path], bool]) -> bool:
    try:
        return not any(folder.iterdir()) or replaceable(folder)
    except FileNotFoundError:
        # another writer has just moved it aside
        return True


@contextlib.contextmanager
def whole_folder(target: Path, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """Hand out a folder beside the target; it takes the target's place when the block ends well, else it vanishes.

    Args:
        target: the folder to be; the folders around it are made.
        replaceable: as in `check_place`; a folder that is replaced stays until the new one is whole.

    Raises:
        PackageError: as `check_place`, or the disk is full.
    """
    target = target.resolve()
    check_place(target, replaceable)
    folder = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = _beside(target, _NEW)
        folder.chmod(0o755)
        yield folder
        _flush(folder)
        # hours may have passed since the first look, as far as this module knows
        check_place(target, replaceable)
        _put_in_place(folder, target)
        _remove_leftovers(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _beside(target: Path, suffix: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=_own_prefix(target, os.getpid()), suffix=suffix, dir=target.parent))


def _prefix(target: Path) -> str:
    return f".{target.name[:_NAME_PART]}."


def _own_prefix(target: Path, pid: int) -> str:
    return f"{_prefix(target)}likeness-{pid}-"


def _flush(folder: Path) -> None:
    """Bring the files to the disk, so that a full disk shows before the rename."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _put_in_place(folder: Path, target: Path) -> None:
    """Rename the new folder to the target; what lay there goes only when that has succeeded."""
    for attempt in range(_ATTEMPTS):
        aside = _beside(target, _OLD)
        try:
            _rename_if_there(target, aside / "old")
            folder.rename(target)
        except BaseException as error:
            # an interrupt, too, may come between the two renames
            is_taken = isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if not is_taken or attempt == _ATTEMPTS - 1:
                _put_back(aside, target)
                raise
        # the new folder is in place, or that of another writer, who was faster and whose folder is now the old one
        shutil.rmtree(aside, ignore_errors=True)
        if not folder.exists():
            return


def _put_back(aside: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        _rename_if_there(aside / "old", target)
        # empty now; what could not be put back is never deleted
        aside.rmdir()


def _rename_if_there(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        source.rename(target)


def remove_leftovers(target: Path, pid: int) -> None:
    """Remove what one process, which has ended, has left beside this target.

    Where it was killed between the two renames the older folder is put back first.
    """
    with contextlib.suppress(OSError):
        target = target.resolve()
        for path in _beside_it(target, _own_prefix(target, pid)):
            if path.suffix == _OLD and not target.exists():
                _put_back(path, target)
            shutil.rmtree(path, ignore_errors=True)


def remove_stale_leftovers(folder: Path) -> None:
    """Remove from a folder what processes that were killed together with their makers have left of any target."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            # an older folder that is still in it was never replaced: it is the user's
            if _OUR_LEFTOVER.fullmatch(path.name) and not (path / "old").exists():
                _remove_stale(path)


def _remove_leftovers(target: Path) -> None:
    """Remove what processes that were killed have left beside this target."""
    with contextlib.suppress(OSError):
        for path in _beside_it(target, _prefix(target)):
            _remove_stale(path)


def _beside_it(target: Path, prefix: str) -> list[Path]:
    return [path for path in target.parent.iterdir() if path.name.startswith(prefix) and path.suffix in (_NEW, _OLD)]


def _remove_stale(path: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > STALE_S:
            shutil.rmtree(path, ignore_errors=True)


def _unwritable(target: Path, error: OSError) -> PackageError:
    reason = error.strerror or str(error)
    return PackageError(
        "target_unwritable",
        f"The avatar could not be written to {target}: {reason}.",
        "Choose a folder that you may write to and that has room.",
    )
