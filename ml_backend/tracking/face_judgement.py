"""Decides whether landmarks lie on a face, and whether they lie on it the right way up.

The landmark network answers with a face whatever it is shown, and its own `presence` stays high for upside-down faces.
So the face is looked at once more with the near detector, large and in all four quarter turns: a real face is found
again, best when upright, with its eyes, nose and mouth where the landmarks say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ml_backend.tracking import face_detector
from ml_backend.tracking import landmark_topology as topology
from ml_backend.tracking.face_detector import Detection, FaceDetector
from ml_backend.tracking.landmark_network import LandmarkEstimate

# the second look's side over the landmark crop's: the face fills half of it, as in the portraits the detector knows
LOOK_OVER_CROP = 1.33
# a face found better by this much after a turn was read the wrong way round
TURN_ADVANTAGE = 0.1
# The three limits, from 33 faces in photos (also profiles and faces cut by the frame), some of them turned in 24 ways,
# and 30 pictures without a face. Faces have scores from 0.80; the best false ones, cells under
# a microscope and a row of windows, have 0.72 and 0.67.
LOWEST_SCORE = 0.75
# full profiles go down to 0.8
LOWEST_PRESENCE = 0.5
# Distance of eyes, nose and mouth between detector and landmarks, over the distance from the eyes to the mouth. Most
# faces stay below 0.1, profiles go up to 0.16; landmarks from a wrong turn have 0.14 to 0.9, most above 0.3.
LARGEST_DISAGREEMENT = 0.2


@dataclass(frozen=True)
class Verdict:
    """What the second look says.

    Attributes:
        score: 0-1, the detector's at the landmarks' own orientation; 0 when nothing was found.
        presence: 0-1, the landmark network's.
        disagreement: between detector and landmarks, over the distance from the eyes to the mouth.
        turned_detection: the face as found in another quarter turn, when that is the better one.
    """

    score: float
    presence: float
    disagreement: float
    turned_detection: Detection | None

    @property
    def quality(self) -> float:
        """0-1, to choose between several readings of one face."""
        return self.score * max(0.0, 1 - self.disagreement)

    @property
    def convincing(self) -> bool:
        """Whether this is a face."""
        return (
            self.score >= LOWEST_SCORE
            and self.presence >= LOWEST_PRESENCE
            and self.disagreement <= LARGEST_DISAGREEMENT
        )


class FaceJudge:
    """The second look, with the near detector."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def look_again(self, image: np.ndarray, estimate: LandmarkEstimate) -> Verdict:
        """Judge landmarks on the image (H,W,3 uint8) from which they were read."""
        look = estimate.region.enlarged(LOOK_OVER_CROP)
        regions = [look.turned(quarter * math.pi / 2) for quarter in range(4)]
        centre = estimate.landmarks[:, :2].mean(0)
        found = [_at(rows, centre) for rows in self._detector.detect_all(image, regions)]
        scores = [0.0 if row is None else row.score for row in found]
        best = int(np.argmax(scores))
        better = best != 0 and scores[best] > scores[0] + TURN_ADVANTAGE
        return Verdict(
            score=scores[0],
            presence=estimate.presence,
            disagreement=math.inf if found[0] is None else _disagreement(estimate.landmarks, found[0]),
            turned_detection=found[best] if better else None,
        )


def _at(detections: list[Detection], position: np.ndarray) -> Detection | None:
    """The best detection that covers a position."""
    covering = [row for row in detections if (row.box[:2] <= position).all() and (position <= row.box[2:]).all()]
    return covering[0] if covering else None


def _disagreement(landmarks: np.ndarray, detection: Detection) -> float:
    points = landmarks[:, :2]
    features = np.array(
        [
            points[list(topology.RIGHT_EYE)].mean(0),
            points[list(topology.LEFT_EYE)].mean(0),
            points[topology.NOSE_TIP],
            points[list(topology.LIPS_INNER)].mean(0),
        ]
    )
    seen = detection.points[
        [face_detector.RIGHT_EYE, face_detector.LEFT_EYE, face_detector.NOSE_TIP, face_detector.MOUTH]
    ]
    size = np.linalg.norm(features[3] - features[:2].mean(0))
    return float(np.linalg.norm(features - seen, axis=1).mean() / max(size, 1e-9))
