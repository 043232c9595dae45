"""The coarse stage as a training task: crops in, head codes out, the losses of the first paper's eq. 2 and of truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.coarse_encoder import CoarseEncoder, EncoderConfig
from ml_backend.learned.head_code import CodeSizes
from ml_backend.learned.weights_file import COARSE_FILE, read_coarse_encoder
from ml_backend.training.coarse_batch import AugmentationSettings, CoarseBatch, augment, collate
from ml_backend.training.coarse_evaluation import EvaluationSettings, evaluate_encoder
from ml_backend.training.coarse_objective import CoarseObjective, LossSettings
from ml_backend.training.coarse_sheet import coarse_sheet
from ml_backend.training.coarse_surface import coarse_surface
from ml_backend.training.face_samples import (
    SYNTHETIC,
    DataSettings,
    held_out,
    people_of,
    sample_cache,
    synthetic_source,
)
from ml_backend.training.mirrored_faces import FaceMirror
from ml_backend.training.sample_cache import SampleCache
from ml_backend.training.tracker_noise import TrackerNoise
from ml_backend.training.training_config import LoopSettings, TrainingError
from ml_backend.training.training_loop import SEED_STRIDE, network_precision

# of photos, which have no stream to hold out from, this share is kept for measuring
HELD_OUT_SHARE = 0.1
# the name of the product's own weights in a config
SHIPPED = "shipped"


@dataclass(frozen=True)
class CoarseConfig:
    """The config of `train coarse`.

    Attributes:
        start_weights: a weights file to begin with instead of chance; "shipped" = the product's own.
        size_schedule: (first step, image side in pixels) in ascending order; empty = the encoder's size throughout.
    """

    run: LoopSettings
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    data: DataSettings = field(default_factory=DataSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    losses: LossSettings = field(default_factory=LossSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    start_weights: str = ""
    size_schedule: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.data.kind != SYNTHETIC and self.losses.supervised:
            raise ValueError("losses.mode is 'supervised', but only rendered faces have a truth")
        if self.losses.shape_consistency > 0 and self.run.batch_size % 2:
            raise ValueError("run.batch_size is odd, but losses.shape_consistency needs pairs")

    def image_px(self, step: int) -> int:
        """Side of the images of a step."""
        sizes = [size for first, size in self.size_schedule if first <= step]
        return sizes[-1] if sizes else self.encoder.image_px


class CoarseTask:
    """Trains the coarse encoder.

    Args:
        config: what to train; head, albedo: what its codes mean.
        folder: of the run; samples are kept there where the config names no other place.
        device: where the networks run.
    """

    def __init__(
        self, config: CoarseConfig, head: HeadModel, albedo: AlbedoModel, folder: Path, device: str = "cpu"
    ) -> None:
        self.config, self.device = config, torch.device(device)
        torch.manual_seed(config.run.seed)
        encoder = CoarseEncoder(config.encoder, CodeSizes.of(head, albedo))
        encoder.set_mean_view(head)
        if config.start_weights:
            _start_from(encoder, config.start_weights)
        self.networks = torch.nn.ModuleDict({"encoder": encoder.to(device)})
        self.head = head
        self.samples = sample_cache(config.data, folder / "samples", head, albedo)
        self.held_out, self._held_out_numbers = self._evaluation_samples(folder, head, albedo)
        self._people = people_of(config.data, self.samples)
        if config.data.kind != SYNTHETIC:
            self._people = self._people[: self._held_out_numbers[0]]
        self._surface = coarse_surface(head)
        mirrors = config.augmentation.mirrored_share > 0
        self._mirror = FaceMirror(head, albedo, self._surface) if mirrors else None
        self._noise = TrackerNoise(head, config.augmentation.untracked_share) if config.encoder.landmarks else None
        self._objective = CoarseObjective(config.losses, head, albedo, self._surface, device)

    @property
    def encoder(self) -> CoarseEncoder:
        """The network that is trained."""
        return self.networks["encoder"]

    def fill_samples(self, part: int, parts: int, report: Callable[[str], None]) -> None:
        """Make all samples, or a part of them, without training."""
        self.held_out.fill(part, parts, report)
        self.samples.fill(part, parts, report)

    def batch(self, step: int) -> CoarseBatch:
        """The batch of a step."""
        config = self.config
        chance = torch.Generator().manual_seed(config.run.seed * SEED_STRIDE + step)
        numbers = self._choose(step, chance)
        batch = collate([self.samples[number] for number in numbers])
        if self._mirror and batch.truth is not None:
            mirrored = torch.rand(len(batch), generator=chance) < config.augmentation.mirrored_share
            # the two pictures of a person are mirrored together
            batch = self._mirror(batch, mirrored[torch.arange(len(batch)) // 2 * 2])
        batch = augment(batch, config.augmentation, self._surface.model, chance)
        if self._noise is not None:
            batch = replace(batch, tracked=self._noise(batch, chance))
        return batch.resized(config.image_px(step))

    def losses(self, batch: CoarseBatch) -> dict[str, torch.Tensor]:
        """Weighted losses of a batch."""
        with network_precision(self.device):
            code = self.encoder(batch.image, batch.tracked)
        return self._objective(code, batch)

    def sample_sheet(self, batch: CoarseBatch) -> np.ndarray:
        """Crops of the batch with the heads that were read off them."""
        return coarse_sheet(batch, self.encoder(batch.image, batch.tracked), self.head)

    def evaluate(self) -> dict[str, float]:
        """Figures on held-out samples (coarse_evaluation)."""
        size = self.config.image_px(self.config.run.steps)
        samples = (self.held_out[number] for number in self._held_out_numbers)
        return evaluate_encoder(self.encoder, samples, self.head, self._surface, size, self._noise)

    def _choose(self, step: int, chance: torch.Generator) -> list[int]:
        """Numbers of the samples of a step; for shape consistency two of each person."""
        count = self.config.data.available(step, len(self._people))
        size = self.config.run.batch_size
        if self.config.losses.shape_consistency <= 0:
            return torch.randint(count, (size,), generator=chance).tolist()
        numbers = []
        for first in torch.randint(count, (size // 2,), generator=chance).tolist():
            same = np.flatnonzero(self._people[:count] == self._people[first])
            numbers += [first, int(same[int(torch.randint(len(same), (1,), generator=chance))])]
        return numbers

    def _evaluation_samples(self, folder: Path, head: HeadModel, albedo: AlbedoModel) -> tuple[SampleCache, list[int]]:
        """Held-out samples and their numbers: other rendered people, or the last ones of a folder of photos."""
        data, wanted = self.config.data, self.config.evaluation.samples
        if data.kind == SYNTHETIC:
            place = Path(data.cache) if data.cache else folder / "samples"
            source = synthetic_source(head, albedo, held_out(data.synthetic), wanted)
            return SampleCache(place / "held_out", source), list(range(wanted))
        count = max(1, min(wanted, round(HELD_OUT_SHARE * len(self.samples))))
        return self.samples, list(range(len(self.samples) - count, len(self.samples)))


def _start_from(encoder: CoarseEncoder, name: str) -> None:
    """Give an encoder the weights of a file.

    Raises:
        AssetMissing: the file is missing or damaged.
        TrainingError: it holds an encoder of another build.
    """
    start = read_coarse_encoder(COARSE_FILE if name == SHIPPED else Path(name))
    if (start.config, start.sizes) != (encoder.config, encoder.sizes):
        raise TrainingError(
            "start_weights",
            f"The weights {name} belong to another encoder than the config's.",
            f"Use {start.config} in its table encoder.",
        )
    encoder.load_state_dict(start.state_dict())
