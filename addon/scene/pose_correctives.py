"""Pose correctives as shape keys that follow the bones through drivers, without Python of ours.

The head model adds pose_basis · vec(R_j - I) before skinning, for each joint j. Each entry of R_j - I is a quadratic
form of the bone's quaternion, which fits Blender's simple expressions: those are evaluated natively and need no
permission to run scripts.
"""

from __future__ import annotations

import bpy
import numpy as np

from ..exchange.conventions import JOINT_NAMES, blender_from_model
from .joint_axes import model_quaternion_terms
from .shape_keys import ShapeKey, add_shape_keys

# The rotation matrix of a unit quaternion minus the identity, row-major.
_MATRIX_ENTRIES = (
    "-2*({y}*{y}+{z}*{z})", "2*({x}*{y}-{w}*{z})", "2*({x}*{z}+{w}*{y})",
    "2*({x}*{y}+{w}*{z})", "-2*({x}*{x}+{z}*{z})", "2*({y}*{z}-{w}*{x})",
    "2*({x}*{z}-{w}*{y})", "2*({y}*{z}+{w}*{x})", "-2*({x}*{x}+{y}*{y})",
)  # fmt: skip
_ENTRIES_PER_JOINT = len(_MATRIX_ENTRIES)
# an entry of R - I lies in [-2, 1]
_SLIDER_RANGE = (-2.0, 2.0)
# A key whose offsets stay below this at R - I = 1 does nothing that could be seen.
_NEGLIGIBLE_M = 1e-7


def add_pose_correctives(
    mesh_object: bpy.types.Object, armature_object: bpy.types.Object, pose_basis: np.ndarray
) -> list[bpy.types.ShapeKey]:
    """Add the pose correctives that do something.

    Args:
        mesh_object: gets the keys and their drivers.
        armature_object: its bones drive them.
        pose_basis: (V,3,36) metres in model axes, times vec(R_j - I) row-major for neck, jaw, left_eye, right_eye.

    Returns:
        The new keys, named `corrective_JOINT_ROWCOLUMN`.
    """
    magnitude = np.abs(pose_basis).max((0, 1))
    columns = np.flatnonzero(magnitude > _NEGLIGIBLE_M)
    keys = [
        ShapeKey(_key_name(column), blender_from_model(pose_basis[:, :, column]), _SLIDER_RANGE)
        for column in columns.tolist()
    ]
    added = add_shape_keys(mesh_object, keys)
    for column, key_block in zip(columns.tolist(), added, strict=True):
        _drive(key_block, armature_object, *_joint_and_entry(column))
    return added


def _joint_and_entry(column: int) -> tuple[str, int]:
    joint_index, entry = divmod(column, _ENTRIES_PER_JOINT)
    return JOINT_NAMES[1 + joint_index], entry


def _key_name(column: int) -> str:
    joint, entry = _joint_and_entry(column)
    row, column_of_matrix = divmod(entry, 3)
    return f"corrective_{joint}_{row + 1}{column_of_matrix + 1}"


def _drive(key_block: bpy.types.ShapeKey, armature_object: bpy.types.Object, joint: str, entry: int) -> None:
    terms = model_quaternion_terms(joint)
    driver = key_block.driver_add("value").driver
    driver.type = "SCRIPTED"
    expression = _MATRIX_ENTRIES[entry].format(**terms)
    for component in "wxyz":
        if component not in expression:
            continue
        variable = driver.variables.new()
        variable.name = component
        variable.type = "TRANSFORMS"
        target = variable.targets[0]
        target.id = armature_object
        target.bone_target = joint
        target.transform_type = f"ROT_{component.upper()}"
        target.rotation_mode = "QUATERNION"
        # local: the bone after its limits, without its parents
        target.transform_space = "LOCAL_SPACE"
    driver.expression = expression
