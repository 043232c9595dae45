"""The 52 ARKit shapes as combinations of the expression basis and of the joints, by Apple's descriptions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from addon.exchange.arkit import ARKIT_NAMES
from assets.recipes.open_head.rig import JAW, JAW_OPEN_RADIANS, LEFT_EYE, RIGHT_EYE

_LOOK_UP_DEG, _LOOK_DOWN_DEG, _LOOK_IN_DEG, _LOOK_OUT_DEG = 22.0, 28.0, 30.0, 28.0  # near the human range of comfort
_JAW_SIDE_DEG = 5.5  # 9 mm at the incisors

# Shapes that exist on each side: ARKit stem -> expression stem and coefficient.
_SIDED: dict[str, dict[str, float]] = {
    "browDown": {"brow_lower": 1.0},
    "browOuterUp": {"brow_outer_raise": 0.9, "brow_raise": 0.5},
    "cheekSquint": {"cheek_raise": 1.0, "lid_squint": 0.35},
    "eyeBlink": {"lid_close": 1.0},
    "eyeLookDown": {"lid_look_down": 1.0},
    "eyeLookIn": {},
    "eyeLookOut": {},
    "eyeLookUp": {"lid_look_up": 1.0},
    "eyeSquint": {"lid_squint": 1.0, "cheek_raise": 0.25},
    "eyeWide": {"lid_widen": 1.0},
    "mouthDimple": {"dimple": 1.0},
    "mouthFrown": {"frown": 1.0},
    "mouthLowerDown": {"lower_lip_depress": 1.0},
    "mouthPress": {"lip_press": 1.0},
    "mouthSmile": {"smile": 1.0, "cheek_raise": 0.25},
    "mouthStretch": {"mouth_stretch": 0.9, "neck_tighten": 0.35},
    "mouthUpperUp": {"upper_lip_raise": 1.0},
    "noseSneer": {"nose_wrinkle": 1.0, "nostril_flare": 0.3, "upper_lip_raise": 0.12},
}
_WHOLE: dict[str, dict[str, float]] = {
    "browInnerUp": {"brow_inner_raise_left": 1.0, "brow_inner_raise_right": 1.0},
    "cheekPuff": {"cheek_puff_left": 1.0, "cheek_puff_right": 1.0},
    "jawForward": {"jaw_forward": 1.0},
    "jawLeft": {},
    "jawOpen": {},
    "jawRight": {},
    "mouthClose": {"mouth_close": 1.0},
    "mouthFunnel": {"funnel": 1.0},
    "mouthLeft": {"mouth_left": 1.0},
    "mouthPucker": {"pucker": 1.0},
    "mouthRight": {"mouth_right": 1.0},
    "mouthRollLower": {"lower_lip_roll": 1.0},
    "mouthRollUpper": {"upper_lip_roll": 1.0},
    "mouthShrugLower": {"lower_lip_raise": 1.0},
    "mouthShrugUpper": {"upper_lip_shrug": 1.0},
    "tongueOut": {"tongue_out": 1.0, "lips_part": 0.5},
}
# Axis-angle in degrees about model axes: +X turns down, +Y turns to the person's left.
_TURNS: dict[str, tuple[int, tuple[float, float, float]]] = {
    "jawOpen": (JAW, (float(np.degrees(JAW_OPEN_RADIANS)), 0.0, 0.0)),
    "jawLeft": (JAW, (0.0, _JAW_SIDE_DEG, 0.0)),
    "jawRight": (JAW, (0.0, -_JAW_SIDE_DEG, 0.0)),
    "eyeLookUpLeft": (LEFT_EYE, (-_LOOK_UP_DEG, 0.0, 0.0)),
    "eyeLookUpRight": (RIGHT_EYE, (-_LOOK_UP_DEG, 0.0, 0.0)),
    "eyeLookDownLeft": (LEFT_EYE, (_LOOK_DOWN_DEG, 0.0, 0.0)),
    "eyeLookDownRight": (RIGHT_EYE, (_LOOK_DOWN_DEG, 0.0, 0.0)),
    "eyeLookInLeft": (LEFT_EYE, (0.0, -_LOOK_IN_DEG, 0.0)),
    "eyeLookInRight": (RIGHT_EYE, (0.0, _LOOK_IN_DEG, 0.0)),
    "eyeLookOutLeft": (LEFT_EYE, (0.0, _LOOK_OUT_DEG, 0.0)),
    "eyeLookOutRight": (RIGHT_EYE, (0.0, -_LOOK_OUT_DEG, 0.0)),
}


@dataclass(frozen=True)
class ArkitShapes:
    """ARKit's shapes in the head's parameters, in the order of `addon.exchange.arkit.ARKIT_NAMES`.

    Attributes:
        expression: (52, E) expression coefficients.
        pose: (52, 15) axis-angles in radians.
    """

    expression: np.ndarray
    pose: np.ndarray


def build_arkit_shapes(expression_names: tuple[str, ...]) -> ArkitShapes:
    """Fill both tables.

    Raises:
        KeyError: an ARKit shape has no recipe, or a recipe names an unknown expression.
    """
    column = {name: index for index, name in enumerate(expression_names)}
    expression = np.zeros((len(ARKIT_NAMES), len(expression_names)))
    pose = np.zeros((len(ARKIT_NAMES), 15))
    for row, shape in enumerate(ARKIT_NAMES):
        for name, amount in _ingredients(shape).items():
            expression[row, column[name]] = amount
        if shape in _TURNS:
            joint, degrees = _TURNS[shape]
            pose[row, 3 * joint : 3 * joint + 3] = np.radians(degrees)
    return ArkitShapes(expression, pose)


def _ingredients(shape: str) -> dict[str, float]:
    if shape in _WHOLE:
        return _WHOLE[shape]
    side = "Left" if shape.endswith("Left") else "Right"
    return {f"{name}_{side.lower()}": amount for name, amount in _SIDED[shape.removesuffix(side)].items()}
