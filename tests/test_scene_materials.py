"""An eye as a camera sees it: what the tear film sends back of the sky and of a lamp, as Fresnel has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.scene.materials import make_material  # noqa: E402
from addon.scene.mesh_object import UV_MAP_NAME  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from tests.golden_images import read_picture  # noqa: E402

SIZE_PX = 64
RADIUS_M = 0.012
# the refraction of tears: ((n - 1) / (n + 1))²
TEAR_FILM = 0.0207


def black_ball(radius_m: float) -> bpy.types.Object:
    """A ball as black as a pupil, with the eyes' material."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=48, ring_count=32, radius=radius_m)
    ball = bpy.context.object
    ball.data.uv_layers[0].name = UV_MAP_NAME
    bpy.ops.object.shade_smooth()
    black = bpy.data.images.new("black", 4, 4)
    black.pixels.foreach_set(np.tile(np.array([0, 0, 0, 1], np.float32), 16))
    ball.data.materials.append(make_material("eye", "left_eye", black, (), None))
    return ball


def rendered(path: Path, sky: float, sun: bool) -> np.ndarray:
    """(H, W, 3) linear radiance of the ball under a grey sky, with a sun beside the camera or without."""
    empty_scene()
    scene = bpy.context.scene
    black_ball(RADIUS_M)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.data.type, camera.data.ortho_scale = (0, 0, 1), "ORTHO", 2 * RADIUS_M
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (sky, sky, sky, 1)
    if sun:
        lamp = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
        lamp.data.energy, lamp.data.angle = 3.0, 0.35
        lamp.rotation_euler = (0.6, 0.3, 0.0)
        scene.collection.objects.link(lamp)
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 64, False
    scene.render.resolution_x = scene.render.resolution_y = SIZE_PX
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_depth = "16"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return read_picture(path)


def test_a_pupil_under_a_white_sky_stays_black(tmp_path):
    """The middle shows the tear film's reflection and nothing else."""
    picture = rendered(tmp_path / "sky.png", 1.0, sun=False)
    middle = picture[SIZE_PX // 2 - 6 : SIZE_PX // 2 + 6, SIZE_PX // 2 - 6 : SIZE_PX // 2 + 6].mean()
    assert abs(middle - TEAR_FILM) < 0.1 * TEAR_FILM


def test_a_lamp_is_one_small_bright_catch_light(tmp_path):
    picture = rendered(tmp_path / "sun.png", 0.0, sun=True)
    picture = picture[..., 0]
    assert picture.max() > 0.3
    # a disc of 0.35 rad is mirrored as one of 0.09 of the radius
    bright, lit = (picture > 0.2).sum(), (picture > 0.02).sum()
    disc = np.pi * (SIZE_PX / 2) ** 2
    assert bright < 0.02 * disc
    assert lit < 1.8 * bright
