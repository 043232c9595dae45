"""Buttons of the Avatar panel: look through the photo's camera, read files again, find the package."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, FloatProperty, StringProperty

from ..exchange.avatar_package import DESCRIPTION_FILE
from ..exchange.errors import LikenessError
from ..scene.build_avatar import PROVENANCE_PROPERTY
from ..scene.scene_settings import clear_face, match_photo
from ..scene.viewport_light import StudioLight, is_lit_by_picture, nearest_studio_light
from .avatar_properties import camera_of, head_of, photo_light_of
from .guarded_operator import FINISHED, UNDOABLE, GuardedOperator
from .import_operators import package_of
from .local_view import enclosing_object, show_alone
from .neutral_shape import read_neutral, set_neutral, write_neutral
from .place_avatar import leave_mode
from .texts import CONTEXT, TEXTS, text
from .texture_files import reload_images
from .user_folders import path_from_blend, path_in_blend

_HIDDEN = {"HIDDEN", "SKIP_SAVE"}


class AvatarOperator(GuardedOperator):
    """Mixin for what is done to the avatar that the active object belongs to."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """An object of an avatar is active."""
        found = head_of(context.object) is not None
        if not found:
            cls.poll_message_set(text("avatar.poll"))
        return found


class LIKENESS_OT_view_from_photo(AvatarOperator, bpy.types.Operator):
    bl_idname = "likeness.view_from_photo"
    bl_label = TEXTS["view"]
    bl_description = TEXTS["view.tip"]
    bl_options = UNDOABLE

    photo_light: BoolProperty(
        default=True, name=TEXTS["view.light"], description=TEXTS["view.light.tip"], translation_context=CONTEXT
    )
    # what the view had before: undo, which comes before every change in the redo panel, does not touch views
    light_before: StringProperty(options=_HIDDEN)
    rotation_before: FloatProperty(options=_HIDDEN)
    intensity_before: FloatProperty(options=_HIDDEN)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Let the 3D view look through the photo's camera."""
        head = head_of(context.object)
        if not head.likeness.has_photo:
            raise LikenessError("no_photo", text("view.no_photo"), text("view.no_photo.hint"))
        camera = camera_of(head)
        if camera is None or camera.name not in context.scene.objects:
            raise LikenessError("no_camera", text("view.no_camera"), text("view.no_camera.hint"))
        view = _view_of(context)
        match_photo(context.scene, camera, tuple(head.likeness.photo_size))
        camera.data.show_background_images = True
        if view.use_local_camera:
            view.camera = camera
        view.region_3d.view_perspective = "CAMERA"
        if view.shading.type == "SOLID":
            # grey beside a photo tells nothing
            view.shading.type = "MATERIAL"
        self._light_view(view, head, camera)
        clear_face(view)
        if context.mode == "OBJECT":
            # the rig's are drawn in front of the face
            view.overlay.show_bones = False
        self._clear_view(context, view, head)
        return FINISHED

    def _light_view(self, view: bpy.types.SpaceView3D, head: bpy.types.Object, camera: bpy.types.Object) -> None:
        """Light a view that no lights of the scene light: as the photo was, or as it was before."""
        light = photo_light_of(head)
        if light is None or not is_lit_by_picture(view):
            return
        if self.photo_light:
            if not self.light_before:
                self.light_before, self.rotation_before, self.intensity_before = astuple(StudioLight.of_view(view))
            world_from_camera = np.array(camera.matrix_world.to_quaternion().to_matrix())
            nearest = nearest_studio_light(light, world_from_camera)
            if nearest is not None:
                nearest.put_into(view)
        elif self.light_before:
            StudioLight(self.light_before, self.rotation_before, self.intensity_before).put_into(view)

    def _clear_view(self, context: bpy.types.Context, view: bpy.types.SpaceView3D, head: bpy.types.Object) -> None:
        """Say what is around the head, and leave it out of the view."""
        other = enclosing_object(context, head) if view.local_view is None else None
        if other is not None and show_alone(view, context.window, head):
            self.report({"INFO"}, text("view.alone", name=other.name))


def _view_of(context: bpy.types.Context) -> bpy.types.SpaceView3D:
    """The 3D view that the operator was started in, else the window's first."""
    if context.space_data is not None and context.space_data.type == "VIEW_3D":
        return context.space_data
    for area in context.screen.areas if context.screen is not None else ():
        if area.type == "VIEW_3D":
            return area.spaces.active
    raise LikenessError("no_view", text("view.no_view"), text("view.no_view.hint"))


class LIKENESS_OT_reload_texture(AvatarOperator, bpy.types.Operator):
    bl_idname = "likeness.reload_texture"
    bl_label = TEXTS["texture"]
    bl_description = TEXTS["texture.tip"]
    bl_options = UNDOABLE

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Read the images of the package again."""
        head = head_of(context.object)
        reload_images(head, existing_package(head))
        self.report({"INFO"}, text("texture.done"))
        return FINISHED


class LIKENESS_OT_export_neutral(AvatarOperator, bpy.types.Operator):
    bl_idname = "likeness.export_neutral"
    bl_label = TEXTS["neutral.export"]
    bl_description = TEXTS["neutral.export.tip"]

    filepath: StringProperty(subtype="FILE_PATH", options=_HIDDEN)
    filter_glob: StringProperty(default="*.obj", options=_HIDDEN)
    check_existing: bpy.props.BoolProperty(default=True, options=_HIDDEN)

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        self.filepath = f"{head_of(context.object).name} neutral.obj"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        path = Path(bpy.path.ensure_ext(bpy.path.abspath(self.filepath), ".obj"))
        write_neutral(head_of(context.object), path)
        return FINISHED


class LIKENESS_OT_reload_neutral(AvatarOperator, bpy.types.Operator):
    bl_idname = "likeness.reload_neutral"
    bl_label = TEXTS["neutral"]
    bl_description = TEXTS["neutral.tip"]
    bl_options = UNDOABLE

    filepath: StringProperty(subtype="FILE_PATH", options=_HIDDEN)
    filter_glob: StringProperty(default="*.obj", options=_HIDDEN)

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Read the file."""
        head = head_of(context.object)
        vertices = read_neutral(Path(bpy.path.abspath(self.filepath)), len(head.data.vertices))
        leave_mode(context)
        set_neutral(head, vertices)
        self.report({"INFO"}, text("neutral.done"))
        return FINISHED


class LIKENESS_OT_reveal_package(AvatarOperator, bpy.types.Operator):
    bl_idname = "likeness.reveal_package"
    bl_label = TEXTS["reveal"]
    bl_description = TEXTS["reveal.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Open the folder."""
        bpy.ops.wm.path_open(filepath=str(existing_package(head_of(context.object))))
        return FINISHED


class LIKENESS_OT_find_package(AvatarOperator, bpy.types.Operator):
    bl_idname = "likeness.find_package"
    bl_label = TEXTS["package.find"]
    bl_description = TEXTS["package.find.tip"]
    bl_options = UNDOABLE

    filepath: StringProperty(subtype="FILE_PATH", options=_HIDDEN)
    filter_glob: StringProperty(default=DESCRIPTION_FILE, options=_HIDDEN)

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Keep the new place, if it is this avatar's."""
        head, folder = head_of(context.object), package_of(self.filepath)
        document = _description(folder)
        if document.get("provenance") != json.loads(head.get(PROVENANCE_PROPERTY, "null")):
            raise LikenessError(
                "other_package", text("package.other", name=document.get("name")), text("package.other.hint")
            )
        head.likeness.package = path_in_blend(folder)
        return FINISHED


def existing_package(head: bpy.types.Object) -> Path:
    """The folder of a head's package.

    Raises:
        LikenessError: it is not there any more.
    """
    folder = path_from_blend(head.likeness.package)
    if not (folder / DESCRIPTION_FILE).is_file():
        raise _missing(folder)
    return folder


def _description(folder: Path) -> dict:
    """What a package's avatar.json says, as JSON."""
    try:
        document = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _missing(folder) from error
    return document if isinstance(document, dict) else {}


def _missing(folder: Path) -> LikenessError:
    return LikenessError("package_missing", text("package.missing", folder=folder), text("package.missing.hint"))


CLASSES = (
    LIKENESS_OT_view_from_photo,
    LIKENESS_OT_reload_texture,
    LIKENESS_OT_export_neutral,
    LIKENESS_OT_reload_neutral,
    LIKENESS_OT_reveal_package,
    LIKENESS_OT_find_package,
)
