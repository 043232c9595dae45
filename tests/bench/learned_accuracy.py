"""Accuracy of the learned coarse head: the encoder alone, the encoder with the solver, and the solver alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from addon.exchange.errors import LikenessError
from ml_backend.coarse.fit_photo import fit_photo, landmark_error_percent
from ml_backend.coarse.parameters import FitParameters
from ml_backend.coarse.surface_error import neutral_vertices, surface_distances
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.encode_photo import encode_photo
from ml_backend.learned.head_code import HeadCode
from ml_backend.photo.read_photo import read_photo
from ml_backend.rendering.camera import Camera
from ml_backend.synthetic.sample import SyntheticFaces, SyntheticSample
from ml_backend.synthetic.settings import SyntheticSettings
from ml_backend.tracking.face_tracker import FaceTracker, TrackedFace
from ml_backend.training.coarse_evaluation import landmark_errors
from ml_backend.training.coarse_surface import CoarseSurface, coarse_surface

WAYS = ("encoder alone", "encoder and solver", "solver alone")
MEAN_HEAD = "mean head"
# no training uses this seed
HELD_OUT = SyntheticSettings(image_px=448, seed=990_001, images_per_person=1)
MM_PER_M = 1000.0


@dataclass(frozen=True)
class WayErrors:
    """One way over all held-out faces.

    Attributes:
        median_mm, mean_mm, max_mm: surface of the neutral face after rigid alignment: the median over faces of their
            median distance, the means over faces of their mean and of their largest one.
        boundary, inner, overall: landmarks, percent of the outer eye corners' distance.
        faces: how many the tracker found.
    """

    median_mm: float
    mean_mm: float
    max_mm: float
    boundary: float
    inner: float
    overall: float
    faces: int


def synthetic_errors(
    head: HeadModel, albedo: AlbedoModel, tracker: FaceTracker, encoder: CoarseEncoder, count: int
) -> dict[str, WayErrors]:
    """Measure the three ways on held-out synthetic faces, and the mean head beside them."""
    surface = coarse_surface(head)
    found: dict[str, list[np.ndarray]] = {way: [] for way in (*WAYS, MEAN_HEAD)}
    for sample, face in _tracked(head, albedo, tracker, count):
        for way, parameters in _readings(sample.image, face, head, albedo, encoder).items():
            code = _in_crop(parameters, sample)
            found[way].append(_errors(head, surface, parameters.shape, code, sample))
        # of the mean head only the surface counts: it has no view of its own
        found[MEAN_HEAD].append(_errors(head, surface, torch.zeros(head.num_shape), code, sample))
    return {way: _summary(np.stack(rows)) for way, rows in found.items()}


def photo_errors(
    folder: Path, head: HeadModel, albedo: AlbedoModel, tracker: FaceTracker, encoder: CoarseEncoder
) -> dict[str, dict[str, float]]:
    """Landmark error in percent of every photo that can be read, by its name and by way."""
    results = {}
    for path in sorted(folder.iterdir()):
        try:
            pixels = read_photo(path).pixels
        except LikenessError:
            continue
        faces = tracker.find_faces(pixels)
        if faces:
            landmarks = torch.from_numpy(np.ascontiguousarray(faces[0].landmarks_px, np.float32))
            readings = _readings(pixels, faces[0], head, albedo, encoder)
            results[path.name] = {way: landmark_error_percent(head, read, landmarks) for way, read in readings.items()}
    return results


def _tracked(
    head: HeadModel, albedo: AlbedoModel, tracker: FaceTracker, count: int
) -> Iterator[tuple[SyntheticSample, TrackedFace]]:
    """The held-out samples on which the tracker finds the face."""
    stream = SyntheticFaces(head, albedo, HELD_OUT)
    for index in range(count):
        sample = stream.sample(index)
        faces = tracker.find_faces(sample.image, max_faces=1)
        if faces:
            yield sample, faces[0]


def _readings(
    pixels: np.ndarray, face: TrackedFace, head: HeadModel, albedo: AlbedoModel, encoder: CoarseEncoder
) -> dict[str, FitParameters]:
    """The head of a photo, three ways."""
    start = encode_photo(pixels, face, head, encoder)
    size = (pixels.shape[1], pixels.shape[0])

    def fitted(begin: FitParameters | None) -> FitParameters:
        fit = fit_photo(pixels, face, head, albedo, start=begin)
        return FitParameters(fit.shape, fit.expression, fit.pose, _view(fit.camera), None, size)

    return dict(zip(WAYS, (start, fitted(start), fitted(None)), strict=True))


def _view(camera: Camera) -> torch.Tensor:
    """(3,) the unknowns of a scaled orthographic camera."""
    return torch.tensor([np.log(camera.scale_px_per_m), *camera.centre_px], dtype=torch.float32)


def _in_crop(parameters: FitParameters, sample: SyntheticSample) -> HeadCode:
    """The head in the coordinates of the sample's image, -1 to 1."""
    half = sample.image.shape[0] / 2
    scale = parameters.view[:1].exp() / half
    camera = torch.cat([scale, parameters.view[1:] / half - 1])
    light = torch.from_numpy(sample.light)
    albedo = torch.from_numpy(sample.albedo)
    blocks = (parameters.shape, parameters.expression, parameters.pose, albedo, camera, light)
    return HeadCode(*(block[None] for block in blocks))


def _errors(
    head: HeadModel, surface: CoarseSurface, shape: torch.Tensor, code: HeadCode, sample: SyntheticSample
) -> np.ndarray:
    """(6,) median, mean and largest surface error in mm; boundary, inner and overall landmark error in percent."""
    truth = neutral_vertices(head, torch.from_numpy(sample.shape)).numpy()
    distance = MM_PER_M * surface_distances(head, truth, neutral_vertices(head, shape).numpy())
    true_landmarks = torch.from_numpy(sample.landmarks_68)[None]
    missed = landmark_errors(surface, code, true_landmarks, _true_eye_distance(surface, sample))
    landmarks = [float(part) for part in (missed.boundary, missed.inner, missed.overall)]
    return np.array([np.median(distance), distance.mean(), distance.max(), *landmarks])


def _true_eye_distance(surface: CoarseSurface, sample: SyntheticSample) -> torch.Tensor:
    """(1,) half crops, in three dimensions: a turned head is not judged more harshly."""
    true = HeadCode(*(torch.from_numpy(np.asarray(value))[None] for value in (
        sample.shape, sample.expression, sample.pose, sample.albedo, sample.camera, sample.light)))  # fmt: skip
    return surface.eye_distance(true)


def _summary(rows: np.ndarray) -> WayErrors:
    """Summary of (N,6) errors of faces: the median over faces of the first column, the mean of the others."""
    return WayErrors(float(np.median(rows[:, 0])), *(float(value) for value in rows[:, 1:].mean(0)), len(rows))
