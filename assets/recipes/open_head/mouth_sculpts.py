"""Movements of mouth, cheeks, jaw and tongue that MakeHuman has no unit for, sculpted on the mean head."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from assets.recipes.open_head.base_mesh import BaseMesh
from assets.recipes.open_head.face_loops import CONTACT, SKIN_BORDER, VERMILION_BORDER
from assets.recipes.open_head.mesh_topology import triangulate, vertex_normals
from assets.recipes.open_head.rig import (
    CORNER_WEIGHT,
    JAW,
    JAW_OPEN_RADIANS,
    Rig,
    jaw_blend,
    jaw_open_goal,
    jaw_rotated,
)
from assets.recipes.open_head.surface_field import SurfaceField

_MEETING_SHARE = 0.38  # of the jaw's opening, where closed lips meet
# Closed lips follow the dropped jaw back, the lower one more. With an offset that is nearly upright, the two ways of
# adding (`mouth_close`) agree in height.
_UPPER_RETREAT_M, _LOWER_RETREAT_M = 0.0015, 0.0150
_LOWER_LIFT_M = 0.0010  # closed lips are pressed together
_JAW_FOR_TONGUE_RADIANS = float(np.radians(11.0))


class MouthSculptor:
    """Makes offsets (V, 3) in metres at coefficient 1, each by one method named after the movement.

    Args:
        base: topology.
        mean: (V, 3) metres.
        rig: the jaw's joint and weights.
    """

    def __init__(self, base: BaseMesh, mean: np.ndarray, rig: Rig) -> None:
        self._base, self._mean, self._rig = base, mean, rig
        self._lips = base.lip_loops
        self._field = SurfaceField(mean, base.polygons[base.polygon_part == 0])
        self._normals = vertex_normals(mean, triangulate(base.polygons)[0])
        self._outer = np.setdiff1d(base.part_vertices("skin"), np.flatnonzero(base.inner_mouth | base.lid_inner))

    def cheek_raise(self) -> np.ndarray:
        """Lift the cheeks under the eyes, as in a real smile (AU 6)."""
        up = self._bump((0.040, -0.032), 0.016, np.array([0.0, 0.0045, 0.0012]))
        out = self._bump((0.043, -0.022), 0.014, np.array([0.0, 0.0, 0.0]), along_normal_m=0.0018)
        return up + out

    def smile_volume(self) -> np.ndarray:
        """Gather the cheek above the corner that a smile lifts, with a soft fold from nostril to corner (AU 12)."""
        cheek = self._bump((0.041, -0.043), 0.017, np.array([0.0, 0.0026, 0.0]), along_normal_m=0.0056)
        fold = self._bump((0.026, -0.051), 0.007, np.zeros(3), along_normal_m=-0.0018)
        return cheek + fold + self._bump((0.031, -0.060), 0.007, np.zeros(3), along_normal_m=-0.0014)

    def sneer_volume(self) -> np.ndarray:
        """Gather the skin beside the nose that a raised upper lip pushes up (AU 10)."""
        fold = self._bump((0.022, -0.049), 0.007, np.zeros(3), along_normal_m=-0.0010)
        return fold + self._bump((0.029, -0.040), 0.013, np.array([0.0, 0.0018, 0.0]), along_normal_m=0.0028)

    def nose_crinkle(self) -> np.ndarray:
        """Lift wings of the nose and the lip below them, and gather the skin beside the bridge (AU 9)."""
        wing = self._bump((0.0165, -0.041), 0.009, np.array([0.0009, 0.0046, 0.0004]))
        beside = self._bump((0.017, -0.027), 0.0085, np.array([0.0, 0.0026, 0.0]), along_normal_m=0.0024)
        bridge = self._bump((0.009, -0.012), 0.006, np.zeros(3), along_normal_m=0.0013)
        lip = self._bump((0.017, -0.054), 0.010, np.array([0.0, 0.0026, 0.0]))
        return wing + beside + bridge + lip

    def cheek_puff(self) -> np.ndarray:
        """Blow up the cheeks with closed lips."""
        cheeks = self._bump((0.044, -0.062), 0.026, np.zeros(3), along_normal_m=0.0125)
        lips = self._bump((0.017, -0.055), 0.011, np.zeros(3), along_normal_m=0.0034)
        below = self._bump((0.019, -0.093), 0.011, np.zeros(3), along_normal_m=0.0032)
        return cheeks + lips + below

    def lip_press(self) -> np.ndarray:
        """Press the lips together: the red narrows and goes back a little (AU 24)."""
        return 0.6 * (self._roll(upper=True) + self._roll(upper=False))

    def upper_lip_roll(self) -> np.ndarray:
        """Roll the upper lip in over the teeth."""
        return self._roll(upper=True)

    def lower_lip_roll(self) -> np.ndarray:
        """Roll the lower lip in over the teeth."""
        return self._roll(upper=False)

    def upper_lip_shrug(self) -> np.ndarray:
        """Push the closed upper lip up and forward."""
        rows, values = [], []
        for loop in range(CONTACT - 2, SKIN_BORDER + 1):
            for lip, forward_m in ((self._lips.upper[loop], 0.0040), (self._lips.lower[loop], 0.0010)):
                middle = (1 - self._across(lip) ** 2)[:, None]
                rows.append(lip)
                values.append(middle * np.array([0.0, 0.0034, forward_m]))
        return self._spread(rows, values, still_radius_m=0.042)

    def mouth_left(self) -> np.ndarray:
        """Shift the whole mouth to the person's left, around the teeth."""
        return self._shift(1.0)

    def mouth_right(self) -> np.ndarray:
        """Shift the whole mouth to the person's right."""
        return self._shift(-1.0)

    def jaw_forward(self) -> np.ndarray:
        """Slide the lower jaw forward until the lower incisors pass the upper ones."""
        return self._rig.skinning_weights[:, [JAW]] * np.array([0.0, -0.0010, 0.0065])

    def mouth_close(self) -> np.ndarray:
        """Close the lips while the jaw is open: with the fully open jaw they meet, nearer to the jaw than to the nose.

        Players of blend shapes add this after the jaw has turned, the head model adds it before (so it turns along).
        The offsets lie midway: both ways close the mouth alike in height and differ by a few millimetres in depth.
        """
        joint, weight = self._rig.joints[JAW], self._rig.skinning_weights[:, JAW]
        rows = np.unique(self._lips.rows[: VERMILION_BORDER + 1])
        share = np.clip(self._spread([rows], [np.ones((len(rows), 1))], still_radius_m=0.048), 0, 1)[:, 0]
        opened = jaw_open_goal(self._base, self._mean, joint, weight)
        closed = jaw_rotated(self._mean, joint, (1 - share) * weight + share * _MEETING_SHARE, JAW_OPEN_RADIANS)
        lower = np.clip((weight - CORNER_WEIGHT) / (1 - CORNER_WEIGHT), 0, 1)
        closed[:, 2] -= share * (_UPPER_RETREAT_M + (_LOWER_RETREAT_M - _UPPER_RETREAT_M) * lower)
        closed[:, 1] += share * _LOWER_LIFT_M * lower
        turn = jaw_blend(weight)
        offsets = np.linalg.solve((np.eye(3) + turn) / 2, (closed - opened)[..., None])[..., 0]
        skin = np.zeros(len(self._mean))
        skin[self._base.part_vertices("skin")] = 1
        return offsets * skin[:, None]

    def tongue_out(self) -> np.ndarray:
        """Put the tongue out over the lower lip, the jaw opened as far as the tongue needs."""
        offsets = np.zeros_like(self._mean)
        rows = self._base.part_vertices("tongue")
        z = self._mean[rows, 2]
        along = np.clip((z - z.min()) / (z.max() - z.min()), 0, 1)
        offsets[rows, 2] = 0.034 * along**1.3
        offsets[rows, 0] = -0.22 * along * self._mean[rows, 0]  # it narrows as it stretches
        offsets[rows, 1] = 0.004 * np.sin(along * np.pi) - 0.007 * np.clip((along - 0.75) / 0.25, 0, 1) ** 2
        joint, weight = self._rig.joints[JAW], self._rig.skinning_weights[:, JAW]
        return jaw_rotated(self._mean + offsets, joint, weight, _JAW_FOR_TONGUE_RADIANS) - self._mean

    def _across(self, rows: np.ndarray) -> np.ndarray:
        """Give 0 on the midline to 1 at the corner of the mouth."""
        return np.clip(np.abs(self._mean[rows, 0]) / abs(self._mean[self._lips.corners[CONTACT, 0], 0]), 0, 1)

    def _bump(
        self, place_xy: tuple[float, float], radius_m: float, offset: np.ndarray, along_normal_m: float = 0.0
    ) -> np.ndarray:
        """Move the skin around a place on both cheeks by an offset (for the left; mirrored) and along the normal."""
        offsets = np.zeros_like(self._mean)
        skin = self._outer
        for side in (1.0, -1.0):
            front = skin[self._mean[skin, 2] > -0.03]
            place = front[np.argmin(np.linalg.norm(self._mean[front, :2] - np.array(place_xy) * [side, 1], axis=1))]
            distance = np.linalg.norm(self._mean[skin] - self._mean[place], axis=1)
            weight = np.exp(-((distance / radius_m) ** 2))[:, None]
            offsets[skin] += weight * (offset * [side, 1, 1] + along_normal_m * self._normals[skin])
        return offsets

    def _roll(self, upper: bool) -> np.ndarray:
        """Roll one lip in: the red goes down to the contact line and back, the skin beside it follows."""
        lip = self._lips.upper if upper else self._lips.lower
        rows, values = [], []
        contact = self._mean[lip[CONTACT]]
        for loop in range(CONTACT, SKIN_BORDER + 1):
            points = self._mean[lip[loop]]
            middle = (1 - self._across(lip[loop]) ** 4)[:, None]
            share = min((loop - CONTACT) / (VERMILION_BORDER - CONTACT), 1.0)
            towards = (contact - points) * [0.0, 1.0, 0.0] * (0.72 - 0.1 * max(loop - VERMILION_BORDER, 0))
            back = np.array([0.0, 0.0, -0.0055]) * (1.0 - 0.55 * share)
            rows.append(lip[loop])
            values.append(middle * (towards + back))
        for loop in range(CONTACT):  # the inner side goes further back
            middle = (1 - self._across(lip[loop]) ** 4)[:, None]
            rows.append(lip[loop])
            values.append(middle * np.array([0.0, 0.0015 if upper else -0.0015, -0.0035]))
        other_lip = self._lips.lower if upper else self._lips.upper
        return self._spread(rows, values, still_radius_m=0.040, other_lip=other_lip)

    def _shift(self, direction: float) -> np.ndarray:
        """Turn the mouth about a vertical axis behind the teeth."""
        rows = np.unique(self._lips.rows)
        axis = np.array([0.0, 0.0, -0.035])
        turn = Rotation.from_rotvec([0.0, direction * np.radians(8.5), 0.0])
        offsets = turn.apply(self._mean[rows] - axis) + axis - self._mean[rows]
        return self._spread([rows], [offsets], still_radius_m=0.060)

    def _spread(
        self,
        rows: list[np.ndarray],
        values: list[np.ndarray],
        still_radius_m: float,
        other_lip: np.ndarray | None = None,
    ) -> np.ndarray:
        """Spread offsets over the skin; everything beyond a radius around the mouth, and the nose, stays."""
        moving = np.concatenate([r.ravel() for r in rows])
        offsets = np.concatenate([v.reshape(-1, v.shape[-1]) for v in values])
        moving, first = np.unique(moving, return_index=True)
        centre = self._mean[self._lips.rows[CONTACT]].mean(axis=0)
        far = np.linalg.norm((self._mean - centre) * [0.8, 1.0, 0.8], axis=1) > still_radius_m
        far |= (self._mean[:, 1] > -0.050) & (np.abs(self._mean[:, 0]) < 0.022)
        far |= self._base.inner_mouth & (self._mean[:, 2] < 0.0)
        if other_lip is not None:
            far[other_lip] = True
        still = np.setdiff1d(np.intersect1d(np.flatnonzero(far), self._base.part_vertices("skin")), moving)
        fixed = np.concatenate([moving, still])
        values_all = np.concatenate([offsets[first], np.zeros((len(still), offsets.shape[1]))])
        return self._field.solve(fixed, values_all)
