"""Personalisation: how well a person's further images are read by the shared model, the joint fit and the adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ml_backend.coarse.fit_photo import fit_photo, landmark_error_percent
from ml_backend.coarse.surface_error import neutral_vertices, surface_distances
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.detail_input import face_window
from ml_backend.learned.encode_photo import encode_photo
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise.joint_fit import JointFit, JointFitOptions, fit_jointly, fit_view
from ml_backend.personalise.train_adapters import AdapterTraining, train_encoder, train_student
from ml_backend.personalise.vertex_offsets import personal_head
from ml_backend.personalise.view import View
from ml_backend.synthetic.sample import SyntheticFaces, SyntheticSample
from ml_backend.synthetic.settings import SyntheticSettings
from ml_backend.training.detail_evaluation import correlation, rms_mm
from ml_backend.training.detail_samples import detail_batch, unwrapped_sample

IMAGES, HELD_OUT = 12, 4
# no training uses this seed
PEOPLE = SyntheticSettings(
    image_px=448, seed=993_001, images_per_person=IMAGES, max_yaw=0.7, max_pitch=0.35, detail=True, displacement_px=512
)
MM_PER_M = 1000.0
BASE, JOINT, OFFSETS, ADAPTED = "shared encoder", "joint fit", "joint fit and offsets", "adapted encoder"


@dataclass(frozen=True)
class PersonErrors:
    """One person.

    Attributes:
        surface_mm: mean distance of the neutral face after rigid alignment, by way.
        landmark_percent: of held-out images, by way.
        detail: correlation with the true displacement and its error in mm at unseen expressions: shared and adapted.
    """

    surface_mm: dict[str, float]
    landmark_percent: dict[str, float]
    detail: dict[str, tuple[float, float]]


def person_errors(person: int, faces: SyntheticFaces, models: LoadedModels) -> PersonErrors | None:
    """Measure one rendered person; None where the tracker finds fewer than two of the images to learn from."""
    samples = [faces.sample(person * IMAGES + number) for number in range(IMAGES)]
    views = [_view(sample, models) for sample in samples]
    train = [view for view in views[:-HELD_OUT] if view is not None]
    held = [view for view in views[-HELD_OUT:] if view is not None]
    if len(train) < 2 or not held:
        return None
    head, albedo = models.head(None), models.albedo
    joint = fit_jointly(train, head, albedo, JointFitOptions(use_offsets=False))
    moved = fit_jointly(train, head, albedo)
    encoder = train_encoder(models.coarse_encoder, train, joint, head, albedo)
    alone = [fit_photo(view.pixels, view.face, head, albedo, start=view.start).shape for view in train]
    return PersonErrors(
        _surfaces(head, samples[0], {
            "one photo": alone, JOINT: [joint.shape], OFFSETS: [(moved.shape, moved.offsets_m)],
        }),
        {
            BASE: _encoder_error(models.coarse_encoder, head, held),
            JOINT: _joint_error(joint, head, held, models),
            OFFSETS: _joint_error(moved, personal_head(head, moved.offsets_m), held, models),
            ADAPTED: _encoder_error(encoder, head, held),
        },
        _detail(samples, train, joint, models),
    )  # fmt: skip


def _view(sample: SyntheticSample, models: LoadedModels) -> View | None:
    found = models.tracker.find_faces(sample.image, max_faces=1)
    if not found:
        return None
    start = encode_photo(sample.image, found[0], models.head(None), models.coarse_encoder)
    return View("", sample.image, found[0], start)


def _encoder_error(encoder: CoarseEncoder, head: HeadModel, views: Sequence[View]) -> float:
    errors = []
    for view in views:
        read = encode_photo(view.pixels, view.face, head, encoder)
        errors.append(landmark_error_percent(head, read, _landmarks(view)))
    return float(np.mean(errors))


def _joint_error(joint: JointFit, head: HeadModel, views: Sequence[View], models: LoadedModels) -> float:
    fits = [fit_view(view, head, joint.shape, joint.albedo, models.albedo) for view in views]
    return float(np.mean([fit.landmark_error_percent for fit in fits]))


def _landmarks(view: View) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(view.face.landmarks_px, np.float32))


def _surfaces(head: HeadModel, sample: SyntheticSample, ways: dict[str, list]) -> dict[str, float]:
    truth = neutral_vertices(head, torch.from_numpy(sample.shape)).numpy()
    found = {}
    for way, people in ways.items():
        distances = []
        for person in people:
            shape, offsets = person if isinstance(person, tuple) else (person, 0.0)
            neutral = (neutral_vertices(head, shape) + offsets).numpy()
            distances.append(MM_PER_M * surface_distances(head, truth, neutral).mean())
        found[way] = float(np.mean(distances))
    return found


def _detail(
    samples: Sequence[SyntheticSample], train: Sequence[View], joint: JointFit, models: LoadedModels
) -> dict[str, tuple[float, float]]:
    """D of the first image at the expressions of the held-out ones, against the truth."""
    head, student = models.head(None), models.detail_student
    window = face_window(head, student.config.window_px)
    adapted = train_student(student, models.detail_teacher, train, joint, head, models.albedo, AdapterTraining())
    batch = detail_batch(
        [unwrapped_sample(sample, head, window) for sample in (samples[0], *samples[-HELD_OUT:])], window
    )
    skin = torch.from_numpy(window.skin)[None, None].expand(HELD_OUT, -1, -1, -1)
    found = {}
    with torch.no_grad():
        for way, network in (("shared", student), ("adapted", adapted)):
            face = network.encode(batch.texture[:1], batch.tension[:1]).repeat(HELD_OUT)
            said, truth = network.decode(face, batch.tension[1:]), batch.truth[1:]
            found[way] = correlation(said, truth, skin), rms_mm(said - truth, skin)
    return found
