"""Lays pictures and labels out on one sheet. Needs Pillow, which the command line has and Blender itself has not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PANEL_SIZE_PX = (420, 520)
COLUMNS = 5
_MARGIN_PX = 18
_LABEL_HEIGHT_PX = 34
_LABEL_FONT_PX = 19
_TITLE_HEIGHT_PX = 58
_TITLE_FONT_PX = 25
_NOTE_FONT_PX = 17
_PAPER = (244, 244, 242)
_INK = (38, 40, 44)
_FAINT_INK = (110, 112, 118)
_BACKDROP_TOP = (202, 206, 212)
_BACKDROP_BOTTOM = (150, 155, 163)
_LINE = (20, 235, 200)
# of 255; the face must stay visible under the lines
_LINE_OPACITY = 170
# lines are drawn this many times larger and reduced, which makes them smooth
_OVERSAMPLING = 3


@dataclass(frozen=True)
class Panel:
    """One picture of the sheet, of PANEL_SIZE_PX, and its label."""

    picture: Image.Image
    label: str


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of a photo, which may reach beyond it, pixels."""

    left: float
    top: float
    width: float
    height: float


def backdrop() -> Image.Image:
    """The plain background behind a head: a soft gradient."""
    blend = np.linspace(0, 1, PANEL_SIZE_PX[1])[:, None, None]
    rows = (1 - blend) * np.array(_BACKDROP_TOP) + blend * np.array(_BACKDROP_BOTTOM)
    return Image.fromarray(np.broadcast_to(rows, (PANEL_SIZE_PX[1], PANEL_SIZE_PX[0], 3)).round().astype(np.uint8))


def render_panel(path: Path, label: str) -> Panel:
    """A rendered head with transparency, in front of the backdrop."""
    picture = backdrop()
    with Image.open(path) as head:
        picture.paste(head.convert("RGB"), (0, 0), head.convert("RGBA").getchannel("A"))
    return Panel(picture, label)


def photo_panel(photo: Image.Image, crop: Rectangle, label: str) -> Panel:
    """A rectangle of the photo; the backdrop shows where it reaches beyond the photo."""
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    inside = (max(box[0], 0), max(box[1], 0), min(box[2], photo.width), min(box[3], photo.height))
    picture = backdrop()
    scale = PANEL_SIZE_PX[0] / crop.width
    corner = (round((inside[0] - box[0]) * scale), round((inside[1] - box[1]) * scale))
    size = (round((inside[2] - inside[0]) * scale), round((inside[3] - inside[1]) * scale))
    if min(size) > 0:
        picture.paste(photo.resize(size, Image.Resampling.LANCZOS, box=inside, reducing_gap=3.0), corner)
    return Panel(picture, label)


def overlay_panel(under: Panel, lines_px: np.ndarray, label: str) -> Panel:
    """Lines drawn over a picture.

    Args:
        under: the picture.
        lines_px: (L,2,2) ends of the lines, x and y, pixels of the panel.
        label: of the new panel.
    """
    width, height = PANEL_SIZE_PX
    mask = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING), 0)
    draw = ImageDraw.Draw(mask)
    for ends in (lines_px * _OVERSAMPLING).reshape(-1, 4).tolist():
        draw.line(ends, fill=_LINE_OPACITY, width=2)
    picture = under.picture.copy()
    picture.paste(Image.new("RGB", PANEL_SIZE_PX, _LINE), (0, 0), mask.resize(PANEL_SIZE_PX, Image.Resampling.BOX))
    return Panel(picture, label)


def panel_corner(index: int) -> tuple[int, int]:
    """Left and top of a panel on the sheet, pixels, counted in reading order from 0."""
    row, column = divmod(index, COLUMNS)
    width, height = PANEL_SIZE_PX
    left = _MARGIN_PX + column * (width + _MARGIN_PX)
    return left, _TITLE_HEIGHT_PX + row * (height + _LABEL_HEIGHT_PX + _MARGIN_PX)


def lay_out(panels: list[Panel], title: str, note: str) -> Image.Image:
    """Put the panels on a sheet in rows of COLUMNS, with a title above.

    Args:
        panels: in reading order.
        title: what the sheet shows.
        note: smaller, after the title.
    """
    _, bottom = panel_corner(-(-len(panels) // COLUMNS) * COLUMNS)
    sheet = Image.new("RGB", (_MARGIN_PX + COLUMNS * (PANEL_SIZE_PX[0] + _MARGIN_PX), bottom), _PAPER)
    draw = ImageDraw.Draw(sheet)
    title_font, note_font = ImageFont.load_default(_TITLE_FONT_PX), ImageFont.load_default(_NOTE_FONT_PX)
    draw.text((_MARGIN_PX, _TITLE_HEIGHT_PX / 2), title, _INK, title_font, anchor="lm")
    note_left = 2 * _MARGIN_PX + draw.textlength(title, title_font)
    draw.text((note_left, _TITLE_HEIGHT_PX / 2 + 2), note, _FAINT_INK, note_font, anchor="lm")
    label_font = ImageFont.load_default(_LABEL_FONT_PX)
    for index, panel in enumerate(panels):
        left, top = panel_corner(index)
        sheet.paste(panel.picture, (left, top))
        label_middle = top + PANEL_SIZE_PX[1] + _LABEL_HEIGHT_PX / 2
        draw.text((left + 2, label_middle), panel.label, _INK, label_font, anchor="lm")
    return sheet
