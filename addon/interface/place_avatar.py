"""Builds a package's avatar in a scene that has a life of its own: modes, selection, local view, linked data."""

from __future__ import annotations

import uuid
from pathlib import Path

import bpy

from ..exchange.avatar_package import AvatarPackage, read_package
from ..exchange.errors import LikenessError
from ..scene.build_avatar import AvatarObjects, AvatarOptions, build_avatar
from ..scene.scene_settings import match_photo
from .avatar_properties import mark_objects
from .orders import ImportOptions
from .scene_snapshot import SceneSnapshot
from .texts import text


def place_avatar(context: bpy.types.Context, folder: Path, options: ImportOptions) -> AvatarObjects:
    """Build an avatar in the current scene.

    Args:
        context: whose scene, view layer and 3D view.
        folder: of the package.
        options: what is built around it.

    Raises:
        LikenessError: the package, the scene or the mode does not allow it; the scene is as it was.
    """
    if context.scene.library is not None or context.scene.override_library is not None:
        raise LikenessError("scene_linked", text("scene.linked", name=context.scene.name), text("scene.linked.hint"))
    package = read_package(folder)
    leave_mode(context)
    snapshot = SceneSnapshot(context)
    try:
        return _build(context, package, options)
    except BaseException:
        snapshot.restore()
        raise


def _build(context: bpy.types.Context, package: AvatarPackage, options: ImportOptions) -> AvatarObjects:
    has_photo = package.description.provenance.photo is not None
    avatar = build_avatar(
        package,
        AvatarOptions(
            photo_camera=options.photo_camera and has_photo,
            photo_light=options.photo_light and has_photo,
            show_photo_state=options.photo_expression,
            photo_render=False,
        ),
    )
    mark_objects(avatar, uuid.uuid4().hex, package)
    if options.at_cursor:
        _move(avatar, context.scene.cursor.location)
    if options.match_render and avatar.camera is not None:
        match_photo(context.scene, avatar.camera, package.description.camera.image_size_px)
    _show(context, avatar)
    return avatar


def leave_mode(context: bpy.types.Context) -> None:
    """Go to Object Mode.

    Raises:
        LikenessError: Blender does not let us.
    """
    active = context.view_layer.objects.active
    if active is None or active.mode == "OBJECT":
        return
    if not bpy.ops.object.mode_set.poll() or bpy.ops.object.mode_set(mode="OBJECT") != {"FINISHED"}:
        raise LikenessError("mode_stuck", text("mode.stuck"), text("mode.stuck.hint"))


def _move(avatar: AvatarObjects, location: tuple[float, float, float]) -> None:
    """Move the avatar from the origin; the head follows its rig, the sun shines the same everywhere."""
    for item in (avatar.armature, avatar.camera):
        if item is not None:
            item.location = [here + there for here, there in zip(item.location, location, strict=True)]


def _show(context: bpy.types.Context, avatar: AvatarObjects) -> None:
    """Select the head alone, and let 3D views that are in local view show the avatar."""
    view_layer = context.view_layer
    for item in view_layer.objects.selected[:]:
        item.select_set(False, view_layer=view_layer)
    avatar.mesh.select_set(True, view_layer=view_layer)
    view_layer.objects.active = avatar.mesh
    for view in _views(context):
        if view.local_view is not None:
            for item in avatar.collection.objects:
                item.local_view_set(view, True)


def _views(context: bpy.types.Context) -> list[bpy.types.SpaceView3D]:
    """The 3D view that is being worked in, or all that can be seen."""
    if context.space_data is not None and context.space_data.type == "VIEW_3D":
        return [context.space_data]
    areas = context.screen.areas if context.screen is not None else ()
    return [area.spaces.active for area in areas if area.type == "VIEW_3D"]
