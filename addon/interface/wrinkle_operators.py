"""Operators of the Wrinkles panel: show the tension, displace the surface or bend its shading alone."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty

from ..exchange.errors import LikenessError
from ..expressions.avatar_parts import AvatarParts
from ..wrinkles.add_wrinkles import tension_modifier, wrinkle_modifier
from ..wrinkles.displacement_switch import set_real_displacement
from ..wrinkles.tension_overlay import has_tension_overlay, match_views, set_tension_overlay
from .active_avatar import posed_avatar
from .expression_operators import ExpressionOperator
from .guarded_operator import FINISHED
from .texts import CONTEXT, TEXTS, text


class LIKENESS_OT_tension_overlay(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.tension_overlay"
    bl_label = TEXTS["tension"]
    bl_description = TEXTS["tension.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Show it, or what was there before."""
        mesh = posed_avatar(context).mesh
        if tension_modifier(mesh) is None:
            raise LikenessError("no_tension", text("wrinkles.none"), text("wrinkles.none.hint"))
        set_tension_overlay(mesh, not has_tension_overlay(mesh))
        return FINISHED


class LIKENESS_OT_set_displacement(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.set_displacement"
    bl_label = TEXTS["wrinkles.displace"]
    bl_description = TEXTS["wrinkles.displace.tip"]

    real: BoolProperty(default=True, name=TEXTS["wrinkles.real"], translation_context=CONTEXT)

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """The button's own tooltip."""
        return text("wrinkles.real.tip") if properties.real else text("wrinkles.bump.tip")

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Switch."""
        set_real_displacement(wrinkled_avatar(context).mesh, self.real)
        return FINISHED


def wrinkled_avatar(context: bpy.types.Context) -> AvatarParts:
    """The active object's avatar, which has wrinkles and may be changed.

    Raises:
        LikenessError: there is none.
    """
    avatar = posed_avatar(context)
    if wrinkle_modifier(avatar.mesh) is None:
        raise LikenessError("no_wrinkles", text("wrinkles.none"), text("wrinkles.none.hint"))
    return avatar


def follow_undo() -> None:
    """Let the views follow an undone overlay: called when the add-on is switched on."""
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        handlers.append(_match_views)


def forget_undo() -> None:
    """Called when it is switched off."""
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        handlers.remove(_match_views)


@bpy.app.handlers.persistent
def _match_views(*_scene_and_depsgraph: object) -> None:
    match_views()


CLASSES = (LIKENESS_OT_tension_overlay, LIKENESS_OT_set_displacement)
