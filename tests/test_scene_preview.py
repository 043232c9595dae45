"""The preview sheet: ten pictures of an avatar, laid out with Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")
image_library = pytest.importorskip("PIL.Image", reason="the sheet is laid out with Pillow")

from addon.scene.build_avatar import build_avatar  # noqa: E402
from addon.scene.preview_layout import COLUMNS, PANEL_SIZE_PX, Rectangle, panel_corner, photo_panel  # noqa: E402
from addon.scene.preview_scene import RenderOptions  # noqa: E402
from addon.scene.preview_sheet import make_preview_sheet  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from addon.scene.studio import studio_view  # noqa: E402
from addon.scene.visible_edges import evaluated_positions  # noqa: E402
from tests.scene_small_avatar import small_head, small_package  # noqa: E402

NUM_PANELS = 10


@pytest.mark.slow
def test_sheet_shows_ten_pictures_and_leaves_the_scene_alone(tmp_path: Path):
    package = small_package(tmp_path / "package", "perspective")
    empty_scene()
    avatar = build_avatar(package)
    positions, objects = evaluated_positions(avatar.mesh), set(bpy.data.objects)
    make_preview_sheet(package, avatar, tmp_path / "preview.png", RenderOptions(samples=1))
    with image_library.open(tmp_path / "preview.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), np.float64)
    width, height = PANEL_SIZE_PX
    corners = [panel_corner(index) for index in range(NUM_PANELS)]
    panels = [pixels[top : top + height, left : left + width] for left, top in corners]
    assert all(panel.shape == (height, width, 3) for panel in panels)
    # the avatar stands in the middle of its panels, in front of a backdrop whose rows are even
    assert all(np.abs(panel[height // 2, width // 2] - panel[height // 2, 2]).max() > 5 for panel in panels[2:])
    # lines over the photo, and expressions that differ from neutral
    assert np.abs(panels[1] - panels[0]).max() > 50
    assert all(np.abs(panel - panels[COLUMNS]).mean() > 0.05 for panel in panels[COLUMNS + 1 :])
    np.testing.assert_array_equal(evaluated_positions(avatar.mesh), positions)
    assert (set(bpy.data.objects), len(bpy.data.scenes), len(bpy.data.worlds)) == (objects, 1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["package", "preview.png"]


@pytest.mark.parametrize("turn", [-0.7, 0.0, 0.7])
def test_studio_frames_the_head(turn):
    head = small_head()
    view = studio_view(head["vertices"], head["joints"], turn, PANEL_SIZE_PX)
    # the small head's neck joint is well above its lower end, which the picture cuts off
    above_neck = head["vertices"][head["vertices"][:, 1] > head["joints"][1, 1]]
    pixels = view.project(above_neck)
    assert (pixels > 0).all() and (pixels < PANEL_SIZE_PX).all()
    assert max(np.ptp(pixels, 0) / PANEL_SIZE_PX) > 0.75


def test_left_three_quarter_shows_the_persons_left_side():
    head = small_head()
    view = studio_view(head["vertices"], head["joints"], -0.66, PANEL_SIZE_PX)
    left_side, right_side = np.array([0.08, 0, 0]), np.array([-0.08, 0, 0])
    eye = view.eye_position()
    assert np.linalg.norm(eye - left_side) < np.linalg.norm(eye - right_side)


def test_photo_panel_shows_the_rectangle_and_backdrop_beyond_the_photo():
    photo = np.zeros((100, 80, 3), np.uint8)
    photo[40:60, 30:50] = (255, 0, 0)
    width, height = PANEL_SIZE_PX
    crop = Rectangle(left=-40.0, top=0.0, width=100.0, height=100.0 * height / width)
    panel = np.asarray(photo_panel(image_library.fromarray(photo), crop, "").picture)
    scale = width / 100

    def at(x: float, y: float) -> list[int]:
        return panel[round((y - crop.top) * scale), round((x - crop.left) * scale)].tolist()

    assert at(40, 50) == [255, 0, 0]
    assert at(10, 50) == [0, 0, 0]
    assert min(at(-20, 50)) > 100
