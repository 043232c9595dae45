"""Buttons of the Create panel for what runs, waits, or has failed."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..exchange.errors import LikenessError
from .extension_package import PACKAGE
from .guarded_operator import FINISHED, INTERNAL, GuardedOperator
from .import_finished import run_import
from .place_avatar import leave_mode
from .redraw import redraw_panels
from .session import session
from .texts import TEXTS, text
from .user_folders import log_file

_HIDDEN = {"HIDDEN", "SKIP_SAVE"}


class LIKENESS_OT_cancel(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.cancel"
    bl_label = TEXTS["cancel"]
    bl_description = TEXTS["cancel.tip"]
    bl_options = INTERNAL

    job: StringProperty(name=TEXTS["job"], options=_HIDDEN)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Tell the queue."""
        session().queue.cancel(self.job)
        session().run_timer()
        return FINISHED


class LIKENESS_OT_cancel_all(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.cancel_all"
    bl_label = TEXTS["cancel_all"]
    bl_description = TEXTS["cancel_all.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Tell the queue."""
        session().queue.cancel_all()
        session().run_timer()
        return FINISHED


class LIKENESS_OT_dismiss(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.dismiss"
    bl_label = TEXTS["dismiss"]
    bl_description = TEXTS["dismiss.tip"]
    bl_options = INTERNAL

    key: StringProperty(options=_HIDDEN)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Forget the failure, question or finished avatar."""
        session().drop(self.key)
        redraw_panels()
        return FINISHED


class LIKENESS_OT_import_finished(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.import_finished"
    bl_label = TEXTS["finished.import"]
    bl_description = TEXTS["finished.import.tip"]

    package: StringProperty(options=_HIDDEN)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Import it into the scene of this window."""
        now = session()
        avatar = next((avatar for avatar in now.finished if str(avatar.package) == self.package), None)
        if avatar is None or not avatar.package.is_dir():
            now.drop(self.package)
            raise LikenessError("finished_gone", text("finished.gone"), text("finished.gone.hint"))
        leave_mode(context)
        run_import(context.window, avatar)
        now.drop(self.package)
        redraw_panels()
        return FINISHED


class LIKENESS_OT_open_log(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.open_log"
    bl_label = TEXTS["log"]
    bl_description = TEXTS["log.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Open it in the system's program for texts."""
        path = log_file()
        if not path.is_file():
            raise LikenessError("no_log", text("log.missing"), text("log.missing.hint"))
        bpy.ops.wm.path_open(filepath=str(path))
        return FINISHED


class LIKENESS_OT_choose_flame(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.choose_flame"
    bl_label = TEXTS["flame.choose"]
    bl_description = TEXTS["flame.choose.tip"]

    filepath: StringProperty(subtype="FILE_PATH", options=_HIDDEN)
    filter_glob: StringProperty(default="*.pkl;*.npz;*.safetensors", options=_HIDDEN)

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Keep the choice in the preferences, which have it checked."""
        path = Path(self.filepath)
        if not path.is_file():
            raise LikenessError(
                "flame_missing", text("error.missing_file", name=path.name), text("error.missing_file.hint")
            )
        stored_preferences().flame_file = str(path)
        return FINISHED


def stored_preferences() -> bpy.types.AddonPreferences:
    """The preferences that Blender keeps for us.

    Raises:
        LikenessError: the add-on is not enabled as one.
    """
    addon = bpy.context.preferences.addons.get(PACKAGE)
    if addon is None or addon.preferences is None:
        raise LikenessError("closed", text("error.closed"), text("error.closed.hint"))
    return addon.preferences


CLASSES = (
    LIKENESS_OT_cancel,
    LIKENESS_OT_cancel_all,
    LIKENESS_OT_dismiss,
    LIKENESS_OT_import_finished,
    LIKENESS_OT_open_log,
    LIKENESS_OT_choose_flame,
)
