"""Operators of the Expression panel: show presets and the photo's expression, key, copy, paste, mirror, reset."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from ..expressions.keying import Easing, auto_key, clear_expression, key_expression, keying_set_paths
from ..expressions.presets import PRESETS
from ..scene.photo_state import AvatarState
from .active_avatar import active_avatar, has_active_avatar, posed_avatar, why_not_posed
from .expression_state import (
    add_expression,
    has_photo_state,
    mirrored_state,
    photo_state,
    read_copied_state,
    read_state,
    show_state,
    write_copied_state,
)
from .guarded_operator import CANCELLED, FINISHED, UNDOABLE, GuardedOperator
from .texts import CONTEXT, TEXTS, text
from .user_folders import copied_expression_file

REPLACE, ADD = "REPLACE", "ADD"
# stronger than the preset, as far as the keys' ranges go
_MOST_STRENGTH = 2.0
_EASE_FRAMES = Easing().frames_in
_MOST_FRAMES = 250


def words(key: str) -> dict[str, str]:
    """Name and tooltip of a property."""
    return {"name": TEXTS[key], "description": TEXTS[f"{key}.tip"], "translation_context": CONTEXT}


class ShownStrength:
    """Mixin: how strongly an expression is shown."""

    strength: FloatProperty(
        default=1.0, min=0.0, max=_MOST_STRENGTH, soft_max=1.0, subtype="FACTOR", **words("expression.strength")
    )


class ShownMode:
    """Mixin: whether an expression takes the place of what is shown."""

    mode: EnumProperty(
        items=[
            (REPLACE, TEXTS["expression.replace"], TEXTS["expression.replace.tip"]),
            (ADD, TEXTS["expression.add"], TEXTS["expression.add.tip"]),
        ],
        **words("expression.mode"),
    )


class KeyedEasing:
    """Mixin: over how many frames an expression comes and goes."""

    frames_in: IntProperty(default=_EASE_FRAMES, min=0, soft_max=_MOST_FRAMES, **words("expression.in"))
    hold: IntProperty(default=0, min=0, soft_max=_MOST_FRAMES, **words("expression.hold"))
    frames_out: IntProperty(default=_EASE_FRAMES, min=0, soft_max=_MOST_FRAMES, **words("expression.out"))


class LIKENESS_PG_posing(ShownStrength, ShownMode, KeyedEasing, bpy.types.PropertyGroup):
    """On the scene: what the Expression panel and its presets are set to."""


class ExpressionOperator(GuardedOperator):
    """Mixin for what changes the avatar of the active object."""

    bl_options = UNDOABLE

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is an avatar, and it is not linked."""
        reason = why_not_posed(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason


class LIKENESS_OT_show_preset(ExpressionOperator, ShownStrength, ShownMode, bpy.types.Operator):
    bl_idname = "likeness.show_preset"
    bl_label = TEXTS["expression.preset"]
    bl_description = TEXTS["expression.preset.tip"]
    bl_property = "preset"

    preset: EnumProperty(
        items=[(preset.name, preset.label, preset.source) for preset in PRESETS.values()],
        name=TEXTS["expression.preset"],
        translation_context=CONTEXT,
    )

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """The button's own tooltip."""
        preset = PRESETS[properties.preset]
        return text("expression.preset.each", label=preset.label, source=preset.source)

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """A button names its preset; from elsewhere, ask."""
        if self.properties.is_property_set("preset"):
            return self.perform(context)
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Show it."""
        avatar = posed_avatar(context)
        expression = PRESETS[self.preset].expression.scaled(self.strength)
        if self.mode == ADD:
            add_expression(avatar, expression)
        else:
            # a preset is a whole face: the head's own keys would come on top of it
            show_state(avatar, AvatarState(dict(expression.shapes), {}), joints=False)
        auto_key(context, avatar)
        return FINISHED


class LIKENESS_OT_show_photo_expression(ExpressionOperator, ShownStrength, bpy.types.Operator):
    bl_idname = "likeness.show_photo_expression"
    bl_label = TEXTS["expression.photo"]
    bl_description = TEXTS["expression.photo.tip"]

    joints: BoolProperty(default=True, **words("expression.photo.joints"))

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """The avatar knows its photo."""
        if not super().poll(context):
            return False
        known = has_photo_state(active_avatar(context).mesh)
        if not known:
            cls.poll_message_set(text("expression.no_photo"))
        return known

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Show it."""
        avatar = posed_avatar(context)
        show_state(avatar, photo_state(avatar.mesh), self.strength, self.joints)
        auto_key(context, avatar, self.joints)
        return FINISHED


class LIKENESS_OT_key_expression(ExpressionOperator, KeyedEasing, bpy.types.Operator):
    bl_idname = "likeness.key_expression"
    bl_label = TEXTS["expression.key"]
    bl_description = TEXTS["expression.key.tip"]

    joints: BoolProperty(default=True, **words("expression.joints"))

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Set the keys."""
        frame = context.scene.frame_current
        easing = Easing(self.frames_in, self.hold, self.frames_out)
        # a keying set of Blender's own lists nothing: it is for objects and bones
        listed = keying_set_paths(context.scene) or None
        count = key_expression(posed_avatar(context), frame, easing, self.joints, listed)
        if not count:
            self.report({"WARNING"}, text("expression.key.nothing" if listed is None else "expression.key.not_listed"))
            return CANCELLED
        self.report({"INFO"}, text("expression.key.done", count=count, frame=frame))
        return FINISHED


class LIKENESS_OT_copy_expression(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.copy_expression"
    bl_label = TEXTS["expression.copy"]
    bl_description = TEXTS["expression.copy.tip"]
    # nothing of the file changes
    bl_options = frozenset({"REGISTER"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A linked avatar can be copied from as well."""
        found = has_active_avatar(context)
        if not found:
            cls.poll_message_set(why_not_posed(context))
        return found

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Keep what is shown."""
        write_copied_state(copied_expression_file(), read_state(active_avatar(context)))
        self.report({"INFO"}, text("expression.copy.done"))
        return FINISHED


class LIKENESS_OT_paste_expression(ExpressionOperator, ShownStrength, bpy.types.Operator):
    bl_idname = "likeness.paste_expression"
    bl_label = TEXTS["expression.paste"]
    bl_description = TEXTS["expression.paste.tip"]

    mirrored: BoolProperty(**words("expression.paste.mirrored"))
    joints: BoolProperty(default=True, **words("expression.paste.joints"))

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Show what was copied."""
        avatar = posed_avatar(context)
        state = read_copied_state(copied_expression_file())
        show_state(avatar, mirrored_state(state) if self.mirrored else state, self.strength, self.joints)
        auto_key(context, avatar, self.joints)
        return FINISHED


class LIKENESS_OT_mirror_expression(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.mirror_expression"
    bl_label = TEXTS["expression.mirror"]
    bl_description = TEXTS["expression.mirror.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Change left and right over."""
        avatar = posed_avatar(context)
        show_state(avatar, mirrored_state(read_state(avatar)))
        auto_key(context, avatar, joints=True)
        return FINISHED


class LIKENESS_OT_reset_expression(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.reset_expression"
    bl_label = TEXTS["expression.reset"]
    bl_description = TEXTS["expression.reset.tip"]

    joints: BoolProperty(default=True, **words("expression.reset.joints"))

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Show the neutral face."""
        avatar = posed_avatar(context)
        if self.joints:
            clear_expression(avatar)
        else:
            show_state(avatar, AvatarState({}, {}), joints=False)
        auto_key(context, avatar, self.joints)
        return FINISHED


CLASSES = (
    LIKENESS_PG_posing,
    LIKENESS_OT_show_preset,
    LIKENESS_OT_show_photo_expression,
    LIKENESS_OT_key_expression,
    LIKENESS_OT_copy_expression,
    LIKENESS_OT_paste_expression,
    LIKENESS_OT_mirror_expression,
    LIKENESS_OT_reset_expression,
)
