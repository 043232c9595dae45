"""Photos become jobs: the file browser, dropped files, image objects; and the head model without a photo."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, StringProperty

from ..exchange.errors import LikenessError
from .create_options import (
    BuiltOptions,
    MadeOptions,
    avatar_settings,
    copy_options,
    draw_built_options,
    draw_made_options,
    import_options,
)
from .guarded_operator import FINISHED, WITH_PRESETS, GuardedOperator
from .orders import ImportOptions, Order
from .session import session
from .texts import CONTEXT, TEXTS, text

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
_HIDDEN = {"HIDDEN", "SKIP_SAVE"}


class LIKENESS_OT_photo(GuardedOperator, MadeOptions, BuiltOptions, bpy.types.Operator):
    bl_idname = "likeness.photo"
    bl_label = TEXTS["photo"]
    bl_description = TEXTS["photo.tip"]
    # not REGISTER: adjusting would start the jobs again
    bl_options = WITH_PRESETS

    filepath: StringProperty(subtype="FILE_PATH", options=_HIDDEN)
    directory: StringProperty(subtype="DIR_PATH", options=_HIDDEN)
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options=_HIDDEN, name=TEXTS["photo.files"])
    filter_glob: StringProperty(default=";".join(f"*{suffix}" for suffix in PHOTO_SUFFIXES), options=_HIDDEN)

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, unless files were dropped."""
        copy_options(context.scene.likeness, self)
        if self.directory and any(file.name for file in self.files):
            return self.perform(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        """The file browser's side."""
        draw_made_options(self.layout, self)
        self.layout.separator()
        draw_built_options(self.layout, self)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Add a job for each photo."""
        names = [file.name for file in self.files if file.name]
        photos = [Path(self.directory, name) for name in names] or ([Path(self.filepath)] if self.filepath else [])
        if not photos:
            raise LikenessError("no_photo", text("photo.none"))
        settings, options = avatar_settings(self), import_options(self)
        for photo in photos:
            path = Path(bpy.path.abspath(str(photo)))
            session().order_photo(Order(path, settings, options, context.scene.session_uid))
        one = text("photo.queued_one", name=photos[0].stem)
        self.report({"INFO"}, one if len(photos) == 1 else text("photo.queued", count=len(photos)))
        return FINISHED


class LIKENESS_OT_image_object(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.image_object"
    bl_label = TEXTS["empty"]
    bl_description = TEXTS["empty.tip"]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """An image object that shows a file; Blender makes one of a photo that is dropped into the view."""
        is_there = image_path(context) != ""
        if not is_there:
            cls.poll_message_set(text("empty.poll"))
        return is_there

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Add the job."""
        created = context.scene.likeness
        path = Path(bpy.path.abspath(image_path(context), library=context.object.data.library))
        order = Order(path, avatar_settings(created), import_options(created), context.scene.session_uid)
        session().order_photo(order)
        self.report({"INFO"}, text("photo.queued_one", name=path.stem))
        return FINISHED


def image_path(context: bpy.types.Context) -> str:
    """The file of the image that the active object shows; empty if it shows none."""
    active = context.object
    if active is None or active.type != "EMPTY" or active.empty_display_type != "IMAGE" or active.data is None:
        return ""
    return active.data.filepath


class LIKENESS_OT_add_head(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.add_head"
    bl_label = TEXTS["head"]
    bl_description = TEXTS["head.tip"]

    at_cursor: BoolProperty(
        name=TEXTS["option.at_cursor"],
        description=TEXTS["option.at_cursor.tip"],
        translation_context=CONTEXT,
        default=True,
    )

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Add the job."""
        options = ImportOptions(photo_camera=False, photo_expression=False, at_cursor=self.at_cursor)
        order = Order(None, avatar_settings(context.scene.likeness), options, context.scene.session_uid)
        session().order_head(order, text("head.name"))
        return FINISHED


class LIKENESS_FH_photo(bpy.types.FileHandler):
    bl_idname = "LIKENESS_FH_photo"
    bl_label = TEXTS["photo.menu"]
    bl_import_operator = "likeness.photo"
    bl_file_extensions = ";".join(PHOTO_SUFFIXES)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """3D views; Blender asks which of its own ways to take a picture, or ours, is meant."""
        return context.area is not None and context.area.type == "VIEW_3D"


CLASSES = (LIKENESS_OT_photo, LIKENESS_OT_image_object, LIKENESS_OT_add_head, LIKENESS_FH_photo)
