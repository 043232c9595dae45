"""Chooses among many photos of a person those that show most of them: other poses, other expressions, other light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# What counts as one step apart: yaw and pitch in radians, expression as the rms over the landmarks in metres, light as
# the length of the difference of its coefficients at equal brightness. A step of each is about as plain to the eye.
YAW_STEP, PITCH_STEP = 0.35, 0.25
EXPRESSION_STEP_M = 0.0025
LIGHT_STEP = 0.5
# A photo of the worst quality needs to be so many times further from the chosen ones than one of the best.
QUALITY_WEIGHT = 2.0


@dataclass(frozen=True)
class PhotoPlace:
    """Where a photo stands among the photos of a person.

    Attributes:
        yaw, pitch: radians.
        expression: (N,3) metres, how the expression moves the landmarks of the head at rest.
        light: (9,3) spherical harmonics.
        quality: 0-1.
    """

    yaw: float
    pitch: float
    expression: np.ndarray
    light: np.ndarray
    quality: float

    @property
    def steps(self) -> np.ndarray:
        """Coordinates whose distances count steps."""
        turn = [self.yaw / YAW_STEP, self.pitch / PITCH_STEP]
        expression = self.expression.reshape(-1) / (EXPRESSION_STEP_M * len(self.expression) ** 0.5)
        # brighter is another exposure, not another light
        brightness = max(float(np.abs(self.light[0]).mean()), 1e-6)
        return np.concatenate([turn, expression, self.light.reshape(-1) / (brightness * LIGHT_STEP)])


@dataclass(frozen=True)
class SpreadChoice:
    """Which photos were chosen.

    Attributes:
        chosen: their numbers, in the order in which they were chosen.
        nearest: for each photo the chosen one that it is most like (itself where it is chosen).
        distance: for each photo how far that is, in steps.
    """

    chosen: tuple[int, ...]
    nearest: tuple[int, ...]
    distance: tuple[float, ...]


def choose_spread(places: Sequence[PhotoPlace], most: int, always: Sequence[int] = ()) -> SpreadChoice:
    """Choose photos one by one, each time the one that is furthest from all chosen, quality considered.

    The first is the one of best quality that looks ahead: texture and relief are read from it.

    Args:
        places: one for each photo; most: how many to choose at most, 1 or more.
        always: numbers that are chosen whatever they show, also beyond `most`.

    Source: farthest-point sampling (Gonzalez, Clustering to minimize the maximum intercluster distance, 1985), weighted
    by quality: own choice.
    """
    if not places:
        return SpreadChoice((), (), ())
    steps = np.stack([place.steps for place in places])
    worth = np.array([1 + (QUALITY_WEIGHT - 1) * place.quality for place in places])
    chosen = list(dict.fromkeys(always)) or [_best_frontal(places)]
    nearest = np.zeros(len(places), int)
    distance = np.full(len(places), np.inf)
    for number in chosen:
        _include(number, steps, nearest, distance)
    while len(chosen) < min(most, len(places)):
        score = distance * worth
        # also pictures at no distance at all have their turn, each once
        score[chosen] = -1.0
        chosen.append(int(score.argmax()))
        _include(chosen[-1], steps, nearest, distance)
    return SpreadChoice(tuple(chosen), tuple(nearest.tolist()), tuple(distance.tolist()))


def _best_frontal(places: Sequence[PhotoPlace]) -> int:
    ahead = [np.hypot(place.yaw / YAW_STEP, place.pitch / PITCH_STEP) for place in places]
    return int(np.argmax([place.quality / (1 + turn) for place, turn in zip(places, ahead, strict=True)]))


def _include(number: int, steps: np.ndarray, nearest: np.ndarray, distance: np.ndarray) -> None:
    """Count a photo among the chosen ones."""
    away = np.linalg.norm(steps - steps[number], axis=1)
    away[number] = -1.0
    closer = away < distance
    nearest[closer] = number
    distance[closer] = np.maximum(away[closer], 0.0)
