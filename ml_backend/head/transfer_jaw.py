"""How far FLAME's own jaw must turn to open the mouth as far as the open head's does.

The two jaws hinge at different places, so that the same angle moves the chin by different amounts. Where a model's
weights do not let the lips part at all, what is missing becomes one more expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch

from addon.exchange.arkit import ARKIT_NAMES
from addon.exchange.conventions import JOINT_NAMES, JOINT_PARENTS
from ml_backend.head.flame_file import FlameArrays
from ml_backend.head.skinning import SkinnedModel, rotation_matrices
from ml_backend.head.transfer_field import carry_field
from ml_backend.head.transfer_registration import Registration

_JAW = JOINT_NAMES.index("jaw")
_JAW_COLUMNS = slice(3 * _JAW, 3 * _JAW + 3)
_FACTORS = np.linspace(0.5, 2.0, 16)  # of the open head's angle; beyond that a jaw would leave its socket
_INNER_LIPS = (62, 66)  # iBUG's middle of the upper and of the lower inner lip
# FLAME's own jaw is left alone when it parts the lips by at least this share of what the open head's does.
_ENOUGH_OPENING = 0.6


@dataclass(frozen=True)
class JawShapes:
    """The ARKit shapes that turn the jaw, for the target.

    Attributes:
        arkit_pose: (52,15) the target's pose for each ARKit shape.
        corrections: (V,3,C) expressions that add what the target's own jaw cannot do.
        correction_names: C names.
        correction_shapes: C indices of the ARKit shapes that they belong to.
    """

    arkit_pose: np.ndarray
    corrections: np.ndarray
    correction_names: tuple[str, ...]
    correction_shapes: tuple[int, ...]


def carry_jaw(
    flame: FlameArrays,
    open_head: dict[str, np.ndarray],
    registration: Registration,
    landmarks: dict[str, np.ndarray],
) -> JawShapes:
    """Find the target's jaw angles, and corrections where they are not enough.

    Args:
        flame: the target; open_head: arrays of the open head's file; registration: of one on the other.
        landmarks: the target's landmark arrays.
    """
    own, model = _jaw_model_of_open_head(open_head), _jaw_model_of_flame(flame)
    arkit_pose = open_head["arkit_pose"].astype(np.float64)
    corrections, shapes = [], []
    for index in np.flatnonzero(np.abs(arkit_pose[:, _JAW_COLUMNS]).max(1) > 0):
        turn = arkit_pose[index, _JAW_COLUMNS].copy()
        wanted = registration.similarity.offsets(carry_field(flame, open_head, registration, _jaw_offsets(own, turn)))
        weight = flame.skinning_weights[:, _JAW] * registration.has_place
        tried = [_jaw_offsets(model, factor * turn) for factor in _FACTORS]
        best = int(np.argmin([(weight[:, None] * (offset - wanted) ** 2).sum() for offset in tried]))
        arkit_pose[index, _JAW_COLUMNS] = _FACTORS[best] * turn
        opening, wanted_opening = (_opening(flame, landmarks, offset) for offset in (tried[best], wanted))
        if opening < _ENOUGH_OPENING * wanted_opening:
            corrections.append(_before_skinning(flame, _FACTORS[best] * turn, wanted - tried[best]))
            shapes.append(int(index))
    stacked = np.stack(corrections, 2) if corrections else np.zeros((*flame.template.shape, 0))
    names = tuple(re.sub(r"([A-Z])", r"_\1", ARKIT_NAMES[index]).lower() + "_correction" for index in shapes)
    return JawShapes(arkit_pose.astype(np.float32), stacked, names, tuple(shapes))


def _jaw_model_of_flame(flame: FlameArrays) -> SkinnedModel:
    return _bare_model(flame.template, flame.pose_basis, flame.skinning_weights, flame.joint_regressor)


def _jaw_model_of_open_head(open_head: dict[str, np.ndarray]) -> SkinnedModel:
    names = ("template", "pose_basis", "skinning_weights", "joint_regressor")
    return _bare_model(*(open_head[name] for name in names))


def _bare_model(template: np.ndarray, pose: np.ndarray, weights: np.ndarray, regressor: np.ndarray) -> SkinnedModel:
    """A head without shapes and expressions."""
    template, pose, weights, regressor = (
        torch.from_numpy(np.array(array, np.float64)) for array in (template, pose, weights, regressor)
    )
    none = template.new_zeros((*template.shape, 0))
    joints = regressor @ template
    no_joints = joints.new_zeros((*joints.shape, 0))
    return SkinnedModel(template, none, none, pose, weights, joints, no_joints, JOINT_PARENTS)


def _jaw_offsets(model: SkinnedModel, turn: np.ndarray) -> np.ndarray:
    """(V,3) how far the jaw's turn (3,) moves each vertex."""
    pose = torch.zeros(1, 3 * len(JOINT_NAMES), dtype=torch.float64)
    pose[0, _JAW_COLUMNS] = torch.from_numpy(turn)
    none = pose.new_zeros(1, 0)
    return (model.positions(none, none, pose)[0] - model.template).numpy()


def _opening(flame: FlameArrays, landmarks: dict[str, np.ndarray], offsets: np.ndarray) -> float:
    """How far apart offsets move the inner lips, metres."""
    index = list(_INNER_LIPS)
    corners = flame.triangles[landmarks["landmarks_68_triangle"][index]]
    moved = np.einsum("nk,nkc->nc", landmarks["landmarks_68_barycentric"][index], offsets[corners])
    return float(np.linalg.norm(moved[0] - moved[1]))


def _before_skinning(flame: FlameArrays, turn: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The expression (V,3) that gives these offsets once the jaw has turned."""
    rotation = rotation_matrices(torch.from_numpy(turn)).numpy()
    weight = flame.skinning_weights[:, _JAW, None, None]
    blended = (1 - weight) * np.eye(3) + weight * rotation
    return np.linalg.solve(blended, offsets[..., None])[..., 0]
