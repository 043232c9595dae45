"""The photos of the folder that an avatar was made of, with what became of each, folded away below the avatar."""

from __future__ import annotations

import bpy

from .avatar_properties import head_of
from .drawn_sentence import free_px
from .folder_list import row_name
from .panels import LikenessPanel
from .session import has_session
from .texts import TEXTS, text

_ROWS = 5
# what a row needs at scale 1 besides its words: panel, margins, gap, the list's slider
_ROW_MARGIN_PX = 100


class LIKENESS_UL_avatar_photos(bpy.types.UIList):
    bl_idname = "LIKENESS_UL_avatar_photos"

    def draw_item(
        self, _context, layout, _data, photo, _icon, _active_data, _active_property, _index=0, _flag=0
    ) -> None:  # fmt: skip
        """Called by Blender for each row that can be seen."""
        verdict = photo.verdict
        if photo.used:
            verdict = text("report.photo", verdict=verdict, percent=photo.error)
        row = layout.row(align=True)
        row.label(text=row_name(photo.name, free_px(_ROW_MARGIN_PX, verdict)), translate=False)
        end = row.row()
        end.alignment = "RIGHT"
        end.label(text=verdict, translate=False)


class LIKENESS_PT_avatar_photos(LikenessPanel, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_avatar_photos"
    bl_label = TEXTS["report.photos"]
    bl_parent_id = "LIKENESS_PT_avatar"
    bl_options = frozenset({"DEFAULT_CLOSED"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with an avatar of a folder."""
        head = head_of(context.object) if has_session() else None
        return head is not None and len(head.likeness.photos) > 0

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        avatar = head_of(context.object).likeness
        self.layout.template_list("LIKENESS_UL_avatar_photos", "", avatar, "photos", avatar, "photo_active", rows=_ROWS)


CLASSES = (LIKENESS_UL_avatar_photos, LIKENESS_PT_avatar_photos)
