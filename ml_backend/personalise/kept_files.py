"""Keeps on the disk what a run on a folder of photos has finished, so that an interrupted run can go on from there.

Each thing is one safetensors file with numbers and a JSON document, written whole or not at all. Its name holds a key:
the digest of all that it was made from. A file of another key, or one that is damaged, is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from addon.exchange.conventions import VERSION
from addon.exchange.errors import PackageError
from addon.exchange.safetensors_file import read_safetensors, write_safetensors
from addon.exchange.user_cache import default_cache_folder
from addon.exchange.whole_folder import STALE_S

LOG = logging.getLogger(__name__)
# in the user's cache folder
RUNS_FOLDER = "folder_runs"
# raise it when the same photos and options would give something else, or when a file's content is another
KEPT_FORMAT = "likeness-kept-1"
# Who has not gone on with a run after so long will not. The size is that of ten runs of 500 photos.
OLDEST_S, MOST_BYTES = 14 * 86400.0, 512 * 2**20
# hexadecimal digits of a digest in a file's name: no two keys of one folder will share them
_NAME_DIGITS = 32
_SUFFIX, _PARTIAL = ".safetensors", ".partial"


@dataclass(frozen=True)
class KeptContent:
    """What a file holds: arrays by name, and a JSON document."""

    arrays: dict[str, np.ndarray]
    document: dict[str, Any]


class KeptFiles:
    """What the runs on one folder of photos have finished.

    Args:
        folder: its own; need not exist yet.

    A disk that is full or cannot be written costs nothing but the chance to go on: the run itself does without.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, name: str, key: str) -> bool:
        """Whether there is a file of this name and key; it may be damaged."""
        return self._path(name, key).is_file()

    def read(self, name: str, key: str) -> KeptContent | None:
        """What was kept under a name with a key; None where there is none that is whole."""
        path = self._path(name, key)
        if not path.is_file():
            return None
        try:
            arrays, metadata = read_safetensors(path)
            document = metadata["document"]
            if metadata["key"] != key or metadata["content"] != _content_digest(arrays, document):
                raise ValueError("its content is not what was written")
            return KeptContent(arrays, json.loads(document))
        except (PackageError, ValueError, KeyError) as error:
            LOG.warning("%s is damaged (%s); it is made again.", path, error)
            return None

    def write(self, name: str, key: str, arrays: Mapping[str, np.ndarray], document: Mapping[str, Any]) -> None:
        """Keep something under a name with a key."""
        arrays, text = dict(arrays), json.dumps(document)
        metadata = {"document": text, "key": key, "content": _content_digest(arrays, text)}
        try:
            # others have no business with people's faces
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_safetensors(self._path(name, key), arrays, metadata)
        except OSError as error:
            LOG.warning("%s cannot be kept (%s); an interrupted run would make it again.", name, error)

    def remove(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str, key: str) -> Path:
        return self.folder / f"{name}_{key[:_NAME_DIGITS]}{_SUFFIX}"


def kept_files(photos: Path, cache_folder: Path | None = None) -> KeptFiles:
    """Where what is finished of a folder of photos is kept; what is too old or too much there is removed.

    Args:
        photos: the folder; cache_folder: where things are kept that can be made again, by default the user's.
    """
    runs = (default_cache_folder() if cache_folder is None else cache_folder) / RUNS_FOLDER
    own = runs / digest(str(photos.resolve()))[:_NAME_DIGITS]
    with contextlib.suppress(OSError):
        _remove_old(runs, own)
    return KeptFiles(own)


def digest(*parts: Any) -> str:
    """SHA-256 of JSON values, of this program's version and of this file's format, in hexadecimal digits."""
    text = json.dumps([KEPT_FORMAT, VERSION, *parts], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of an array with its type and shape, in hexadecimal digits."""
    whole = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _content_digest(arrays: Mapping[str, np.ndarray], document: str) -> str:
    whole = hashlib.sha256(document.encode())
    for name in sorted(arrays):
        whole.update(f"{name}:{array_digest(np.asarray(arrays[name]))}".encode())
    return whole.hexdigest()


def _remove_old(runs: Path, own: Path) -> None:
    """Remove runs that nobody went on with, the oldest first until the rest is small enough; never the own one."""
    now, total = time.time(), 0
    # the latest change first
    for folder, changed, size in sorted(map(_age_and_size, runs.iterdir()), key=lambda row: -row[1]):
        total += size
        if folder == own:
            _remove_partial(own, now)
        elif now - changed > OLDEST_S or total > MOST_BYTES:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_partial(folder: Path, now: float) -> None:
    """Remove what writers that were killed have left."""
    for path in folder.iterdir():
        if path.suffix == _PARTIAL and now - path.stat().st_mtime > STALE_S:
            path.unlink(missing_ok=True)


def _age_and_size(folder: Path) -> tuple[Path, float, int]:
    """A run's folder, when it last changed (seconds of the clock), and its bytes."""
    statuses = [path.stat() for path in folder.iterdir()] if folder.is_dir() else []
    changed = max([folder.stat().st_mtime, *(status.st_mtime for status in statuses)])
    return folder, changed, sum(status.st_size for status in statuses)
