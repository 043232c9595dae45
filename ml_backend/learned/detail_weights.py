"""The detail networks' weights files: the student, and the teacher that it and persons' students learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ml_backend.learned.detail_networks import DetailConfig, DetailStudent, TeacherConfig, UNetTeacher
from ml_backend.learned.weights_file import ASSETS, read_network, write_weights

DETAIL_FILE = ASSETS / "detail.safetensors"
TEACHER_FILE = ASSETS / "detail_teacher.safetensors"
DETAIL_FORMAT = "likeness-detail-1"
TEACHER_FORMAT = "likeness-detail-teacher-1"


@dataclass(frozen=True)
class DetailWeightsConfig:
    """The config of a student's file: what to build, and the head whose window it reads."""

    network: DetailConfig
    head: str


@dataclass(frozen=True)
class TeacherWeightsConfig:
    """The config of a teacher's file: what to build."""

    network: TeacherConfig


def write_student(path: Path, student: DetailStudent, head_name: str, provenance: Mapping[str, Any]) -> None:
    """Write a student.

    Args:
        head_name: of the head that it was trained with.
        provenance: data, steps, hardware, measured quality.
    """
    write_weights(path, student.state_dict(), DETAIL_FORMAT, DetailWeightsConfig(student.config, head_name), provenance)


def read_student(path: Path = DETAIL_FILE, device: torch.device | str = "cpu") -> DetailStudent:
    """The student of a file, ready to use.

    Raises:
        AssetMissing: the file is missing, damaged, or holds something else; the message names it.
    """
    return read_network(path, DETAIL_FORMAT, DetailWeightsConfig, lambda config: DetailStudent(config.network), device)


def write_teacher(path: Path, teacher: UNetTeacher, provenance: Mapping[str, Any]) -> None:
    """Write a teacher (`provenance` as for `write_student`)."""
    write_weights(path, teacher.state_dict(), TEACHER_FORMAT, TeacherWeightsConfig(teacher.config), provenance)


def read_teacher(path: Path = TEACHER_FILE, device: torch.device | str = "cpu") -> UNetTeacher:
    """The teacher of a file, not trained further.

    Raises:
        AssetMissing: the file is missing, damaged, or holds something else; the message names it.
    """
    return read_network(path, TEACHER_FORMAT, TeacherWeightsConfig, lambda config: UNetTeacher(config.network), device)
