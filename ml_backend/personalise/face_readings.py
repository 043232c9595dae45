"""Reads the faces of one photo of a folder: all that its judgement needs, without the pixels."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch

from addon.exchange.errors import LikenessError, PhotoError
from ml_backend.avatar_writer import face_crop as square_face
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.coarse.fit_photo import FitOptions, fit_photo
from ml_backend.coarse.parameters import FitParameters
from ml_backend.head.skinning import rotation_matrices
from ml_backend.learned.encode_photo import encode_photo
from ml_backend.learned.face_crop import face_crop
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise.folder_images import FolderImage
from ml_backend.personalise.person_identity import FaceIdentity
from ml_backend.personalise.photo_judgement import (
    Fingerprint,
    JudgementLimits,
    PhotoFigures,
    Verdict,
    eye_distance_px,
    fault,
    fingerprint,
    head_turn,
    share_inside,
    sharpness,
)
from ml_backend.personalise.spread_choice import PhotoPlace
from ml_backend.photo.read_photo import read_photo
from ml_backend.tracking.face_tracker import TrackedFace
from ml_backend.tracking.landmark_topology import IBUG_68_FROM_478
from ml_backend.training.feature_networks import FeatureNetwork

LOG = logging.getLogger(__name__)
# Faces of a photo that are looked at, the largest first: who stands further back in a crowd is too small anyway.
MOST_FACES = 6
THUMBNAIL_PX = 96
# side of the crops that a recogniser gets; it does its own resizing
RECOGNITION_PX = 224
# from here on, more pixels between the eyes and more sharpness do not make a photo better
AMPLE_EYES_PX, AMPLE_SHARPNESS = 150.0, 0.55
# what a file that a decoder or a network trips over may raise; none of it may end the run
_MISHAPS = (cv2.error, ArithmeticError, ValueError, RuntimeError, MemoryError, OSError, LookupError)


@dataclass(frozen=True)
class FaceReading:
    """One face of a photo.

    Attributes:
        number: 1 = the largest of the photo; face: the tracker's, in the photo as read; start: the encoder's reading.
        identity, figures, fingerprint, place: what is known of it.
        fault: why it cannot be used, with a sentence; None where it can.
        thumbnail: (96,96,3) uint8 sRGB.
    """

    number: int
    face: TrackedFace
    start: FitParameters
    identity: FaceIdentity
    figures: PhotoFigures
    fingerprint: Fingerprint
    place: PhotoPlace
    fault: tuple[Verdict, str] | None
    thumbnail: np.ndarray


@dataclass(frozen=True)
class PhotoReading:
    """One file of a folder.

    Attributes:
        image: the file; sha256: of it, empty where it could not be read.
        size_px: (width, height) in which it was read.
        faces: the largest first, at most MOST_FACES; num_faces: how many there are.
        refusal: why it could not be read.
        thumbnail: (96,96,3) uint8, of a photo without a face; None where it could not be read.
    """

    image: FolderImage
    sha256: str = ""
    size_px: tuple[int, int] = (0, 0)
    faces: tuple[FaceReading, ...] = ()
    num_faces: int = 0
    refusal: str | None = None
    thumbnail: np.ndarray | None = None


class FaceReader:
    """Reads photos one after the other; nothing of their pixels is kept.

    Args:
        models: the open head and its encoder serve to judge, whatever head the avatar has.
        limits: from where on a photo is refused; largest_side_px: to which photos are reduced.
        recognition: TorchScript file of a face recogniser, or None.

    Raises:
        AssetMissing: a file of the product is not there.
        LikenessError: the recogniser cannot be used.
    """

    def __init__(
        self, models: LoadedModels, limits: JudgementLimits, largest_side_px: int, recognition: Path | None
    ) -> None:
        self._models, self._limits, self._side = models, limits, largest_side_px
        self._head, self._encoder = models.head(None), models.coarse_encoder
        self._tracker, self._albedo = models.tracker, models.albedo
        self._network = None if recognition is None else _tried_network(recognition)

    def read(self, image: FolderImage) -> PhotoReading:
        """Read one file, whatever it holds."""
        try:
            photo = read_photo(image.path, self._side)
            with torch.no_grad():
                found = self._tracker.find_faces(photo.pixels)
                faces = tuple(
                    self._read_face(photo.pixels, face, number)
                    for number, face in enumerate(found[:MOST_FACES], start=1)
                )
        except PhotoError as error:
            return PhotoReading(image, refusal=_sentence(error))
        except _MISHAPS as error:
            LOG.warning("%s could not be judged", image.name, exc_info=True)
            return PhotoReading(image, refusal=f"It could not be judged ({type(error).__name__}).")
        height, width = photo.pixels.shape[:2]
        thumbnail = None if faces else _small_picture(photo.pixels)
        return PhotoReading(image, photo.sha256, (width, height), faces, len(found), None, thumbnail)

    def _read_face(self, pixels: np.ndarray, face: TrackedFace, number: int) -> FaceReading:
        start = encode_photo(pixels, face, self._head, self._encoder)
        span = eye_distance_px(face.landmarks_px)
        fit = None
        if span >= self._limits.eye_distance_px:
            options = FitOptions(use_photometric=False)
            fit = fit_photo(pixels, face, self._head, self._albedo, options, start)
        pose = start.pose if fit is None else fit.pose
        yaw, pitch = head_turn((rotation_matrices(pose[:3]) @ rotation_matrices(pose[3:6])).numpy())
        error = 0.0 if fit is None else fit.landmark_error_percent
        inside = share_inside(pixels, face.landmarks_px)
        figures = PhotoFigures(sharpness(pixels, face), span, yaw, pitch, error, inside)
        mark = fingerprint(pixels, face)
        return FaceReading(
            number=number,
            face=face,
            start=start,
            identity=self._identity(pixels, face, start, fit),
            figures=figures,
            fingerprint=mark,
            place=self._place(figures, mark, start, fit),
            fault=fault(figures, self._limits),
            thumbnail=square_face(pixels, face, THUMBNAIL_PX),
        )

    def _identity(
        self, pixels: np.ndarray, face: TrackedFace, start: FitParameters, fit: CoarseFit | None
    ) -> FaceIdentity:
        feature = None
        if self._network is not None:
            crop = face_crop(face.landmarks_px).cut(pixels, RECOGNITION_PX)
            feature = self._network(torch.from_numpy(crop)[None].float() / 255).flatten().numpy()
        solved = start.shape if fit is None else fit.shape
        return FaceIdentity(solved.numpy(), start.shape.numpy(), feature)

    def _place(
        self, figures: PhotoFigures, mark: Fingerprint, start: FitParameters, fit: CoarseFit | None
    ) -> PhotoPlace:
        expression, pose = (start.expression, start.pose) if fit is None else (fit.expression, fit.pose)
        light = np.ones((9, 3), np.float32) if fit is None else fit.light.numpy()
        moves = self._expression_moves(expression, pose)
        return PhotoPlace(figures.yaw, figures.pitch, moves, light, quality(figures) * mark.share_inside)

    def _expression_moves(self, expression: torch.Tensor, pose: torch.Tensor) -> np.ndarray:
        """(68,3) metres by which an expression and the jaw move the landmarks of the mean head."""
        head = self._head
        jaw = torch.zeros_like(pose)
        jaw[6:9] = pose[6:9]
        shape = torch.zeros(1, head.num_shape)
        posed = head.vertices(shape, expression[None], jaw[None])
        return (head.landmarks_478.on(posed, head.triangles)[0].numpy() - self._resting)[IBUG_68_FROM_478]

    @cached_property
    def _resting(self) -> np.ndarray:
        """(478,3) landmarks of the mean head at rest."""
        head = self._head
        return head.landmarks_478.on(head.skinned.template[None], head.triangles)[0].numpy()


def quality(figures: PhotoFigures) -> float:
    """How good a photo of a face is, 0 to 1: large and sharp."""
    large = min(1.0, figures.eye_distance_px / AMPLE_EYES_PX)
    sharp = min(1.0, figures.sharpness / AMPLE_SHARPNESS)
    return (large * sharp) ** 0.5


def scaled_face(face: TrackedFace, factor: float) -> TrackedFace:
    """The same face in the same photo at another size."""
    return replace(face, landmarks_px=face.landmarks_px * np.float32(factor), box_px=face.box_px * np.float32(factor))


def scaled_start(start: FitParameters, factor: float, image_size_px: tuple[int, int]) -> FitParameters:
    """The same reading in the same photo at another size; of the scaled orthographic camera."""
    view = torch.cat([start.view[:1] + float(np.log(factor)), start.view[1:] * factor])
    return replace(start, view=view, image_size_px=image_size_px)


def _tried_network(path: Path) -> FeatureNetwork:
    """A recogniser that has answered once: what is wrong with it is not each photo's fault."""
    network = FeatureNetwork(path, "cpu")
    try:
        feature = network(torch.zeros(1, RECOGNITION_PX, RECOGNITION_PX, 3))
        usable = isinstance(feature, torch.Tensor) and feature.numel() > 1
    except RuntimeError as error:
        raise _unusable(path) from error
    if not usable:
        raise _unusable(path)
    return network


def _unusable(path: Path) -> LikenessError:
    return LikenessError(
        "recognition_network",
        f"The face recogniser {path.name} gives no features.",
        "It must be a TorchScript file that takes pictures (1,3,224,224), 0 to 1, and gives one vector each.",
    )


def _small_picture(pixels: np.ndarray) -> np.ndarray:
    """(96,96,3) the whole picture in a square, grey beside it."""
    height, width = pixels.shape[:2]
    factor = THUMBNAIL_PX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    result = np.full((THUMBNAIL_PX, THUMBNAIL_PX, 3), 64, np.uint8)
    top, left = (THUMBNAIL_PX - size[1]) // 2, (THUMBNAIL_PX - size[0]) // 2
    result[top : top + size[1], left : left + size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return result


def _sentence(error: LikenessError) -> str:
    return f"{error.message} {error.hint}".strip()
