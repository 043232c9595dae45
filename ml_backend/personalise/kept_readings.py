"""Keeps what was read of the photos of the last folder, so that new ticks do not read them all again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ml_backend.personalise.face_readings import FaceReader, PhotoReading
from ml_backend.personalise.folder_images import FolderImage

# path, bytes and time of change of a file
_FileKey = tuple[Path, int, int]


class KeptReadings:
    """Readings of one folder's photos; about 0.1 MB each. A file that has changed is read again."""

    def __init__(self) -> None:
        self._readings: dict[_FileKey, PhotoReading] = {}
        self._settings: object = None

    def begin(self, images: Sequence[FolderImage], settings: object) -> None:
        """Forget what does not belong to these photos, or was read with other settings.

        Args:
            images: of the folder; settings: whatever a reading depends on besides the file.
        """
        if settings != self._settings:
            self._readings, self._settings = {}, settings
        paths = {image.path for image in images}
        self._readings = {key: reading for key, reading in self._readings.items() if key[0] in paths}

    def read(self, image: FolderImage, reader: FaceReader) -> PhotoReading:
        """What a photo holds: as it was read before, or read now."""
        key = _key(image.path)
        if key is None:
            # gone since the folder was listed: the reader says so
            return reader.read(image)
        if key not in self._readings:
            self._readings[key] = reader.read(image)
        # the name depends on the folder from which the photo was found
        return replace(self._readings[key], image=image)


def _key(path: Path) -> _FileKey | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return path, status.st_size, status.st_mtime_ns
