"""Operators that make an avatar of a folder of photos, or give one in the scene what such a folder shows."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ..exchange.errors import LikenessError
from ..exchange.folder_messages import FolderChoice
from .active_avatar import posed_avatar
from .avatar_operators import AvatarOperator, existing_package
from .avatar_properties import head_of, head_of_uid
from .create_options import (
    BuiltOptions,
    FolderOptions,
    copy_options,
    draw_built_options,
    draw_folder_options,
    folder_settings,
    import_options,
)
from .folder_orders import close_review, judge_again, judge_folder, make_avatar_of_folder
from .guarded_operator import FINISHED, INTERNAL, WITH_PRESETS, GuardedOperator
from .import_operators import package_of
from .orders import FolderOrder
from .redraw import redraw_panels
from .texts import TEXTS, text
from .update_avatar import update_avatar

_HIDDEN = {"HIDDEN", "SKIP_SAVE"}
_UNDOABLE_INTERNAL = frozenset({"UNDO", "INTERNAL"})


class FolderBrowser(GuardedOperator, FolderOptions):
    """Mixin: a browser for folders with the options beside."""

    directory: StringProperty(subtype="DIR_PATH", options=_HIDDEN)
    filter_folder: BoolProperty(default=True, options=_HIDDEN)
    # whoever goes into the folder wants to see that it is the right one
    filter_image: BoolProperty(default=True, options=_HIDDEN)

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the browser."""
        copy_options(context.scene.likeness, self)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        """The browser's side."""
        draw_folder_options(self.layout, self)

    def chosen_folder(self) -> Path:
        """The folder.

        Raises:
            LikenessError: none was chosen.
        """
        if not self.directory:
            raise LikenessError("no_folder", text("folder.none"))
        # without the separator at its end a folder has a name
        return Path(bpy.path.abspath(self.directory))

    def choice(self, person: str | None) -> FolderChoice:
        """Which photos of it."""
        return FolderChoice(self.with_subfolders, self.most_photos, person=person)


class LIKENESS_OT_folder(FolderBrowser, BuiltOptions, bpy.types.Operator):
    bl_idname = "likeness.folder"
    bl_label = TEXTS["folder"]
    bl_description = TEXTS["folder.tip"]
    bl_options = WITH_PRESETS

    def draw(self, context: bpy.types.Context) -> None:
        """The browser's side."""
        draw_folder_options(self.layout, self)
        self.layout.separator()
        draw_built_options(self.layout, self)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Have the folder judged."""
        folder = self.chosen_folder()
        settings = folder_settings(self, folder.name)
        uid = context.scene.session_uid
        judge_folder(FolderOrder(folder, self.choice(None), settings, import_options(self), uid))
        self.report({"INFO"}, text("folder.queued", name=folder.name))
        return FINISHED


class LIKENESS_OT_personalise_folder(AvatarOperator, FolderBrowser, bpy.types.Operator):
    bl_idname = "likeness.personalise_folder"
    bl_label = TEXTS["personalise"]
    bl_description = TEXTS["personalise.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Have the folder judged, by the person of the active avatar."""
        folder, head = self.chosen_folder(), head_of(context.object)
        # what cannot be changed in the end is said now
        posed_avatar(context)
        order = FolderOrder(
            folder,
            self.choice(_person(head)),
            folder_settings(self, head.name),
            import_options(context.scene.likeness),
            context.scene.session_uid,
            head.session_uid,
        )
        judge_folder(order)
        self.report({"INFO"}, text("folder.queued", name=folder.name))
        return FINISHED


def _person(head: bpy.types.Object) -> str | None:
    """The package that says who the avatar is; a head model without a photo is nobody yet."""
    package = existing_package(head).resolve()
    return str(package) if head.likeness.has_photo or head.likeness.photos_used else None


class LIKENESS_OT_judge_folder_again(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.judge_folder_again"
    bl_label = TEXTS["folder.again"]
    bl_description = TEXTS["folder.again.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Add the job."""
        judge_again()
        return FINISHED


class LIKENESS_OT_make_folder_avatar(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.make_folder_avatar"
    bl_label = TEXTS["folder.make"]
    bl_description = TEXTS["folder.make.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Add the job."""
        job = make_avatar_of_folder()
        self.report({"INFO"}, text("photo.queued_one", name=job.title))
        return FINISHED


class LIKENESS_OT_close_folder(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.close_folder"
    bl_label = TEXTS["folder.close"]
    bl_description = TEXTS["folder.close.tip"]
    bl_options = INTERNAL

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Forget the list."""
        close_review()
        redraw_panels()
        return FINISHED


class LIKENESS_OT_update_avatar(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.update_avatar"
    bl_label = TEXTS["update"]
    bl_description = TEXTS["update.tip"]
    bl_options = _UNDOABLE_INTERNAL

    # a session uid does not fit into an IntProperty
    head_uid: StringProperty(options=_HIDDEN)
    filepath: StringProperty(subtype="FILE_PATH", options=_HIDDEN)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Give the head what the package holds."""
        head = head_of_uid(int(self.head_uid))
        if head is None:
            raise LikenessError("update_gone", text("update.gone"), text("update.gone.hint"))
        update_avatar(context, head, package_of(self.filepath))
        self.report({"INFO"}, text("update.done", name=head.name))
        return FINISHED


CLASSES = (
    LIKENESS_OT_folder,
    LIKENESS_OT_personalise_folder,
    LIKENESS_OT_judge_folder_again,
    LIKENESS_OT_make_folder_avatar,
    LIKENESS_OT_close_folder,
    LIKENESS_OT_update_avatar,
)
