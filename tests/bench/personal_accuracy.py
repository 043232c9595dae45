"""Personalisation: how well a person's further images are read by the shared model, the joint fit and the adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.coarse.fit_photo import (
    RIGID_ITERATIONS,
    evidence_terms,
    fit_photo,
    landmark_error_percent,
    rigid_only,
)
from ml_backend.coarse.gauss_newton import minimise
from ml_backend.coarse.parameters import FitParameters
from ml_backend.coarse.surface_error import neutral_vertices, surface_distances
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.detail_input import face_window
from ml_backend.learned.encode_photo import encode_crop, encode_photo
from ml_backend.learned.face_crop import face_crop
from ml_backend.learned.head_code import HeadCode
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise.curation import curate, load_view
from ml_backend.personalise.joint_fit import JointFit, JointFitOptions, fit_jointly, fit_view
from ml_backend.personalise.train_adapters import AdapterTraining, crop_code, train_encoder, train_student
from ml_backend.personalise.view import View
from ml_backend.synthetic.sample import SyntheticFaces, SyntheticSample
from ml_backend.synthetic.settings import SyntheticSettings
from ml_backend.training.coarse_losses import photometric_loss
from ml_backend.training.detail_evaluation import correlation, rms_mm
from ml_backend.training.detail_samples import detail_batch, unwrapped_sample
from ml_backend.training.photo_samples import skin_of_landmarks
from ml_backend.training.photometric_render import PhotometricRender

IMAGES, HELD_OUT = 12, 4
# no training uses this seed
PEOPLE = SyntheticSettings(
    image_px=448, seed=993_001, images_per_person=IMAGES, max_yaw=0.7, max_pitch=0.35, detail=True, displacement_px=512
)
MM_PER_M = 1000.0
# side of the crops in which renders are compared with photos
PHOTOMETRIC_PX = 112
ENCODER, JOINT, PERSONAL, TOGETHER = "shared encoder", "joint fit", "personal encoder, placed", "personal encoder, fit"
# of a film's frames every so many-th is learned from; those in the middle between them are held out
FRAME_STEP = 15


@dataclass(frozen=True)
class HeldOutErrors:
    """What held-out photos say, by way; means.

    Attributes:
        landmark_percent: distance of the 68 from the tracker's, percent of the outer eye corners' distance.
        photometric: sRGB 0-1, mean difference of the rendered skin; of the ways that know albedo and light.
    """

    landmark_percent: dict[str, float]
    photometric: dict[str, float]


@dataclass(frozen=True)
class PersonErrors:
    """One person.

    Attributes:
        surface_mm: mean distance of the neutral face after rigid alignment, by way.
        held_out: errors of held-out images.
        detail: correlation with the true displacement and its error in mm at unseen expressions: shared and adapted.
    """

    surface_mm: dict[str, float]
    held_out: HeldOutErrors
    detail: dict[str, tuple[float, float]]


def person_errors(person: int, faces: SyntheticFaces, models: LoadedModels) -> PersonErrors | None:
    """Measure one rendered person; None where the tracker finds fewer than two of the images to learn from."""
    samples = [faces.sample(person * IMAGES + number) for number in range(IMAGES)]
    views = [view_of(sample.image, models) for sample in samples]
    train = [view for view in views[:-HELD_OUT] if view is not None]
    held = [view for view in views[-HELD_OUT:] if view is not None]
    if len(train) < 2 or not held:
        return None
    head, albedo = models.head(None), models.albedo
    joint = fit_jointly(train, head, albedo, JointFitOptions(use_offsets=False))
    moved = fit_jointly(train, head, albedo)
    alone = [fit_photo(view.pixels, view.face, head, albedo, start=view.start).shape for view in train]
    return PersonErrors(
        _surfaces(head, samples[0], {
            "one photo": alone, JOINT: [joint.shape], "joint fit and offsets": [(moved.shape, moved.offsets_m)],
        }),
        held_out_errors(train, held, joint, models),
        _detail(samples, train, joint, models),
    )  # fmt: skip


def film_errors(film: Path, models: LoadedModels) -> HeldOutErrors:
    """Measure the person of a film, whose frames are learned from and held out by turns."""
    reader, train, held = cv2.VideoCapture(str(film)), [], []
    for number in range(int(reader.get(cv2.CAP_PROP_FRAME_COUNT))):
        found, frame = reader.read()
        place = number % FRAME_STEP
        if not found or place not in (0, FRAME_STEP // 2):
            continue
        view = view_of(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), models)
        if view is not None:
            (train if place == 0 else held).append(view)
    joint = fit_jointly(train, models.head(None), models.albedo, JointFitOptions(use_offsets=False))
    return held_out_errors(train, held, joint, models)


def folder_errors(folder: Path, models: LoadedModels) -> HeldOutErrors:
    """Measure the person of a folder, of whose usable photos each is held out once."""
    curation = curate(folder, models)
    judged = {photo.name: photo for photo in curation.photos}
    views = [load_view(judged[name], models) for name in curation.chosen]
    found = []
    for number, view in enumerate(views):
        train = views[:number] + views[number + 1 :]
        joint = fit_jointly(train, models.head(None), models.albedo, JointFitOptions(use_offsets=False))
        found.append(held_out_errors(train, [view], joint, models))
    return mean_errors(found)


def mean_errors(people: Sequence[HeldOutErrors]) -> HeldOutErrors:
    """The mean over people, by way."""

    def mean(parts: Sequence[dict[str, float]]) -> dict[str, float]:
        return {way: float(np.mean([part[way] for part in parts])) for way in parts[0]}

    return HeldOutErrors(
        mean([person.landmark_percent for person in people]), mean([person.photometric for person in people])
    )


def held_out_errors(
    train: Sequence[View], held: Sequence[View], joint: JointFit, models: LoadedModels
) -> HeldOutErrors:
    """Adapt the encoder to the photos of a joint fit, and read others of that person in every way."""
    head, albedo, shared = models.head(None), models.albedo, models.coarse_encoder
    personal = train_encoder(shared, train, joint, head, albedo)
    compare = PhotometricComparison(head, albedo)
    rows = []
    for view in held:
        again = replace(view, start=encode_photo(view.pixels, view.face, head, personal))
        fits = {
            JOINT: fit_view(view, head, joint.shape, joint.albedo, albedo),
            TOGETHER: fit_view(again, head, joint.shape, joint.albedo, albedo),
        }
        landmarks = {
            ENCODER: landmark_error_percent(head, view.start, _landmarks(view)),
            JOINT: fits[JOINT].landmark_error_percent,
            PERSONAL: landmark_error_percent(head, _placed(again, joint.shape, head), _landmarks(view)),
            TOGETHER: fits[TOGETHER].landmark_error_percent,
        }
        photometric = {ENCODER: compare.of_encoder(view, shared)}
        photometric |= {way: compare.of_fit(view, fit) for way, fit in fits.items()}
        rows.append(HeldOutErrors(landmarks, photometric))
    return mean_errors(rows)


class PhotometricComparison:
    """Renders of fitted heads beside their photos, in the photos' face crops."""

    def __init__(self, head: HeadModel, albedo: AlbedoModel) -> None:
        self._head, self._render = head, PhotometricRender(head, albedo, PHOTOMETRIC_PX, "cpu")

    def of_encoder(self, view: View, encoder: CoarseEncoder) -> float:
        """The error of what an encoder reads."""
        crop = face_crop(view.face.landmarks_px)
        return self._error(view, encode_crop(view.pixels, crop, view.face.landmarks_px, encoder))

    def of_fit(self, view: View, fit: CoarseFit) -> float:
        """The error of a fitted head."""
        return self._error(view, crop_code(face_crop(view.face.landmarks_px), fit, self._head))

    def _error(self, view: View, code: HeadCode) -> float:
        crop = face_crop(view.face.landmarks_px)
        photo = torch.from_numpy(crop.cut(view.pixels, PHOTOMETRIC_PX))[None].float() / 255
        skin = skin_of_landmarks(crop.to_crop(view.face.landmarks_px[:, :2]), PHOTOMETRIC_PX)
        with torch.no_grad():
            rendered = self._render(code)
        return float(photometric_loss(rendered.colour, photo, rendered.mask * torch.from_numpy(skin)[None] / 255))


def _placed(view: View, shape: torch.Tensor, head: HeadModel) -> FitParameters:
    """What the encoder reads, with the person's shape, put in its place."""
    start = replace(view.start, shape=shape)
    return minimise(start, evidence_terms(head, _landmarks(view), True), rigid_only(head), RIGID_ITERATIONS)


def view_of(image: np.ndarray, models: LoadedModels) -> View | None:
    """The largest face of an image (H,W,3) uint8 sRGB; None where the tracker finds none."""
    found = models.tracker.find_faces(image, max_faces=1)
    if not found:
        return None
    start = encode_photo(image, found[0], models.head(None), models.coarse_encoder)
    return View("", image, found[0], start)


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
