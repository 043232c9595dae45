"""Reads the CSV files that the Live Link Face app records: ARKit shapes, and turns of head and eyes, row by row.

A row is a timecode HH:MM:SS:FF.fff (FF counts frames, fff is a part of a frame), the number of values, and the values:
61 (52 shapes, then yaw, pitch and roll of the head, the left eye and the right eye), 52 (shapes only) or 51 (without
tongueOut).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..exchange.arkit import ARKIT_NAMES, NUM_ARKIT
from ..exchange.errors import LikenessError
from .rotations import axis_angle_from_matrix, rotation_about

_TURNED_PARTS = ("Head", "LeftEye", "RightEye")
_ANGLES = ("Yaw", "Pitch", "Roll")
_SHAPE_COLUMNS = {name.lower(): index for index, name in enumerate(ARKIT_NAMES)}
_TURN_COLUMNS = {
    f"{part}{angle}".lower(): (row, column)
    for row, part in enumerate(_TURNED_PARTS)
    for column, angle in enumerate(_ANGLES)
}
_LEAST_SHAPES = 51
# rates that cameras record at; the app offers the first five and 60
_FRAME_RATES = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 90.0, 120.0)
_DAY_S = 24 * 3600.0
_HINT = "Choose the .csv that the app wrote beside the take's video."


class RecordingError(LikenessError):
    """A recording cannot be read."""


@dataclass(frozen=True)
class FaceRecording:
    """A performance over time.

    Attributes:
        times_s: (N,) seconds from the first row, rising.
        shapes: (N, 52) float32, in the order of ARKIT_NAMES.
        turns: (N, 3, 3) axis-angle of head, left eye and right eye, radians, model axes; None where the file has none.
        frame_rate: of the timecode, frames a second.
        rate_is_known: the timecode counts over a whole second, so that its rate is certain.
    """

    times_s: np.ndarray
    shapes: np.ndarray
    turns: np.ndarray | None
    frame_rate: float
    rate_is_known: bool


def read_live_link_csv(path: Path, frame_rate: float | None = None, radians_per_unit: float = 1.0) -> FaceRecording:
    """Read a recording.

    Args:
        path: the app's CSV file.
        frame_rate: of the timecode; None = the lowest usual rate that the frame numbers fit.
        radians_per_unit: of the angles: 1 where they are radians, pi where they are half turns.

    Raises:
        RecordingError: not such a file, or damaged; the message names the row.
    """
    header, rows = _read_rows(path)
    shape_columns = {header.index(name): index for name, index in _SHAPE_COLUMNS.items() if name in header}
    if len(shape_columns) < _LEAST_SHAPES:
        raise RecordingError(
            "recording_columns", f"{path.name} has only {len(shape_columns)} of ARKit's {NUM_ARKIT} shapes.", _HINT
        )
    values = _numbers(path, header, rows)
    seconds, frames = _timecodes(path, [row[0] for row in rows])
    rate, known = (frame_rate, True) if frame_rate else _frame_rate(seconds, frames)
    times_s = _rising(path, seconds + frames / rate)
    shapes = np.zeros((len(rows), NUM_ARKIT), np.float32)
    shapes[:, list(shape_columns.values())] = values[:, list(shape_columns)]
    return FaceRecording(times_s, shapes, _turns(header, values, radians_per_unit), rate, known)


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Lower-case column names, and every row that has as many fields."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [row for row in csv.reader(file) if any(field.strip() for field in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError("recording_unreadable", f"{path.name} cannot be read as a table.", _HINT) from error
    header = [name.strip().lower() for name in lines[0]] if lines else []
    if not header or header[0] != "timecode":
        raise RecordingError("recording_columns", f"{path.name} is not a Live Link Face recording.", _HINT)
    rows = lines[1:]
    # the app was interrupted while it wrote the last row
    if rows and len(rows[-1]) < len(header):
        rows = rows[:-1]
    if not rows:
        raise RecordingError("recording_empty", f"{path.name} holds no frames.", _HINT)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise RecordingError(
                "recording_damaged", f"Line {number} of {path.name} has {len(row)} values, not {len(header)}.", _HINT
            )
    return header, rows


def _numbers(path: Path, header: list[str], rows: list[list[str]]) -> np.ndarray:
    """(N, columns) float64; the timecode's column is 0."""
    try:
        values = np.array([["0", *row[1:]] for row in rows], dtype=np.float64)
    except ValueError as error:
        raise RecordingError("recording_damaged", f"{path.name} holds something that is no number.", _HINT) from error
    used = [index for index, name in enumerate(header) if name in _SHAPE_COLUMNS or name in _TURN_COLUMNS]
    bad = ~np.isfinite(values[:, used]).all(axis=1)
    if bad.any():
        line = int(np.argmax(bad)) + 2
        raise RecordingError("recording_damaged", f"Line {line} of {path.name} holds a value that is no number.", _HINT)
    return values


def _timecodes(path: Path, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Whole seconds of the day and frames with their fraction, (N,) each."""
    try:
        parts = np.array([[float(part) for part in text.replace(";", ":").split(":")] for text in texts])
        hours, minutes, seconds, frames = parts.T
    except ValueError as error:
        raise RecordingError(
            "recording_timecode", f"{path.name} has a timecode that is not HH:MM:SS:FF.", _HINT
        ) from error
    return hours * 3600 + minutes * 60 + seconds, frames


def _frame_rate(seconds: np.ndarray, frames: np.ndarray) -> tuple[float, bool]:
    """The lowest usual rate above every frame number; certain once a second was counted to its end."""
    highest = float(np.floor(frames).max())
    rate = next((rate for rate in _FRAME_RATES if highest < rate), highest + 1.0)
    return rate, bool(len(np.unique(seconds)) > 2)


def _rising(path: Path, times_s: np.ndarray) -> np.ndarray:
    """Seconds from the first row; a recording may pass midnight."""
    passed_midnight = np.concatenate([[0.0], np.cumsum(np.diff(times_s) < -_DAY_S / 2)])
    times_s = times_s + passed_midnight * _DAY_S
    if (np.diff(times_s) < 0).any():
        line = int(np.argmax(np.diff(times_s) < 0)) + 3
        raise RecordingError("recording_timecode", f"The timecode of {path.name} runs back at line {line}.", _HINT)
    return times_s - times_s[0]


def _turns(header: list[str], values: np.ndarray, radians_per_unit: float) -> np.ndarray | None:
    """Axis-angles of head and eyes.

    The angles are the engine's: yaw to the right, pitch up, roll to the right are positive, and roll is applied first,
    then pitch, then yaw. In model axes these are turns about -Y, -X and +Z.
    """
    if not all(name in header for name in _TURN_COLUMNS):
        return None
    angles = np.zeros((len(values), 3, 3))
    for name, (part, angle) in _TURN_COLUMNS.items():
        angles[:, part, angle] = values[:, header.index(name)] * radians_per_unit
    yaw, pitch, roll = angles[..., 0], angles[..., 1], angles[..., 2]
    matrices = rotation_about("y", -yaw) @ rotation_about("x", -pitch) @ rotation_about("z", roll)
    return axis_angle_from_matrix(matrices)
