"""A head read off a photo in one pass: where the coarse fit starts."""

from __future__ import annotations

import numpy as np
import torch

from ml_backend.coarse.parameters import FitParameters
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.face_crop import FaceCrop, face_crop, photo_view
from ml_backend.learned.head_code import HeadCode
from ml_backend.tracking.face_tracker import TrackedFace


def encode_crop(pixels: np.ndarray, crop: FaceCrop, landmarks_px: np.ndarray, encoder: CoarseEncoder) -> HeadCode:
    """Read a head off one crop of a photo.

    Args:
        pixels: (H,W,3) uint8 sRGB; landmarks_px: (478,2+) of the tracker.

    Returns:
        A batch of one, in the crop's coordinates, on the processor.
    """
    image = torch.from_numpy(crop.cut(pixels, encoder.config.image_px)).permute(2, 0, 1)[None].float() / 255
    landmarks = torch.from_numpy(crop.to_crop(landmarks_px[:, :2]))[None]
    device = next(encoder.parameters()).device
    with torch.no_grad():
        return encoder(image.to(device), landmarks.to(device)).to("cpu")


def encode_photo(
    pixels: np.ndarray, face: TrackedFace, head: HeadModel, encoder: CoarseEncoder, focal_px: float | None = None
) -> FitParameters:
    """Read a head off a photo.

    Args:
        pixels: (H,W,3) uint8 sRGB; face: the tracker's landmarks on it.
        head: the one that the encoder was trained for.
        focal_px: of a perspective camera, which then sees the head at the size and place that the encoder says.

    Returns:
        The unknowns of the coarse fit.
    """
    crop = face_crop(face.landmarks_px)
    code = encode_crop(pixels, crop, face.landmarks_px, encoder)
    view = photo_view(crop, code, head)
    scale = view.camera[0, :1]
    size = scale if focal_px is None else focal_px / scale
    height, width = pixels.shape[:2]
    return FitParameters(
        shape=code.shape[0],
        expression=code.expression[0].clamp(*head.expression_limits.unbind(1)),
        pose=view.pose[0],
        view=torch.cat([size.log(), view.camera[0, 1:]]),
        focal_px=focal_px,
        image_size_px=(width, height),
    )
