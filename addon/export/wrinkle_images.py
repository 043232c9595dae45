"""The displacement maps that an avatar plays, read back from its modifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import bpy

from ..wrinkles.add_wrinkles import wrinkle_modifier
from ..wrinkles.map_blend import MAP_FIGURES
from ..wrinkles.modifier_inputs import get_input
from ..wrinkles.wrinkle_group import COMPRESSED_MAP, EXPANDED_MAP, NEUTRAL_MAP

NEUTRAL, COMPRESSED, EXPANDED = "neutral", "compressed", "expanded"


@dataclass(frozen=True)
class WrinkleImages:
    """The three maps by their role, and how they are read.

    Attributes:
        maps: "neutral", "compressed" and "expanded" to their images.
        figures: the modifier's inputs that `map_blend.MAP_FIGURES` lists, by name.
    """

    maps: Mapping[str, bpy.types.Image]
    figures: Mapping[str, float]


def wrinkle_images(mesh_object: bpy.types.Object) -> WrinkleImages | None:
    """What an avatar's wrinkle modifier plays; None where it has none or its maps were taken out."""
    modifier = wrinkle_modifier(mesh_object)
    if modifier is None:
        return None
    inputs = {NEUTRAL: NEUTRAL_MAP, COMPRESSED: COMPRESSED_MAP, EXPANDED: EXPANDED_MAP}
    maps = {role: get_input(modifier, name) for role, name in inputs.items()}
    if any(image is None for image in maps.values()):
        return None
    return WrinkleImages(maps, {figure.name: float(get_input(modifier, figure.name)) for figure in MAP_FIGURES})
