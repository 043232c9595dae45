"""Judges single photos for a person's model: how sharp, how large, from where, and whether two are the same picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from ml_backend.learned.face_crop import FaceCrop, face_crop
from ml_backend.tracking import landmark_topology as topology
from ml_backend.tracking.face_tracker import TrackedFace

# Side of the crop in which sharpness is measured: what is blurred at this size is blurred for the fit, and a large
# photo may be as soft as a telephone's without harm. The face itself is about 140 px of it.
SHARPNESS_CROP_PX = 224
# pixels over which the picture is blurred again
BLUR_AGAIN_PX = 9
# A change from pixel to pixel counts as detail beyond so many standard deviations of the picture's noise, and beyond so
# many grey levels (of 255).
NOISE_DEVIATIONS, LEAST_CHANGE = 3.0, 2.0
# side of the small grey picture of the face and some surroundings by which duplicates are told
FINGERPRINT_PX = 24


class Verdict(Enum):
    """What becomes of a photo; each value is its word for people."""

    USED = "used"
    NOT_NEEDED = "not needed"
    NO_FACE = "no face"
    OTHER_PERSON = "another person"
    DUPLICATE = "duplicate"
    BLURRED = "blurred"
    TOO_SMALL = "too small"
    EXTREME_POSE = "extreme pose"
    CUT_OFF = "cut off"
    UNREADABLE = "unreadable"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class PhotoFigures:
    """What is measured of a face in a photo.

    Attributes:
        sharpness: 0 (nothing but broad shades) to 1.
        eye_distance_px: between the outer corners of the eyes, in three dimensions, in the photo as it is used.
        yaw, pitch: radians, how far the head is turned to its left and bent down.
        landmark_error_percent: of the landmarks' fit, percent of the eyes' distance.
        share_inside: of the landmarks that lie in the photo, 0 to 1.
    """

    sharpness: float
    eye_distance_px: float
    yaw: float
    pitch: float
    landmark_error_percent: float
    share_inside: float


@dataclass(frozen=True)
class JudgementLimits:
    """From where on a photo does more harm than good.

    Attributes:
        eye_distance_px: least distance of the outer eye corners; the landmarks' network sees a crop of 192 px, in which
            it is about 58.
        sharpness: least. Of 20 photos the softest has 0.31; blurred by 1, 2 and 3% of the eyes' distance (Gauss) they
            have 0.40, 0.20 and 0.07 in the median; by 5%, with noise of 5 grey levels on top, 0.18.
        yaw, pitch: greatest, radians. Beyond them the tracker guesses the hidden half of the face.
        landmark_error_percent: greatest; a face that is followed so badly is hidden, painted or no face.
        share_inside: least; of a face that ends at the edge of the photo the rest is guessed.
    """

    eye_distance_px: float = 36.0
    sharpness: float = 0.18
    yaw: float = math.radians(65)
    pitch: float = math.radians(40)
    landmark_error_percent: float = 6.0
    share_inside: float = 0.85


@dataclass(frozen=True)
class Fingerprint:
    """What tells a picture of a face from another one, however it was saved.

    Attributes:
        grey: (FINGERPRINT_PX ** 2,) float32, the face and what is around it; inside: the same, bool, where the photo
            is.
        landmarks: (478,2) float32, crop coordinates.
    """

    grey: np.ndarray
    inside: np.ndarray
    landmarks: np.ndarray

    @property
    def share_inside(self) -> float:
        """How much of the face and its surroundings the photo shows, 0 to 1."""
        return float(self.inside.mean())

    def same_picture(self, other: Fingerprint) -> bool:
        """Whether two files hold the same picture: saved again, scaled, cut, brightened, or of the same moment."""
        if float(np.linalg.norm(self.landmarks - other.landmarks, axis=1).mean()) >= SAME_LANDMARKS:
            return False
        common = self.inside & other.inside
        if not common.any():
            return False
        one, two = (grey[common] - grey[common].mean() for grey in (self.grey, other.grey))
        length = float(np.linalg.norm(one) * np.linalg.norm(two))
        return float(one @ two) >= SAME_CORRELATION * max(length, 1e-6)


def fault(figures: PhotoFigures, limits: JudgementLimits) -> tuple[Verdict, str] | None:
    """The first thing that is wrong with a face in a photo, with a sentence; None where it can be used."""
    if figures.eye_distance_px < limits.eye_distance_px:
        size = round(figures.eye_distance_px)
        need = math.ceil(limits.eye_distance_px)
        return Verdict.TOO_SMALL, f"The face is too small: its eyes span {size} pixels, {need} are needed."
    if figures.share_inside < limits.share_inside:
        return Verdict.CUT_OFF, "The face is cut off by the edge of the photo."
    turned, bent = math.degrees(abs(figures.yaw)), math.degrees(abs(figures.pitch))
    if turned > math.degrees(limits.yaw):
        return Verdict.EXTREME_POSE, f"The head is turned {turned:.0f}° to the side, so half of the face is hidden."
    if bent > math.degrees(limits.pitch):
        direction = "down" if figures.pitch > 0 else "up"
        return Verdict.EXTREME_POSE, f"The head is bent {bent:.0f}° {direction}, so part of the face is hidden."
    if figures.sharpness < limits.sharpness:
        return Verdict.BLURRED, f"The face is blurred: its sharpness is {figures.sharpness:.2f} of 1."
    if figures.landmark_error_percent > limits.landmark_error_percent:
        return Verdict.EXTREME_POSE, "The face is hidden in part or seen from too far aside to be followed."
    return None


def eye_distance_px(landmarks_px: np.ndarray) -> float:
    """Distance of the outer eye corners of landmarks (478,3), in three dimensions."""
    eyes = landmarks_px[topology.LEFT_EYE_OUTER] - landmarks_px[topology.RIGHT_EYE_OUTER]
    return float(np.linalg.norm(eyes))


def share_inside(pixels: np.ndarray, landmarks_px: np.ndarray) -> float:
    """The share of landmarks (478,3) that lie in a photo (H,W,3)."""
    points = landmarks_px[:, :2]
    return float(((points >= 0) & (points < pixels.shape[1::-1])).all(1).mean())


def head_turn(rotation: np.ndarray) -> tuple[float, float]:
    """Yaw and pitch (radians) of a head's rotation (3,3), model axes: to its left and down are positive."""
    forward = rotation[:, 2]
    return math.atan2(forward[0], forward[2]), -math.asin(float(np.clip(forward[1], -1, 1)))


def sharpness(pixels: np.ndarray, face: TrackedFace) -> float:
    """How much detail a face shows, 0 to 1, whatever its size and contrast.

    Args:
        pixels: (H,W,3) uint8 sRGB.

    Returns:
        The share of the change from pixel to pixel that blurring takes away; along rows or along columns, whichever
        has less, since a shake blurs in one direction.

    Source: Crété, Dolmiere, Ladret, Nicolas, The blur effect, 2007; counted on the face alone, with a threshold for
    noise: own choice.
    """
    crop = face_crop(face.landmarks_px)
    size = int(np.clip(crop.side_px, 16, SHARPNESS_CROP_PX))
    grey = cv2.cvtColor(crop.cut(pixels, size), cv2.COLOR_RGB2GRAY).astype(np.float32)
    inside = _face_mask(crop, face.landmarks_px, size)
    least = max(LEAST_CHANGE, NOISE_DEVIATIONS * _noise(grey))
    return min(_detail(grey, inside, least), _detail(grey.T, inside.T, least))


def fingerprint(pixels: np.ndarray, face: TrackedFace) -> Fingerprint:
    """What tells this picture from others."""
    crop = face_crop(face.landmarks_px)
    grey = cv2.cvtColor(crop.cut(pixels, FINGERPRINT_PX), cv2.COLOR_RGB2GRAY).astype(np.float32).reshape(-1)
    centres = (np.mgrid[:FINGERPRINT_PX, :FINGERPRINT_PX][::-1].reshape(2, -1).T + 0.5) * (2 / FINGERPRINT_PX) - 1
    places = crop.to_photo(centres)
    # a pixel from the border: there the crop's pixels are mixed with the black outside
    margin = crop.side_px / FINGERPRINT_PX
    inside = ((places >= margin) & (places <= np.array(pixels.shape[1::-1]) - margin)).all(1)
    return Fingerprint(grey, inside, crop.to_crop(face.landmarks_px[:, :2]))


# Two files show the same picture when their faces look alike to this correlation and their landmarks agree in the mean
# to this length (half crops). Saved again, at half the size, brightened or cut: correlation from 0.978, landmarks to
# 0.006; two images of a video 1/30 s apart 0.995 and 0.012, 1/15 s apart 0.990 and 0.023; different photos of 33: at
# most 0.84, at least 0.025.
SAME_CORRELATION = 0.95
SAME_LANDMARKS = 0.015


def _face_mask(crop: FaceCrop, landmarks_px: np.ndarray, size: int) -> np.ndarray:
    """(size,size) bool: inside the outline of the face."""
    outline = (crop.to_crop(landmarks_px[list(topology.FACE_OVAL), :2]) + 1) * (size / 2)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return mask.astype(bool)


def _noise(grey: np.ndarray) -> float:
    """Standard deviation of the noise: by what a filter leaves that takes away all that is smooth along either axis.

    Source: Immerkaer, Fast noise variance estimation, 1996; median instead of mean, since faces have edges.
    """
    kernel = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)
    return float(np.median(np.abs(cv2.filter2D(grey, -1, kernel)))) / (6 * 0.6745)


def _detail(grey: np.ndarray, inside: np.ndarray, least_change: float) -> float:
    """The share of the change along rows that blurring along rows takes away; `least_change` of each is noise."""
    again = cv2.blur(grey, (BLUR_AGAIN_PX, 1), borderType=cv2.BORDER_REPLICATE)
    change = np.maximum(np.abs(np.diff(grey, axis=1)) - least_change, 0)[inside[:, 1:]]
    left = np.abs(np.diff(again, axis=1))[inside[:, 1:]]
    total = float(change.sum())
    return float(np.maximum(change - left, 0).sum()) / total if total > 0 else 0.0
