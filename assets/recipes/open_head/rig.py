"""Joints, skinning weights and the jaw's pose corrective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from addon.exchange.conventions import JOINT_NAMES
from assets.recipes.open_head.base_mesh import BaseMesh
from assets.recipes.open_head.face_loops import SKIN_BORDER
from assets.recipes.open_head.surface_field import SurfaceField

ROOT, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(len(JOINT_NAMES))
JAW_OPEN_RADIANS = float(np.radians(23.0))  # 44 mm between the incisors, a wide human opening

# Where joints lie in the mean head, metres from the eye midpoint (anatomy: condyle in front of the tragus; the neck's
# pivot at the second vertebra's height; the root at the base of the neck).
_CONDYLE_M = np.array([0.062, -0.020, -0.068])
_NECK_M = np.array([0.0, -0.085, -0.085])
_ROOT_M = np.array([0.0, -0.165, -0.105])
CORNER_WEIGHT = 0.45  # how far the corners of the mouth follow the jaw: not quite half-way
_CORNERS_IN_M = 0.0020  # of a wide open mouth, each
_CHEEKS_IN_M = 0.0030  # drawn in between the teeth as the jaw drops
_TONGUE_DROP_M = 0.012
_REGRESSOR_VERTICES = 24  # skin vertices on each side that carry a joint


@dataclass(frozen=True)
class Rig:
    """What skinning needs.

    Attributes:
        joint_regressor: (5, V) joints from shaped vertices; rows sum to 1.
        joints: (5, 3) metres, of the mean head.
        skinning_weights: (V, 5); rows sum to 1.
        pose_basis: (V, 3, 36) metres times (R - I) of neck, jaw, left eye, right eye.
    """

    joint_regressor: np.ndarray
    joints: np.ndarray
    skinning_weights: np.ndarray
    pose_basis: np.ndarray


def build_rig(base: BaseMesh, mean: np.ndarray) -> Rig:
    """Rig the mean head.

    Args:
        base: topology.
        mean: (V, 3) metres.
    """
    regressor = _joint_regressor(base, mean)
    joints = regressor @ mean
    weights = _skinning_weights(base, mean)
    return Rig(regressor, joints, weights, _jaw_corrective(base, mean, joints[JAW], weights[:, JAW]))


def jaw_rotated(points: np.ndarray, joint: np.ndarray, weight: np.ndarray, radians: float) -> np.ndarray:
    """Turn points about the jaw joint by their own share of an opening: each stays on its arc.

    Args:
        points: (V, 3) metres.
        joint: (3,) metres.
        weight: (V,) share of the angle.
        radians: jaw opening, about +X.

    Returns:
        (V, 3) metres.
    """
    turns = Rotation.from_rotvec(np.outer(weight * radians, [1.0, 0.0, 0.0]))
    return turns.apply(points - joint) + joint


def undo_jaw_skinning(goal: np.ndarray, rest: np.ndarray, joint: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Find the offsets before skinning that bring the skinned points to a goal at the full jaw opening.

    Args:
        goal: (V, 3) metres, wanted positions.
        rest: (V, 3) metres, neutral positions.
        joint: (3,) metres.
        weight: (V,) jaw skinning weight.

    Returns:
        (V, 3) metres.
    """
    blended = jaw_blend(weight)
    skinned = np.einsum("vij,vj->vi", blended, rest - joint) + joint
    return np.linalg.solve(blended, (goal - skinned)[..., None])[..., 0]


def jaw_blend(weight: np.ndarray) -> np.ndarray:
    """Give the matrices (V, 3, 3) by which linear blend skinning turns each vertex at the full jaw opening."""
    turn = Rotation.from_rotvec([JAW_OPEN_RADIANS, 0.0, 0.0]).as_matrix()
    return weight[:, None, None] * turn + (1 - weight)[:, None, None] * np.eye(3)


def _joint_regressor(base: BaseMesh, mean: np.ndarray) -> np.ndarray:
    regressor = np.zeros((len(JOINT_NAMES), len(mean)))
    skin = np.setdiff1d(base.part_vertices("skin"), np.flatnonzero(base.inner_mouth))
    condyles = [skin[_nearest(mean[skin], _CONDYLE_M * [side, 1, 1], _REGRESSOR_VERTICES)] for side in (1, -1)]
    around = {
        JAW: (np.concatenate(condyles), _CONDYLE_M * [0, 1, 1]),
        NECK: (skin[_nearest_height(mean[skin], _NECK_M[1])], _NECK_M),
        ROOT: (skin[_nearest_height(mean[skin], _ROOT_M[1])], _ROOT_M),
    }
    for joint, (rows, place) in around.items():
        regressor[joint, rows] = _weights_for(mean[rows], place)
    for joint, part in ((LEFT_EYE, "left_eye"), (RIGHT_EYE, "right_eye")):
        rows = base.part_vertices(part)
        regressor[joint, rows] = _weights_for(base.eyeball.offsets, np.zeros(3))
    return regressor


def _nearest(points: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(np.linalg.norm(points - place, axis=1), kind="stable")[:count]


def _nearest_height(points: np.ndarray, height_m: float) -> np.ndarray:
    """Take the skin of the neck within 5 mm of a height, behind the face."""
    return np.flatnonzero((np.abs(points[:, 1] - height_m) < 0.008) & (points[:, 2] < -0.03))


def _weights_for(points: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Give weights (N,) nearest to equal that sum to 1 and give exactly `place` from `points`."""
    design = np.concatenate([points.T, np.ones((1, len(points)))])
    equal = np.full(len(points), 1 / len(points))
    missing = np.append(place, 1.0) - design @ equal
    return equal + np.linalg.pinv(design) @ missing


def _skinning_weights(base: BaseMesh, mean: np.ndarray) -> np.ndarray:
    weights = np.zeros((len(mean), len(JOINT_NAMES)))
    jaw = _jaw_weights(base, mean)
    head = _head_weights(mean)
    weights[:, JAW] = jaw * head
    weights[:, NECK] = (1 - jaw) * head
    weights[:, ROOT] = 1 - head
    for joint, part in ((LEFT_EYE, "left_eye"), (RIGHT_EYE, "right_eye")):
        weights[base.part_vertices(part)] = np.eye(len(JOINT_NAMES))[joint]
    return weights


def _head_weights(mean: np.ndarray) -> np.ndarray:
    """Blend from the root (0) to the head (1) along the neck, over a band tilted like the neck's joint."""
    # The band goes from just above the cut to the height of the skull's base behind and the throat in front.
    height = mean[:, 1] + 0.30 * (mean[:, 2] + 0.085)
    return _smooth_step((height + 0.165) / 0.085)


def _smooth_step(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _jaw_weights(base: BaseMesh, mean: np.ndarray) -> np.ndarray:
    """Solve a biharmonic field on the skin between the jaw bone (1) and the skull (0); rigid parts follow the bone."""
    weights = np.zeros(len(mean))
    skin = base.part_vertices("skin")
    fixed, values = _jaw_constraints(base, mean)
    field = SurfaceField(mean, base.polygons[base.polygon_part == 0]).solve(fixed, values[:, None])
    weights[skin] = np.clip(field[skin, 0], 0, 1)
    weights[base.part_vertices("lower_teeth")] = 1.0
    tongue = base.part_vertices("tongue")
    weights[tongue] = 0.55 + 0.45 * _smooth_step((mean[tongue, 2] + 0.055) / 0.04)  # its root hangs between the bones
    return (weights + weights[base.mirror_vertex]) / 2


def _jaw_constraints(base: BaseMesh, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List skin rows that follow the jaw or the skull by anatomy, and their weights."""
    x, y, z = np.abs(mean[:, 0]), mean[:, 1], mean[:, 2]
    outer = np.zeros(len(mean), bool)
    outer[base.part_vertices("skin")] = True
    inside = base.inner_mouth
    outer &= ~inside
    jaw_line = (y < -0.095) & (y > -0.128) & (z > 0.0) & (x < 0.04)
    gonial = (np.abs(y + 0.075) < 0.012) & (np.abs(z + 0.03) < 0.012) & (x > 0.045)
    skull = (y > -0.035 + 0.25 * np.minimum(z + 0.02, 0)) | (z < -0.075) | (y < -0.145 - 0.2 * (z + 0.03))
    value = np.full(len(mean), np.nan)
    value[outer & skull] = 0.0
    value[outer & jaw_line] = 1.0
    value[outer & gonial] = 0.62
    value[inside & (y > -0.050)] = 0.0  # palate
    value[inside & (y < -0.085) & (z > -0.045)] = 1.0  # floor of the mouth
    value[inside & (z < -0.055)] = 0.25  # throat
    corner = mean[base.lip_loops.corners[:, 0], 0][:, None]
    for rows, at_centre in ((base.lip_loops.upper, 0.0), (base.lip_loops.lower, 1.0)):
        across = np.abs(mean[rows, 0]) / corner
        value[rows[: SKIN_BORDER - 1]] = (at_centre + (CORNER_WEIGHT - at_centre) * across**4)[: SKIN_BORDER - 1]
    value[base.lip_loops.corners[: SKIN_BORDER - 1]] = CORNER_WEIGHT
    fixed = np.flatnonzero(~np.isnan(value))
    return fixed, value[fixed]


def jaw_open_goal(base: BaseMesh, mean: np.ndarray, joint: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Say how the mean head should look with the jaw fully open.

    Every vertex keeps its distance from the jaw's axis (plain blending shortens the cheeks), the corners of the mouth
    are drawn in a little, the back of the tongue sinks.

    Returns:
        (V, 3) metres.
    """
    goal = jaw_rotated(mean, joint, weight, JAW_OPEN_RADIANS)
    corner = mean[base.lip_loops.corners[SKIN_BORDER - 2]]
    skin = base.part_vertices("skin")
    for place in corner:
        distance = np.linalg.norm(mean[skin] - place, axis=1)
        near = np.exp(-((distance / 0.022) ** 2))[:, None]
        goal[skin] -= near * np.array([_CORNERS_IN_M * np.sign(place[0]), 0.0, 0.0])
        cheek = place + np.array([0.018 * np.sign(place[0]), 0.016, -0.022])
        hollow = np.exp(-((np.linalg.norm(mean[skin] - cheek, axis=1) / 0.020) ** 2))[:, None]
        goal[skin] -= hollow * np.array([_CHEEKS_IN_M * np.sign(place[0]), 0.0, 0.0])
    tongue = base.part_vertices("tongue")
    z = mean[tongue, 2]
    from_tip = (z.max() - z) / (z.max() - z.min())
    goal[tongue, 1] -= _TONGUE_DROP_M * np.sqrt(from_tip)  # its back sinks, else it fills the open mouth
    return goal


def _jaw_corrective(base: BaseMesh, mean: np.ndarray, joint: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Put the corrective on the jaw's two sine entries: it grows with sin(opening) and ignores sideways turns."""
    offsets = undo_jaw_skinning(jaw_open_goal(base, mean, joint, weight), mean, joint, weight)
    basis = np.zeros((len(mean), 3, 36))
    jaw_block = 9 * (JAW - 1)
    sine = np.sin(JAW_OPEN_RADIANS)
    basis[:, :, jaw_block + 3 * 2 + 1] = offsets / (2 * sine)  # entry (2, 1) of R - I is +sin
    basis[:, :, jaw_block + 3 * 1 + 2] = -offsets / (2 * sine)  # entry (1, 2) is -sin
    return basis
