"""The Expression panel: sliders by region of the face, the head's own keys, bones, presets, keys on the timeline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import bpy

from ..exchange.arkit import ARKIT_NAMES
from ..expressions.avatar_parts import AvatarParts
from ..expressions.eye_target import find_eye_target
from ..expressions.presets import PRESETS, PresetGroup
from .active_avatar import active_avatar, why_not_posed
from .expression_operators import LIKENESS_PG_posing
from .panels import AvatarPanel, LikenessPanel
from .texts import CONTEXT, TEXTS, text

_CLOSED = frozenset({"DEFAULT_CLOSED"})
_WORDS = re.compile(r"[A-Z][a-z]*")
# by the beginning of ARKit's names
_REGIONS = {
    "brow": "expression.brows",
    "eye": "expression.eyes",
    "cheek": "expression.cheeks",
    "nose": "expression.nose",
    "mouth": "expression.mouth",
    "jaw": "expression.jaw",
    "tongue": "expression.tongue",
}
# name of the joint, what is turned, its axis in the bone's own rotation (`joint_axes` says which way is which)
_NECK = (("expression.nod", 0), ("expression.turn", 1), ("expression.tilt", 2))
_JAW = (("expression.open", 0), ("expression.right", 2))
_EYES = (("expression.down", 0), ("expression.right", 2))
# how much of a row the slider's name takes, by eye, at the sidebar's usual width
_NAME_SHARE = 0.36
_SHORTEST_LIST, _LONGEST_LIST = 5, 12
_COLUMNS = {PresetGroup.EMOTION: 2, PresetGroup.EYES: 3, PresetGroup.VISEME: 5}


@dataclass(frozen=True)
class SliderRow:
    """One line of sliders.

    Attributes:
        label: what it does, in English, without the region.
        keys: one key; or two, the person's left and right.
    """

    label: str
    keys: tuple[str, ...]


def slider_rows(region: str) -> tuple[SliderRow, ...]:
    """The ARKit keys of a region, those of both sides on one line.

    Args:
        region: the beginning of their names.
    """
    rows: dict[str, list[str]] = {}
    for name in ARKIT_NAMES:
        words = _WORDS.findall(name)
        if re.match("[a-z]+", name).group() == region:
            sided = words[-1] in ("Left", "Right")
            rows.setdefault(" ".join(words[:-1] if sided else words), []).append(name)
    # left alone names a movement to a side
    return tuple(SliderRow(label or TEXTS["expression.sideways"], tuple(keys)) for label, keys in rows.items())


_ROWS = {region: slider_rows(region) for region in _REGIONS}
_ARKIT = frozenset(ARKIT_NAMES)
_NOT_POSED = ("Basis", "corrective_")


class ExpressionPart(LikenessPanel):
    """Mixin: a folded part of the Expression panel, which Blender only draws with it."""

    bl_parent_id = "LIKENESS_PT_expression"
    bl_options = _CLOSED

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        avatar = active_avatar(context)
        # without one, the panel above says so
        if avatar is not None:
            self.draw_for(avatar, context)

    def draw_for(self, avatar: AvatarParts, context: bpy.types.Context) -> None:
        """Draw the part for an avatar."""
        raise NotImplementedError


class LIKENESS_PT_expression(AvatarPanel, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_expression"
    bl_label = TEXTS["expression"]

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        reason = why_not_posed(context)
        if reason:
            self.layout.label(text=reason, icon="LIBRARY_DATA_DIRECT", translate=False)
            return
        _draw_keying(self.layout.column(align=True), context.scene.likeness_posing)
        row = self.layout.row(align=True)
        row.operator("likeness.copy_expression", icon="COPYDOWN", text="")
        row.operator("likeness.paste_expression", icon="PASTEDOWN", text="").mirrored = False
        row.operator("likeness.paste_expression", icon="PASTEFLIPDOWN", text="").mirrored = True
        row.separator()
        row.operator("likeness.mirror_expression", icon="MOD_MIRROR", text=text("expression.mirror"), translate=False)
        row.operator("likeness.reset_expression", icon="LOOP_BACK", text=text("expression.reset"), translate=False)


def _draw_keying(column: bpy.types.UILayout, posing: LIKENESS_PG_posing) -> None:
    """The button that keys, and over how many frames."""
    row = column.row()
    row.scale_y = 1.2
    button = row.operator("likeness.key_expression", icon="KEY_HLT")
    button.frames_in, button.hold, button.frames_out = posing.frames_in, posing.hold, posing.frames_out
    row = column.row(align=True)
    for name in ("frames_in", "hold", "frames_out"):
        row.prop(posing, name)


class LIKENESS_PT_presets(ExpressionPart, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_presets"
    bl_label = TEXTS["expression.presets"]

    def draw_for(self, avatar: AvatarParts, context: bpy.types.Context) -> None:
        """The buttons, by group."""
        layout, posing = self.layout, context.scene.likeness_posing
        layout.prop(posing, "strength", slider=True)
        layout.row(align=True).prop(posing, "mode", expand=True)
        shown = layout.operator("likeness.show_photo_expression", icon="IMAGE_DATA")
        shown.strength = posing.strength
        for group in PresetGroup:
            _draw_presets(layout, group, posing)


def _draw_presets(layout: bpy.types.UILayout, group: PresetGroup, posing: LIKENESS_PG_posing) -> None:
    """A group's buttons; visemes are told apart by their short names, the sounds are in the tooltips."""
    column = layout.column(align=True)
    column.label(text=group.value, text_ctxt=CONTEXT)
    grid = column.grid_flow(row_major=True, columns=_COLUMNS[group], even_columns=True, align=True)
    for preset in PRESETS.values():
        if preset.group is group:
            label = preset.label.partition(" (")[0] if group is PresetGroup.VISEME else preset.label
            button = grid.operator("likeness.show_preset", text=label, text_ctxt=CONTEXT)
            button.preset, button.strength, button.mode = preset.name, posing.strength, posing.mode


class LIKENESS_PT_sliders(ExpressionPart, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_sliders"
    bl_label = TEXTS["expression.sliders"]

    def draw_for(self, avatar: AvatarParts, context: bpy.types.Context) -> None:
        """ARKit's, by region."""
        keys = avatar.shape_keys.key_blocks
        for region, label in _REGIONS.items():
            header, body = self.layout.panel(f"LIKENESS_{region}", default_closed=True)
            header.label(text=text(label), translate=False)
            if body is not None:
                column = body.column(align=True)
                if any(len(row.keys) > 1 for row in _ROWS[region]):
                    _draw_sides(column)
                for row in _ROWS[region]:
                    _draw_sliders(column, row, keys)


def _draw_sides(column: bpy.types.UILayout) -> None:
    """Titles of the columns."""
    split = column.split(factor=_NAME_SHARE, align=True)
    split.label(text="")
    titles = split.row(align=True)
    for side in ("expression.left", "expression.right_side"):
        titles.label(text=text(side), translate=False)


def _draw_sliders(column: bpy.types.UILayout, row: SliderRow, keys: bpy.types.bpy_prop_collection) -> None:
    """The sliders of one line, each with Blender's own keying and undo."""
    split = column.split(factor=_NAME_SHARE, align=True)
    split.label(text=row.label, text_ctxt=CONTEXT)
    sliders = split.row(align=True)
    for name in row.keys:
        key = keys.get(name)
        if key is not None:
            sliders.prop(key, "value", text="", slider=True)


class LIKENESS_UL_own_keys(bpy.types.UIList):
    """The keys that the head model has beside ARKit's, with their values."""

    bl_idname = "LIKENESS_UL_own_keys"

    def draw_item(self, _context, layout, _data, item, _icon, _active_data, _active_property) -> None:
        """Called by Blender for each line that is seen."""
        layout.prop(item, "value", text=item.name, slider=True, translate=False)

    def filter_items(self, _context, data, property_name: str) -> tuple[list[int], list[int]]:
        """Leave out what is drawn elsewhere or moved by drivers."""
        shown = own_keys(getattr(data, property_name))
        wanted = self.filter_name.lower()
        flags = [self.bitflag_filter_item if own and wanted in name.lower() else 0 for name, own in shown]
        return flags, []


def own_keys(keys: bpy.types.bpy_prop_collection) -> Sequence[tuple[str, bool]]:
    """The name of each key, and whether it is the head model's own or the artist's."""
    names = keys.keys()
    return [(name, name not in _ARKIT and not name.startswith(_NOT_POSED)) for name in names]


class LIKENESS_PT_own_keys(ExpressionPart, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_own_keys"
    bl_label = TEXTS["expression.own"]

    def draw_for(self, avatar: AvatarParts, context: bpy.types.Context) -> None:
        """A list, since there may be hundreds."""
        self.layout.template_list(
            LIKENESS_UL_own_keys.bl_idname, "", avatar.shape_keys, "key_blocks", avatar.mesh, "active_shape_key_index",
            rows=_SHORTEST_LIST, maxrows=_LONGEST_LIST,
        )  # fmt: skip


class LIKENESS_PT_bones(ExpressionPart, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_bones"
    bl_label = TEXTS["expression.bones"]

    def draw_for(self, avatar: AvatarParts, context: bpy.types.Context) -> None:
        """Their rotations, and the eye target."""
        layout = self.layout
        if avatar.armature is None:
            layout.label(text=text("eyes.no_rig"), translate=False)
            return
        column = layout.column()
        _draw_turns(column, avatar, text("expression.neck"), ("neck",), _NECK)
        _draw_turns(column, avatar, text("expression.jaw"), ("jaw",), _JAW)
        has_target = find_eye_target(avatar) is not None
        if not has_target:
            _draw_turns(column, avatar, text("expression.eyes"), ("left_eye", "right_eye"), _EYES)
        operator = "likeness.remove_eye_target" if has_target else "likeness.add_eye_target"
        column.operator(operator, icon="CANCEL" if has_target else "HIDE_OFF")


def _draw_turns(
    layout: bpy.types.UILayout, avatar: AvatarParts, title: str, joints: tuple[str, ...], turns: tuple
) -> None:
    """The rotation of bones in degrees, a line for each direction, the bones side by side."""
    column = layout.column(align=True)
    column.label(text=title, translate=False)
    bones = [avatar.bone(joint) for joint in joints]
    for label, axis in turns:
        split = column.split(factor=_NAME_SHARE, align=True)
        split.label(text=text(label), translate=False)
        fields = split.row(align=True)
        for bone in bones:
            if bone.rotation_mode == "XYZ":
                fields.prop(bone, "rotation_euler", index=axis, text="", slider=True)
            else:
                # an artist's choice, and the way back
                fields.prop(bone, "rotation_mode", text="")


class LIKENESS_PT_motion(ExpressionPart, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_motion"
    bl_label = TEXTS["expression.motion"]

    def draw_for(self, avatar: AvatarParts, context: bpy.types.Context) -> None:
        """What makes keys by the dozen."""
        column = self.layout.column(align=True)
        column.operator("likeness.key_blinks", icon="HIDE_ON")
        column.operator("likeness.import_live_link", text=text("recording.button"), icon="IMPORT", translate=False)


CLASSES = (
    LIKENESS_UL_own_keys,
    LIKENESS_PT_expression,
    LIKENESS_PT_presets,
    LIKENESS_PT_sliders,
    LIKENESS_PT_own_keys,
    LIKENESS_PT_bones,
    LIKENESS_PT_motion,
)
