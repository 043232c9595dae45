"""The conventions of every array, image and angle in Likeness, stated once (docs/architecture.md tells them in prose).

Model space: metres, right-handed, +Y up, +Z out of the face, the person's left at +X.
Blender space: metres, +Z up, the face towards -Y.
"""

from __future__ import annotations

import numpy as np

VERSION = "0.1.0"

JOINT_NAMES = ("root", "neck", "jaw", "left_eye", "right_eye")
JOINT_PARENTS = (-1, 0, 1, 1, 1)
NUM_JOINTS = len(JOINT_NAMES)

# Blender = MODEL_TO_BLENDER @ model: (x, y, z) -> (x, -z, y), a turn of +90 degrees about X.
MODEL_TO_BLENDER = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def blender_from_model(points: np.ndarray) -> np.ndarray:
    """Turn points or directions from model space into Blender space.

    Args:
        points: (..., 3) metres, model space.

    Returns:
        (..., 3) metres, Blender space, same dtype.
    """
    return (points @ MODEL_TO_BLENDER.T).astype(points.dtype)
