"""Rotations as matrices and axis-angle vectors, whole recordings at once."""

from __future__ import annotations

import numpy as np

_AXES = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}
# below this angle the axis is taken from the sine, which is exact to rounding there
_SMALL_RADIANS = 1e-4


def rotation_about(axis: str, angles: np.ndarray) -> np.ndarray:
    """Rotation matrices about one axis.

    Args:
        axis: "x", "y" or "z".
        angles: (...) radians, right-handed.

    Returns:
        (..., 3, 3).
    """
    first, second = _AXES[axis]
    matrices = np.zeros((*np.shape(angles), 3, 3))
    matrices[...] = np.eye(3)
    cosine, sine = np.cos(angles), np.sin(angles)
    matrices[..., first, first] = cosine
    matrices[..., second, second] = cosine
    matrices[..., first, second] = -sine
    matrices[..., second, first] = sine
    return matrices


def axis_angle_from_matrix(matrices: np.ndarray) -> np.ndarray:
    """Axis-angle vectors of rotations by less than half a turn.

    Args:
        matrices: (..., 3, 3) rotations.

    Returns:
        (..., 3) radians.
    """
    # the skew part is the axis times the sine of the angle
    skew = np.stack(
        [
            matrices[..., 2, 1] - matrices[..., 1, 2],
            matrices[..., 0, 2] - matrices[..., 2, 0],
            matrices[..., 1, 0] - matrices[..., 0, 1],
        ],
        axis=-1,
    )
    sine = np.linalg.norm(skew, axis=-1) / 2
    cosine = (np.trace(matrices, axis1=-2, axis2=-1) - 1) / 2
    angle = np.arctan2(sine, cosine)
    factor = np.where(angle < _SMALL_RADIANS, 0.5, angle / np.maximum(2 * sine, 1e-12))
    return skew * factor[..., None]
