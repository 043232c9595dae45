"""Training of the animatable student D = A(I, T_UV, x_d) (first paper, eq. 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_networks import DetailConfig, DetailStudent
from ml_backend.learned.detail_weights import read_teacher
from ml_backend.training.animation_objective import AnimationObjective, TeachingSettings
from ml_backend.training.detail_evaluation import correlation, mean_correlation, relief, rms_mm, sheet, swap_ratio
from ml_backend.training.detail_objective import ShadingObjective, ShadingWeights
from ml_backend.training.detail_samples import DetailBatch
from ml_backend.training.detail_stream import DetailEvaluation, DetailStream, partner, stranger
from ml_backend.training.face_samples import SYNTHETIC, DataSettings
from ml_backend.training.teacher_task import photo_picture
from ml_backend.training.training_config import LoopSettings, TrainingError

STUDENT = "student"


@dataclass(frozen=True)
class DetailTraining:
    """The config of `train detail`."""

    run: LoopSettings
    network: DetailConfig = field(default_factory=DetailConfig)
    data: DataSettings = field(default_factory=DataSettings)
    losses: ShadingWeights = field(default_factory=ShadingWeights)
    teaching: TeachingSettings = field(default_factory=TeachingSettings)
    evaluation: DetailEvaluation = field(default_factory=DetailEvaluation)

    def __post_init__(self) -> None:
        if self.network.window_px != self.evaluation.window_px:
            raise ValueError("network.window_px and evaluation.window_px differ")


class DetailTask:
    """Trains the student on pairs of images of one person.

    Args:
        config: what to train; head, albedo: of the samples.
        folder: of the run; samples are kept there where the config names no other place.
        device: where the network runs.

    Raises:
        AssetMissing: the teacher is missing or damaged.
    """

    def __init__(
        self, config: DetailTraining, head: HeadModel, albedo: AlbedoModel, folder: Path, device: str = "cpu"
    ) -> None:
        self.config, self.device, self.head = config, torch.device(device), head
        torch.manual_seed(config.run.seed)
        self.networks = torch.nn.ModuleDict({STUDENT: DetailStudent(config.network)}).to(self.device)
        weights = config.teaching.weights
        self.teacher = read_teacher(Path(weights), self.device) if weights else None
        if self.student.teacher is not None:
            self._begin_from_teacher()
        run = config.run
        self.stream = DetailStream(config.data, config.evaluation, folder, head, albedo, run.seed, run.batch_size)
        shading = ShadingObjective(config.losses, head, albedo, self.stream.window, self.device)
        self.animation = AnimationObjective(config.teaching, shading, self.stream.window, self.teacher)

    def _begin_from_teacher(self) -> None:
        """Give the student the teacher that it reads photos with."""
        if self.teacher is None or self.teacher.config != self.config.network.teacher:
            raise TrainingError(
                "teacher_of_student",
                "The student of this config begins from a teacher that teaching.weights does not name.",
                "Name the weights of a teacher of the size in network.teacher, or leave that out.",
            )
        self.student.teacher.load_state_dict(self.teacher.state_dict())

    @property
    def student(self) -> DetailStudent:
        """The network that is trained."""
        return self.networks[STUDENT]

    def fill_samples(self, part: int, parts: int, report: Callable[[str], None]) -> None:
        """Make all samples, or a part of them, without training."""
        self.stream.fill(part, parts, report)

    def batch(self, step: int) -> DetailBatch:
        """The batch of a step: pairs (`DetailStream`)."""
        return self.stream.batch(step)

    def losses(self, batch: DetailBatch) -> dict[str, torch.Tensor]:
        """Weighted losses of D(I, T), and of D(I', T), where I' is the other image of the same person."""
        return self.animation(self.student, batch)

    def sample_sheet(self, batch: DetailBatch) -> np.ndarray:
        """A row for each person: unwrapped photo; true relief, the teacher's, the student's; the student's at the
        tension of the other image, and the truth there."""
        rows = min(self.config.evaluation.sheet_rows, len(batch) // 2)
        other = partner(len(batch)).to(self.device)
        face = self.student.encode(batch.texture, batch.tension)
        own, new = self.student.decode(face, batch.tension), self.student.decode(face, batch.tension[other])
        taught = self.animation.taught(batch)
        shown = [batch.truth, *([] if taught is None else [taught]), own, new, batch.truth[other]]
        return sheet([[photo_picture(batch, row), *(relief(image[row, 0]) for image in shown)] for row in range(rows)])

    def evaluate(self) -> dict[str, float]:
        """Figures on held-out people (`figures`); of photos, whose truth nobody knows, the swap test alone."""
        found = held_out_figures(self.student, self.stream, self.animation.skin)
        return found if self.config.data.kind == SYNTHETIC else {"swap_ratio": found["swap_ratio"]}


def held_out_figures(student: DetailStudent, stream: DetailStream, skin: torch.Tensor) -> dict[str, float]:
    """`figures` of a student on the held-out people of a stream; skin: (1,1,N,N), on the student's device."""
    results = [_reactions(student, batch) for batch in stream.held_out_batches(skin.device)]
    return figures({name: torch.cat([result[name] for result in results]) for name in results[0]}, skin)


def _reactions(student: DetailStudent, batch: DetailBatch) -> dict[str, torch.Tensor]:
    """What `figures` needs of a batch of pairs: D(I, T), D(I', T), D(J, T), D(I, T'), the truth at T and at T'."""
    count = len(batch)
    other, person = partner(count).to(batch.texture.device), stranger(count).to(batch.texture.device)
    face = student.encode(batch.texture, batch.tension)
    return {
        "own": student.decode(face, batch.tension),
        "same_person": student.decode(face.select(other), batch.tension),
        "other_person": student.decode(face.select(person), batch.tension),
        "new": student.decode(face, batch.tension[other]),
        "truth": batch.truth,
        "new_truth": batch.truth[other],
        "confidence": batch.confidence,
    }


def figures(reactions: dict[str, torch.Tensor], skin: torch.Tensor) -> dict[str, float]:
    """The student's figures.

    Args:
        reactions: (B,1,N,N) metres each, as `_reactions` names them, and `confidence`.
        skin: (1,1,N,N) where to measure.

    Returns:
        correlation, mean_correlation, rms_mm of D(I, T); new_...: of D(I, T'), another expression's tension;
        smooth_rms_mm: the error without any detail; change_correlation: of D(I, T') - D(I, T); swap_ratio;
        seen_correlation: of D(I, T) where the photo shows the skin.
    """
    own, new, truth, new_truth = (reactions[name] for name in ("own", "new", "truth", "new_truth"))
    return {
        "correlation": correlation(own, truth, skin),
        "mean_correlation": mean_correlation(own, truth, skin),
        "seen_correlation": correlation(own, truth, skin * reactions["confidence"]),
        "rms_mm": rms_mm(own - truth, skin),
        "smooth_rms_mm": rms_mm(truth, skin),
        "new_correlation": correlation(new, new_truth, skin),
        "new_rms_mm": rms_mm(new - new_truth, skin),
        "change_correlation": correlation(new - own, new_truth - truth, skin),
        "swap_ratio": swap_ratio(own, reactions["same_person"], reactions["other_person"], skin),
    }
