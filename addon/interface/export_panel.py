"""The Export panel."""

from __future__ import annotations

import bpy

from .active_avatar import may_have_avatar
from .panels import LikenessPanel
from .session import has_session
from .texts import TEXTS, text


class LIKENESS_PT_export(LikenessPanel, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_export"
    bl_label = TEXTS["export"]
    bl_options = frozenset({"DEFAULT_CLOSED"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is an avatar."""
        return has_session() and may_have_avatar(context)

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        column = self.layout.column(align=True)
        column.operator(
            "likeness.export_for_engines", text=text("export.engines.button"), icon="EXPORT", translate=False
        )
        column.operator("likeness.export_mesh_cache", text=text("cache.button"), icon="MESH_DATA", translate=False)


def draw_export_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The lines of File > Export."""
    menu.layout.operator("likeness.export_for_engines", text=text("export.menu"), translate=False)
    menu.layout.operator("likeness.export_mesh_cache", text=text("cache.menu"), translate=False)


CLASSES = (LIKENESS_PT_export,)
