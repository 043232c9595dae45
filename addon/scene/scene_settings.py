"""Settings of the scene that a new avatar file opens with."""

from __future__ import annotations

import bpy

# 4.2 to 4.5 call it EEVEE_NEXT, 5.0 and later EEVEE
_EEVEE_NAMES = ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE")


def empty_scene() -> bpy.types.Scene:
    """Start a new file with nothing in it; returns its scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return bpy.context.scene


def set_up_photo_render(scene: bpy.types.Scene, camera: bpy.types.Object, image_size_px: tuple[int, int]) -> None:
    """Make renders match the photo: its camera, its size, its colours, and nothing behind the head.

    Args:
        scene: the scene of the avatar.
        camera: of the photo.
        image_size_px: width and height of the photo.
    """
    match_photo(scene, camera, image_size_px)
    scene.render.engine = _eevee_name(scene.render)
    scene.render.film_transparent = True
    scene.unit_settings.system = "METRIC"
    scene.frame_start = scene.frame_end = 1
    scene.frame_set(1)


def match_photo(scene: bpy.types.Scene, camera: bpy.types.Object, image_size_px: tuple[int, int]) -> None:
    """Give a scene the photo's camera, size and colours; its engine, frames and units stay as they are.

    Args:
        scene: the scene of the avatar.
        camera: of the photo.
        image_size_px: width and height of the photo.
    """
    scene.camera = camera
    render = scene.render
    render.resolution_x, render.resolution_y = image_size_px
    render.resolution_percentage = 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    # the texture is a photo's sRGB; the film-like AgX, the default, would turn its colours pale
    scene.view_settings.view_transform = "Standard"


def look_through_camera() -> None:
    """Let every 3D view of the file open with the camera's view, the materials shown, and nothing drawn on the face."""
    for screen in bpy.data.screens:
        for area in screen.areas:
            for space in area.spaces:
                if space.type == "VIEW_3D":
                    _set_up_view(space)


def _set_up_view(view: bpy.types.SpaceView3D) -> None:
    view.shading.type = "MATERIAL"
    view.shading.use_scene_lights = True
    view.shading.use_scene_world = True
    clear_face(view)
    if view.region_3d is not None:
        view.region_3d.view_perspective = "CAMERA"


def clear_face(view: bpy.types.SpaceView3D) -> None:
    """Take from a 3D view what is drawn on the face: floor, axes, cursor and origins pass between the eyes."""
    overlay = view.overlay
    overlay.show_floor = overlay.show_axis_x = overlay.show_axis_y = False
    overlay.show_cursor = overlay.show_object_origins = False


def _eevee_name(render: bpy.types.RenderSettings) -> str:
    """Eevee's identifier in this version of Blender."""
    for name in _EEVEE_NAMES:
        try:
            render.engine = name
        except TypeError:
            continue
        return name
    return render.engine
