"""Expressions on an avatar's timeline: shown, keyed, eased, recorded, looked at."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.exchange.arkit import ARKIT_NAMES  # noqa: E402
from addon.expressions.action_curves import curves_of, find_curve  # noqa: E402
from addon.expressions.avatar_parts import AvatarMissing, AvatarParts, find_avatar, require_avatar  # noqa: E402
from addon.expressions.blinks import random_blinks  # noqa: E402
from addon.expressions.expression import Expression  # noqa: E402
from addon.expressions.eye_target import add_eye_target, find_eye_target, remove_eye_target  # noqa: E402
from addon.expressions.keying import (  # noqa: E402
    Easing,
    auto_key,
    clear_expression,
    key_expression,
    read_expression,
    show_expression,
)
from addon.expressions.live_link_csv import FaceRecording  # noqa: E402
from addon.expressions.presets import PRESETS  # noqa: E402
from addon.expressions.recorded_action import RecordingOptions, import_recording, key_blinks  # noqa: E402
from addon.scene.build_avatar import AvatarOptions, build_avatar  # noqa: E402
from addon.scene.joint_axes import axis_angle_from_bone, bone_quaternion  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from tests.scene_small_avatar import small_package  # noqa: E402

SMILE = PRESETS["happiness"].expression


@pytest.fixture
def avatar(tmp_path: Path) -> AvatarParts:
    empty_scene()
    built = build_avatar(small_package(tmp_path, "perspective"), AvatarOptions(show_photo_state=False))
    return find_avatar(built.mesh)


def value_at(avatar: AvatarParts, name: str, frame: int) -> float:
    bpy.context.scene.frame_set(frame)
    return avatar.mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks[name].value


def values_at(avatar: AvatarParts, name: str, frames: range) -> list[float]:
    return [value_at(avatar, name, frame) for frame in frames]


def test_every_object_of_an_avatar_leads_to_it(avatar):
    for part in (avatar.mesh, avatar.armature):
        assert find_avatar(part).mesh == avatar.mesh
        assert find_avatar(part).armature == avatar.armature
    assert find_avatar(None) is None
    stranger = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
    with pytest.raises(AvatarMissing):
        require_avatar(stranger)


def test_an_expression_is_read_back_as_it_was_shown(avatar):
    expression = Expression({"jawOpen": 0.4, "browDownLeft": 1.0}, {"neck": (0.1, -0.2, 0.3), "left_eye": (0.2, 0, 0)})
    show_expression(avatar, expression, joints=True)
    found = read_expression(avatar)
    assert found.shapes == pytest.approx(dict(expression.shapes))
    assert set(found.joints) == set(expression.joints)
    for joint, vector in expression.joints.items():
        assert found.joints[joint] == pytest.approx(vector, abs=1e-6)
    clear_expression(avatar)
    assert read_expression(avatar) == Expression()


@pytest.mark.parametrize("joint", ["neck", "jaw", "left_eye"])
def test_bone_rotations_come_back_as_axis_angles(joint: str):
    vector = (0.3, -0.5, 0.2)
    assert axis_angle_from_bone(joint, bone_quaternion(joint, np.array(vector))) == pytest.approx(vector)
    opposite = [-component for component in bone_quaternion(joint, np.array(vector))]
    assert axis_angle_from_bone(joint, opposite) == pytest.approx(vector)


def test_shapes_without_joints_leave_the_bones(avatar):
    show_expression(avatar, Expression({}, {"jaw": (0.2, 0, 0)}), joints=True)
    show_expression(avatar, SMILE)
    assert read_expression(avatar).joints["jaw"] == pytest.approx((0.2, 0, 0), abs=1e-6)


def test_a_keyed_expression_comes_and_goes(avatar):
    show_expression(avatar, SMILE)
    key_expression(avatar, 20, Easing(frames_in=5, hold=4, frames_out=10))
    wanted = SMILE.shapes["mouthSmileLeft"]
    values = values_at(avatar, "mouthSmileLeft", range(1, 45))
    assert values[0] == 0 and values[14] == pytest.approx(0) and values[33] == pytest.approx(0)
    assert values[19] == values[23] == pytest.approx(wanted)
    assert values[21] == pytest.approx(wanted)
    rising, falling = values[14:20], values[23:34]
    assert rising == sorted(rising) and falling == sorted(falling, reverse=True)
    assert all(-1e-6 <= value <= wanted + 1e-6 for value in values)


def test_only_what_is_shown_gets_curves(avatar):
    show_expression(avatar, Expression({"jawOpen": 0.5}))
    assert key_expression(avatar, 10) == 1
    assert [curve.data_path for curve in curves_of(avatar.shape_keys)] == ['key_blocks["jawOpen"].value']


def test_a_second_expression_replaces_the_first_where_they_meet(avatar):
    show_expression(avatar, Expression({"jawOpen": 0.8}))
    key_expression(avatar, 10, Easing(0, 0, 0))
    show_expression(avatar, Expression({"browInnerUp": 0.6}))
    key_expression(avatar, 30, Easing(5, 0, 5))
    assert value_at(avatar, "jawOpen", 25) == pytest.approx(0.8)
    assert value_at(avatar, "jawOpen", 30) == pytest.approx(0.0)
    assert value_at(avatar, "jawOpen", 35) == pytest.approx(0.8), "eases out to what the curves had"
    assert value_at(avatar, "browInnerUp", 30) == pytest.approx(0.6)


def test_joints_are_keyed_where_wanted(avatar):
    show_expression(avatar, Expression({}, {"neck": (0.0, 0.4, 0.0)}), joints=True)
    assert key_expression(avatar, 10) == 0
    assert key_expression(avatar, 10, Easing(5, 0, 5), joints=True) == 1
    bpy.context.scene.frame_set(5)
    assert read_expression(avatar).joints == {}
    bpy.context.scene.frame_set(10)
    assert read_expression(avatar).joints["neck"] == pytest.approx((0, 0.4, 0), abs=1e-6)


def test_auto_keying_follows_the_scenes_settings(avatar):
    settings = bpy.context.scene.tool_settings
    bpy.context.scene.frame_set(7)
    show_expression(avatar, Expression({"jawOpen": 0.5}))
    settings.use_keyframe_insert_auto = False
    assert not auto_key(bpy.context, avatar)
    assert not curves_of(avatar.shape_keys)
    settings.use_keyframe_insert_auto = True
    settings.auto_keying_mode = "REPLACE_KEYS"
    assert not auto_key(bpy.context, avatar), "there is no key to replace"
    settings.auto_keying_mode = "ADD_REPLACE_KEYS"
    assert auto_key(bpy.context, avatar)
    assert find_curve(avatar.shape_keys, 'key_blocks["jawOpen"].value').keyframe_points[0].co[:] == (7.0, 0.5)


def test_auto_keying_heeds_the_keying_set(avatar):
    scene = bpy.context.scene
    keying_set = scene.keying_sets.new(idname="brows", name="Brows")
    keying_set.paths.add(avatar.shape_keys, 'key_blocks["browInnerUp"].value')
    scene.tool_settings.use_keyframe_insert_auto = True
    scene.tool_settings.use_keyframe_insert_keyingset = True
    show_expression(avatar, Expression({"jawOpen": 0.5, "browInnerUp": 0.5}))
    assert auto_key(bpy.context, avatar)
    assert [curve.data_path for curve in curves_of(avatar.shape_keys)] == ['key_blocks["browInnerUp"].value']


def recording(turned: bool = True) -> FaceRecording:
    """Two seconds at 60 rows a second: the jaw opens evenly while the head turns once around its limits."""
    count = 121
    shapes = np.zeros((count, len(ARKIT_NAMES)), np.float32)
    shapes[:, ARKIT_NAMES.index("jawOpen")] = np.linspace(0, 1, count)
    shapes[:, ARKIT_NAMES.index("eyeLookUpLeft")] = 0.5
    turns = np.zeros((count, 3, 3))
    turns[:, 0, 1] = np.linspace(-0.7, 0.7, count)
    turns[:, 1, 0] = -0.2
    return FaceRecording(np.arange(count) / 60, shapes, turns if turned else None, 60.0, True)


def test_a_recording_keeps_its_time_at_any_frame_rate(avatar):
    import_recording(avatar, recording(), "take 1", 24.0, RecordingOptions(start_frame=11))
    for seconds in (0.0, 0.5, 1.0, 2.0):
        frame = int(11 + seconds * 24)
        assert value_at(avatar, "jawOpen", frame) == pytest.approx(seconds / 2, abs=1e-5)
        turn = read_expression(avatar).joints.get("neck", (0, 0, 0))
        assert turn == pytest.approx((0, -0.7 + 0.7 * seconds, 0), abs=1e-5)
    assert avatar.shape_keys.animation_data.action.name == "take 1"
    assert avatar.armature.animation_data.action.name == "take 1 pose"


def test_eyes_follow_their_shapes_or_their_bones_never_both(avatar):
    import_recording(avatar, recording(), "by shapes", 24.0, RecordingOptions())
    assert value_at(avatar, "eyeLookUpLeft", 10) == pytest.approx(0.5)
    assert "left_eye" not in read_expression(avatar).joints
    clear_expression(avatar)
    import_recording(avatar, recording(), "by bones", 24.0, RecordingOptions(eye_bones=True))
    assert value_at(avatar, "eyeLookUpLeft", 10) == 0.0
    assert read_expression(avatar).joints["left_eye"] == pytest.approx((-0.2, 0, 0), abs=1e-5)


def test_a_recording_without_turns_moves_no_bone(avatar):
    actions = import_recording(avatar, recording(turned=False), "take", 24.0, RecordingOptions())
    assert len(actions) == 1
    assert not curves_of(avatar.armature)


def test_the_action_that_was_there_stays_in_the_file(avatar, tmp_path):
    show_expression(avatar, SMILE)
    key_expression(avatar, 10)
    avatar.shape_keys.animation_data.action.name = "artist's work"
    import_recording(avatar, recording(), "take", 24.0, RecordingOptions())
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert {"artist's work", "take", "take pose"} <= {action.name for action in bpy.data.actions}


def test_a_recording_plays_from_an_nla_strip(avatar):
    import_recording(avatar, recording(), "take", 60.0, RecordingOptions(start_frame=1))
    animation = avatar.shape_keys.animation_data
    action = animation.action
    animation.action = None
    track = animation.nla_tracks.new()
    strip = track.strips.new("take", 101, action)
    if hasattr(strip, "action_slot") and strip.action_slot is None:
        strip.action_slot = action.slots[0]
    assert value_at(avatar, "jawOpen", 101 + 60) == pytest.approx(0.5, abs=1e-4)


def test_blinks_close_both_eyes_and_leave_the_rest(avatar):
    show_expression(avatar, Expression({"jawOpen": 0.3}))
    blinks = random_blinks(0.0, 10.0, 20.0, seed=5)
    assert key_blinks(avatar, blinks, 24.0, start_frame=1) == 8 * len(blinks)
    middle = 1 + (blinks[0].closed_s + blinks[0].opening_s) / 2 * 24
    bpy.context.scene.frame_set(int(middle), subframe=middle - int(middle))
    assert avatar.key_block("eyeBlinkLeft").value == pytest.approx(1.0, abs=1e-4)
    assert avatar.key_block("eyeBlinkRight").value == pytest.approx(1.0, abs=1e-4)
    assert value_at(avatar, "eyeBlinkLeft", 0) == 0.0
    assert avatar.key_block("jawOpen").value == pytest.approx(0.3)


def eye_direction(avatar: AvatarParts, joint: str) -> np.ndarray:
    bpy.context.view_layer.update()
    bone = avatar.armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones[joint]
    return np.array((bone.tail - bone.head).normalized())


def test_eyes_look_at_their_target(avatar):
    target = add_eye_target(avatar, bpy.context.scene.collection)
    assert add_eye_target(avatar, bpy.context.scene.collection) == target, "one target is enough"
    target.location.x += 0.2
    head = avatar.armature.pose.bones["left_eye"].head
    wanted = np.array((target.location - head).normalized())
    assert math.degrees(math.acos(np.clip(eye_direction(avatar, "left_eye") @ wanted, -1, 1))) < 0.5
    straight = np.array([0.0, -1.0, 0.0])
    remove_eye_target(avatar)
    assert find_eye_target(avatar) is None
    assert eye_direction(avatar, "left_eye") @ straight == pytest.approx(1.0, abs=1e-5)


def test_eyes_stop_at_their_limits(avatar):
    target = add_eye_target(avatar, bpy.context.scene.collection)
    target.location.y = 2.0
    turned = math.degrees(math.acos(eye_direction(avatar, "left_eye") @ np.array([0.0, -1.0, 0.0])))
    assert turned < 75, "nobody looks backwards"
