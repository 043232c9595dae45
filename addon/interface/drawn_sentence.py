"""Draws a sentence over as many lines as it needs; Blender's labels do not wrap."""

from __future__ import annotations

import bpy

# the mean width of the interface's letters at scale 1, by eye; the margins of boxes and icons in such letters
_LETTER_PX = 7.0
_MARGIN_LETTERS = 6
_SHORTEST_LINE = 24


def draw_sentence(layout: bpy.types.UILayout, sentence: str, width_px: int, icon: str = "NONE") -> None:
    """A sentence over as many lines as the sidebar's width asks for."""
    # a Blender without a window has a scale of 0
    scale = bpy.context.preferences.system.ui_scale or 1.0
    letters = max(_SHORTEST_LINE, int(width_px / (_LETTER_PX * scale)) - _MARGIN_LETTERS)
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
