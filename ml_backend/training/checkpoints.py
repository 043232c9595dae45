"""Checkpoints of a training: written whole or not at all, the newest few kept."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ml_backend.training.training_config import TrainingError

FORMAT = "likeness-checkpoint-1"
_NAME = re.compile(r"checkpoint_(\d{8})\.pt")
_FIELDS = ("networks", "optimiser", "step")
# what torch raises for files that it did not write, or not to the end
_DAMAGE = (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Checkpoint:
    """A training's state after `step` steps.

    Attributes:
        networks, optimiser: their state dictionaries.
    """

    step: int
    networks: dict[str, Any]
    optimiser: dict[str, Any]


def checkpoint_files(folder: Path) -> list[Path]:
    """A folder's checkpoints, oldest first."""
    return sorted(path for path in folder.glob("checkpoint_*.pt") if _NAME.fullmatch(path.name))


def write_checkpoint(folder: Path, checkpoint: Checkpoint, kept: int) -> Path:
    """Write a checkpoint beside its place, rename it, and remove the oldest ones.

    Args:
        kept: how many of the folder's checkpoints stay.
    """
    path = folder / f"checkpoint_{checkpoint.step:08d}.pt"
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    content = {"format": FORMAT, **{name: getattr(checkpoint, name) for name in _FIELDS}}
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    for old in checkpoint_files(folder)[:-kept]:
        old.unlink(missing_ok=True)
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        TrainingError: the file is missing, damaged, or something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != FORMAT:
            raise ValueError("another format")
        return Checkpoint(**{name: content[name] for name in _FIELDS})
    except (*_DAMAGE, TypeError) as error:
        raise TrainingError(
            "checkpoint_damaged",
            f"The checkpoint {path} cannot be read.",
            "Remove it: the one before it is used then.",
        ) from error
