"""A patch of skin at rest, pressed together and stretched, rendered as on a farm, looks as it did when we looked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.scene.materials import SKIN, make_material  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from addon.wrinkles.add_wrinkles import wrinkle_modifier  # noqa: E402
from addon.wrinkles.modifier_inputs import set_input  # noqa: E402
from addon.wrinkles.wrinkle_group import DYNAMIC_WRINKLES, REAL_DISPLACEMENT  # noqa: E402
from tests.farm_render import render  # noqa: E402
from tests.golden_images import assert_golden, disagreement, read_picture  # noqa: E402
from tests.wrinkle_sheet import FACTORS, SQUEEZE, STRETCH, grey_map, make_maps, make_wrinkled_sheet  # noqa: E402

SIZE_PX = 144
MAP_PX = 128
# frame -> name of the golden image, key, its value
FRAMES = {1: ("neutral", SQUEEZE, 0.0), 2: ("compressed", SQUEEZE, 1.0), 3: ("stretched", STRETCH, 1.0)}
# Blender 4.2, 4.5, 5.0 and 5.2 differ by at most 0.7 and 2.4; without the wrinkles it is at least 2.9 and 9.6.
MEAN, HIGH = 1.0, 4.0


def maps() -> list[np.ndarray]:
    """Neutral: round pores; compressed: furrows across, one deeper; expanded: shallow furrows upright. 0-1, (H,W)."""
    v, u = (np.mgrid[:MAP_PX, :MAP_PX] + 0.5) / MAP_PX
    pores = 0.5 - 0.06 * np.clip(np.cos(2 * np.pi * 9 * u) * np.cos(2 * np.pi * 9 * v), 0, 1)
    bent = v + 0.03 * np.sin(2 * np.pi * u)
    furrows = 0.5 - 0.10 * np.cos(np.pi * 5 * bent) ** 8 * (1 + (np.abs(bent - 0.5) < 0.05))
    upright = 0.5 - 0.14 * np.cos(np.pi * 4 * u) ** 8
    return [pores, furrows, upright]


def make_skin(images: list[np.ndarray]) -> bpy.types.Object:
    """The patch, with the avatars' own skin material but for its subsurface light, which is mostly noise here."""
    named = zip(("neutral", "compressed", "expanded"), images, strict=True)
    wrinkle_maps = make_maps([grey_map(name, values) for name, values in named])
    albedo = bpy.data.images.new("albedo", 4, 4)
    albedo.pixels.foreach_set(np.tile(np.array([0.75, 0.55, 0.45, 1], np.float32), 16))
    albedo.pack()
    material = make_material("patch skin", SKIN, albedo, (), wrinkle_maps)
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Subsurface Weight"].default_value = 0.0
    return make_wrinkled_sheet("patch", wrinkle_maps, material)


def look_at_it(folder: Path) -> None:
    """A camera from above, a low sun that rakes across both kinds of furrows, and the frames of FRAMES."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.data.type, camera.data.ortho_scale = (0, 0, 1), "ORTHO", 0.024
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    # hard, and the only light: such pictures have hardly any noise
    sun.data.energy, sun.data.angle = 4.0, 0.0
    sun.rotation_euler = (-1.0, 0.6, 0.0)
    for part in (camera, sun):
        scene.collection.objects.link(part)
    scene.camera = camera
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.max_bounces = "CPU", 8, 0
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = SIZE_PX
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "BW"
    scene.render.filepath = str(folder / "frame_####")
    scene.frame_start, scene.frame_end = min(FRAMES), max(FRAMES)


def animate(patch: bpy.types.Object) -> None:
    keys = patch.data.shape_keys.key_blocks
    for frame, (_, shown, value) in FRAMES.items():
        for name in FACTORS:
            keys[name].value = value if name == shown else 0.0
            keys[name].keyframe_insert("value", frame=frame)


def pictures(folder: Path, images: list[np.ndarray], **inputs: float) -> dict[str, np.ndarray]:
    """The frames by name, rendered in a fresh Blender without the add-on.

    Args:
        folder: to work in.
        images: as `maps` gives them.
        inputs: of the wrinkle modifier, with _ for the spaces.
    """
    empty_scene()
    patch = make_skin(images)
    for name, value in inputs.items():
        set_input(wrinkle_modifier(patch), name.replace("_", " "), value)
    animate(patch)
    look_at_it(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "patch.blend"))
    render(folder / "patch.blend")
    return {name: read_picture(folder / f"frame_{frame:04}.png") for frame, (name, _, _) in FRAMES.items()}


@pytest.fixture(scope="module")
def right(tmp_path_factory) -> dict[str, np.ndarray]:
    """The pictures as they should be."""
    return pictures(tmp_path_factory.mktemp("right"), maps())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, _, _ in FRAMES.values()])
def test_picture_is_the_golden_one(right, name):
    assert_golden(right[name], f"wrinkles_{name}", MEAN, HIGH)


def wrong(change: str) -> dict:
    """How `pictures` is called for wrinkles that are wrong in one way."""
    neutral, compressed, expanded = maps()
    return {
        "off": {"images": maps(), DYNAMIC_WRINKLES.replace(" ", "_"): 0.0},
        "swapped": {"images": [neutral, expanded, compressed]},
        "inverted": {"images": [neutral, 1 - compressed, 1 - expanded]},
    }[change]


@pytest.mark.slow
@pytest.mark.parametrize("change", ["off", "swapped", "inverted"])
def test_golden_images_tell_wrong_wrinkles(right, tmp_path, change):
    """Otherwise the tolerance would hide what the golden images are for."""
    found = pictures(tmp_path, **wrong(change))
    for name in ("compressed", "stretched"):
        assert disagreement(found[name], right[name]).high > 2 * HIGH, name
    assert disagreement(found["neutral"], right["neutral"]).high < HIGH, "at rest nothing of the wrinkles shows"


@pytest.mark.slow
def test_bump_alone_looks_much_like_real_displacement(right, tmp_path):
    found = pictures(tmp_path, maps(), **{REAL_DISPLACEMENT.replace(" ", "_"): False})
    for name, picture in right.items():
        assert disagreement(found[name], picture).mean < 4 * MEAN, name
