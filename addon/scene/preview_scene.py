"""Temporary scenes in which previews are rendered; the artist's own scene is not touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy

from .photo_camera import PhotoView, aim_camera


@dataclass(frozen=True)
class RenderOptions:
    """How previews are rendered (Cycles on the processor, which needs no graphics card and no display).

    Attributes:
        samples: light paths per pixel; the denoiser does the rest.
        threads: processor threads.
    """

    samples: int = 6
    threads: int = 2


DEFAULT_RENDER_OPTIONS = RenderOptions()


@contextmanager
def preview_scene(objects: list[bpy.types.Object], options: RenderOptions) -> Iterator[bpy.types.Scene]:
    """A scene that shows the given objects; it and all that was made in it are gone afterwards.

    Args:
        objects: shown in the scene, and kept.
        options: how it renders.
    """
    scene = bpy.data.scenes.new("Likeness preview")
    for shown in objects:
        scene.collection.objects.link(shown)
    _set_up_cycles(scene, options)
    try:
        yield scene
    finally:
        _remove(scene, objects)


def _set_up_cycles(scene: bpy.types.Scene, options: RenderOptions) -> None:
    render = scene.render
    render.engine = "CYCLES"
    render.film_transparent = True
    render.threads_mode = "FIXED"
    render.threads = options.threads
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGBA"
    scene.view_settings.view_transform = "Standard"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = options.samples
    cycles.use_adaptive_sampling = False
    # more bounces cost time that a head in front of nothing does not show
    cycles.max_bounces = 4
    # the fast variants take a tenth of a panel's time, the default as long as the rest of it
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_prefilter = "FAST"
    cycles.denoising_quality = "FAST"


def _remove(scene: bpy.types.Scene, kept: list[bpy.types.Object]) -> None:
    world = scene.world
    for made in [item for item in scene.collection.objects if item not in kept]:
        data = made.data
        bpy.data.objects.remove(made)
        if data is not None and data.users == 0:
            bpy.data.batch_remove([data])
    bpy.data.scenes.remove(scene)
    if world is not None and world.users == 0:
        bpy.data.worlds.remove(world)


def render_view(scene: bpy.types.Scene, view: PhotoView, size_px: tuple[int, int], path: Path) -> None:
    """Render a view of a scene to a PNG with transparency around the head.

    Args:
        scene: has a camera.
        view: what the camera shall see, of the picture's aspect.
        size_px: width and height of the picture.
        path: of the PNG.
    """
    aim_camera(scene.camera, view)
    scene.render.resolution_x, scene.render.resolution_y = size_px
    scene.render.resolution_percentage = 100
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True, scene=scene.name)
