"""The coarse stage for the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.learned.weights_file import write_coarse_weights
from ml_backend.training.coarse_task import CoarseConfig, CoarseTask
from ml_backend.training.training_config import read_config


class CoarseStage:
    """Trains `coarse_encoder.safetensors`."""

    weights_name = "coarse_encoder.safetensors"

    def read_config(self, path: Path) -> CoarseConfig:
        """The config of a TOML file."""
        return read_config(path, CoarseConfig)

    def make_task(self, config: CoarseConfig, folder: Path, device: str) -> CoarseTask:
        """The task, with the open head."""
        return CoarseTask(config, load_head(), load_albedo_model(), folder, device)

    def fill_samples(self, task: CoarseTask, part: int, parts: int) -> None:
        """Make the task's samples."""
        task.fill_samples(part, parts, lambda line: print(line, file=sys.stderr, flush=True))

    def write_weights(self, task: CoarseTask, path: Path, provenance: dict[str, Any]) -> None:
        """Write the encoder as it ships."""
        data = task.config.data
        about = {"data": data.kind, "samples": len(task.samples), "losses": task.config.losses.mode, **provenance}
        write_coarse_weights(path, task.encoder, task.head.name, about)


STAGE = CoarseStage()
