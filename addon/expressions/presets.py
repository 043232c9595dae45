"""Expressions to choose from: the basic emotions, blinks and winks, and the mouth shapes of speech.

The emotions follow the action units (AU) that Ekman, Friesen and Hager list as their prototypes (Facial Action Coding
System, Investigator's Guide, 2002); each unit is posed by the ARKit shapes that move the same muscle. The visemes bear
the names of the 15-shape set that lip-sync tools share; their mouth shapes follow the phonetics of the sounds. The
strengths are chosen by eye on the open head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..exchange.action_units import both_sides, shapes_of_action_units
from .expression import NEUTRAL_EXPRESSION, Expression


class PresetGroup(Enum):
    """How presets are sorted for people."""

    EMOTION = "Emotions"
    EYES = "Eyes"
    VISEME = "Visemes"


@dataclass(frozen=True)
class Preset:
    """A named expression.

    Attributes:
        name: stable identifier; label: for people; group: where it is listed.
        expression: at strength 1.
        source: where the choice of shapes comes from.
    """

    name: str
    label: str
    group: PresetGroup
    expression: Expression
    source: str


def of_action_units(units: Mapping[int, float]) -> Expression:
    """The expression of action units at given strengths (see `shapes_of_action_units`)."""
    return Expression(shapes_of_action_units(units))


def _emotion(name: str, label: str, units: Mapping[int, float]) -> Preset:
    listed = " + ".join(str(unit) for unit in units)
    return Preset(name, label, PresetGroup.EMOTION, of_action_units(units), f"AU {listed}")


_CONTEMPT = Preset(
    "contempt", "Contempt", PresetGroup.EMOTION,
    Expression({"mouthSmileRight": 0.55, "mouthDimpleRight": 0.8, "eyeSquintRight": 0.15}),
    "AU 12 + 14 on one side",
)  # fmt: skip

_EMOTIONS = (
    Preset("neutral", "Neutral", PresetGroup.EMOTION, NEUTRAL_EXPRESSION, "the person's neutral"),
    _emotion("happiness", "Happiness", {6: 0.7, 12: 0.8}),
    _emotion("sadness", "Sadness", {1: 0.8, 4: 0.4, 15: 0.7, 17: 0.25}),
    _emotion("surprise", "Surprise", {1: 0.9, 2: 0.9, 5: 0.7, 26: 1.0}),
    _emotion("fear", "Fear", {1: 0.9, 2: 0.5, 4: 0.45, 5: 0.9, 20: 0.7, 26: 0.6}),
    _emotion("anger", "Anger", {4: 1.0, 5: 0.5, 7: 0.5, 10: 0.2, 23: 0.7}),
    _emotion("disgust", "Disgust", {4: 0.3, 9: 0.9, 10: 0.5, 15: 0.35, 17: 0.4}),
    _CONTEMPT,
)

_EYES = (
    Preset("blink", "Blink", PresetGroup.EYES, Expression(both_sides(eyeBlink=1.0)), "AU 45"),
    Preset(
        "wink_left", "Wink Left", PresetGroup.EYES,
        Expression({"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.2}), "AU 46",
    ),
    Preset(
        "wink_right", "Wink Right", PresetGroup.EYES,
        Expression({"eyeBlinkRight": 1.0, "cheekSquintRight": 0.5, "mouthSmileRight": 0.2}), "AU 46",
    ),
)  # fmt: skip


def _viseme(name: str, sounds: str, **shapes: float) -> Preset:
    return Preset(f"viseme_{name}", f"{name} ({sounds})", PresetGroup.VISEME, Expression(shapes), sounds)


_VISEMES = (
    _viseme("sil", "silence"),
    # lips closed and pressed
    _viseme("PP", "p b m", mouthClose=0.08, jawOpen=0.08, mouthPressLeft=0.6, mouthPressRight=0.6, mouthRollLower=0.3,
            mouthRollUpper=0.25),
    # lower lip to the upper teeth
    _viseme("FF", "f v", jawOpen=0.06, mouthRollLower=0.65, mouthUpperUpLeft=0.25, mouthUpperUpRight=0.25,
            mouthShrugLower=0.2),
    # tongue between the teeth
    _viseme("TH", "th", jawOpen=0.22, tongueOut=0.3, mouthLowerDownLeft=0.2, mouthLowerDownRight=0.2),
    _viseme("DD", "t d", jawOpen=0.14, mouthLowerDownLeft=0.25, mouthLowerDownRight=0.25, mouthUpperUpLeft=0.1,
            mouthUpperUpRight=0.1),
    _viseme("kk", "k g", jawOpen=0.2, mouthStretchLeft=0.1, mouthStretchRight=0.1, mouthLowerDownLeft=0.15,
            mouthLowerDownRight=0.15),
    # teeth together, lips put forward
    _viseme("CH", "ch j sh", jawOpen=0.08, mouthFunnel=0.6, mouthPucker=0.15, mouthUpperUpLeft=0.15,
            mouthUpperUpRight=0.15, mouthLowerDownLeft=0.2, mouthLowerDownRight=0.2),
    # teeth together, lips apart and wide
    _viseme("SS", "s z", jawOpen=0.04, mouthStretchLeft=0.3, mouthStretchRight=0.3, mouthUpperUpLeft=0.15,
            mouthUpperUpRight=0.15, mouthLowerDownLeft=0.3, mouthLowerDownRight=0.3),
    _viseme("nn", "n l", jawOpen=0.14, mouthLowerDownLeft=0.15, mouthLowerDownRight=0.15, mouthSmileLeft=0.08,
            mouthSmileRight=0.08),
    _viseme("RR", "r", jawOpen=0.12, mouthFunnel=0.35, mouthPucker=0.2),
    _viseme("aa", "a", jawOpen=0.55, mouthLowerDownLeft=0.15, mouthLowerDownRight=0.15),
    _viseme("E", "e", jawOpen=0.3, mouthStretchLeft=0.35, mouthStretchRight=0.35, mouthSmileLeft=0.15,
            mouthSmileRight=0.15),
    _viseme("I", "i", jawOpen=0.15, mouthSmileLeft=0.35, mouthSmileRight=0.35, mouthStretchLeft=0.2,
            mouthStretchRight=0.2, mouthLowerDownLeft=0.15, mouthLowerDownRight=0.15),
    _viseme("O", "o", jawOpen=0.38, mouthFunnel=0.65),
    _viseme("U", "u w", jawOpen=0.14, mouthPucker=0.75, mouthFunnel=0.2),
)  # fmt: skip

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in (*_EMOTIONS, *_EYES, *_VISEMES)}
