"""Carries the open head's named expressions, and with them the 52 ARKit shapes, to a head that it is laid on.

FLAME's own expressions stay what and where they are; the open head's follow behind them. They are needed because
FLAME's have no names, and because none of them closes the eyes.
"""

from __future__ import annotations

import numpy as np

from addon.exchange.conventions import JOINT_NAMES
from ml_backend.head.flame_file import FlameArrays
from ml_backend.head.transfer_registration import PART_NAMES, Registration

# Vertices without a counterpart (eye sockets, behind the lips) follow their nearest neighbour up to the first distance
# and not at all beyond the second, so that closing lids do not drag the sockets through the eyeballs.
_FOLLOW_M, _STAY_M = 0.002, 0.008
_LID_CLEARANCE_M = 0.0003  # between a lid and the eyeball, so that neither shines through the other


def carry_expressions(
    flame: FlameArrays, open_head: dict[str, np.ndarray], registration: Registration
) -> dict[str, np.ndarray]:
    """The expression arrays of a head file for the target: its own expressions, then the open head's.

    Returns:
        expression_basis (V,3,E_flame + E_open), arkit_expression (52, same), arkit_pose (52,15).
    """
    triangles = open_head["triangles"].astype(np.int64)
    carried = registration.places.interpolate(open_head["expression_basis"].astype(np.float64), triangles)
    carried = registration.similarity.offsets(carried.transpose(0, 2, 1)).transpose(0, 2, 1)
    distance = registration.places.distance
    follow = np.clip((_STAY_M - distance) / (_STAY_M - _FOLLOW_M), 0, 1)
    carried *= np.where(registration.has_place, 1.0, follow)[:, None, None]
    carried = _keep_outside_eyeballs(flame, registration.triangle_part, carried)
    own = flame.expression_basis
    return {
        "expression_basis": np.concatenate([own, carried.astype(np.float32)], 2),
        "arkit_expression": np.pad(open_head["arkit_expression"], ((0, 0), (own.shape[2], 0))),
        "arkit_pose": open_head["arkit_pose"],
    }


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
