"""Keeps what was read of the photos of the last folder, so that new ticks do not read them all again.

In memory, and on the disk as well where there is a place for it: what an interrupted run has read stays there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from addon.exchange.avatar_package import file_sha256
from ml_backend.head.albedo_model import ALBEDO_FILE
from ml_backend.head.head_file import OPEN_HEAD_FILE
from ml_backend.learned.weights_file import COARSE_FILE
from ml_backend.personalise.face_readings import FaceReader, PhotoReading
from ml_backend.personalise.folder_images import FolderImage
from ml_backend.personalise.kept_files import KeptFiles, digest
from ml_backend.personalise.kept_reading_file import reading_content, reading_of
from ml_backend.personalise.photo_judgement import JudgementLimits
from ml_backend.personalise.view import VIEW_SIDE_PX
from ml_backend.tracking.tracker_file import TRACKER_FILE

READING = "reading"
# what photos are read with
_READ_WITH = (TRACKER_FILE, COARSE_FILE, OPEN_HEAD_FILE, ALBEDO_FILE)
# path, bytes and time of change of a file
_FileKey = tuple[Path, int, int]


@dataclass(frozen=True)
class ReadingSettings:
    """Whatever a reading depends on besides the photo.

    Attributes:
        limits: from where on a photo is refused; recognition: file of a face recogniser, or None.
    """

    limits: JudgementLimits
    recognition: Path | None

    def digest(self) -> str:
        """Of these settings and of the files that photos are read with."""
        recognition = () if self.recognition is None or not self.recognition.is_file() else (self.recognition,)
        hashes = [file_sha256(path) for path in (*_READ_WITH, *recognition)]
        return digest(repr(self.limits), VIEW_SIDE_PX, hashes)


class KeptReadings:
    """Readings of one folder's photos; about 0.1 MB each. A file that has changed is read again."""

    def __init__(self) -> None:
        self._readings: dict[_FileKey, PhotoReading] = {}
        self._settings: ReadingSettings | None = None
        self._files: KeptFiles | None = None
        self._digest = ""

    def begin(self, images: Sequence[FolderImage], settings: ReadingSettings, files: KeptFiles | None = None) -> None:
        """Forget what does not belong to these photos, or was read with other settings.

        Args:
            images: of the folder; files: where readings are kept on the disk as well.
        """
        if settings != self._settings:
            self._readings, self._settings, self._digest = {}, settings, ""
        self._files = files
        # all weights are hashed, and a run begins twice: for its first word, and to judge the photos
        if files is not None and not self._digest:
            self._digest = settings.digest()
        paths = {image.path for image in images}
        self._readings = {key: reading for key, reading in self._readings.items() if key[0] in paths}

    def read(self, image: FolderImage, reader: FaceReader) -> PhotoReading:
        """What a photo holds: as it was read before, or read now."""
        key = _key(image.path)
        if key is None:
            # gone since the folder was listed: the reader says so
            return reader.read(image)
        if key not in self._readings:
            self._readings[key] = self._from_disk(image, key) or self._read_now(image, key, reader)
        # the name depends on the folder from which the photo was found
        return replace(self._readings[key], image=image)

    def count(self, images: Sequence[FolderImage]) -> int:
        """How many of the photos need not be read again, as far as file names tell."""
        keys = [_key(image.path) for image in images]
        return sum(key is not None and (key in self._readings or self._has_file(key)) for key in keys)

    def _has_file(self, key: _FileKey) -> bool:
        return self._files is not None and self._files.has(READING, self._on_disk(key))

    def _on_disk(self, key: _FileKey) -> str:
        return digest(self._digest, str(key[0].resolve()), *key[1:])

    def _from_disk(self, image: FolderImage, key: _FileKey) -> PhotoReading | None:
        content = None if self._files is None else self._files.read(READING, self._on_disk(key))
        return None if content is None else reading_of(content, image)

    def _read_now(self, image: FolderImage, key: _FileKey, reader: FaceReader) -> PhotoReading:
        reading = reader.read(image)
        # what could not be read may have failed by chance, and costs little
        if self._files is not None and reading.refusal is None:
            content = reading_content(reading)
            self._files.write(READING, self._on_disk(key), content.arrays, content.document)
        return reading


def files_digest(images: Sequence[FolderImage]) -> str:
    """Of which files there are in a folder, and of their sizes and times of change."""
    return digest([[image.name, *(_key(image.path) or ("",))[1:]] for image in images])


def _key(path: Path) -> _FileKey | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return path, status.st_size, status.st_mtime_ns
