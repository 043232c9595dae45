"""Exact wrinkles in Blender: what a range of frames shows, and the images of a bake played frame by frame."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.arkit import ARKIT_NAMES  # noqa: E402
from addon.exchange.errors import LikenessError  # noqa: E402
from addon.exchange.tension import TENSION_PER_M  # noqa: E402
from addon.exchange.wrinkle_frames import frame_file_name  # noqa: E402
from addon.expressions.avatar_parts import AvatarParts, require_avatar  # noqa: E402
from addon.scene.build_avatar import AvatarOptions, build_avatar  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from addon.wrinkles.add_wrinkles import wrinkle_modifier  # noqa: E402
from addon.wrinkles.exact_frames import (  # noqa: E402
    ExactFrames,
    exact_frames,
    remove_exact_frames,
    show_exact_frames,
)
from addon.wrinkles.frame_states import collect_states  # noqa: E402
from addon.wrinkles.modifier_inputs import get_input, set_input  # noqa: E402
from addon.wrinkles.wrinkle_group import (  # noqa: E402
    DYNAMIC_WRINKLES,
    EXACT_ATTRIBUTE,
    EXACT_WRINKLES,
    STATIC_DETAIL,
    STRENGTH,
    WRINKLE_GROUP,
)
from addon.wrinkles.wrinkle_shader import EXACT_HEIGHT, find_shading  # noqa: E402
from ml_backend.wrinkles.exr_file import write_grey_exr  # noqa: E402
from tests.farm_render import render  # noqa: E402
from tests.scene_small_avatar import small_package  # noqa: E402
from tests.test_wrinkle_playback_render import middle, set_up_render  # noqa: E402
from tests.wrinkle_sheet import (  # noqa: E402
    EDGE_M,
    FACTORS,
    NEUTRAL,
    NEUTRAL_SCALE_MM,
    SQUEEZE,
    evaluated,
    height_mm,
    make_sheet,
    point_values,
    positions,
)

FIRST, LAST = 5, 8
IMAGE_PX = 32
NEUTRAL_MM = (NEUTRAL - 0.5) * NEUTRAL_SCALE_MM
# images are half floats; a millimetre's last place, and Blender's single precision
ATOL_MM = 6e-4


def value_mm(frame: int) -> float:
    """What the test's image of a frame holds in its middle."""
    return 0.3 + 0.1 * (frame - FIRST)


def write_images(folder: Path, change_mm: float = 0.0, first: int = FIRST, last: int = LAST) -> ExactFrames:
    """Images that rise by 0.2 mm along u and by 0.4 mm along v, as a bake writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    centres = (np.arange(IMAGE_PX) + 0.5) / IMAGE_PX - 0.5
    slope = 0.2 * centres[None, :] - 0.4 * centres[:, None]
    for frame in range(first, last + 1):
        write_grey_exr(folder / frame_file_name(frame), slope + value_mm(frame) + change_mm)
    return ExactFrames(str(folder), first, last)


@pytest.fixture
def sheet() -> bpy.types.Object:
    """Squeezed in every frame, so that live wrinkles are told from exact ones."""
    empty_scene()
    made = make_sheet()
    made.data.shape_keys.key_blocks[SQUEEZE].value = 1.0
    return made


@pytest.fixture
def live_mm() -> float:
    """The height of the squeezed sheet by its maps."""
    return float(height_mm(np.tanh(0.5 * TENSION_PER_M * EDGE_M * (1 - FACTORS[SQUEEZE]))))


def heights_mm(mesh_object: bpy.types.Object, frame: int, subframe: float = 0.0) -> np.ndarray:
    """Of all vertices, at a frame."""
    bpy.context.scene.frame_set(frame, subframe=subframe)
    return 1000 * positions(evaluated(mesh_object))[:, 2]


def expected_mm(mesh_object: bpy.types.Object, frame: int) -> np.ndarray:
    """What the images of `write_images` hold at each vertex: the sheet's layout is its square."""
    place = positions(evaluated(mesh_object))[:, :2] / (8 * EDGE_M * FACTORS[SQUEEZE])
    # beyond the centres of the outer pixels an image stays as it is
    place = np.clip(place, 0.5 / IMAGE_PX - 0.5, 0.5 - 0.5 / IMAGE_PX)
    return value_mm(frame) + place @ [0.2, 0.4]


# --- images -----------------------------------------------------------------------------------------------------------


def test_each_frame_shows_its_own_image(sheet, tmp_path, live_mm):
    show_exact_frames(sheet, write_images(tmp_path))
    for frame in (FIRST, FIRST + 2, LAST, FIRST + 1):
        np.testing.assert_allclose(heights_mm(sheet, frame), expected_mm(sheet, frame), atol=ATOL_MM)
    for frame in (FIRST - 1, LAST + 1, 1000):
        np.testing.assert_allclose(heights_mm(sheet, frame), live_mm, atol=1e-4)
    assert exact_frames(sheet) == ExactFrames(str(tmp_path), FIRST, LAST)


def test_between_frames_the_nearest_image_shows(sheet, tmp_path):
    """A shutter that is open for half a frame sees one image."""
    show_exact_frames(sheet, write_images(tmp_path))
    for frame, subframe in ((5, 0.75), (6, 0.25)):
        np.testing.assert_allclose(heights_mm(sheet, frame, subframe), expected_mm(sheet, 6), atol=ATOL_MM)


def test_a_lost_image_lets_its_frame_play_live(sheet, tmp_path, live_mm):
    frames = write_images(tmp_path)
    (tmp_path / frame_file_name(6)).unlink()
    show_exact_frames(sheet, frames)
    np.testing.assert_allclose(heights_mm(sheet, 6), live_mm, atol=1e-4)
    np.testing.assert_allclose(heights_mm(sheet, 7), expected_mm(sheet, 7), atol=ATOL_MM)


def test_exact_and_live_are_switched_by_an_input(sheet, tmp_path, live_mm):
    show_exact_frames(sheet, write_images(tmp_path))
    modifier = wrinkle_modifier(sheet)
    set_input(modifier, EXACT_WRINKLES, False)
    np.testing.assert_allclose(heights_mm(sheet, 6), live_mm, atol=1e-4)
    assert EXACT_ATTRIBUTE not in evaluated(sheet).attributes
    set_input(modifier, EXACT_WRINKLES, True)
    np.testing.assert_allclose(heights_mm(sheet, 6), expected_mm(sheet, 6), atol=ATOL_MM)
    assert (point_values(evaluated(sheet), EXACT_ATTRIBUTE) == 1).all()


@pytest.mark.parametrize(
    ("name", "factors"), [(STRENGTH, (0.5, 0.5)), (STATIC_DETAIL, (0.5, 1.0)), (DYNAMIC_WRINKLES, (1.0, 0.5))]
)
def test_strengths_weigh_exact_wrinkles_as_live_ones(sheet, tmp_path, name, factors):
    show_exact_frames(sheet, write_images(tmp_path))
    exact = expected_mm(sheet, 7)
    set_input(wrinkle_modifier(sheet), name, 0.5)
    static, dynamic = factors
    expected = static * NEUTRAL_MM + dynamic * (exact - NEUTRAL_MM)
    np.testing.assert_allclose(heights_mm(sheet, 7), expected, atol=ATOL_MM)


def test_wrinkles_vanish_where_the_image_is_the_neutral_one(sheet, tmp_path):
    tmp_path.mkdir(exist_ok=True)
    write_grey_exr(tmp_path / frame_file_name(3), np.full((IMAGE_PX, IMAGE_PX), NEUTRAL_MM))
    show_exact_frames(sheet, ExactFrames(str(tmp_path), 3, 3))
    np.testing.assert_allclose(heights_mm(sheet, 3), NEUTRAL_MM, atol=1e-4)
    set_input(wrinkle_modifier(sheet), DYNAMIC_WRINKLES, 4.0)
    np.testing.assert_allclose(heights_mm(sheet, 3), NEUTRAL_MM, atol=1e-4)


def test_a_second_bake_takes_the_place_of_the_first(sheet, tmp_path):
    show_exact_frames(sheet, write_images(tmp_path))
    heights_mm(sheet, 6)
    frames = write_images(tmp_path, change_mm=0.3, last=LAST + 4)
    show_exact_frames(sheet, frames)
    np.testing.assert_allclose(heights_mm(sheet, 6), expected_mm(sheet, 6) + 0.3, atol=ATOL_MM)
    np.testing.assert_allclose(heights_mm(sheet, LAST + 4), expected_mm(sheet, LAST + 4) + 0.3, atol=2 * ATOL_MM)
    assert len([image for image in bpy.data.images if image.source == "SEQUENCE"]) == 1
    assert exact_frames(sheet) == frames


def test_a_bake_whose_images_are_gone_is_refused(sheet, tmp_path):
    with pytest.raises(LikenessError, match=r"wrinkles_0005\.exr is not in"):
        show_exact_frames(sheet, ExactFrames(str(tmp_path), FIRST, LAST))
    assert exact_frames(sheet) is None


def state_of_file() -> dict[str, object]:
    """What a removed bake must leave as it was."""
    materials = {
        item.name: sorted((node.name, node.bl_idname) for node in item.node_tree.nodes) for item in bpy.data.materials
    }
    return {"images": sorted(bpy.data.images.keys()), "materials": materials}


def test_removing_a_bake_leaves_nothing(sheet, tmp_path, live_mm):
    before = state_of_file()
    heights = heights_mm(sheet, 6)
    show_exact_frames(sheet, write_images(tmp_path))
    assert state_of_file() != before
    remove_exact_frames(sheet)
    assert state_of_file() == before
    np.testing.assert_array_equal(heights_mm(sheet, 6), heights)
    assert exact_frames(sheet) is None
    assert len(list(tmp_path.iterdir())) == LAST - FIRST + 1


@pytest.mark.parametrize("same_mesh", [False, True], ids=["duplicate", "linked duplicate"])
def test_duplicates_have_frames_of_their_own(sheet, tmp_path, same_mesh, live_mm):
    copy = sheet.copy()
    if not same_mesh:
        # as Shift D: mesh and keys are copied, the material is not
        copy.data = sheet.data.copy()
    bpy.context.scene.collection.objects.link(copy)
    show_exact_frames(sheet, write_images(tmp_path / "own"))
    np.testing.assert_allclose(heights_mm(copy, 6), live_mm, atol=1e-4)
    show_exact_frames(copy, write_images(tmp_path / "copy", change_mm=0.3))
    np.testing.assert_allclose(heights_mm(sheet, 6), expected_mm(sheet, 6), atol=ATOL_MM)
    np.testing.assert_allclose(heights_mm(copy, 6), expected_mm(sheet, 6) + 0.3, atol=ATOL_MM)
    for item, folder in ((sheet, "own"), (copy, "copy")):
        link = find_shading(item.material_slots[0].material).inputs[EXACT_HEIGHT].links[0]
        assert f"/{folder}/" in link.from_node.image.filepath
    remove_exact_frames(copy)
    np.testing.assert_allclose(heights_mm(sheet, 6), expected_mm(sheet, 6), atol=ATOL_MM)
    np.testing.assert_allclose(heights_mm(copy, 6), live_mm, atol=1e-4)


def test_a_duplicate_of_a_baked_head_keeps_the_frames_when_the_head_loses_them(sheet, tmp_path, live_mm):
    show_exact_frames(sheet, write_images(tmp_path))
    copy = sheet.copy()
    copy.data = sheet.data.copy()
    bpy.context.scene.collection.objects.link(copy)
    remove_exact_frames(sheet)
    np.testing.assert_allclose(heights_mm(sheet, 6), live_mm, atol=1e-4)
    np.testing.assert_allclose(heights_mm(copy, 6), expected_mm(copy, 6), atol=ATOL_MM)
    assert find_shading(copy.material_slots[0].material).inputs[EXACT_HEIGHT].is_linked


def test_a_file_moves_with_its_images(sheet, tmp_path):
    (tmp_path / "here").mkdir()
    write_images(tmp_path / "here" / "likeness" / "sheet" / "wrinkles")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "here" / "sheet.blend"))
    show_exact_frames(sheet, ExactFrames("//likeness/sheet/wrinkles", FIRST, LAST))
    bpy.ops.wm.save_mainfile()
    shutil.move(tmp_path / "here", tmp_path / "there")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "there" / "sheet.blend"))
    moved = bpy.data.objects["sheet"]
    np.testing.assert_allclose(heights_mm(moved, 7), expected_mm(moved, 7), atol=ATOL_MM)
    assert exact_frames(moved) == ExactFrames("//likeness/sheet/wrinkles", FIRST, LAST)


def test_avatars_of_the_group_before_get_the_new_one_with_all_their_settings(sheet, tmp_path):
    modifier = wrinkle_modifier(sheet)
    older = modifier.node_group.copy()
    older.name = f"{WRINKLE_GROUP}.007"
    older["likeness_version"] = 1
    for item in [item for item in older.interface.items_tree if item.item_type == "SOCKET"]:
        if "Exact" in item.name:
            older.interface.remove(item)
    modifier.node_group = older
    set_input(modifier, STRENGTH, 0.5)
    assert exact_frames(sheet) is None
    show_exact_frames(sheet, write_images(tmp_path))
    assert modifier.node_group != older
    assert get_input(modifier, STRENGTH) == pytest.approx(0.5)
    assert get_input(modifier, "Wrinkle Scale (mm)") == pytest.approx(2.0)
    np.testing.assert_allclose(heights_mm(sheet, 7), 0.5 * expected_mm(sheet, 7), atol=ATOL_MM)


def test_renders_show_the_image_of_their_frame_without_the_add_on(sheet, tmp_path, live_mm):
    """Surface (red) and shader (green) alike, in a fresh process."""
    show_exact_frames(sheet, write_images(tmp_path / "images"))
    set_up_render(tmp_path)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = FIRST, LAST + 1
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "sheet.blend"))
    render(tmp_path / "sheet.blend")
    for frame in range(FIRST, LAST + 1):
        np.testing.assert_allclose(middle(tmp_path, frame), value_mm(frame), atol=5e-3, err_msg=f"frame {frame}")
    np.testing.assert_allclose(middle(tmp_path, LAST + 1), live_mm, atol=2e-3)


# --- states -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def avatar(tmp_path) -> AvatarParts:
    empty_scene()
    made = build_avatar(small_package(tmp_path / "package", "perspective"), AvatarOptions(show_photo_state=False))
    return require_avatar(made.mesh)


def states_of(avatar: AvatarParts, frames: range):
    return collect_states(bpy.context, avatar, frames, {name: name for name in ARKIT_NAMES})


def test_states_are_what_keys_drivers_and_constraints_show(avatar):
    smile = avatar.key_block("mouthSmileLeft")
    for frame, value in ((1, 0.0), (11, 1.0)):
        smile.value = value
        smile.keyframe_insert("value", frame=frame)
    driver = avatar.key_block("jawOpen").driver_add("value").driver
    driver.expression = "frame / 100"
    avatar.key_block("cheekPuff").value, avatar.key_block("cheekPuff").mute = 1.0, True
    # further than its constraint lets it open
    jaw = avatar.bone("jaw")
    jaw.rotation_euler = (2.0, 0.0, 0.0)
    avatar.bone("root").rotation_euler = (0.0, 0.4, 0.0)
    states = states_of(avatar, range(4, 9))
    assert states.frames.tolist() == [4, 5, 6, 7, 8]
    column = {name: states.key_values[:, index] for index, name in enumerate(states.key_names)}
    assert (np.diff(column["mouthSmileLeft"]) > 0.05).all()
    assert column["mouthSmileLeft"][2] == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(column["jawOpen"], np.arange(4, 9) / 100, atol=1e-5)
    assert not column["cheekPuff"].any()
    opened = states.joint_rotations[:, 2]
    np.testing.assert_allclose(opened, np.tile([jaw.constraints[0].max_x, 0, 0], (5, 1)), atol=1e-4)
    # turning the whole head turns no joint but the root
    assert not states.joint_rotations[:, [1, 3, 4]].any()


def test_the_artist_stays_where_he_was(avatar):
    scene, smile = bpy.context.scene, avatar.key_block("mouthSmileLeft")
    for frame in (1, 11):
        smile.value = frame / 11
        smile.keyframe_insert("value", frame=frame)
        avatar.bone("neck").keyframe_insert("rotation_euler", frame=frame)
    scene.frame_set(3, subframe=0.25)
    # posed, but not keyed
    smile.value, avatar.bone("neck").rotation_euler = 0.9, (0.1, 0.2, 0.3)
    shown = [modifier.show_viewport for modifier in avatar.mesh.modifiers]
    states_of(avatar, range(1, 12))
    assert (scene.frame_current, scene.frame_subframe) == (3, 0.25)
    assert smile.value == pytest.approx(0.9)
    assert tuple(avatar.bone("neck").rotation_euler) == pytest.approx((0.1, 0.2, 0.3))
    assert [modifier.show_viewport for modifier in avatar.mesh.modifiers] == shown


def test_a_failure_brings_the_artist_back_as_well(avatar):
    bpy.context.scene.frame_set(3)

    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_states(bpy.context, avatar, range(10, 20), {}, stop)
    assert bpy.context.scene.frame_current == 3


@pytest.mark.parametrize("frames", [range(-2, 3), range(5, 5), range(1_048_570, 1_048_580)])
def test_frames_that_no_sequence_counts_are_refused(avatar, frames):
    with pytest.raises(LikenessError, match="cannot be baked"):
        states_of(avatar, frames)
