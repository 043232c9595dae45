"""The part of a photo that the coarse encoder sees: upright, square, the same share of it face in every photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.head.head_model import HeadModel
from ml_backend.learned.head_code import HeadCode
from ml_backend.learned.view_motion import ImageSimilarity, MovedView, move_view
from ml_backend.tracking import landmark_topology as topology

# side of the crop over the longer side of the landmarks' box: shows the whole head with some background
CROP_SIDE = 1.6
DEFAULT_CROP_PX = 224
# iBUG indices of the eyes' outlines and of the lips' outer outline
EYES_68 = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))
MOUTH_68 = tuple(range(48, 60))


@dataclass(frozen=True)
class FaceCrop:
    """A square window on a photo.

    Attributes:
        centre_px: (x, y) of its middle in the photo; side_px: its side in pixels of the photo.
        roll: radians by which the face, and the window with it, is turned clockwise on the screen.
    """

    centre_px: tuple[float, float]
    side_px: float
    roll: float

    @property
    def photo_from_crop(self) -> ImageSimilarity:
        """Crop coordinates (-1 to 1, y down) to pixels of the photo; a batch of one."""
        return ImageSimilarity(
            torch.tensor([self.side_px / 2]), torch.tensor([self.roll]), torch.tensor([self.centre_px])
        )

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """(N,2) pixels of the photo of crop coordinates (N,2)."""
        return (points @ self._rotation.T * (self.side_px / 2) + np.array(self.centre_px)).astype(np.float32)

    def to_crop(self, points_px: np.ndarray) -> np.ndarray:
        """(N,2) crop coordinates of pixels of the photo (N,2)."""
        return ((points_px - np.array(self.centre_px)) @ self._rotation / (self.side_px / 2)).astype(np.float32)

    def cut(self, pixels: np.ndarray, size_px: int = DEFAULT_CROP_PX) -> np.ndarray:
        """Cut the window out of a photo: bilinear after an area prefilter, black outside.

        Args:
            pixels: (H,W,3) uint8.

        Returns:
            (size_px,size_px,3) uint8.
        """
        reduction = max(1, math.floor(self.side_px / size_px))
        if reduction > 1:
            height, width = (max(1, side // reduction) for side in pixels.shape[:2])
            small = cv2.resize(pixels[: height * reduction, : width * reduction], (width, height), None, 0, 0,
                               cv2.INTER_AREA)  # fmt: skip
        else:
            small = pixels
        linear = self._rotation * (self.side_px / size_px / reduction)
        # cv2's pixel centres are at whole numbers, ours at +0.5
        middle = np.array(self.centre_px) / reduction - 0.5
        shift = middle - linear @ np.full(2, (size_px - 1) / 2)
        affine = np.concatenate([linear, shift[:, None]], 1)
        return cv2.warpAffine(small, affine, (size_px, size_px), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    @property
    def _rotation(self) -> np.ndarray:
        """(2,2) from the crop's axes to the photo's."""
        cosine, sine = math.cos(self.roll), math.sin(self.roll)
        return np.array([[cosine, -sine], [sine, cosine]])


def face_crop(landmarks_px: np.ndarray) -> FaceCrop:
    """The crop of a face.

    Up is from the mouth's centre to the middle of the eyes, which is defined in a profile as well.

    Args:
        landmarks_px: (478,2+) of the tracker, or (68,2+) of iBUG, pixels.
    """
    points = np.asarray(landmarks_px, np.float64)[:, :2]
    if len(points) == topology.NUM_LANDMARKS:
        eyes, mouth = (topology.RIGHT_EYE, topology.LEFT_EYE), topology.LIPS_OUTER
    else:
        eyes, mouth = EYES_68, MOUTH_68
    middle_of_eyes = np.mean([points[list(eye)].mean(0) for eye in eyes], axis=0)
    up = middle_of_eyes - points[list(mouth)].mean(0)
    roll = math.atan2(up[0], -up[1])
    upright = FaceCrop((0.0, 0.0), 2.0, roll)
    turned = points @ upright._rotation
    low, high = turned.min(0), turned.max(0)
    centre = upright._rotation @ ((low + high) / 2)
    return FaceCrop((float(centre[0]), float(centre[1])), CROP_SIDE * float((high - low).max()), roll)


def photo_view(crop: FaceCrop, code: HeadCode, head: HeadModel) -> MovedView:
    """The encoder's head in the photo instead of in the crop.

    Args:
        code: of this crop, a batch of one.

    Returns:
        MovedView whose camera is (pixels per metre, x, y) in pixels of the photo.
    """
    root = head.joints(code.shape)[:, 0]
    return move_view(code.pose, code.camera, code.light, root, crop.photo_from_crop)


def mean_crop_camera(head: HeadModel) -> torch.Tensor:
    """(3,) the camera (s, tx, ty) in which the mean head, frontal, fills its crop as every face does."""
    points = head.landmarks_478.on(head.skinned.template[None], head.triangles)[0, :, :2]
    crop = face_crop((points * points.new_tensor([1.0, -1.0])).cpu().numpy())
    scale = 2 / crop.side_px
    return torch.tensor([scale, -scale * crop.centre_px[0], -scale * crop.centre_px[1]])
