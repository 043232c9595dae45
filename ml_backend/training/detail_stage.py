"""The detail stage's student for the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.learned.detail_weights import write_student
from ml_backend.training.detail_task import DetailTask, DetailTraining
from ml_backend.training.training_config import read_config


class DetailStage:
    """Trains `detail.safetensors`."""

    weights_name = "detail.safetensors"

    def read_config(self, path: Path) -> DetailTraining:
        """The config of a TOML file."""
        return read_config(path, DetailTraining)

    def make_task(self, config: DetailTraining, folder: Path, device: str) -> DetailTask:
        """The task, with the open head."""
        return DetailTask(config, load_head(), load_albedo_model(), folder, device)

    def fill_samples(self, task: DetailTask, part: int, parts: int) -> None:
        """Make the task's samples."""
        task.fill_samples(part, parts, lambda line: print(line, file=sys.stderr, flush=True))

    def write_weights(self, task: DetailTask, path: Path, provenance: dict[str, Any]) -> None:
        """Write the student as it ships."""
        data = task.config.data
        about = {"data": data.kind, "samples": data.samples, "seed": data.synthetic.seed, **provenance}
        write_student(path, task.student, task.head.name, about)


STAGE = DetailStage()
