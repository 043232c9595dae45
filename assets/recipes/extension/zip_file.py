"""Zips whose bytes depend on their content only."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

# the oldest time that a zip can hold
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
# read and write for the owner, read for others
FILE_MODE = 0o100644
UNIX = 3
COPY_BYTES = 2**20


def write_zip(path: Path, content: dict[str, bytes | Path]) -> None:
    """Write files, sorted by name, with one time and one mode for all; an older zip stays until the new one is whole.

    Args:
        content: name in the zip, with forward slashes → bytes, or the file to copy. Wheels, compressed already, are
            stored.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", allowZip64=True) as archive:
            for name in sorted(content):
                _add(archive, name, content[name])
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, source: bytes | Path) -> None:
    entry = zipfile.ZipInfo(name, FIXED_TIME)
    entry.create_system = UNIX
    entry.external_attr = FILE_MODE << 16
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
    if isinstance(source, bytes):
        archive.writestr(entry, source)
        return
    # the size decides beforehand whether the entry needs the fields for large files
    entry.file_size = source.stat().st_size
    with source.open("rb") as read, archive.open(entry, "w") as write:
        shutil.copyfileobj(read, write, COPY_BYTES)
