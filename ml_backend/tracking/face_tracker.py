"""Finds the faces of a photo and their 478 landmarks.

The way of a face: detected (near or far, upright or in a turned copy) -> landmarks -> landmarks again from the first
ones' region -> looked at a second time, in all four quarter turns -> judged.

Positions are MediaPipe's numbers, unshifted. They can be used as positions in which the first pixel's centre is at 0.5:
the landmark network, shown crops and their mirror images, counts its crop's pixels from centres at 0.4 (29 photos,
standard error 0.05), so what remains is below a quarter of a pixel of the 192-px crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ml_backend.one_thread import one_thread
from ml_backend.tracking import landmark_topology as topology
from ml_backend.tracking.face_detector import (
    FAR_LAYOUT,
    LEFT_EYE,
    NEAR_LAYOUT,
    RIGHT_EYE,
    SAME_FACE_OVERLAP,
    Detection,
    FaceDetector,
    box_overlap,
)
from ml_backend.tracking.face_judgement import FaceJudge
from ml_backend.tracking.image_region import ImageRegion, overlapping_tiles, region_around, whole_image_region
from ml_backend.tracking.landmark_network import LandmarkEstimate, LandmarkNetwork
from ml_backend.tracking.tracker_file import load_tracker_networks

# the crop's side over the face's longer side; MediaPipe's value, which the landmark network was trained for
CROP_OVER_FACE = 1.5
# larger photos are searched in a copy of this long side; the landmarks are read from the photo itself
SEARCH_PX = 4096
# a photo in which nothing was found is searched again in square tiles of these shares of its long side: the far
# detector needs faces of about 6% of what it is shown
TILE_SHARES = (0.5, 0.25)
# smaller tiles would only find faces of less than 24 pixels, too small to become an avatar
SMALLEST_TILE_PX = 384
# One pass gives MediaPipe's landmarks of still images. A second one, from the first one's landmarks, makes them depend
# less on the detector: on 32 faces that were turned, scaled and moved a little, the scatter falls from 0.39% of the
# face's longer side to 0.23% (medians; means 0.70% and 0.40%).
DEFAULT_PASSES = 2

# a pass whose presence falls by this much has lost the face; on faces that are seen well it stays within 0.01
LOST_PRESENCE = 0.1

# beyond this the detectors' points, and with them the landmarks, become unreliable: other turns are compared as well
RELIABLE_ROLL = math.radians(45)
QUARTER_TURNS = (math.pi / 2, math.pi, -math.pi / 2)


@dataclass(frozen=True)
class TrackedFace:
    """A face of a photo.

    Attributes:
        landmarks_px: (478,3) float32: x right, y down in pixels of the photo, z in the scale of x, negative towards the
            camera. Numbers as in `landmark_topology`.
        box_px: (4,) float32 x0, y0, x1, y1: the detector's box, pixels.
        detection_score: 0-1, of the second look at the face.
        presence: 0-1, the landmark network's belief that it saw a face.
        roll_radians: how far the line through the eyes is turned, positive clockwise on the screen, -pi to pi.
    """

    landmarks_px: np.ndarray
    box_px: np.ndarray
    detection_score: float
    presence: float
    roll_radians: float


@dataclass(frozen=True)
class _Photo:
    """A photo, and a copy `search_scale` times as large in which faces are looked for; both (H,W,3) uint8."""

    pixels: np.ndarray
    search_copy: np.ndarray
    search_scale: float


@dataclass(frozen=True)
class _Candidate:
    """A convincing reading of a face, and how good it is beside other readings (0-1)."""

    face: TrackedFace
    quality: float

    @property
    def turned(self) -> bool:
        """Whether the face lies so far on its side that upright detection may have read it wrongly."""
        return abs(self.face.roll_radians) > RELIABLE_ROLL


class FaceTracker:
    """The tracker with its networks loaded; use one for many photos.

    Args:
        weights: the asset; by default the one that ships with the product.
        device: torch's name of the device to run on.
        passes: how often the landmarks are read, each time from the region of the ones before.

    Raises:
        AssetMissing: the asset is not there.
    """

    def __init__(self, weights: Path | None = None, device: str = "cpu", passes: int = DEFAULT_PASSES) -> None:
        if passes < 1:
            raise ValueError("At least one pass is needed.")
        networks = load_tracker_networks(weights, device)
        near = FaceDetector(networks.near_detector, NEAR_LAYOUT, device)
        self._detectors = (near, FaceDetector(networks.far_detector, FAR_LAYOUT, device))
        self._landmarks = LandmarkNetwork(networks.landmarks, device)
        self._judge = FaceJudge(near)
        self._passes = passes
        self.triangles = networks.triangles

    def find_faces(self, image_rgb_u8: np.ndarray, max_faces: int = 16) -> list[TrackedFace]:
        """Find the faces of a photo.

        Args:
            image_rgb_u8: (H,W,3) uint8, sRGB.
            max_faces: how many to return at most.

        Returns:
            The faces, largest first; empty when there is none.

        Raises:
            ValueError: the image has another type or shape.
        """
        photo = _photo(image_rgb_u8)
        with one_thread():
            found = self._search(photo)
        faces = [candidate.face for candidate in _best_of_each(found)]
        return sorted(faces, key=_size, reverse=True)[:max_faces]

    def _search(self, photo: _Photo) -> list[_Candidate]:
        """Upright first, then turned, then closer."""
        whole = whole_image_region(photo.search_copy)
        found = self._candidates(photo, [whole])
        if not found or any(candidate.turned for candidate in found):
            for turn in QUARTER_TURNS:
                found += self._candidates(photo, [whole.turned(turn)])
        for share in TILE_SHARES:
            if not found and share * max(photo.search_copy.shape) >= SMALLEST_TILE_PX:
                found = self._candidates(photo, overlapping_tiles(photo.search_copy, share))
        return found

    def _candidates(self, photo: _Photo, regions: list[ImageRegion]) -> list[_Candidate]:
        """The convincing readings of what the detectors find in regions of the search copy.

        The landmark network knows the near detector's boxes best: the far one only adds what the near one missed.
        """
        found: list[_Candidate] = []
        for detector in self._detectors:
            rows = [row for rows in detector.detect_all(photo.search_copy, regions) for row in rows]
            detections = _new_ones([row.scaled(1 / photo.search_scale) for row in rows], found)
            estimates = self._read(photo.pixels, [region_of_detection(detection) for detection in detections])
            judged = [self._judged(photo.pixels, *pair) for pair in zip(detections, estimates, strict=True)]
            found += [candidate for candidate in judged if candidate is not None]
        return found

    def _read(self, image: np.ndarray, regions: list[ImageRegion]) -> list[LandmarkEstimate]:
        estimates = self._landmarks.estimate(image, regions)
        for _ in range(self._passes - 1):
            again = self._landmarks.estimate(image, [region_of_landmarks(row.landmarks) for row in estimates])
            estimates = [_better(*pair) for pair in zip(estimates, again, strict=True)]
        return estimates

    def _judged(self, image: np.ndarray, detection: Detection, estimate: LandmarkEstimate) -> _Candidate | None:
        """The face if it convinces, read again the right way up when the second look finds it turned."""
        verdict = self._judge.look_again(image, estimate)
        if verdict.turned_detection is not None:
            detection = verdict.turned_detection
            estimate = self._read(image, [region_of_detection(detection)])[0]
            verdict = self._judge.look_again(image, estimate)
        if not verdict.convincing:
            return None
        eyes = estimate.landmarks[topology.LEFT_EYE_OUTER] - estimate.landmarks[topology.RIGHT_EYE_OUTER]
        face = TrackedFace(
            landmarks_px=estimate.landmarks.astype(np.float32),
            box_px=detection.box.astype(np.float32),
            detection_score=verdict.score,
            presence=estimate.presence,
            roll_radians=math.atan2(eyes[1], eyes[0]),
        )
        return _Candidate(face, detection.score * verdict.quality)


def region_of_detection(detection: Detection) -> ImageRegion:
    """The square that the landmark network wants, from a detection."""
    eyes = detection.points[LEFT_EYE] - detection.points[RIGHT_EYE]
    return region_around(detection.box[:2], detection.box[2:], eyes, CROP_OVER_FACE)


def region_of_landmarks(landmarks: np.ndarray) -> ImageRegion:
    """The square that the landmark network wants, from landmarks (478,3) of the pass before.

    Its x axis follows the line through the eyes together with the perpendicular of the line from forehead to chin, each
    weighing as much as it is long: on profiles the eyes fall together and the vertical decides. (MediaPipe's, between
    video images, follows the corners of one eye: the landmarks scatter 20% more, and can slide off a profile.)
    """
    points = landmarks[:, :2]
    eyes = points[topology.LEFT_EYE_OUTER] - points[topology.RIGHT_EYE_OUTER]
    down = points[topology.CHIN] - points[topology.FOREHEAD_TOP]
    across = eyes + np.array([down[1], -down[0]])
    return region_around(points.min(0), points.max(0), across, CROP_OVER_FACE)


def _better(before: LandmarkEstimate, after: LandmarkEstimate) -> LandmarkEstimate:
    """The later reading, unless it has lost the face: on profiles the first landmarks can lead away from it."""
    return before if after.presence < before.presence - LOST_PRESENCE else after


def _photo(image: np.ndarray) -> _Photo:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape) < 1:
        raise ValueError(f"The tracker needs an (H,W,3) image of 8-bit RGB, not {image.shape} of {image.dtype}.")
    scale = min(1.0, SEARCH_PX / max(image.shape[:2]))
    copy = image
    if scale < 1:
        height, width = (max(1, round(extent * scale)) for extent in image.shape[:2])
        copy = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return _Photo(np.ascontiguousarray(image), np.ascontiguousarray(copy), scale)


def _new_ones(detections: list[Detection], found: list[_Candidate]) -> list[Detection]:
    """The best detection of each face that has not been found before."""
    boxes = [candidate.face.box_px for candidate in found]
    kept = []
    for detection in sorted(detections, key=lambda row: -row.score):
        if not (box_overlap(detection.box, np.array(boxes).reshape(-1, 4)) > SAME_FACE_OVERLAP).any():
            kept.append(detection)
            boxes.append(detection.box)
    return kept


def _landmark_box(face: TrackedFace) -> np.ndarray:
    points = face.landmarks_px[:, :2]
    return np.concatenate([points.min(0), points.max(0)])


def _best_of_each(candidates: list[_Candidate]) -> list[_Candidate]:
    """The best reading of each face, where several lie on the same."""
    kept: list[_Candidate] = []
    for candidate in sorted(candidates, key=lambda row: -row.quality):
        boxes = np.array([_landmark_box(other.face) for other in kept]).reshape(-1, 4)
        if not (box_overlap(_landmark_box(candidate.face), boxes) > SAME_FACE_OVERLAP).any():
            kept.append(candidate)
    return kept


def _size(face: TrackedFace) -> float:
    box = _landmark_box(face)
    return float((box[2:] - box[:2]).prod())
