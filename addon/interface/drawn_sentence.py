"""Draws a sentence over as many lines as it needs; Blender's labels do not wrap. Shortens what has one line alone."""

from __future__ import annotations

import math
from functools import lru_cache

import blf
import bpy

# the mean width of the interface's letters at scale 1, by eye; the margins of boxes and icons in such letters
_LETTER_PX = 7.0
_MARGIN_LETTERS = 6
_SHORTEST_LINE = 24
# Blender's number of the interface's font
_INTERFACE_FONT = 0
_CUT = "…"
# texts and widths that panels draw in one go
_KEPT_TEXTS = 512


def draw_sentence(layout: bpy.types.UILayout, sentence: str, width_px: int, icon: str = "NONE") -> None:
    """A sentence over as many lines as the sidebar's width asks for."""
    letters = max(_SHORTEST_LINE, int(width_px / (_LETTER_PX * _scale())) - _MARGIN_LETTERS)
    column = layout.column(align=True)
    column.scale_y = 0.8
    line, lines = "", []
    for word in sentence.split():
        if line and len(line) + len(word) + 1 > letters:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    for number, shown in enumerate([*lines, line] if line else lines):
        column.label(text=shown, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE", translate=False)


def shortened(words: str, room_px: float) -> str:
    """Words as they fit into a width: cut in the middle, since it is the ends of files' names that tell them apart.

    Args:
        room_px: the width.
    """
    if math.isinf(room_px):
        return words
    return _shortened(words, round(room_px), _font_px())


def free_px(margin_px: float, *beside: str) -> float:
    """Width of the region that is being drawn, less margins (pixels at scale 1) and the words beside; else endless."""
    region = bpy.context.region
    if region is None:
        return math.inf
    return region.width - margin_px * _scale() - sum(_width_px(words, _font_px()) for words in beside)


@lru_cache(_KEPT_TEXTS)
def _shortened(words: str, room_px: int, font_px: float) -> str:
    if _width_px(words, font_px) <= room_px:
        return words
    cuts = (f"{words[: (kept + 1) // 2]}{_CUT}{words[-(kept // 2) :]}" for kept in range(len(words) - 1, 1, -1))
    return next((cut for cut in cuts if _width_px(cut, font_px) <= room_px), _CUT)


def _width_px(words: str, font_px: float) -> float:
    blf.size(_INTERFACE_FONT, font_px)
    return blf.dimensions(_INTERFACE_FONT, words)[0]


def _font_px() -> float:
    return bpy.context.preferences.ui_styles[0].widget.points * _scale()


def _scale() -> float:
    # a Blender without a window has a scale of 0
    return bpy.context.preferences.system.ui_scale or 1.0
