"""A judged folder as a table for the command line and as JSON."""

from __future__ import annotations

import math
from typing import Any

from ml_backend.personalise.curation import Curation, JudgedPhoto

COLUMNS = ("photo", "verdict", "same person", "eyes px", "sharp", "yaw", "pitch", "why")
# longer names are shortened in the middle: their ends tell photos apart
LONGEST_NAME = 40


def table(curation: Curation) -> str:
    """All photos in columns, one line each, and what there is to say of the whole below."""
    rows = [COLUMNS, *(_row(photo) for photo in curation.photos)]
    # the last column is not padded
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
    return "\n".join([*lines, "", *curation.sentences])


def as_json(curation: Curation) -> dict[str, Any]:
    """The same as JSON values; angles in degrees, without thumbnails."""
    return {
        "photos": [_values(photo) for photo in curation.photos],
        "chosen": list(curation.chosen),
        "person_shape": [float(value) for value in curation.person_shape],
        "sentences": list(curation.sentences),
    }


def _row(photo: JudgedPhoto) -> tuple[str, ...]:
    sure = "" if photo.sure is None else f"{100 * photo.sure:.0f}%"
    if photo.figures is None:
        figures = ("", "", "", "")
    else:
        figures = (
            f"{photo.figures.eye_distance_px:.0f}",
            f"{photo.figures.sharpness:.2f}",
            f"{math.degrees(photo.figures.yaw):+.0f}°",
            f"{math.degrees(photo.figures.pitch):+.0f}°",
        )
    return (_short(photo.name), photo.verdict.value, sure, *figures, photo.sentence)


def _short(name: str) -> str:
    # a line break in a file name would break the table
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _values(photo: JudgedPhoto) -> dict[str, Any]:
    figures = photo.figures
    return {
        "name": photo.name,
        "verdict": photo.verdict.name.lower(),
        "sentence": photo.sentence,
        "same_person_probability": photo.sure,
        "face_number": photo.face_number,
        "num_faces": photo.num_faces,
        "figures": None
        if figures is None
        else {
            "eye_distance_px": figures.eye_distance_px,
            "sharpness": figures.sharpness,
            "yaw_degrees": math.degrees(figures.yaw),
            "pitch_degrees": math.degrees(figures.pitch),
            "landmark_error_percent": figures.landmark_error_percent,
            "share_inside": figures.share_inside,
        },
    }
