"""The families of lines that a face's muscles fold into its skin: where they lie, how far apart, how deep.

A family is described on the person's left side or across the middle; `LINE_SYSTEMS` holds both sides. Places are
weighted means of the tracker's landmarks on the neutral head, so that they fit every head model.

Depths, from valley to ridge at full expression at age 1: Lemperle et al. (A classification of facial wrinkles, 2001)
measured facial lines of 0.1 mm (just noticeable) to about 0.8-0.9 mm (redundant folds); Fujimura et al. (2013) and
Luebberding et al. (2014) that they deepen with contraction and with age. Which of that range a family gets, and what
of it is there in youth and at rest, is chosen by eye.
Spacings and areas are chosen by eye against photographs; they give the number of lines that clinical scales of facial
lines show: three to five on the forehead, two at the glabella, three to five at the eye's corner.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

Place = dict[int, float]
"""Landmark number -> weight; the weights sum to 1."""

# tracker landmarks of the person's left half and their counterparts; those of the midline are their own
_MIRRORED = {263: 33, 446: 226, 356: 127, 362: 133, 450: 230, 437: 217, 358: 129, 291: 61, 425: 205, 422: 202,
             334: 105}  # fmt: skip


@dataclass(frozen=True)
class LineSystem:
    """A family of lines.

    Attributes:
        name: of the family, with its side.
        expressions: the ARKit shapes whose muscles fold it.
        full_expressions: those of them that fold it fully, each where it is the strongest; empty = all.
        origin: the middle of its area.
        along_from, along_to: the lines run from the one towards the other, by anatomy.
        half_along_m, half_across_m: half axes of its area, along and across the lines.
        spacing_m: between neighbouring main lines.
        max_depth_m: of a main line, valley to ridge, at full expression and age 1.
        young_depth: part of that depth that the same expression has at age 0.
        static_depth: part of that depth that stays at rest at age 1.
        fixed_lines: places of the main lines across, in units of the spacing; empty = as many as fit.
        secondary: shorter and shallower lines for each main one.
        wander: how far lines stray from their direction, 1 = as on a forehead.
        fan_centre: lines radiate from here; None = they run side by side.
        anatomy_weight: how firmly the direction is that of anatomy and not that of the head's own strain.
        amount_weight: 0-1, how far any compression folds it, and not only the one across its lines: a head model
            moves the ends of muscles well and the skin between them less so.
        cobbled: dimples instead of lines.
        valley_m: half width of a main line's valley; None = by the spacing.
        missed_weight: how much more a fold that the maps would miss weighs than one that they show for nothing, > 0;
            below 1, the other way round.
        reach_depth_m: how far from the origin's plane its surface may lie.
        side: 1 the person's left or the midline, -1 the right.
    """

    name: str
    expressions: tuple[str, ...]
    origin: Place
    along_from: Place
    along_to: Place
    half_along_m: float
    half_across_m: float
    spacing_m: float
    max_depth_m: float
    young_depth: float
    static_depth: float
    full_expressions: tuple[str, ...] = ()
    fixed_lines: tuple[float, ...] = ()
    secondary: float = 2.0
    wander: float = 1.0
    fan_centre: Place | None = None
    anatomy_weight: float = 0.5
    amount_weight: float = 0.0
    cobbled: bool = False
    valley_m: float | None = None
    missed_weight: float = 1.0
    reach_depth_m: float = 0.03
    side: int = field(default=1)


def _right(system: LineSystem) -> LineSystem:
    """The same family on the person's right side."""

    def mirrored(place: Place) -> Place:
        return {_MIRRORED.get(number, number): weight for number, weight in place.items()}

    return replace(
        system,
        name=system.name.replace("left", "right"),
        expressions=tuple(name.replace("Left", "Right") for name in system.expressions),
        full_expressions=tuple(name.replace("Left", "Right") for name in system.full_expressions),
        origin=mirrored(system.origin),
        along_from=mirrored(system.along_from),
        along_to=mirrored(system.along_to),
        fan_centre=None if system.fan_centre is None else mirrored(system.fan_centre),
        side=-1,
    )


# across the middle
_FOREHEAD = LineSystem(
    name="forehead",  # frontalis
    expressions=("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    origin={151: 0.5, 10: 0.5}, along_from={105: 1.0}, along_to={334: 1.0},
    half_along_m=0.068, half_across_m=0.024, spacing_m=0.0095,
    max_depth_m=0.0009, young_depth=0.45, static_depth=0.35, secondary=2.0, anatomy_weight=1.5, reach_depth_m=0.07,
    # a frown stretches the forehead's lower middle: level lines above it are worse than shallow ones in raised brows
    missed_weight=0.1,
)  # fmt: skip
_GLABELLA = LineSystem(
    name="glabella",  # corrugator: the "elevens"
    expressions=("browDownLeft", "browDownRight"),
    origin={9: 0.5, 8: 0.5}, along_from={8: 1.0}, along_to={151: 1.0},
    half_along_m=0.0125, half_across_m=0.015, spacing_m=0.0075,
    max_depth_m=0.0010, young_depth=0.45, static_depth=0.35, fixed_lines=(-0.85, 0.85), secondary=1.5,
    wander=0.7, anatomy_weight=3.0, amount_weight=0.6,
    # raised brows stretch this skin as frowning does: upright creases in them are worse than shallow ones in a frown
    missed_weight=0.3,
)  # fmt: skip
_NASION = LineSystem(
    name="nasion",  # procerus
    expressions=("browDownLeft", "browDownRight", "noseSneerLeft", "noseSneerRight"),
    origin={168: 0.9, 8: 0.1}, along_from={133: 1.0}, along_to={362: 1.0},
    half_along_m=0.013, half_across_m=0.0065, spacing_m=0.006,
    max_depth_m=0.0007, young_depth=0.4, static_depth=0.3, secondary=1.0, amount_weight=0.3,
)  # fmt: skip
_UPPER_LIP = LineSystem(
    name="upper_lip",  # orbicularis oris
    expressions=("mouthPucker", "mouthFunnel", "mouthPressLeft", "mouthPressRight"),
    origin={164: 0.55, 0: 0.45}, along_from={0: 1.0}, along_to={2: 1.0},
    half_along_m=0.0075, half_across_m=0.024, spacing_m=0.0042,
    max_depth_m=0.00045, young_depth=0.25, static_depth=0.25, secondary=1.0, anatomy_weight=5.0, amount_weight=0.8,
)  # fmt: skip
_CHIN = LineSystem(
    name="chin",  # mentalis
    expressions=("mouthShrugLower", "mouthFunnel", "mouthPucker", "mouthFrownLeft", "mouthFrownRight"),
    origin={199: 0.7, 200: 0.3}, along_from={202: 1.0}, along_to={422: 1.0},
    half_along_m=0.017, half_across_m=0.014, spacing_m=0.0042,
    max_depth_m=0.00045, young_depth=0.6, static_depth=0.1, amount_weight=1.0, cobbled=True,
)  # fmt: skip
_NECK = LineSystem(
    name="neck",  # platysma and bending
    expressions=("jawOpen",),
    origin={152: 1.16, 10: -0.16}, along_from={202: 1.0}, along_to={422: 1.0},
    half_along_m=0.060, half_across_m=0.030, spacing_m=0.020,
    max_depth_m=0.0008, young_depth=0.5, static_depth=0.45, fixed_lines=(-0.55, 0.5), secondary=1.5,
    anatomy_weight=20.0, amount_weight=0.3, reach_depth_m=0.08,
)  # fmt: skip

# on the left
_CROWS_FEET = LineSystem(
    name="crows_feet_left",  # orbicularis oculi, outer part
    expressions=("eyeSquintLeft", "cheekSquintLeft", "mouthSmileLeft", "eyeBlinkLeft"),
    origin={263: 0.76, 356: 0.24}, along_from={263: 1.0}, along_to={356: 1.0},
    half_along_m=0.017, half_across_m=0.019, spacing_m=0.0062,
    max_depth_m=0.0007, young_depth=0.35, static_depth=0.35, secondary=1.5, fan_centre={263: 1.12, 356: -0.12},
    anatomy_weight=3.0, amount_weight=0.5, reach_depth_m=0.03,
)  # fmt: skip
_LOWER_LID = LineSystem(
    name="lower_lid_left",  # orbicularis oculi, under the eye
    expressions=("eyeSquintLeft", "cheekSquintLeft", "mouthSmileLeft"),
    origin={450: 1.0}, along_from={362: 1.0}, along_to={263: 1.0},
    half_along_m=0.019, half_across_m=0.0065, spacing_m=0.0034,
    max_depth_m=0.00040, young_depth=0.4, static_depth=0.25, secondary=1.5, anatomy_weight=1.0, amount_weight=0.3,
)  # fmt: skip
_NOSE_SIDE = LineSystem(
    name="nose_side_left",  # nasalis and levator: bunny lines
    expressions=("noseSneerLeft",),
    origin={437: 1.0}, along_from={6: 1.0}, along_to={358: 0.5, 425: 0.5},
    half_along_m=0.011, half_across_m=0.012, spacing_m=0.0042,
    max_depth_m=0.00055, young_depth=0.5, static_depth=0.15, secondary=1.0, anatomy_weight=0.7, amount_weight=0.2,
)  # fmt: skip
_NASOLABIAL = LineSystem(
    name="nasolabial_left",  # zygomaticus and levator
    expressions=("mouthSmileLeft", "noseSneerLeft", "mouthUpperUpLeft", "cheekSquintLeft", "mouthDimpleLeft"),
    origin={358: 0.35, 291: 0.35, 425: 0.3}, along_from={358: 1.0}, along_to={291: 0.5, 422: 0.5},
    full_expressions=("mouthSmileLeft",), half_along_m=0.026, half_across_m=0.015, spacing_m=0.012,
    max_depth_m=0.0011, young_depth=0.55, static_depth=0.45, fixed_lines=(0.0,), secondary=0.0,
    # one soft fold, which a smile may not miss
    valley_m=0.0014, wander=0.3, anatomy_weight=6.0, amount_weight=0.6, missed_weight=1.5,
)  # fmt: skip
_MARIONETTE = LineSystem(
    name="marionette_left",  # depressor anguli oris alone: risorius (mouthStretch) pulls this skin sideways and flat
    expressions=("mouthFrownLeft",),
    origin={291: 0.45, 422: 0.35, 152: 0.2}, along_from={291: 1.0}, along_to={422: 0.5, 152: 0.5},
    half_along_m=0.014, half_across_m=0.008, spacing_m=0.007,
    max_depth_m=0.0007, young_depth=0.4, static_depth=0.4, fixed_lines=(0.0,), secondary=1.0,
    wander=0.5, anatomy_weight=6.0, amount_weight=0.6,
)  # fmt: skip

_SIDED = (_CROWS_FEET, _LOWER_LID, _NOSE_SIDE, _NASOLABIAL, _MARIONETTE)
LINE_SYSTEMS: tuple[LineSystem, ...] = (
    _FOREHEAD, _GLABELLA, _NASION, _UPPER_LIP, _CHIN, _NECK,
    *_SIDED, *(_right(system) for system in _SIDED),
)  # fmt: skip

# every landmark that a family is placed by; their places on the neutral are all that the prior needs of the tracker
ANCHOR_LANDMARKS: tuple[int, ...] = tuple(
    sorted(
        {
            number
            for system in LINE_SYSTEMS
            for place in (system.origin, system.along_from, system.along_to, system.fan_centre or {})
            for number in place
        }
    )
)
