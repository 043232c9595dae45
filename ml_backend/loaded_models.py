"""The models that the stages need, loaded once and kept."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_backend.head.albedo_model import AlbedoModel
    from ml_backend.head.head_model import HeadModel
    from ml_backend.learned.coarse_encoder import CoarseEncoder
    from ml_backend.learned.detail_networks import DetailStudent, UNetTeacher
    from ml_backend.tracking.face_tracker import FaceTracker

# a FLAME head takes about 30 MB; people change between two at most
HEADS_KEPT = 2
# path, size and time of a head's file; None is the open head
_HeadKey = tuple[str, int, int] | None


class LoadedModels:
    """Loads each model at its first use; use one for many photos.

    Args:
        device: torch's name of the device that the networks run on. All else runs on the processor: the fit
            is many small solves, the maps are made by numpy and OpenCV.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._heads: OrderedDict[_HeadKey, HeadModel] = OrderedDict()

    @cached_property
    def tracker(self) -> FaceTracker:
        """The face tracker.

        Raises:
            AssetMissing: its file is not there.
        """
        # here and below: torch is loaded with the first model, so that a bad photo is refused at once
        from ml_backend.tracking.face_tracker import FaceTracker

        return FaceTracker(device=self._device)

    @cached_property
    def albedo(self) -> AlbedoModel:
        """The albedo model.

        Raises:
            AssetMissing: its file is not there.
        """
        from ml_backend.head.albedo_model import load_albedo_model

        return load_albedo_model()

    @cached_property
    def coarse_encoder(self) -> CoarseEncoder:
        """The encoder that reads an open head off a photo.

        Raises:
            AssetMissing: its file is not there or damaged.
        """
        from ml_backend.learned.weights_file import read_coarse_encoder

        return read_coarse_encoder(device=self._device)

    @cached_property
    def detail_student(self) -> DetailStudent:
        """The network that reads wrinkles, and how they move, off a photo of an open head.

        Raises:
            AssetMissing: its file is not there or damaged.
        """
        from ml_backend.learned.detail_weights import read_student

        return read_student(device=self._device)

    @cached_property
    def detail_teacher(self) -> UNetTeacher:
        """The network that the detail network learns from, the shared one and each person's.

        Raises:
            AssetMissing: its file is not there or damaged.
        """
        from ml_backend.learned.detail_weights import TEACHER_FILE, read_teacher

        return read_teacher(TEACHER_FILE, device=self._device)

    def head(self, path: Path | None) -> HeadModel:
        """A head model, read again when its file has changed.

        Args:
            path: the user's file; None = the open head.

        Raises:
            HeadFileError, AssetMissing: as `load_head`.
        """
        from ml_backend.head.head_file import load_head

        key = _key(path)
        if key not in self._heads:
            self._heads[key] = load_head(path)
        self._heads.move_to_end(key)
        while len(self._heads) > HEADS_KEPT:
            self._heads.popitem(last=False)
        return self._heads[key]

    def has_head(self, path: Path | None) -> bool:
        """Whether a head, as its file is now, is loaded."""
        return _key(path) in self._heads


def _key(path: Path | None) -> _HeadKey:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        # the reader says what is wrong with it
        return (str(path), -1, -1)
    return (str(path), status.st_size, status.st_mtime_ns)
