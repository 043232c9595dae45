"""The Export panel."""

from __future__ import annotations

import bpy

from .panels import AvatarPanel
from .texts import TEXTS, text


class LIKENESS_PT_export(AvatarPanel, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_export"
    bl_label = TEXTS["export"]

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
