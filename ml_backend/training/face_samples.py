"""Faces to train on: rendered ones with their truth, or a user's own photos and videos with the tracker's landmarks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from addon.exchange.typed_json import encode
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.head_code import HeadCode
from ml_backend.synthetic.sample import SyntheticFaces
from ml_backend.synthetic.settings import SyntheticSettings
from ml_backend.training.coarse_surface import coarse_surface
from ml_backend.training.sample_cache import Sample, SampleCache, SampleSource
from ml_backend.training.training_config import TrainingError

SYNTHETIC, IMAGES, VIDEOS = "synthetic", "images", "videos"
# one to learn from and one to measure on
FEWEST_FACES = 2
KINDS = (SYNTHETIC, IMAGES, VIDEOS)
TRUTH = ("shape", "expression", "pose", "albedo", "camera", "light")
# the held-out stream's seed lies this far from the training stream's
HELD_OUT_SEED = 900_000
# distance of the outer eye corners in three dimensions, half crops
EYE_DISTANCE = "eye_distance"
MEASURED = ("image", "person", "landmarks_68", "landmarks_478", "skin_mask", EYE_DISTANCE)


@dataclass(frozen=True)
class DataSettings:
    """What to train on; the config's table [data].

    Attributes:
        kind: "synthetic", "images" (a folder of photos; a subfolder is a person) or "videos" (a file is a person).
        folder: of the photos or videos.
        cache: folder for prepared samples; in the run folder where empty.
        samples: how many rendered faces there are in all.
        first_samples, samples_per_step: training begins with the first ones and goes on to the rest at this pace, so
            that it can begin while they are still being rendered; 0 = all from the beginning.
        image_px: side of the crops of photos and videos.
        frame_distance: every n-th frame of a video is taken.
        synthetic: how the faces are rendered.
    """

    kind: str = SYNTHETIC
    folder: str = ""
    cache: str = ""
    samples: int = 65536
    first_samples: int = 0
    samples_per_step: float = 0.0
    image_px: int = 160
    frame_distance: int = 10
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"data.kind is {self.kind!r}, not one of {', '.join(KINDS)}")
        if self.kind != SYNTHETIC and not self.folder:
            raise ValueError(f"data.folder is missing, which data.kind {self.kind!r} needs")
        if self.samples < 1 or self.frame_distance < 1:
            raise ValueError("data.samples or data.frame_distance is below 1")

    def available(self, step: int, count: int) -> int:
        """How many of `count` samples a step may choose from."""
        if self.first_samples < 1:
            return count
        return min(count, self.first_samples + int(self.samples_per_step * step))


def synthetic_source(head: HeadModel, albedo: AlbedoModel, settings: SyntheticSettings, count: int) -> SampleSource:
    """Rendered faces with their truth.

    Args:
        count: how many.
    """
    faces: list[SyntheticFaces] = []

    surface = coarse_surface(head)

    def make(number: int) -> Sample:
        # built when the first sample is made: a full cache does not need it
        if not faces:
            faces.append(SyntheticFaces(head, albedo, settings))
        sample = faces[0].sample(number)
        named = {name: np.asarray(getattr(sample, name)) for name in (*MEASURED, *TRUTH) if name != EYE_DISTANCE}
        truth = HeadCode(*(torch.from_numpy(named[name])[None] for name in TRUTH))
        named[EYE_DISTANCE] = surface.eye_distance(truth)[0].numpy()
        return named

    description = {"kind": SYNTHETIC, "head": head.name, **json.loads(json.dumps(encode(settings)))}
    return SampleSource(make, count, description)


def held_out(settings: SyntheticSettings) -> SyntheticSettings:
    """The same kind of faces of other people, one of each: the stream that evaluations measure on."""
    return replace(settings, seed=settings.seed + HELD_OUT_SEED, images_per_person=1)


def sample_cache(data: DataSettings, folder: Path, head: HeadModel, albedo: AlbedoModel) -> SampleCache:
    """The samples that a config names.

    Args:
        folder: for the cache where the config names none.

    Raises:
        TrainingError: a folder of photos or videos is missing or shows no face.
    """
    place = Path(data.cache) if data.cache else folder
    if data.kind == SYNTHETIC:
        return SampleCache(place, synthetic_source(head, albedo, data.synthetic, data.samples))
    # imported here: the tracker is not needed for rendered faces
    from ml_backend.tracking.face_tracker import FaceTracker
    from ml_backend.training.photo_samples import photo_faces, photo_source, video_faces

    tracker, files = FaceTracker(), Path(data.folder)
    faces = photo_faces(files, tracker) if data.kind == IMAGES else video_faces(files, tracker, data.frame_distance)
    if len(faces) < FEWEST_FACES:
        raise TrainingError(
            "too_few_faces",
            f"{data.folder} shows {len(faces)} faces that the tracker sees well; training needs {FEWEST_FACES}.",
            "Choose a folder with more of them.",
        )
    return SampleCache(place, photo_source(faces, data.image_px))


def people_of(data: DataSettings, cache: SampleCache) -> np.ndarray:
    """(N,) whose face each sample of the cache shows."""
    if data.kind == SYNTHETIC:
        return np.arange(len(cache)) // data.synthetic.images_per_person
    return np.array([int(cache[number]["person"]) for number in range(len(cache))])
