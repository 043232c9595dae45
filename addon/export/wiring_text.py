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

All three are 16-bit grey images on the model's UVs. Import them linear, not as sRGB, with 16 bits and without
compression: with 8 bits or block compression the skin shows steps. They say how far the surface stands out along its
normal:

    rest map:            millimetres = (value - {neutral_midlevel:g}) * {neutral_scale:g}
    the other two maps:  millimetres = (value - {wrinkle_midlevel:g}) * {wrinkle_scale:g}

They belong to the plain model. A model that was exported with baked wrinkles has them in its shape and its keys.

How to blend them
-----------------
1. Once a frame, in a compute shader or on the processor (a vertex shader does not see its neighbours), compute the
   tension of each vertex from its edges, at rest and now, after the keys and the bones; lengths in metres, so in an
   engine that counts centimetres divide them by 100:

       tension = mean over the vertex's edges of tanh({gain:g} * (length at rest - length now) / 2)

   It is above 0 where the skin is compressed, below 0 where it is stretched, and does not change when the head moves.
   - Count the edges of the quads, without the diagonals that triangulation adds: with them the result is wrong by
     a third or more. The FBX and USD files hold the quads; glTF knows triangles only.
   - Engines split vertices at the seams of the UVs: treat those at one place at rest as one vertex.
2. Hand it to the pixel shader, interpolated over the triangle, and weigh the maps there:

       c = clamp( tension / {full_compression:g}, 0, 1)
       e = clamp(-tension / {full_stretch:g}, 0, 1)
       millimetres = rest + c * (compressed - rest) + e * (expanded - rest)

3. Use the result as displacement, or as the height of a bump map: its slope over the surface, millimetres by
   millimetres, tilts the normal.

Cheaper: compute the tension of each key alone once, keep it for every vertex, and each frame add up those of the keys,
times their values; then go on with step 2. It is exact for one key at 1, and rough where several strong keys move the
same skin.

Without any of that: weigh the maps by the values of the ARKit shapes, one mask a region: browInnerUp and browOuterUp
for the forehead, browDown for the space between the brows, eyeSquint and mouthSmile for the outer corners of the eyes,
mouthSmile and noseSneer for the folds beside the nose, mouthShrugLower for the chin. It is coarser, and looks right
for single expressions.
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
