"""The action units (AU) of the Facial Action Coding System, posed by the ARKit shapes that move the same muscle.

Source: Ekman, Friesen and Hager, Facial Action Coding System, 2002, for the units; the shapes are our choice.
"""

from __future__ import annotations

from collections.abc import Mapping


def both_sides(**shapes: float) -> dict[str, float]:
    """The shape on both sides."""
    return {f"{name}{side}": value for name, value in shapes.items() for side in ("Left", "Right")}


# Action unit -> ARKit shapes at full strength.
ACTION_UNITS: Mapping[int, Mapping[str, float]] = {
    1: {"browInnerUp": 1.0},
    2: both_sides(browOuterUp=1.0),
    4: both_sides(browDown=1.0),
    5: both_sides(eyeWide=1.0),
    6: both_sides(cheekSquint=1.0, eyeSquint=0.5),
    7: both_sides(eyeSquint=1.0),
    9: both_sides(noseSneer=1.0),
    10: both_sides(mouthUpperUp=1.0),
    12: both_sides(mouthSmile=1.0),
    15: both_sides(mouthFrown=1.0),
    16: both_sides(mouthLowerDown=1.0),
    17: {"mouthShrugLower": 1.0},
    20: both_sides(mouthStretch=1.0),
    23: {**both_sides(mouthPress=0.7), "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    26: {"jawOpen": 0.45},
}


def shapes_of_action_units(units: Mapping[int, float]) -> dict[str, float]:
    """ARKit shapes of action units at given strengths; where units share a shape the stronger one counts."""
    shapes: dict[str, float] = {}
    for unit, strength in units.items():
        for name, value in ACTION_UNITS[unit].items():
            shapes[name] = max(shapes.get(name, 0.0), value * strength)
    return shapes
