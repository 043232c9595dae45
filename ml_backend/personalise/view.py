"""One photo of a person among several, ready to be fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_backend.coarse.parameters import FitParameters
from ml_backend.tracking.face_tracker import TrackedFace

# Longest side of the photos that are kept in memory together: a face in it has still more pixels than the coarse fit
# can use, and forty of them take about 200 MB.
VIEW_SIDE_PX = 1600


@dataclass(frozen=True)
class View:
    """One photo of the person.

    Attributes:
        name: for people, the path relative to the folder.
        pixels: (H,W,3) uint8 sRGB, longest side at most VIEW_SIDE_PX.
        face: the tracker's landmarks on those pixels.
        start: the learned encoder's reading of the photo; None where there is none.
    """

    name: str
    pixels: np.ndarray
    face: TrackedFace
    start: FitParameters | None
