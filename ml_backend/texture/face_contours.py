"""Areas of the face as masks: closed outlines of the tracker's landmarks, filled.

Eyes, brows, lips and the oval stand in `ml_backend/tracking/landmark_topology.py`; here are those that only textures
need, read off drawings of the same points.
"""

from __future__ import annotations

import cv2
import numpy as np

# Around the wings and under the tip.
NOSTRILS = (129, 203, 98, 97, 2, 326, 327, 423, 358, 278, 344, 440, 275, 4, 45, 220, 115, 48)
# Between the eyes, where glasses rest.
NOSE_BRIDGE = (193, 168, 417, 351, 419, 197, 196, 122)
# From ear to ear along the jaw, and back under the nose.
BEARD = (
    132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 327, 2, 98,
)  # fmt: skip


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
