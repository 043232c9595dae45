"""The detail stage's teacher for the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.learned.detail_weights import write_teacher
from ml_backend.training.teacher_task import TEACHER, TeacherTask, TeacherTraining
from ml_backend.training.training_config import read_config


class TeacherStage:
    """Trains `teacher.safetensors`, which does not ship: the student learns from it."""

    weights_name = "teacher.safetensors"

    def read_config(self, path: Path) -> TeacherTraining:
        """The config of a TOML file."""
        return read_config(path, TeacherTraining)

    def make_task(self, config: TeacherTraining, folder: Path, device: str) -> TeacherTask:
        """The task, with the open head."""
        return TeacherTask(config, load_head(), load_albedo_model(), folder, device)

    def fill_samples(self, task: TeacherTask, part: int, parts: int) -> None:
        """Make the task's samples."""
        task.fill_samples(part, parts, lambda line: print(line, file=sys.stderr, flush=True))

    def write_weights(self, task: TeacherTask, path: Path, provenance: dict[str, Any]) -> None:
        """Write the teacher for the student's training."""
        data = task.config.data
        about = {"data": data.kind, "samples": data.samples, "seed": data.synthetic.seed, **provenance}
        write_teacher(path, task.networks[TEACHER], about)


STAGE = TeacherStage()
