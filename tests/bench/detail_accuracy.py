"""The learned detail: how near it comes to the truth on held-out faces, and how long an image takes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ml_backend.coarse.fit_photo import fit_photo
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.detail_networks import DetailStudent
from ml_backend.learned.encode_photo import encode_photo
from ml_backend.learned.person_detail import read_person
from ml_backend.photo.read_photo import read_photo
from ml_backend.texture.photo_projection import pose_head
from ml_backend.tracking.face_tracker import FaceTracker
from ml_backend.training.detail_stream import DetailStream
from ml_backend.training.detail_task import DetailTraining, held_out_figures
from ml_backend.training.training_config import read_config

CONFIG = Path(__file__).resolve().parents[2] / "ml_backend" / "training" / "configs" / "detail_tiny.toml"
REPEATS = 20


@torch.no_grad()
def student_figures(head: HeadModel, albedo: AlbedoModel, student: DetailStudent, people: int) -> dict[str, float]:
    """The figures of `detail_task.figures` on rendered people that no training has seen, two images of each.

    Args:
        head: the student's; albedo: on its layout; people: how many.
    """
    config = read_config(CONFIG, DetailTraining)
    evaluation = replace(config.evaluation, people=people, window_px=student.config.window_px)
    run = config.run
    with tempfile.TemporaryDirectory() as folder:
        data = replace(config.data, cache=folder)
        stream = DetailStream(data, evaluation, Path(folder), head, albedo, run.seed, run.batch_size)
        skin = torch.from_numpy(stream.window.skin)[None, None]
        return held_out_figures(student, stream, skin)


@dataclass(frozen=True)
class ImageTimes:
    """Milliseconds of one image, the median of many: the coarse head, the detail's encoder, one displacement."""

    coarse_ms: float
    read_ms: float
    displacement_ms: float


@torch.no_grad()
def image_times(
    photo: Path, head: HeadModel, albedo: AlbedoModel, encoder: CoarseEncoder, student: DetailStudent
) -> ImageTimes:
    """How long one image takes, the tracker not counted.

    Args:
        photo: shows a face; head, albedo: the open head's; encoder, student: of the same device.
    """
    pixels = read_photo(photo).pixels
    face = FaceTracker().find_faces(pixels)[0]
    fit = fit_photo(pixels, face, head, albedo)
    posed = pose_head(head, fit, np.asarray(face.landmarks_px, np.float32)[:, :2])
    tension = torch.zeros(1, head.num_vertices)
    person = read_person(student, pixels, posed, head, tension[0])
    return ImageTimes(
        _median_ms(lambda: encode_photo(pixels, face, head, encoder)),
        _median_ms(lambda: read_person(student, pixels, posed, head, tension[0])),
        _median_ms(lambda: person.displacement(tension)),
    )


def _median_ms(work) -> float:
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))
