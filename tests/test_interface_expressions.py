"""The Expression panel: what its buttons and sliders do to an avatar, its keys, and undo."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.arkit import ARKIT_NAMES  # noqa: E402
from addon.expressions.action_curves import find_curve  # noqa: E402
from addon.expressions.presets import PRESETS  # noqa: E402
from addon.interface import export_panel, expression_panel, registration, wrinkle_panel  # noqa: E402
from addon.interface.texts import TEXTS  # noqa: E402
from addon.scene.joint_axes import axis_angle_from_bone  # noqa: E402
from tests.interface_stage import Stage  # noqa: E402
from tests.panel_page import Context, drawn, refuse_files  # noqa: E402

SMILE = {"mouthSmileLeft": 0.8, "cheekSquintRight": 0.3}


@pytest.fixture
def head(stage) -> bpy.types.Object:
    """A neutral avatar, its head active."""
    imported(stage)
    bpy.ops.ed.undo_push(message="avatar")
    return bpy.context.object


def imported(stage: Stage) -> bpy.types.Object:
    package = stage.fake / "package" / "avatar.json"
    bpy.ops.likeness.import_package("EXEC_DEFAULT", filepath=str(package), photo_expression=False)
    return bpy.context.object


def values(head: bpy.types.Object) -> dict[str, float]:
    """The keys that are not at rest, but for those that drivers move and the Basis, which is 1 in some versions."""
    keys = head.data.shape_keys.key_blocks
    return {key.name: key.value for key in keys[1:] if key.value and not key.name.startswith("corrective")}


def show(head: bpy.types.Object, shapes: dict[str, float]) -> None:
    for name, value in shapes.items():
        head.data.shape_keys.key_blocks[name].value = value


def curve(head: bpy.types.Object, name: str) -> bpy.types.FCurve | None:
    keys = head.data.shape_keys
    return find_curve(keys, keys.key_blocks[name].path_from_id("value"))


def bone(head: bpy.types.Object, joint: str) -> bpy.types.PoseBone:
    return head.parent.pose.bones[joint]


# presets


def test_every_preset_has_a_button_that_shows_it(head):
    page = drawn(expression_panel.LIKENESS_PT_presets)
    for preset in PRESETS.values():
        page.button("likeness.show_preset", preset=preset.name).press()
        assert values(head) == pytest.approx(dict(preset.expression.shapes)), preset.name


def test_strength_and_mode_of_the_panel_go_with_the_buttons(head):
    posing = bpy.context.scene.likeness_posing
    posing.strength, posing.mode = 0.5, "ADD"
    show(head, {"jawOpen": 0.2})
    drawn(expression_panel.LIKENESS_PT_presets).button("likeness.show_preset", preset="viseme_aa").press()
    wanted = {name: 0.5 * value for name, value in PRESETS["viseme_aa"].expression.shapes.items()}
    assert values(head) == pytest.approx({**wanted, "jawOpen": wanted["jawOpen"] + 0.2})


def test_one_undo_takes_a_preset_back(head):
    name = head.name
    bpy.ops.likeness.show_preset("EXEC_DEFAULT", True, preset="happiness")
    assert values(bpy.data.objects[name])
    bpy.ops.ed.undo()
    assert values(bpy.data.objects[name]) == {}


def test_the_photos_own_expression(head):
    assert bpy.ops.likeness.show_photo_expression() == {"FINISHED"}
    assert values(head)["smile_left"] == pytest.approx(0.7)
    assert bone(head, "jaw").rotation_euler.x > 0.1
    head.pop("likeness_photo_state")
    assert not bpy.ops.likeness.show_photo_expression.poll()


# keys


def test_the_key_button_eases_over_the_panels_frames(head):
    scene, posing = bpy.context.scene, bpy.context.scene.likeness_posing
    posing.frames_in, posing.hold, posing.frames_out = 4, 3, 5
    scene.frame_set(20)
    show(head, SMILE)
    drawn(expression_panel.LIKENESS_PT_expression).button("likeness.key_expression").press()
    keyed = curve(head, "mouthSmileLeft")
    assert [point.co.x for point in keyed.keyframe_points] == [16, 20, 23, 28]
    assert [keyed.evaluate(frame) for frame in (16, 20, 23, 28)] == pytest.approx([0, 0.8, 0.8, 0])
    assert 0 < keyed.evaluate(18) < 0.8
    assert curve(head, "jawOpen") is None, "what is at rest gets no keys"
    assert values(head) == pytest.approx(SMILE), "what is shown stays"


def test_nothing_to_key_is_said(head):
    assert bpy.ops.likeness.key_expression() == {"CANCELLED"}
    assert head.data.shape_keys.animation_data is None or head.data.shape_keys.animation_data.action is None


@pytest.mark.parametrize("auto", [False, True])
def test_presets_are_keyed_with_auto_keying_only(head, auto):
    bpy.context.scene.tool_settings.use_keyframe_insert_auto = auto
    bpy.context.scene.frame_set(7)
    bpy.ops.likeness.show_preset(preset="blink")
    found = curve(head, "eyeBlinkLeft")
    assert (found is not None) == auto
    assert not auto or [tuple(point.co) for point in found.keyframe_points] == [(7.0, 1.0)]


def test_auto_keying_keys_what_the_keying_set_lists(head):
    scene, keys = bpy.context.scene, head.data.shape_keys
    keying_set = scene.keying_sets.new(idname="lids", name="lids")
    keying_set.paths.add(keys, keys.key_blocks["eyeBlinkRight"].path_from_id("value"))
    settings = scene.tool_settings
    settings.use_keyframe_insert_auto = settings.use_keyframe_insert_keyingset = True
    bpy.ops.likeness.show_preset(preset="blink")
    assert curve(head, "eyeBlinkRight") is not None
    assert curve(head, "eyeBlinkLeft") is None


def test_key_expression_keys_what_the_keying_set_lists(head):
    scene, keys = bpy.context.scene, head.data.shape_keys
    keying_set = scene.keying_sets.new(idname="lids", name="lids")
    keying_set.paths.add(keys, keys.key_blocks["eyeBlinkRight"].path_from_id("value"))
    show(head, {"jawOpen": 0.5})
    assert bpy.ops.likeness.key_expression() == {"CANCELLED"}
    show(head, {"eyeBlinkRight": 1.0, "eyeBlinkLeft": 1.0})
    assert bpy.ops.likeness.key_expression() == {"FINISHED"}
    assert curve(head, "eyeBlinkRight") is not None
    assert curve(head, "eyeBlinkLeft") is None


# copy, paste, mirror, reset


def test_copied_from_one_avatar_pasted_on_another(stage, head):
    show(head, {**SMILE, "smile_left": 0.4})
    bone(head, "neck").rotation_euler = (0.1, 0.2, 0.0)
    bpy.ops.likeness.copy_expression()
    other = imported(stage)
    assert other != head
    bpy.ops.likeness.paste_expression()
    assert values(other) == pytest.approx({**SMILE, "smile_left": 0.4})
    assert tuple(bone(other, "neck").rotation_euler) == pytest.approx((0.1, 0.2, 0.0), abs=1e-5)


@pytest.mark.parametrize("mirrors", ["paste", "mirror"])
def test_mirrored(head, mirrors):
    show(head, SMILE)
    bone(head, "left_eye").rotation_euler = (0.1, 0.0, 0.2)
    if mirrors == "mirror":
        bpy.ops.likeness.mirror_expression()
    else:
        bpy.ops.likeness.copy_expression()
        drawn(expression_panel.LIKENESS_PT_expression).button("likeness.paste_expression", mirrored=True).press()
    assert values(head) == pytest.approx({"mouthSmileRight": 0.8, "cheekSquintLeft": 0.3})
    assert tuple(bone(head, "right_eye").rotation_euler) == pytest.approx((0.1, 0.0, -0.2), abs=1e-5)
    assert tuple(bone(head, "left_eye").rotation_euler) == pytest.approx((0, 0, 0), abs=1e-5)


@pytest.mark.parametrize("written", [None, "{", '{"expression": {"jawOpen": "wide"}, "pose": {}}'])
def test_nothing_to_paste_is_one_sentence(stage, head, written):
    if written is not None:
        (stage.folder / "user").mkdir(exist_ok=True)
        (stage.folder / "user" / "copied_expression.json").write_text(written)
    with pytest.raises(RuntimeError, match="There is no copied expression"):
        bpy.ops.likeness.paste_expression()


def test_a_folder_that_takes_no_copy_is_one_sentence(stage, head):
    (stage.folder / "user").write_text("in the way")
    with pytest.raises(RuntimeError, match=r"cannot be kept in .*Make room"):
        bpy.ops.likeness.copy_expression()


def test_reset(head):
    show(head, {**SMILE, "smile_left": 0.4})
    bone(head, "jaw").rotation_euler.x = 0.3
    bone(head, "root").rotation_euler.x = 0.4
    bpy.ops.likeness.reset_expression(joints=False)
    assert values(head) == {}
    assert bone(head, "jaw").rotation_euler.x == pytest.approx(0.3)
    bpy.ops.likeness.reset_expression()
    assert bone(head, "jaw").rotation_euler.x == 0.0
    assert bone(head, "root").rotation_euler.x == pytest.approx(0.4), "the root places the head"


# sliders and bones


def test_every_arkit_shape_has_one_slider(head):
    fields = drawn(expression_panel.LIKENESS_PT_sliders).fields
    assert sorted(owner.name for owner, _name, _options in fields) == sorted(ARKIT_NAMES)
    closed = drawn(expression_panel.LIKENESS_PT_sliders, all_open=False)
    assert closed.fields == []
    assert closed.labels == ["Brows", "Eyes", "Cheeks", "Nose", "Mouth", "Jaw", "Tongue"]


def test_the_heads_own_keys_are_listed_and_nothing_else(head):
    shown = {name for name, own in expression_panel.own_keys(head.data.shape_keys.key_blocks) if own}
    driven = {path.data_path.split('"')[1] for path in head.data.shape_keys.animation_data.drivers}
    assert shown == {key.name for key in head.data.shape_keys.key_blocks} - {"Basis", *ARKIT_NAMES} - driven
    assert "smile_left" in shown


@pytest.mark.parametrize(
    ("joint", "label", "axis"),
    [
        ("neck", "Nod", (1, 0, 0)),
        ("neck", "Turn", (0, 1, 0)),
        ("neck", "Tilt", (0, 0, 1)),
        ("jaw", "Open", (1, 0, 0)),
        ("jaw", "To the Right", (0, -1, 0)),
        ("left_eye", "Down", (1, 0, 0)),
        ("right_eye", "To the Right", (0, -1, 0)),
    ],
)
def test_bones_turn_as_their_sliders_say(head, joint, label, axis):
    """Model axes: positive about x nods and opens, positive about y turns to the person's left."""
    turns = {"neck": expression_panel._NECK, "jaw": expression_panel._JAW}.get(joint, expression_panel._EYES)
    index = next(index for key, index in turns if TEXTS[key] == label)
    drawn_fields = drawn(expression_panel.LIKENESS_PT_bones).fields
    assert any(owner.name == joint and options.get("index") == index for owner, _name, options in drawn_fields)
    bone(head, joint).rotation_euler[index] = 0.2
    turn = axis_angle_from_bone(joint, bone(head, joint).rotation_euler.to_quaternion())
    np.testing.assert_allclose(turn, 0.2 * np.array(axis), atol=1e-6)


def test_eye_target_comes_and_goes(head):
    page = drawn(expression_panel.LIKENESS_PT_bones)
    page.button("likeness.add_eye_target").press()
    target = bpy.context.object
    assert target.type == "EMPTY"
    target.location.x += 0.5
    bpy.context.view_layer.update()
    eye = bone(head, "left_eye")
    towards = (head.parent.matrix_world @ eye.matrix).to_3x3().col[1].normalized()
    wanted = (target.matrix_world.translation - head.parent.matrix_world @ eye.head).normalized()
    assert towards.angle(wanted) < math.radians(0.5)
    # the target is active, and the panel is still its avatar's
    drawn(expression_panel.LIKENESS_PT_bones).button("likeness.remove_eye_target").press()
    assert bpy.context.object == head
    assert [item for item in bpy.data.objects if item.type == "EMPTY"] == []


# blinks and recordings


def test_blinks_fill_the_frame_range_and_can_be_made_again(head):
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 10, 250
    bpy.ops.likeness.key_blinks(rate=20.0, seed=1)
    first = [tuple(point.co) for point in curve(head, "eyeBlinkLeft").keyframe_points]
    assert first and all(10 <= frame <= 250 for frame, _value in first)
    assert {value for _frame, value in first} == {0.0, 1.0}
    bpy.ops.likeness.key_blinks(rate=20.0, seed=1, clear=True)
    assert [tuple(point.co) for point in curve(head, "eyeBlinkLeft").keyframe_points] == first
    assert values(head) == {}, "the lids are where the curves have them"


def write_recording(path: Path, rows: int = 31) -> None:
    """A jaw that opens over half a second, 60 frames a second, with a head that turns (61 values)."""
    turns = ["HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw",
             "RightEyePitch", "RightEyeRoll"]  # fmt: skip
    shapes = [name[0].upper() + name[1:] for name in ARKIT_NAMES]
    lines = [",".join(["Timecode", "BlendShapeCount", *shapes, *turns])]
    for row in range(rows):
        whole, frame = divmod(row + 30, 60)
        jaw = [f"{row / (rows - 1) if name == 'JawOpen' else 0.0:.6f}" for name in shapes]
        lines.append(",".join([f"10:00:{whole:02d}:{frame:02d}.000", "61", *jaw, "0.2", *["0.0"] * 8]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_live_link_recording_becomes_an_action(stage, head):
    scene = bpy.context.scene
    scene.render.fps = 24
    write_recording(stage.folder / "take 7.csv")
    bpy.ops.likeness.import_live_link(filepath=str(stage.folder / "take 7.csv"), start_frame=100, frame_rate=60.0)
    assert head.data.shape_keys.animation_data.action.name == "take 7"
    # 30 frames of 60 a second are 12 of 24
    for frame, value in ((100, 0.0), (106, 0.5), (112, 1.0)):
        scene.frame_set(frame)
        assert head.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(value, abs=1e-3)
    assert abs(bone(head, "neck").rotation_euler.y) == pytest.approx(0.2, abs=1e-3)


def test_a_file_that_is_no_recording_is_one_sentence(stage, head):
    (stage.folder / "note.csv").write_text("shopping,list\n")
    with pytest.raises(RuntimeError, match="not a Live Link Face recording"):
        bpy.ops.likeness.import_live_link(filepath=str(stage.folder / "note.csv"))
    assert head.data.shape_keys.animation_data.action is None


# who can be posed


def test_without_an_avatar_there_are_no_panels_and_no_buttons(stage):
    panels = (*expression_panel.CLASSES, *wrinkle_panel.CLASSES, *export_panel.CLASSES)
    above = [panel for panel in panels if issubclass(panel, bpy.types.Panel) and not hasattr(panel, "bl_parent_id")]
    assert len(above) == 3
    assert not any(panel.poll(Context()) for panel in above)
    assert not bpy.ops.likeness.show_preset.poll()
    assert not bpy.ops.likeness.export_for_engines.poll()


def test_a_head_that_lost_its_keys_says_so(head):
    assert expression_panel.LIKENESS_PT_expression.poll(Context())
    head.shape_key_clear()
    assert drawn(expression_panel.LIKENESS_PT_expression).labels == [TEXTS["avatar.poll"]]
    assert drawn(expression_panel.LIKENESS_PT_sliders).labels == []
    assert drawn(wrinkle_panel.LIKENESS_PT_wrinkles).labels == [TEXTS["avatar.poll"]]
    assert not bpy.ops.likeness.show_preset.poll()


def test_a_head_without_its_rig_keeps_its_sliders(head):
    bpy.data.objects.remove(head.parent)
    assert drawn(expression_panel.LIKENESS_PT_bones).labels == [TEXTS["eyes.no_rig"]]
    assert not bpy.ops.likeness.add_eye_target.poll()
    bpy.ops.likeness.show_preset(preset="happiness")
    assert values(head)


def test_linked_avatars_are_not_posed(stage, head):
    path = stage.folder / "library.blend"
    collection = head.users_collection[0].name
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    with bpy.data.libraries.load(str(path), link=True) as (_found, wanted):
        wanted.collections = [collection]
    instance = bpy.data.objects.new("instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", wanted.collections[0]
    bpy.context.scene.collection.objects.link(instance)
    bpy.context.view_layer.objects.active = instance
    assert not bpy.ops.likeness.show_preset.poll()
    assert drawn(expression_panel.LIKENESS_PT_expression).labels == [TEXTS["expression.linked"]]


def test_drawing_reads_no_files(head, monkeypatch):
    panels = [cls for cls in registration.CLASSES if issubclass(cls, bpy.types.Panel) and cls.poll(Context())]
    assert expression_panel.LIKENESS_PT_bones in panels
    for panel in panels:
        # bundled operators are met once
        drawn(panel)

    refuse_files(monkeypatch)
    for panel in panels:
        drawn(panel)
