"""Operators for what moves an avatar over time: blinks, recordings, and the target of its eyes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, StringProperty

from ..expressions.action_curves import find_curve
from ..expressions.avatar_parts import AvatarParts
from ..expressions.blinks import REST_RATE_PER_MINUTE, random_blinks
from ..expressions.eye_target import add_eye_target, find_eye_target, remove_eye_target
from ..expressions.live_link_csv import FaceRecording, read_live_link_csv
from ..expressions.recorded_action import RecordingOptions, import_recording, key_blinks
from .active_avatar import active_avatar, posed_avatar
from .expression_operators import ExpressionOperator, words
from .guarded_operator import CANCELLED, FINISHED, UNDOABLE_WITH_PRESETS
from .texts import TEXTS, text

_LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
_HIDDEN = {"HIDDEN", "SKIP_SAVE"}
# as fast as blinks can follow one another (`random_blinks` says so itself)
_MOST_BLINKS = 75.0
_MOST_FRAME_RATE = 240.0


class LIKENESS_OT_key_blinks(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.key_blinks"
    bl_label = TEXTS["blinks"]
    bl_description = TEXTS["blinks.tip"]

    rate: FloatProperty(
        default=REST_RATE_PER_MINUTE, min=1.0, max=_MOST_BLINKS, soft_max=40.0, precision=1, **words("blinks.rate")
    )
    seed: IntProperty(min=0, **words("blinks.seed"))
    clear: BoolProperty(**words("blinks.clear"))

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Key them."""
        avatar, scene = posed_avatar(context), context.scene
        start, end = frame_range(scene)
        fps = frames_per_second(scene)
        blinks = random_blinks(0.0, (end - start) / fps, self.rate, self.seed)
        if not blinks:
            self.report({"WARNING"}, text("blinks.none", start=start, end=end))
            return CANCELLED
        if self.clear:
            _clear_lids(avatar, start, end)
        key_blinks(avatar, blinks, fps, start)
        _show_lids(avatar, scene.frame_current_final)
        self.report({"INFO"}, text("blinks.done", count=len(blinks), start=start, end=end))
        return FINISHED


def _lid_curves(avatar: AvatarParts) -> Iterable[tuple[bpy.types.ShapeKey, bpy.types.FCurve]]:
    for name in _LIDS:
        key = avatar.key_block(name)
        curve = find_curve(avatar.shape_keys, key.path_from_id("value"))
        if curve is not None:
            yield key, curve


def _clear_lids(avatar: AvatarParts, start: int, end: int) -> None:
    """Take the lids' keys out of a range of frames."""
    for _key, curve in _lid_curves(avatar):
        # from the last: a removal moves those behind it
        for point in reversed([point for point in curve.keyframe_points if start <= point.co.x <= end]):
            curve.keyframe_points.remove(point, fast=True)
        curve.update()


def _show_lids(avatar: AvatarParts, frame: float) -> None:
    """Show what the lids do at a frame: keying leaves them as the last key had them."""
    for key, curve in _lid_curves(avatar):
        key.value = curve.evaluate(frame)


class LIKENESS_OT_import_live_link(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.import_live_link"
    bl_label = TEXTS["recording"]
    bl_description = TEXTS["recording.tip"]
    bl_options = UNDOABLE_WITH_PRESETS

    filepath: StringProperty(name=TEXTS["recording.path"], subtype="FILE_PATH", options=_HIDDEN)
    filter_glob: StringProperty(default="*.csv", options=_HIDDEN)
    start_frame: IntProperty(default=1, options={"SKIP_SAVE"}, **words("recording.start"))
    frame_rate: FloatProperty(min=0.0, max=_MOST_FRAME_RATE, precision=3, **words("recording.rate"))
    half_turns: BoolProperty(**words("recording.half_turns"))
    head: BoolProperty(default=True, **words("recording.head"))
    eye_bones: BoolProperty(**words("recording.eye_bones"))

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        if not self.properties.is_property_set("start_frame"):
            self.start_frame = context.scene.frame_start
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        """The file browser's side, and Adjust Last Operation."""
        column = self.layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        for name in ("start_frame", "frame_rate", "half_turns", "head", "eye_bones"):
            column.prop(self, name)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Read it and make it the avatar's actions."""
        avatar, scene = posed_avatar(context), context.scene
        path = Path(bpy.path.abspath(self.filepath))
        recording = read_live_link_csv(path, self.frame_rate or None, math.pi if self.half_turns else 1.0)
        options = RecordingOptions(self.start_frame, self.head, self.eye_bones)
        import_recording(avatar, recording, path.stem, frames_per_second(scene), options)
        # new curves say nothing before the frame is set anew
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        self.report({"INFO" if recording.rate_is_known else "WARNING"}, _outcome(recording))
        return FINISHED


def _outcome(recording: FaceRecording) -> str:
    """What was read, for people."""
    values = {
        "rows": len(recording.times_s),
        "seconds": f"{recording.times_s[-1]:.1f}",
        "rate": f"{recording.frame_rate:g}",
    }
    return text("recording.done", **values) if recording.rate_is_known else text("recording.guessed", **values)


class RigOperator(ExpressionOperator):
    """Mixin for what needs the avatar's bones."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is an avatar with a rig."""
        if not super().poll(context):
            return False
        has_rig = active_avatar(context).armature is not None
        if not has_rig:
            cls.poll_message_set(text("eyes.no_rig"))
        return has_rig


class LIKENESS_OT_add_eye_target(RigOperator, bpy.types.Operator):
    bl_idname = "likeness.add_eye_target"
    bl_label = TEXTS["eyes.add"]
    bl_description = TEXTS["eyes.add.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Add it, ready to be moved."""
        avatar = posed_avatar(context)
        homes = avatar.armature.users_collection
        target = add_eye_target(avatar, homes[0] if homes else context.scene.collection)
        if context.mode == "OBJECT" and target.name in context.view_layer.objects:
            for item in context.selected_objects:
                item.select_set(False)
            target.select_set(True)
            context.view_layer.objects.active = target
        return FINISHED


class LIKENESS_OT_remove_eye_target(RigOperator, bpy.types.Operator):
    bl_idname = "likeness.remove_eye_target"
    bl_label = TEXTS["eyes.remove"]
    bl_description = TEXTS["eyes.remove.tip"]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """The eyes follow a target."""
        if not super().poll(context):
            return False
        found = find_eye_target(active_avatar(context)) is not None
        if not found:
            cls.poll_message_set(text("eyes.none"))
        return found

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Let the eyes follow their bones; the head becomes active where the target was."""
        avatar = posed_avatar(context)
        was_active = context.object == find_eye_target(avatar)
        remove_eye_target(avatar)
        if was_active and avatar.mesh.name in context.view_layer.objects:
            context.view_layer.objects.active = avatar.mesh
        return FINISHED


def frame_range(scene: bpy.types.Scene) -> tuple[int, int]:
    """The frames that play: the preview's where it is on, else the scene's; both ends included."""
    if scene.use_preview_range:
        return scene.frame_preview_start, scene.frame_preview_end
    return scene.frame_start, scene.frame_end


def frames_per_second(scene: bpy.types.Scene) -> float:
    """The scene's frame rate."""
    return scene.render.fps / scene.render.fps_base


CLASSES = (
    LIKENESS_OT_key_blinks,
    LIKENESS_OT_import_live_link,
    LIKENESS_OT_add_eye_target,
    LIKENESS_OT_remove_eye_target,
)
