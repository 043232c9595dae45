"""What was read of a photo as arrays and JSON values, to be kept on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from addon.exchange.typed_json import JsonMismatch, decode, encode
from ml_backend.coarse.parameters import FitParameters
from ml_backend.personalise.face_readings import FaceReading, PhotoReading
from ml_backend.personalise.folder_images import FolderImage
from ml_backend.personalise.kept_files import KeptContent
from ml_backend.personalise.person_identity import FaceIdentity
from ml_backend.personalise.photo_judgement import Fingerprint, PhotoFigures, Verdict
from ml_backend.personalise.spread_choice import PhotoPlace
from ml_backend.tracking.face_tracker import TrackedFace

_THUMBNAIL = "thumbnail"
# records of a face that are arrays and numbers alone, by their field's name
_RECORDS = {
    "face": TrackedFace, "start": FitParameters, "identity": FaceIdentity, "fingerprint": Fingerprint,
    "place": PhotoPlace,
}  # fmt: skip
# what a record may be without
_OPTIONAL = ("identity.feature", "start.focal_px")


@dataclass(frozen=True)
class _FaceDocument:
    """What is no array of a face; `numbers` of its records, named record.field."""

    number: int
    figures: PhotoFigures
    numbers: dict[str, float]
    image_size_px: tuple[int, int]
    fault: tuple[str, str] | None


@dataclass(frozen=True)
class _PhotoDocument:
    """What is no array of a photo."""

    sha256: str
    size_px: tuple[int, int]
    num_faces: int
    refusal: str | None
    faces: tuple[_FaceDocument, ...]


def reading_content(reading: PhotoReading) -> KeptContent:
    """A reading without the name of its file."""
    arrays = {} if reading.thumbnail is None else {_THUMBNAIL: reading.thumbnail}
    documents = []
    for face in reading.faces:
        own, document = _face_content(face)
        arrays |= {f"{face.number}.{name}": value for name, value in own.items()}
        documents.append(document)
    document = _PhotoDocument(
        reading.sha256, reading.size_px, reading.num_faces, reading.refusal, tuple(documents)
    )  # fmt: skip
    return KeptContent(arrays, encode(document))


def reading_of(content: KeptContent, image: FolderImage) -> PhotoReading | None:
    """The reading of a file from what was kept; None where that is something else."""
    try:
        document = decode(_PhotoDocument, content.document)
        faces = tuple(_face_of(content.arrays, face) for face in document.faces)
    except (JsonMismatch, KeyError, TypeError, ValueError):
        return None
    thumbnail = content.arrays.get(_THUMBNAIL)
    return PhotoReading(
        image, document.sha256, document.size_px, faces, document.num_faces, document.refusal, thumbnail
    )  # fmt: skip


def _face_content(face: FaceReading) -> tuple[dict[str, np.ndarray], _FaceDocument]:
    arrays, numbers = {_THUMBNAIL: face.thumbnail}, {}
    for record in _RECORDS:
        part = getattr(face, record)
        for field in fields(part):
            value, name = getattr(part, field.name), f"{record}.{field.name}"
            if isinstance(value, torch.Tensor):
                arrays[name] = value.numpy()
            elif isinstance(value, np.ndarray):
                arrays[name] = value
            elif isinstance(value, float | int | np.number):
                numbers[name] = float(value)
    figures = PhotoFigures(**{field.name: float(getattr(face.figures, field.name)) for field in fields(PhotoFigures)})
    fault = None if face.fault is None else (face.fault[0].name, face.fault[1])
    return arrays, _FaceDocument(face.number, figures, numbers, face.start.image_size_px, fault)


def _face_of(arrays: Mapping[str, np.ndarray], document: _FaceDocument) -> FaceReading:
    prefix = f"{document.number}."
    values: dict[str, Any] = {**dict.fromkeys(_OPTIONAL), "start.image_size_px": document.image_size_px}
    values |= {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    values |= document.numbers
    parts = {}
    for record, kind in _RECORDS.items():
        named = {field.name: values[f"{record}.{field.name}"] for field in fields(kind)}
        if kind is FitParameters:
            named = {
                name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
                for name, value in named.items()
            }
        parts[record] = kind(**named)
    fault = None if document.fault is None else (Verdict[document.fault[0]], document.fault[1])
    return FaceReading(
        number=document.number, **parts, figures=document.figures, fault=fault, thumbnail=values[_THUMBNAIL]
    )
