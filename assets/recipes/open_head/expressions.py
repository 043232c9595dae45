"""The expression basis: named movements, left and right apart, in metres at coefficient 1.

Movements come from MakeHuman's expression units (averaged over its three ethnicities) where they look right, and from
sculpting on the mean head where MakeHuman has none. Names are ours, after the muscle's work (FACS); the 52 ARKit shapes
are combinations of them (`arkit_shapes.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from assets.recipes.open_head import eyelids
from assets.recipes.open_head.base_mesh import BaseMesh
from assets.recipes.open_head.makehuman_geometry import TargetLibrary
from assets.recipes.open_head.mouth_sculpts import MouthSculptor
from assets.recipes.open_head.relaxed_units import relaxed_unit
from assets.recipes.open_head.rig import Rig
from assets.recipes.open_head.surface_field import SurfaceField

_ETHNICITIES = ("african", "asian", "caucasian")
_BLEND_HALF_WIDTH_M = 0.014  # the two halves of a split movement overlap over 28 mm around the midline

# name -> MakeHuman unit and amount, for units that MakeHuman has for each side.
_SIDED_UNITS = {
    "brow_lower": ("eyebrows-{side}-down", 0.9),
    "brow_raise": ("eyebrows-{side}-up", 1.1),
    "brow_inner_raise": ("eyebrows-{side}-inner-up", 1.2),
    "brow_outer_raise": ("eyebrows-{side}-extern-up", 0.9),
    "nose_wrinkle": ("nose-{side}-elevation", 0.85),
    "nostril_flare": ("nose-{side}-dilatation", 1.3),
}
# The same for symmetric units that are split at the midline.
_SPLIT_UNITS = {
    "smile": ("mouth-corner-puller", 0.9),
    "frown": ("mouth-depression", 0.85),
    "mouth_stretch": ("mouth-retraction", 1.1),
    "dimple": ("mouth-compression", 0.7),
    "upper_lip_raise": ("mouth-elevation", 0.9),
    "lower_lip_depress": ("mouth-depression-retraction", 0.85),
    "neck_tighten": ("neck-platysma", 0.8),
}
_RELAXED_UNITS = ("smile", "mouth_stretch", "dimple", "upper_lip_raise", "lower_lip_depress")
_WHOLE_UNITS = {
    "pucker": ("mouth-pursing", 0.9),
    "funnel": ("mouth-protusion", 0.85),
    "lips_part": ("mouth-parling", 1.0),
    "lower_lip_raise": ("mouth-eversion", 0.9),
    "nose_lower": ("nose-depression", 0.8),
}
_LID_MOTIONS = {
    "lid_close": eyelids.BLINK,
    "lid_squint": eyelids.SQUINT,
    "lid_widen": eyelids.WIDEN,
    "lid_look_up": eyelids.LOOK_UP,
    "lid_look_down": eyelids.LOOK_DOWN,
}


@dataclass(frozen=True)
class ExpressionBasis:
    """Named movements.

    Attributes:
        names: E names.
        basis: (V, 3, E) metres at coefficient 1.
    """

    names: tuple[str, ...]
    basis: np.ndarray


def build_expressions(base: BaseMesh, mean: np.ndarray, rig: Rig, library: TargetLibrary) -> ExpressionBasis:
    """Build every movement on the mean head.

    Args:
        base: topology.
        mean: (V, 3) metres.
        rig: for movements of the jaw.
        library: MakeHuman's targets.
    """
    movements: dict[str, np.ndarray] = {}
    sculptor = MouthSculptor(base, mean, rig)
    for name, (unit, amount) in _SIDED_UNITS.items():
        for side in ("left", "right"):
            movements[f"{name}_{side}"] = amount * _unit(base, library, unit.format(side=side))
    crinkle = _split("nose_wrinkle", sculptor.nose_crinkle(), mean)
    movements |= {name: movements[name] + offsets for name, offsets in crinkle.items()}
    for name, motion in _LID_MOTIONS.items():
        for index, side in enumerate(("left", "right")):
            movements[f"{name}_{side}"] = eyelids.lid_offsets(base, mean, index, motion)
    volume = {"smile": sculptor.smile_volume, "upper_lip_raise": sculptor.sneer_volume}
    field = SurfaceField(mean, base.polygons[base.polygon_part == base.part_names.index("skin")])
    for name, (unit, amount) in _SPLIT_UNITS.items():
        offsets = amount * _unit(base, library, unit)
        if name in _RELAXED_UNITS:
            offsets = relaxed_unit(base, mean, field, offsets)
        movements |= _split(name, offsets + (volume[name]() if name in volume else 0.0), mean)
    for name, (unit, amount) in _WHOLE_UNITS.items():
        movements[name] = amount * _unit(base, library, unit)
    for name, sculpt in _split_sculpts(sculptor).items():
        movements |= _split(name, sculpt(), mean)
    movements |= {name: sculpt() for name, sculpt in _whole_sculpts(sculptor).items()}
    return ExpressionBasis(tuple(movements), np.stack(list(movements.values()), axis=-1))


def _split_sculpts(sculptor: MouthSculptor) -> dict[str, Callable[[], np.ndarray]]:
    return {
        "cheek_raise": sculptor.cheek_raise,
        "cheek_puff": sculptor.cheek_puff,
        "lip_press": sculptor.lip_press,
    }


def _whole_sculpts(sculptor: MouthSculptor) -> dict[str, Callable[[], np.ndarray]]:
    return {
        "upper_lip_roll": sculptor.upper_lip_roll,
        "lower_lip_roll": sculptor.lower_lip_roll,
        "upper_lip_shrug": sculptor.upper_lip_shrug,
        "mouth_left": sculptor.mouth_left,
        "mouth_right": sculptor.mouth_right,
        "mouth_close": sculptor.mouth_close,
        "jaw_forward": sculptor.jaw_forward,
        "tongue_out": sculptor.tongue_out,
    }


def _unit(base: BaseMesh, library: TargetLibrary, unit: str) -> np.ndarray:
    """Average a MakeHuman expression unit over ethnicities, (V, 3) metres; eyeballs stay."""
    mean = np.zeros((int(base.source_vertex.max()) + 1, 3))
    for ethnicity in _ETHNICITIES:
        target = library.read(f"expression/units/{ethnicity}/{unit}")
        kept = target.index < len(mean)
        mean[target.index[kept]] += target.offset[kept] / len(_ETHNICITIES)
    return np.where((base.source_vertex >= 0)[:, None], mean[np.maximum(base.source_vertex, 0)], 0.0)


def _split(name: str, offsets: np.ndarray, mean: np.ndarray) -> dict[str, np.ndarray]:
    """Split a symmetric movement into sides that add up to it and overlap smoothly around the midline."""
    along = np.clip(mean[:, 0] / _BLEND_HALF_WIDTH_M / 2 + 0.5, 0, 1)
    left = (along * along * (3 - 2 * along))[:, None]
    return {f"{name}_left": offsets * left, f"{name}_right": offsets * (1 - left)}
