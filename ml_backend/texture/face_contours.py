"""Closed outlines on the face as indices of the tracker's 478 landmarks (left and right are the person's).

Source: the point numbering of MediaPipe's face mesh (Apache-2.0), read off its drawings.
"""

from __future__ import annotations

import cv2
import numpy as np

EYE_OPENING_LEFT = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
EYE_OPENING_RIGHT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
MOUTH_OPENING = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
BROW_LEFT = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
BROW_RIGHT = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
NOSTRILS = (129, 203, 98, 97, 2, 326, 327, 423, 358, 278, 344, 440, 275, 4, 45, 220, 115, 48)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
NOSE_BRIDGE = (193, 168, 417, 351, 419, 197, 196, 122)
BEARD = (
    132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 327, 2, 98,
)  # fmt: skip
IRIS_CENTRE_RIGHT, IRIS_RING_RIGHT = 468, (469, 470, 471, 472)
IRIS_CENTRE_LEFT, IRIS_RING_LEFT = 473, (474, 475, 476, 477)


def fill_contours(
    landmarks_px: np.ndarray, contours: tuple[tuple[int, ...], ...], height: int, width: int, grow: float = 0.0
) -> np.ndarray:
    """Draw closed outlines as a mask.

    Args:
        landmarks_px: (478, 2) in the pixels of the mask (first centre at 0.5, 0.5).
        contours: outlines to fill, as landmark indices.
        height, width: of the mask.
        grow: pixels by which the filled areas grow; negative shrinks.

    Returns:
        (height, width) float32, 0-1, smooth over one pixel.
    """
    mask = np.zeros((height, width), dtype=np.uint8)
    sixteenths = 4
    for contour in contours:
        points = np.round((landmarks_px[list(contour)] - 0.5) * 2**sixteenths).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, sixteenths)
    if grow == 0.0:
        return mask.astype(np.float32) / 255.0
    inside = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((mask <= 127).astype(np.uint8), cv2.DIST_L2, 5)
    return np.clip(inside - outside + grow + 0.5, 0.0, 1.0).astype(np.float32)
