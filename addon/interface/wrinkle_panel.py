"""The Wrinkles panel: tension overlay, displacement or bump, and the modifiers' inputs, to be keyed and driven."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ..wrinkles.add_wrinkles import tension_modifier, wrinkle_modifier
from ..wrinkles.displacement_switch import has_real_displacement
from ..wrinkles.modifier_inputs import shown_inputs
from ..wrinkles.tension_group import BIAS, SMOOTHING
from ..wrinkles.tension_group import STRENGTH as MASK_STRENGTH
from ..wrinkles.tension_overlay import has_tension_overlay
from ..wrinkles.wrinkle_group import DYNAMIC_WRINKLES, REGIONS, STATIC_DETAIL, STRENGTH
from .active_avatar import active_avatar
from .panels import AvatarPanel, LikenessPanel
from .session import has_session
from .texts import CONTEXT, TEXTS, text

_CLOSED = frozenset({"DEFAULT_CLOSED"})
_AMOUNTS = (STRENGTH, STATIC_DETAIL, DYNAMIC_WRINKLES)
_MASKS = (MASK_STRENGTH, BIAS, SMOOTHING)


class LIKENESS_PT_wrinkles(AvatarPanel, bpy.types.Panel):
    """Other panels about wrinkles name it as their parent."""

    bl_idname = "LIKENESS_PT_wrinkles"
    bl_label = TEXTS["wrinkles"]

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, avatar = self.layout, active_avatar(context)
        wrinkles = wrinkle_modifier(avatar.mesh) if avatar is not None else None
        if wrinkles is None:
            layout.label(text=text("avatar.poll" if avatar is None else "wrinkles.none"), translate=False)
            return
        mesh = avatar.mesh
        shown = has_tension_overlay(mesh)
        layout.operator("likeness.tension_overlay", icon="OVERLAY", depress=shown)
        if shown:
            layout.label(text=text("tension.colours"), translate=False)
        row = layout.row(align=True)
        is_real = has_real_displacement(mesh)
        for label, real in ((text("wrinkles.real"), True), (text("wrinkles.bump"), False)):
            button = row.operator("likeness.set_displacement", text=label, depress=is_real is real, translate=False)
            button.real = real
        _draw_inputs(layout, wrinkles, _AMOUNTS)


class WrinklePart(LikenessPanel):
    """Mixin: a folded part of the Wrinkles panel, for avatars that have wrinkles."""

    bl_parent_id = "LIKENESS_PT_wrinkles"
    bl_options = _CLOSED

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """The avatar has wrinkles."""
        avatar = active_avatar(context) if has_session() else None
        return avatar is not None and wrinkle_modifier(avatar.mesh) is not None


class LIKENESS_PT_wrinkle_regions(WrinklePart, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_wrinkle_regions"
    bl_label = TEXTS["wrinkles.regions"]

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        _draw_inputs(self.layout, wrinkle_modifier(active_avatar(context).mesh), tuple(REGIONS))


class LIKENESS_PT_tension_masks(WrinklePart, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_tension_masks"
    bl_label = TEXTS["tension.masks"]

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        tension = tension_modifier(active_avatar(context).mesh)
        if tension is not None:
            _draw_inputs(self.layout, tension, _MASKS)


def _draw_inputs(layout: bpy.types.UILayout, modifier: bpy.types.NodesModifier, names: Sequence[str]) -> None:
    """Inputs of a modifier, one below the other, with Blender's own keying, drivers and undo."""
    # names inside the fields: beside them, the sidebar at its usual width cuts them off
    column = layout.column(align=True)
    for name, owner, property_name in shown_inputs(modifier, names):
        column.prop(owner, property_name, text=name, text_ctxt=CONTEXT)


CLASSES = (LIKENESS_PT_wrinkles, LIKENESS_PT_wrinkle_regions, LIKENESS_PT_tension_masks)
