"""The Exact Wrinkles panel: what is baked, exact or live, the bake at work."""

from __future__ import annotations

import bpy

from ..exchange.worker_messages import WrinklesRequest
from ..wrinkles.add_wrinkles import wrinkle_modifier
from ..wrinkles.exact_frames import exact_frames
from ..wrinkles.modifier_inputs import shown_inputs
from ..wrinkles.wrinkle_group import EXACT_WRINKLES
from .active_avatar import active_avatar
from .panels import draw_job
from .session import session
from .texts import CONTEXT, TEXTS, text
from .wrinkle_panel import WrinklePart


class LIKENESS_PT_exact_wrinkles(WrinklePart, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_exact_wrinkles"
    bl_label = TEXTS["bake.panel"]

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, head = self.layout, active_avatar(context).mesh
        frames = exact_frames(head)
        column = layout.column(align=True)
        if frames is None:
            column.label(text=text("bake.none"), translate=False)
        else:
            for _name, owner, property_name in shown_inputs(wrinkle_modifier(head), (EXACT_WRINKLES,)):
                column.prop(owner, property_name, text=text("bake.switch"), text_ctxt=CONTEXT, translate=False)
            column.label(text=text("bake.frames", first=frames.first, last=frames.last), translate=False)
            column.label(text=text("bake.frames.live"), translate=False)
        running = session().queue.running
        if running is not None and isinstance(running.request, WrinklesRequest):
            draw_job(layout.box(), running)
        for bake in session().bakes:
            if bake.wait and bake.order.head_uid == head.session_uid:
                layout.label(text=text(bake.wait), icon="CHECKMARK", translate=False)
        buttons = layout.column(align=True)
        buttons.operator("likeness.bake_wrinkles", icon="RENDER_ANIMATION")
        if frames is not None:
            buttons.operator("likeness.remove_bake", icon="X")


CLASSES = (LIKENESS_PT_exact_wrinkles,)
