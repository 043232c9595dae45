"""The stream of pairs that the detail stage learns from, and the held-out pairs that it is measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_input import WINDOW_SIZE_PX, face_window
from ml_backend.training.detail_samples import DetailBatch, detail_batch, detail_source
from ml_backend.training.face_samples import HELD_OUT_SEED, SYNTHETIC, DataSettings, people_of
from ml_backend.training.sample_cache import SampleCache, SampleSource
from ml_backend.training.training_config import TrainingError

# of photos, which have no stream to hold out from, one person in so many is kept for measuring
HELD_OUT_PART = 10
# held-out people whose faces are evaluated at once
PEOPLE_AT_ONCE = 4


@dataclass(frozen=True)
class DetailEvaluation:
    """What the detail stage is measured on; the config's table [evaluation].

    Attributes:
        people: held-out people, two images of each.
        window_px: N, side of the window of all samples.
        sheet_rows: faces on a sample sheet.
    """

    people: int = 32
    window_px: int = WINDOW_SIZE_PX
    sheet_rows: int = 4


class DetailStream:
    """Pairs of images of one person.

    A batch of B holds B / 2 people: face i and face `partner(B)[i]` show the same person. Batches depend on the seed
    and the step alone.

    Args:
        data: the config's table [data]; evaluation: its table [evaluation].
        folder: of the run, for the samples where the config names no other place.
        head: the head model; albedo: on its layout.
        seed: of the batches; batch_size: B, even.

    Raises:
        TrainingError: the config asks for pairs where a person has one image.
    """

    def __init__(
        self,
        data: DataSettings,
        evaluation: DetailEvaluation,
        folder: Path,
        head: HeadModel,
        albedo: AlbedoModel,
        seed: int,
        batch_size: int,
    ) -> None:
        self.data, self.evaluation, self._seed, self._batch_size = data, evaluation, seed, batch_size
        self.window = face_window(head, evaluation.window_px)
        if batch_size % 2 or (data.kind == SYNTHETIC and data.synthetic.images_per_person < 2):
            raise TrainingError(
                "detail_pairs",
                "The detail stage learns from pairs of images of one person.",
                "Set an even batch size, and data.synthetic.images_per_person to 2 or more.",
            )
        place = Path(data.cache) if data.cache else folder / "samples"
        self.samples = SampleCache(place, self._source(head, albedo, data, data.samples))
        self._images = _images_of_people(people_of(data, self.samples))
        self.held_out_samples = self.samples
        self._held_out = self._images[-min(evaluation.people, max(1, len(self._images) // HELD_OUT_PART)) :]
        if data.kind == SYNTHETIC:
            # other people, with as many images each
            other_seed = data.synthetic.seed + HELD_OUT_SEED
            apart = replace(data, synthetic=replace(data.synthetic, seed=other_seed))
            count = evaluation.people * data.synthetic.images_per_person
            self.held_out_samples = SampleCache(place / "held_out", self._source(head, albedo, apart, count))
            self._held_out = _images_of_people(np.arange(count) // data.synthetic.images_per_person)
        elif len(self._images) > len(self._held_out):
            self._images = self._images[: -len(self._held_out)]

    @property
    def num_held_out(self) -> int:
        """How many held-out people there are."""
        return len(self._held_out)

    def _source(self, head: HeadModel, albedo: AlbedoModel, data: DataSettings, count: int) -> SampleSource:
        if data.kind == SYNTHETIC:
            return detail_source(head, albedo, data.synthetic, count, self.window)
        # imported here: the tracker is not needed for rendered faces
        from ml_backend.training.detail_photo_samples import photo_detail_source
        from ml_backend.training.photo_samples import photo_source

        photos = photo_source(data.kind, Path(data.folder), data.synthetic.image_px, data.frame_distance)
        return photo_detail_source(photos, head, self.window)

    def fill(self, part: int, parts: int, report: Callable[[str], None]) -> None:
        """Make all samples, or a part of them, without training; the held-out ones first."""
        self.held_out_samples.fill(part, parts, report)
        self.samples.fill(part, parts, report)

    def batch(self, step: int) -> DetailBatch:
        """The batch of a step."""
        chance = np.random.default_rng([self._seed, step])
        available = self.data.available(step, len(self.samples))
        people = max(1, len(self._images) * available // len(self.samples))
        firsts, seconds = [], []
        for person in chance.integers(people, size=self._batch_size // 2):
            images = self._images[person]
            # of a person with one photo, the photo twice
            first, second = chance.choice(images, 2, replace=len(images) < 2)
            firsts.append(self.samples[int(first)])
            seconds.append(self.samples[int(second)])
        return detail_batch(firsts + seconds, self.window)

    def held_out_batches(self, device: torch.device) -> Iterator[DetailBatch]:
        """`held_out_pairs` of all held-out people, a few at once."""
        for first in range(0, self.num_held_out, PEOPLE_AT_ONCE):
            yield self.held_out_pairs(first, min(PEOPLE_AT_ONCE, self.num_held_out - first)).to(device)

    def held_out_pairs(self, first: int, people: int) -> DetailBatch:
        """Two images of each of `people` held-out people from number `first` on, in the order of `batch`.

        Of the first person the first two images, of the second one the second and the third, and so on.
        """
        own, others = [], []
        for person in range(first, first + people):
            images = self._held_out[person]
            image = person % max(1, len(images) - 1)
            own.append(self.held_out_samples[int(images[image])])
            others.append(self.held_out_samples[int(images[min(image + 1, len(images) - 1)])])
        return detail_batch(own + others, self.window)


def _images_of_people(people: np.ndarray) -> list[np.ndarray]:
    """The numbers of each person's images, in the order in which the people first appear."""
    order = np.argsort(people, kind="stable")
    starts = np.flatnonzero(np.diff(people[order])) + 1
    groups = np.split(order, starts)
    return sorted(groups, key=lambda group: int(group[0]))


def partner(count: int) -> torch.Tensor:
    """(B,) for each face of a batch of pairs, the number of the other image of the same person."""
    return torch.arange(count).roll(count // 2)


def stranger(count: int) -> torch.Tensor:
    """(B,) for each face of a batch of pairs, the number of a face of another person (of its own where B = 2)."""
    half = count // 2
    return torch.cat([torch.arange(half).roll(1), half + torch.arange(half).roll(1)])
