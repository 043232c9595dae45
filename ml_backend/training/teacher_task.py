"""Training of the UNet teacher: displacement from one unwrapped photo (first paper, eq. 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_networks import TeacherConfig, UNetTeacher
from ml_backend.training.detail_evaluation import correlation, mean_correlation, relief, rms_mm, sheet
from ml_backend.training.detail_objective import ShadingObjective, ShadingWeights
from ml_backend.training.detail_samples import DetailBatch
from ml_backend.training.detail_stream import DetailEvaluation, DetailStream
from ml_backend.training.face_samples import SYNTHETIC, DataSettings
from ml_backend.training.training_config import LoopSettings
from ml_backend.training.training_loop import network_precision

TEACHER = "teacher"


@dataclass(frozen=True)
class TeacherTraining:
    """The config of `train teacher`."""

    run: LoopSettings
    network: TeacherConfig = field(default_factory=TeacherConfig)
    data: DataSettings = field(default_factory=DataSettings)
    losses: ShadingWeights = field(default_factory=ShadingWeights)
    evaluation: DetailEvaluation = field(default_factory=DetailEvaluation)


class TeacherTask:
    """Trains the UNet teacher.

    Args:
        config: what to train; head, albedo: of the samples.
        folder: of the run; samples are kept there where the config names no other place.
        device: where the network runs.
    """

    def __init__(
        self, config: TeacherTraining, head: HeadModel, albedo: AlbedoModel, folder: Path, device: str = "cpu"
    ) -> None:
        self.config, self.device = config, torch.device(device)
        torch.manual_seed(config.run.seed)
        self.networks = torch.nn.ModuleDict({TEACHER: UNetTeacher(config.network)}).to(self.device)
        run = config.run
        self.stream = DetailStream(config.data, config.evaluation, folder, head, albedo, run.seed, run.batch_size)
        self.objective = ShadingObjective(config.losses, head, albedo, self.stream.window, self.device)

    def fill_samples(self, part: int, parts: int, report: Callable[[str], None]) -> None:
        """Make all samples, or a part of them, without training."""
        self.stream.fill(part, parts, report)

    def batch(self, step: int) -> DetailBatch:
        """The batch of a step."""
        return self.stream.batch(step)

    def losses(self, batch: DetailBatch) -> dict[str, torch.Tensor]:
        """Weighted losses: the truth is asked for where the photo shows the skin."""
        with network_precision(self.device):
            displacement = self.networks[TEACHER](batch.texture)
        return self.objective(displacement, batch, self.objective.skin * batch.confidence)

    def sample_sheet(self, batch: DetailBatch) -> np.ndarray:
        """A row for each face: unwrapped photo, true relief, the teacher's."""
        batch = batch.select(slice(self.config.evaluation.sheet_rows))
        displacement = self.networks[TEACHER](batch.texture)
        return sheet(
            [
                [photo_picture(batch, row), relief(batch.truth[row, 0]), relief(displacement[row, 0])]
                for row in range(len(batch))
            ]
        )

    def evaluate(self) -> dict[str, float]:
        """Correlation and error (mm) over the seen skin of held-out faces; the error of a smooth head beside it.

        Of photos, whose truth nobody knows, the depth of the relief alone.
        """
        made, truth, seen = [], [], []
        for batch in self.stream.held_out_batches(self.device):
            made.append(self.networks[TEACHER](batch.texture))
            truth.append(batch.truth)
            seen.append(self.objective.skin * batch.confidence)
        made, truth, seen = torch.cat(made), torch.cat(truth), torch.cat(seen)
        if self.config.data.kind != SYNTHETIC:
            return {"relief_mm": rms_mm(made, seen)}
        return {
            "correlation": correlation(made, truth, seen),
            "mean_correlation": mean_correlation(made, truth, seen),
            "rms_mm": rms_mm(made - truth, seen),
            "smooth_rms_mm": rms_mm(truth, seen),
        }


def photo_picture(batch: DetailBatch, row: int) -> np.ndarray:
    """(N,N,3) uint8: the unwrapped photo of a face of a batch."""
    return (255 * batch.photo[row].permute(1, 2, 0)).to(torch.uint8).cpu().numpy()
