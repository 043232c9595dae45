"""A user's own photos and videos as training samples: crops, with the tracker's landmarks in place of a truth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from addon.exchange.errors import PhotoError
from ml_backend.learned.face_crop import FaceCrop, face_crop
from ml_backend.photo.read_photo import read_photo
from ml_backend.tracking import landmark_topology as topology
from ml_backend.tracking.face_tracker import FaceTracker, TrackedFace
from ml_backend.training.sample_cache import Sample, SampleSource
from ml_backend.training.training_config import TrainingError

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
VIDEO_ENDINGS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
# Faces with fewer pixels between the box's longer sides are too unsharp to learn from.
SMALLEST_FACE_PX = 48
# of the landmark network's belief in a face
LEAST_PRESENCE = 0.6


@dataclass(frozen=True)
class PhotoFace:
    """A face found in a photo or a frame.

    Attributes:
        file: of the photo or the video; frame: of the video, 0 for a photo.
        person: number of the person; crop: on the picture.
        landmarks: (478,2) crop coordinates; eye_distance: of the outer eye corners in three dimensions, half crops.
    """

    file: Path
    frame: int
    person: int
    crop: FaceCrop
    landmarks: np.ndarray
    eye_distance: float


def photo_faces(folder: Path, tracker: FaceTracker) -> list[PhotoFace]:
    """The largest face of each photo of a folder and its subfolders; those of one subfolder are one person's.

    Raises:
        TrainingError: the folder is not there.
    """
    people: dict[Path, int] = {}
    faces = []
    for path in _files(folder, PHOTO_ENDINGS):
        # photos beside the subfolders are of people of their own
        key = path.parent if path.parent != folder else path
        with contextlib.suppress(PhotoError):
            found = tracker.find_faces(read_photo(path).pixels, max_faces=1)
            faces += [_photo_face(path, 0, people.setdefault(key, len(people)), face) for face in found if _good(face)]
    return faces


def video_faces(folder: Path, tracker: FaceTracker, frame_distance: int) -> list[PhotoFace]:
    """The largest face of every `frame_distance`-th frame of a folder's videos; one file is one person.

    Raises:
        TrainingError: the folder is not there.
    """
    faces = []
    for person, path in enumerate(_files(folder, VIDEO_ENDINGS)):
        for number, pixels in _frames(path, frame_distance):
            found = tracker.find_faces(pixels, max_faces=1)
            faces += [_photo_face(path, number, person, face) for face in found if _good(face)]
    return faces


def photo_source(faces: list[PhotoFace], image_px: int) -> SampleSource:
    """Samples of faces in photos and videos: image, person, landmarks and skin, without a truth.

    Args:
        image_px: side of the crops.
    """
    reader = _PictureReader()

    def make(number: int) -> Sample:
        face = faces[number]
        return {
            "image": face.crop.cut(reader.read(face.file, face.frame), image_px),
            "person": np.array(face.person),
            "landmarks_68": face.landmarks[topology.IBUG_68_FROM_478],
            "landmarks_478": face.landmarks,
            "skin_mask": skin_of_landmarks(face.landmarks, image_px),
            "eye_distance": np.array(face.eye_distance, np.float32),
        }

    names = [f"{face.file.name}#{face.frame}" for face in faces]
    return SampleSource(make, len(faces), {"kind": "photos", "image_px": image_px, "faces": names})


def skin_of_landmarks(landmarks: np.ndarray, size_px: int) -> np.ndarray:
    """Where a face shows skin: its oval without eyes, brows and mouth.

    Args:
        landmarks: (478,2) crop coordinates.

    Returns:
        (size_px,size_px) uint8, 0 or 255.
    """
    pixels = ((landmarks + 1) * size_px / 2 - 0.5).round().astype(np.int32)
    mask = np.zeros((size_px, size_px), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(pixels[list(topology.FACE_OVAL)]), 255)
    for hole in (topology.RIGHT_EYE, topology.LEFT_EYE, topology.RIGHT_BROW, topology.LEFT_BROW, topology.LIPS_INNER):
        cv2.fillPoly(mask, [pixels[list(hole)]], 0)
    return mask


class _PictureReader:
    """Reads photos, and frames of videos, the latest video kept open."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._frames: Iterator[tuple[int, np.ndarray]] = iter(())
        self._last = -1

    def read(self, path: Path, frame: int) -> np.ndarray:
        """(H,W,3) uint8 sRGB."""
        if path.suffix.lower() in PHOTO_ENDINGS:
            return read_photo(path).pixels
        if path != self._path or frame <= self._last:
            self._path, self._frames = path, _frames(path, 1)
        for number, pixels in self._frames:
            if number == frame:
                self._last = frame
                return pixels
        raise TrainingError("video_short", f"{path} has no frame {frame} any more.", "Leave the videos as they are.")


def _photo_face(path: Path, frame: int, person: int, face: TrackedFace) -> PhotoFace:
    points = face.landmarks_px
    crop = face_crop(points)
    corners = points[[topology.RIGHT_EYE_OUTER, topology.LEFT_EYE_OUTER]]
    distance = float(np.linalg.norm(corners[0] - corners[1])) / (crop.side_px / 2)
    return PhotoFace(path, frame, person, crop, crop.to_crop(points[:, :2]), distance)


def _good(face: TrackedFace) -> bool:
    size = np.ptp(face.landmarks_px[:, :2], axis=0).max()
    return bool(size >= SMALLEST_FACE_PX and face.presence >= LEAST_PRESENCE)


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        raise TrainingError("data_missing", f"The folder {folder} is not there.", "Check data.folder in the config.")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)


def _frames(path: Path, distance: int) -> Iterator[tuple[int, np.ndarray]]:
    """Number and pixels (H,W,3) sRGB of every `distance`-th frame; none where the file is no video."""
    video = cv2.VideoCapture(str(path))
    try:
        number = 0
        while video.grab():
            if number % distance == 0:
                found, pixels = video.retrieve()
                if found:
                    yield number, np.ascontiguousarray(pixels[..., ::-1])
            number += 1
    finally:
        video.release()
