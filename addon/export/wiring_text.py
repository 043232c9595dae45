"""The text that goes with exported wrinkle maps: how to play them in an engine."""

from __future__ import annotations

from collections.abc import Mapping

from ..exchange.tension import TENSION_PER_M
from ..wrinkles.map_blend import (
    FULL_COMPRESSION,
    FULL_STRETCH,
    NEUTRAL_MIDLEVEL,
    NEUTRAL_SCALE,
    WRINKLE_MIDLEVEL,
    WRINKLE_SCALE,
)

_TEXT = """Wrinkle maps of {name}

{neutral}     the skin at rest
{compressed}  the skin where it is pressed together most
{expanded}    the skin where it is stretched most

All three are 16-bit grey images on the model's UVs; read them without colour conversion (linear, not sRGB).
They say how far the surface stands out along its normal:

    rest map:            millimetres = (value - {neutral_midlevel:g}) * {neutral_scale:g}
    the other two maps:  millimetres = (value - {wrinkle_midlevel:g}) * {wrinkle_scale:g}

How to blend them
-----------------
1. In the vertex shader, or once a frame on the processor, compute the tension of each vertex from its edges, at rest
   and now (lengths in metres):

       tension = mean over the vertex's edges of tanh({gain:g} * (length at rest - length now) / 2)

   It is above 0 where the skin is compressed, below 0 where it is stretched, and does not change when the head moves.
2. Hand it to the pixel shader and weigh the maps:

       c = clamp( tension / {full_compression:g}, 0, 1)
       e = clamp(-tension / {full_stretch:g}, 0, 1)
       millimetres = rest + c * (compressed - rest) + e * (expanded - rest)

3. Use the result as displacement, or as the height of a bump map (its slope turned into a normal).

Without vertex access: weigh the maps by the values of the ARKit shapes instead, one mask a region: browInnerUp and
browOuterUp for the forehead, browDown for the space between the brows, eyeSquint and mouthSmile for the outer corners
of the eyes, mouthSmile and noseSneer for the folds beside the nose, mouthShrugLower for the chin. It is coarser, and
looks right for single expressions.
"""


def wiring_text(name: str, files: Mapping[str, str], figures: Mapping[str, float]) -> str:
    """The text for one avatar.

    Args:
        name: of the avatar.
        files: "neutral", "compressed" and "expanded" to their file names.
        figures: how the maps are read, by the names of the modifier's inputs.
    """
    return _TEXT.format(
        name=name,
        **files,
        gain=TENSION_PER_M,
        neutral_midlevel=figures[NEUTRAL_MIDLEVEL],
        neutral_scale=figures[NEUTRAL_SCALE],
        wrinkle_midlevel=figures[WRINKLE_MIDLEVEL],
        wrinkle_scale=figures[WRINKLE_SCALE],
        full_compression=figures[FULL_COMPRESSION],
        full_stretch=figures[FULL_STRETCH],
    )
