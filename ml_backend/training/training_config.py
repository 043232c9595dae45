"""Training's settings, read from a TOML file: every field known, every value of its type, or one sentence."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from addon.exchange.errors import LikenessError
from addon.exchange.typed_json import JsonMismatch, decode

Config = TypeVar("Config")


class TrainingError(LikenessError):
    """Training cannot go on: its config, its data or a checkpoint is wrong."""


@dataclass(frozen=True)
class LoopSettings:
    """What the training loop itself needs; the config's table [run].

    Attributes:
        seed: of weights, batches and chance; steps: optimiser steps in all; batch_size: samples of a step.
        learning_rate: its peak, after `warm_up_steps` of linear growth; then half a cosine down to `final_rate` of it.
        weight_decay: of matrices (AdamW); largest_gradient: the gradient's norm is clipped to it.
        log_steps, sheet_steps, evaluation_steps, checkpoint_steps: how often; checkpoints_kept: the newest ones.
        prefetched: batches prepared ahead, in threads; 0 = in turn with the training, which suits a single core.
    """

    steps: int
    batch_size: int
    learning_rate: float
    seed: int = 0
    warm_up_steps: int = 200
    final_rate: float = 0.01
    weight_decay: float = 0.05
    largest_gradient: float = 1.0
    log_steps: int = 20
    sheet_steps: int = 1000
    evaluation_steps: int = 2000
    checkpoint_steps: int = 500
    checkpoints_kept: int = 3
    prefetched: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_steps", "sheet_steps", "evaluation_steps", "checkpoint_steps",
                     "checkpoints_kept"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"run.{name} is below 1")
        if not self.learning_rate > 0:
            raise ValueError("run.learning_rate is not above 0")


def read_config(path: Path, config_type: type[Config]) -> Config:
    """Read a config file.

    Args:
        path: TOML; its tables are the fields of `config_type`, their keys those of the fields' dataclasses.
        config_type: a frozen dataclass of such dataclasses.

    Raises:
        TrainingError: the file is missing, is not TOML, has an unknown key or a value that does not fit.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(
            "config_missing", f"The config {path} cannot be read: {error.strerror or error}.", "Check --config."
        ) from error
    except ValueError as error:
        raise _unfit(path, f"it is not TOML ({error})") from error
    return config_from_document(document, config_type, path)


def config_from_document(document: dict[str, Any], config_type: type[Config], path: Path) -> Config:
    """Make a config of a parsed file; `path` is for messages.

    Raises:
        TrainingError: an unknown key, or a value that does not fit.
    """
    unknown = _unknown_key(config_type, document, "")
    if unknown:
        raise _unfit(path, f"it has the unknown key {unknown}")
    try:
        return decode(config_type, document)
    except (JsonMismatch, ValueError) as error:
        raise _unfit(path, str(error)) from error


def _unknown_key(record_type: Any, table: dict[str, Any], where: str) -> str | None:
    """The first key of a table that its dataclass lacks."""
    hints = typing.get_type_hints(record_type)
    for key, value in table.items():
        if key not in hints:
            return where + key
        inner = _dataclass_of(hints[key])
        if inner is not None and isinstance(value, dict):
            found = _unknown_key(inner, value, f"{where}{key}.")
            if found:
                return found
    return None


def _dataclass_of(hint: Any) -> Any:
    """The dataclass of a field's type, which may be a union with None."""
    options = [hint, *typing.get_args(hint)]
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


def _unfit(path: Path, reason: str) -> TrainingError:
    return TrainingError("config_unfit", f"The config {path.name} cannot be used: {reason}.", "Correct it.")
