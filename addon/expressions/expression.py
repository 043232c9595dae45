"""An expression as numbers: values of the 52 ARKit shapes and rotations of the joints. Needs no Blender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.conventions import JOINT_NAMES
from ..exchange.errors import LikenessError

AxisAngle = tuple[float, float, float]
_SIDES = ("Left", "Right")
_KNOWN_SHAPES = frozenset(ARKIT_NAMES)


def mirrored_name(name: str) -> str:
    """The name of the shape or joint on the other side; the same where there is none."""
    for here, there in (_SIDES, _SIDES[::-1]):
        if name.endswith(here):
            return name[: -len(here)] + there
    for here, there in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(here):
            return there + name[len(here) :]
    return name


@dataclass(frozen=True)
class Expression:
    """One expression.

    Attributes:
        shapes: ARKit shape name to its value; shapes that are not named are 0.
        joints: joint name to axis-angle, radians, model axes, relative to the parent; joints not named are at rest.
    """

    shapes: Mapping[str, float] = field(default_factory=dict)
    joints: Mapping[str, AxisAngle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted((set(self.shapes) - _KNOWN_SHAPES) | (set(self.joints) - set(JOINT_NAMES)))
        if unknown:
            raise LikenessError(
                "expression_unknown",
                f"An expression names {unknown[0]}, which is neither an ARKit shape nor a joint.",
                "Use the names of the avatar's shape keys and bones.",
            )
        object.__setattr__(self, "shapes", MappingProxyType(dict(self.shapes)))
        object.__setattr__(self, "joints", MappingProxyType(dict(self.joints)))

    def scaled(self, strength: float) -> Expression:
        """The same expression, stronger or weaker; an axis-angle scales to the same turn by another angle."""
        return Expression(
            {name: value * strength for name, value in self.shapes.items()},
            {name: _scaled(vector, strength) for name, vector in self.joints.items()},
        )

    def mirrored(self) -> Expression:
        """The expression that a mirror would show: left and right changed over.

        A rotation seen in the mirror at x = 0 keeps its component about x and turns the other way about y and z.
        """
        return Expression(
            {mirrored_name(name): value for name, value in self.shapes.items()},
            {mirrored_name(name): (x, -y, -z) for name, (x, y, z) in self.joints.items()},
        )


def _scaled(vector: AxisAngle, factor: float) -> AxisAngle:
    x, y, z = vector
    return (x * factor, y * factor, z * factor)


NEUTRAL_EXPRESSION = Expression()
