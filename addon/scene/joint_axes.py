"""How a joint's rotation in model axes and its bone's rotation in bone axes belong together.

Bones lie along the model's own axes, so that one is the other with its components exchanged: the neck's bone points up,
jaw and eye bones point out of the face. Then pose correctives, limits and the photo's pose are exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..exchange.conventions import JOINT_NAMES, MODEL_TO_BLENDER

# columns: the bone's x, y (its direction) and z in model space
_UP = np.eye(3)
_FORWARD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

JointName = Literal["root", "neck", "jaw", "left_eye", "right_eye"]


@dataclass(frozen=True)
class JointLimits:
    """How far a joint may turn about the model's axes, degrees: x (nod, open), y (turn), z (tilt, torsion)."""

    x: tuple[float, float]
    y: tuple[float, float]
    z: tuple[float, float]


# Normal ranges of motion: neck, American Academy of Orthopaedic Surgeons (flexion and extension 45-60, turn 80, tilt
# 45); jaw, a maximal opening of 50 mm is a turn of about 35 degrees, lateral movement of 10 mm about 10; eyes, ductions
# of 45-50, torsion of 10. Positive x nods and opens, positive y turns to the person's left.
JOINT_LIMITS: dict[str, JointLimits] = {
    "neck": JointLimits((-60, 60), (-80, 80), (-45, 45)),
    "jaw": JointLimits((-5, 35), (-15, 15), (-10, 10)),
    "left_eye": JointLimits((-45, 50), (-50, 50), (-10, 10)),
    "right_eye": JointLimits((-45, 50), (-50, 50), (-10, 10)),
}


def bone_axes(joint: str) -> np.ndarray:
    """(3,3) columns: the x, y and z axes of a joint's bone at rest, in model space."""
    return _UP if joint in ("root", "neck") else _FORWARD


def bone_axes_in_blender(joint: str) -> np.ndarray:
    """(3,3) the same columns in Blender space."""
    return MODEL_TO_BLENDER @ bone_axes(joint)


def bone_quaternion(joint: str, axis_angle: np.ndarray) -> tuple[float, float, float, float]:
    """The bone's own rotation that turns its joint as wished.

    Args:
        joint: one of JOINT_NAMES.
        axis_angle: (3,) radians, relative to the parent, model axes.

    Returns:
        w, x, y, z in the bone's axes.
    """
    if joint not in JOINT_NAMES:
        raise KeyError(joint)
    vector = bone_axes(joint).T @ np.asarray(axis_angle, np.float64)
    angle = float(np.linalg.norm(vector))
    # sin(a/2)/a, whose limit at zero is one half
    factor = math.sin(angle / 2) / angle if angle > 1e-12 else 0.5
    return (math.cos(angle / 2), *(float(component) for component in vector * factor))


def axis_angle_from_bone(joint: str, quaternion: Sequence[float]) -> tuple[float, float, float]:
    """The joint's rotation that a bone's own rotation makes, the inverse of `bone_quaternion`.

    Args:
        joint: one of JOINT_NAMES.
        quaternion: w, x, y, z in the bone's axes, of length 1.

    Returns:
        Axis-angle, radians, relative to the parent, model axes; the shorter way round.
    """
    w, *xyz = (float(component) for component in quaternion)
    vector = np.array(xyz) * (1.0 if w >= 0 else -1.0)
    sine = float(np.linalg.norm(vector))
    factor = 2 * math.atan2(sine, abs(w)) / sine if sine > 1e-12 else 2.0
    x, y, z = bone_axes(joint) @ vector * factor
    return (float(x), float(y), float(z))


def bone_limits(joint: str) -> tuple[tuple[float, float], ...]:
    """The joint's limits about its bone's x, y and z, radians; the two are the same but for order and sign."""
    limits = JOINT_LIMITS[joint]
    model_ranges = np.radians([limits.x, limits.y, limits.z])
    result = []
    for axis in bone_axes(joint).T:
        model_axis = int(np.argmax(np.abs(axis)))
        ends = axis[model_axis] * model_ranges[model_axis]
        result.append((float(ends.min()), float(ends.max())))
    return tuple(result)


def model_quaternion_terms(joint: str) -> dict[str, str]:
    """The components of a joint's quaternion in model axes, written with those of its bone.

    Returns:
        `w`, `x`, `y`, `z` (model axes) to `w`, `x`, `(-z)`, ... (bone axes), for driver expressions.
    """
    terms = {"w": "w"}
    for model_axis, row in enumerate(bone_axes(joint)):
        bone_axis = int(np.argmax(np.abs(row)))
        letter = "xyz"[bone_axis]
        terms["xyz"[model_axis]] = letter if row[bone_axis] > 0 else f"(-{letter})"
    return terms
