"""An animation of wrinkles, rendered from the command line in a fresh Blender that does not have the add-on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.tension import TENSION_PER_M  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from tests.farm_render import render  # noqa: E402
from tests.wrinkle_sheet import EDGE_M, FACTORS, SQUEEZE, STRETCH, height_mm, make_sheet  # noqa: E402

FRAMES = {
    1: (SQUEEZE, 0.0),
    2: (SQUEEZE, 0.25),
    3: (SQUEEZE, 0.5),
    4: (SQUEEZE, 1.0),
    5: (STRETCH, 1.0),
    6: (STRETCH, 0.0),
}
SIZE_PX = 9


def read_exr(path: Path) -> np.ndarray:
    """(H,W,4) linear, row 0 at the bottom."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(image.size[1], image.size[0], 4)


def set_up_render(folder: Path) -> None:
    """Look straight down on the sheet's middle and write raw figures."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    camera.location, camera.data.type, camera.data.ortho_scale = (0, 0, 1), "ORTHO", 0.012
    scene.camera = camera
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.render.resolution_x = scene.render.resolution_y = SIZE_PX
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.render.filepath = str(folder / "frame_####")
    scene.frame_start, scene.frame_end = min(FRAMES), max(FRAMES)


def animate(sheet: bpy.types.Object) -> None:
    keys = sheet.data.shape_keys.key_blocks
    for frame, (shown, value) in FRAMES.items():
        for name in FACTORS:
            keys[name].value = value if name == shown else 0.0
            keys[name].keyframe_insert("value", frame=frame)


def middle(folder: Path, frame: int) -> np.ndarray:
    """(red, green) of the picture's middle: the surface's height and the shader's, millimetres."""
    return read_exr(folder / f"frame_{frame:04}.exr")[SIZE_PX // 2, SIZE_PX // 2, :2]


def test_animation_renders_wrinkles_frame_by_frame_without_the_add_on(tmp_path):
    empty_scene()
    animate(make_sheet())
    set_up_render(tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "sheet.blend"))
    render(tmp_path / "sheet.blend")
    found = {frame: middle(tmp_path, frame) for frame in FRAMES}
    for frame, (name, value) in FRAMES.items():
        factor = 1 + value * (FACTORS[name] - 1)
        expected = height_mm(np.tanh(0.5 * TENSION_PER_M * EDGE_M * (1 - factor)))
        # 8-bit maps would miss this by far; half floats in a render engine's texture do not
        np.testing.assert_allclose(found[frame], expected, atol=2e-3, err_msg=f"frame {frame}")
    surface = [found[frame][0] for frame in FRAMES]
    # grows with compression, and is gone at rest
    assert surface[0] < surface[1] < surface[2] < surface[3]
    assert surface[4] < surface[0]
    assert surface[5] == pytest.approx(surface[0], abs=1e-4)


def test_motion_blur_follows_the_wrinkles(tmp_path):
    """The shutter is open from the rest at frame 1 to the squeeze at frame 3: the picture shows the mean of the way."""
    empty_scene()
    sheet = make_sheet()
    keys = sheet.data.shape_keys.key_blocks
    for frame, value in ((1, 0.0), (2, 0.0), (3, 1.0)):
        keys[SQUEEZE].value = value
        keys[SQUEEZE].keyframe_insert("value", frame=frame)
    set_up_render(tmp_path)
    scene = bpy.context.scene
    scene.frame_start = scene.frame_end = 2
    scene.cycles.samples = 64
    scene.render.use_motion_blur, scene.render.motion_blur_shutter = True, 2.0
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "sheet.blend"))
    render(tmp_path / "sheet.blend")
    at_rest = height_mm(np.array(0.0))
    squeezed = height_mm(np.tanh(0.5 * TENSION_PER_M * EDGE_M * (1 - FACTORS[SQUEEZE])))
    found = middle(tmp_path, 2)[0]
    assert at_rest + 0.1 * (squeezed - at_rest) < found < at_rest + 0.6 * (squeezed - at_rest)
