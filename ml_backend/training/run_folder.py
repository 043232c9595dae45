"""A training's folder: its log, curves, sample sheets and checkpoints."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ml_backend.training.curves import draw_curves
from ml_backend.training.training_config import TrainingError

LOG_NAME = "log.jsonl"
CURVES_NAME = "curves.png"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training.

    Attributes:
        path: made where it is missing.
    """

    path: Path

    def __post_init__(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(
                "run_folder", f"The folder {self.path} cannot be made: {error.strerror or error}.", "Choose another."
            ) from error

    def records(self) -> list[dict[str, Any]]:
        """What was logged: objects with `step`, and `losses` or `evaluation`; a torn last line is left out."""
        log = self.path / LOG_NAME
        if not log.is_file():
            return []
        records = []
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return records

    def append(self, record: dict[str, Any]) -> None:
        """Log one record."""
        with (self.path / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")

    def forget_after(self, step: int) -> None:
        """Remove what was logged after a step that training goes back to."""
        kept = [record for record in self.records() if record["step"] <= step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        (self.path / LOG_NAME).write_text(text, encoding="utf-8")

    def write_curves(self) -> None:
        """Draw all that was logged."""
        curves: dict[str, list[tuple[int, float]]] = {}
        for record in self.records():
            for group in ("losses", "evaluation"):
                for name, value in record.get(group, {}).items():
                    if math.isfinite(value):
                        curves.setdefault(f"{group}: {name}", []).append((record["step"], value))
        if curves:
            self.write_image(CURVES_NAME, draw_curves(curves))

    def write_image(self, name: str, image: np.ndarray) -> None:
        """Write a picture (H,W,3) uint8 sRGB as PNG."""
        encoded = cv2.imencode(".png", image[..., ::-1])[1]
        (self.path / name).write_bytes(encoded.tobytes())
