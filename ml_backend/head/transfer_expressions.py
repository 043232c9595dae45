"""Carries the open head's named expressions, and with them the 52 ARKit shapes, to a head that it is laid on.

FLAME's own expressions stay what and where they are; the open head's follow behind them. They are needed because
FLAME's have no names, and because none of them closes the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from addon.exchange.conventions import JOINT_NAMES
from ml_backend.head.flame_file import FlameArrays
from ml_backend.head.transfer_field import carry_field
from ml_backend.head.transfer_jaw import JawShapes
from ml_backend.head.transfer_lids import Eye, measure_opening, measure_travel, move_lids
from ml_backend.head.transfer_registration import PART_NAMES, Registration

# FLAME's own components are principal components: coefficients count standard deviations, and look right to about 3.
_OWN_LIMITS = (-3.0, 3.0)
_NAMED_LIMITS = (0.0, 1.0)  # the open head's, where its file does not say
_LID_PREFIX = "lid_"  # of the open head's expressions that move the lids of one eye: lid_close_left, ...
_EYE_LANDMARKS = {"left": slice(42, 48), "right": slice(36, 42)}  # iBUG
_LID_CLEARANCE_M = 0.0003  # between a lid and the eyeball, so that neither shines through the other


@dataclass(frozen=True)
class CarriedExpressions:
    """A head's expressions.

    Attributes:
        arrays: expression_basis (V,3,E), expression_limits (E,2), arkit_expression (52,E) and arkit_pose (52,15) of a
            head file.
        names: E names.
    """

    arrays: dict[str, np.ndarray]
    names: tuple[str, ...]


def carry_expressions(
    flame: FlameArrays,
    open_head: dict[str, np.ndarray],
    open_names: list[str],
    registration: Registration,
    jaw: JawShapes,
) -> CarriedExpressions:
    """The target's expressions: its own, then the open head's, then what its jaw lacks.

    Args:
        flame: the target.
        open_head: arrays of the open head's file; open_names: names of its expressions.
        registration: of the open head on the target.
        jaw: the shapes that turn the jaw.
    """
    carried = carry_field(flame, open_head, registration, open_head["expression_basis"])
    carried = registration.similarity.offsets(carried.transpose(0, 2, 1)).transpose(0, 2, 1)
    for column, name in enumerate(open_names):
        if name.startswith(_LID_PREFIX):
            movement = open_head["expression_basis"][:, :, column].astype(np.float64)
            carried[:, :, column] = _carried_lids(flame, open_head, registration, movement, name.rpartition("_")[2])
    carried = _keep_outside_eyeballs(flame, registration.triangle_part, carried)
    own = flame.expression_basis
    own_names = (f"flame_expression_{index:03d}" for index in range(own.shape[2]))
    arkit = np.pad(open_head["arkit_expression"], ((0, 0), (own.shape[2], len(jaw.correction_shapes))))
    for column, shape in enumerate(jaw.correction_shapes, start=own.shape[2] + carried.shape[2]):
        arkit[shape, column] = 1
    arrays = {
        "expression_basis": np.concatenate([own, carried, jaw.corrections], 2).astype(np.float32),
        "expression_limits": _limits(own.shape[2], open_head, jaw),
        "arkit_expression": arkit,
        "arkit_pose": jaw.arkit_pose,
    }
    return CarriedExpressions(arrays, (*own_names, *open_names, *jaw.correction_names))


def _carried_lids(
    flame: FlameArrays, open_head: dict[str, np.ndarray], registration: Registration, movement: np.ndarray, side: str
) -> np.ndarray:
    """(V,3) a movement (V_open,3) of the open head's lids on one side, made anew on the target's lids."""
    part = PART_NAMES.index(f"{side}_eye")
    template = open_head["template"].astype(np.float64)
    triangles = open_head["triangles"].astype(np.int64)
    centre = open_head["joint_regressor"][JOINT_NAMES.index(f"{side}_eye")] @ template
    half = template + movement / 2
    ball = template[triangles[registration.open_part == part]]
    eyes = [_eye(open_head, side, centre, ball, vertices) for vertices in (template, half)]
    travel = measure_travel(template, half, triangles[registration.open_part == 0], *eyes)
    ball = flame.template[flame.triangles[registration.triangle_part == part]]
    eye = _eye(open_head, side, flame.joints[JOINT_NAMES.index(f"{side}_eye")], ball, registration.laid)
    skin = flame.triangles[registration.triangle_part == 0].astype(np.int64)
    opening = measure_opening(flame.template, skin, eye)
    return move_lids(flame.template, np.unique(skin), opening, eye, travel)


def _eye(open_head: dict[str, np.ndarray], side: str, centre: np.ndarray, ball: np.ndarray, laid: np.ndarray) -> Eye:
    """An eye with its ball (..., 3), where the open head's vertices lie at `laid`."""
    points = _EYE_LANDMARKS[side]
    corners = laid[open_head["triangles"][open_head["landmarks_68_triangle"][points]]]
    radius = float(np.linalg.norm(ball - centre, axis=-1).mean())
    return Eye(centre, radius, np.einsum("nk,nkc->nc", open_head["landmarks_68_barycentric"][points], corners))


def _limits(num_own: int, open_head: dict[str, np.ndarray], jaw: JawShapes) -> np.ndarray:
    """(E,2) the ranges of the target's own expressions, the open head's and the jaw's, in this order."""
    named = np.tile(_NAMED_LIMITS, (open_head["expression_basis"].shape[2], 1))
    return np.concatenate(
        [
            np.tile(_OWN_LIMITS, (num_own, 1)),
            open_head.get("expression_limits", named),
            np.tile(_NAMED_LIMITS, (len(jaw.correction_shapes), 1)),
        ]
    ).astype(np.float32)


def _keep_outside_eyeballs(flame: FlameArrays, triangle_part: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Push skin that an expression (V,3,E) at 1 moves into an eyeball out to its surface."""
    result = offsets.copy()
    skin = np.unique(flame.triangles[triangle_part == 0])
    for name in ("left_eye", "right_eye"):
        ball = flame.template[np.unique(flame.triangles[triangle_part == PART_NAMES.index(name)])]
        centre = flame.joints[JOINT_NAMES.index(name)]
        radius = np.linalg.norm(ball - centre, axis=1).max() + _LID_CLEARANCE_M
        rest = flame.template[skin] - centre
        # what lies inside already, such as the socket, may stay as deep as it is
        allowed = np.minimum(np.linalg.norm(rest, axis=1), radius)[:, None]
        moved = rest[:, :, None] + result[skin]
        length = np.maximum(np.linalg.norm(moved, axis=1), 1e-9)
        result[skin] = moved * np.maximum(1, allowed / length)[:, None] - rest[:, :, None]
    return result
