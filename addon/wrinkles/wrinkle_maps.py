"""An avatar's three displacement maps and how they are read."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from .map_blend import (
    FULL_COMPRESSION,
    FULL_STRETCH,
    NEUTRAL_MIDLEVEL,
    NEUTRAL_SCALE,
    WRINKLE_MIDLEVEL,
    WRINKLE_SCALE,
)


@dataclass(frozen=True)
class WrinkleMaps:
    """The displacement at rest, at full compression and at full stretch; grey images without colour space.

    Attributes:
        neutral, compressed, expanded: the images.
        neutral_midlevel, neutral_scale_mm: offset in mm = (value - midlevel) * scale_mm, of the neutral map.
        wrinkle_midlevel, wrinkle_scale_mm: the same of the other two.
        full_compression: the tension at which the compressed map shows whole; full_stretch: -tension, expanded map.
    """

    neutral: bpy.types.Image
    compressed: bpy.types.Image
    expanded: bpy.types.Image
    neutral_midlevel: float
    neutral_scale_mm: float
    wrinkle_midlevel: float
    wrinkle_scale_mm: float
    full_compression: float
    full_stretch: float

    def figures(self) -> dict[str, float]:
        """The numbers by the names of the node groups' inputs (`MAP_FIGURES`)."""
        return {
            NEUTRAL_MIDLEVEL: self.neutral_midlevel,
            NEUTRAL_SCALE: self.neutral_scale_mm,
            WRINKLE_MIDLEVEL: self.wrinkle_midlevel,
            WRINKLE_SCALE: self.wrinkle_scale_mm,
            FULL_COMPRESSION: self.full_compression,
            FULL_STRETCH: self.full_stretch,
        }
