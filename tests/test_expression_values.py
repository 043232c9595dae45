"""Expressions as numbers, presets, blinks, recordings: what needs no Blender."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from addon.exchange.action_units import ACTION_UNITS
from addon.exchange.arkit import ARKIT_NAMES, NUM_ARKIT
from addon.exchange.errors import LikenessError
from addon.expressions.blinks import random_blinks
from addon.expressions.expression import Expression, mirrored_name
from addon.expressions.live_link_csv import RecordingError, read_live_link_csv
from addon.expressions.presets import PRESETS, PresetGroup
from addon.expressions.rotations import axis_angle_from_matrix, rotation_about

TURNS = [f"{part}{angle}" for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll")]


def column(name: str) -> str:
    return name[0].upper() + name[1:]


def write_recording(
    path: Path, timecodes: list[str], values: dict[str, list[float]], num_values: int = 61, shuffled: bool = False
) -> Path:
    """A file as the app writes it; values that are not given are 0."""
    names = [column(name) for name in ARKIT_NAMES[: min(num_values, NUM_ARKIT)]]
    names += TURNS if num_values == 61 else []
    if shuffled:
        names = names[::-1]
    lines = [",".join(["Timecode", "BlendShapeCount", *names])]
    for row, timecode in enumerate(timecodes):
        numbers = [values.get(name, [0.0] * len(timecodes))[row] for name in names]
        lines.append(",".join([timecode, str(num_values), *(f"{number:.8f}" for number in numbers)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def timecodes(count: int, rate: int, start_s: int = 3600) -> list[str]:
    result = []
    for index in range(count):
        seconds, frame = divmod(index, rate)
        total = (start_s + seconds) % 86400
        result.append(f"{total // 3600:02}:{total // 60 % 60:02}:{total % 60:02}:{frame:02}.500")
    return result


# expressions


def test_mirroring_twice_is_the_same():
    expression = Expression({"browDownLeft": 0.3, "jawRight": 0.2, "tongueOut": 1.0}, {"left_eye": (0.1, 0.2, 0.3)})
    assert expression.mirrored().shapes == {"browDownRight": 0.3, "jawLeft": 0.2, "tongueOut": 1.0}
    assert expression.mirrored().joints == {"right_eye": (0.1, -0.2, -0.3)}
    assert expression.mirrored().mirrored() == expression


def test_mirrored_rotation_is_the_reflection_of_the_rotation():
    vector = np.array([0.4, -0.3, 0.2])
    reflection = np.diag([-1.0, 1.0, 1.0])
    wanted = reflection @ Rotation.from_rotvec(vector).as_matrix() @ reflection
    mirrored = Expression({}, {"neck": tuple(vector)}).mirrored().joints["neck"]
    np.testing.assert_allclose(Rotation.from_rotvec(mirrored).as_matrix(), wanted, atol=1e-12)


def test_every_arkit_name_has_its_mirror():
    assert {mirrored_name(name) for name in ARKIT_NAMES} == set(ARKIT_NAMES)


def test_scaling_is_linear_in_values_and_angles():
    half = Expression({"jawOpen": 0.8}, {"jaw": (0.2, 0.0, 0.0)}).scaled(0.5)
    assert half.shapes == {"jawOpen": 0.4}
    assert half.joints == {"jaw": (0.1, 0.0, 0.0)}


def test_an_unknown_name_is_refused():
    with pytest.raises(LikenessError, match="eyebrowUp"):
        Expression({"eyebrowUp": 1.0})


# presets


def test_presets_that_must_be_there():
    emotions = {"neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust", "contempt"}
    assert emotions | {"blink", "wink_left", "wink_right"} <= set(PRESETS)
    assert len([preset for preset in PRESETS.values() if preset.group is PresetGroup.VISEME]) == 15


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_stay_in_the_range_of_the_sliders(preset):
    assert all(0.0 < value <= 1.0 for value in preset.expression.shapes.values())


def test_emotions_are_symmetric_but_contempt():
    for preset in PRESETS.values():
        symmetric = preset.expression.mirrored() == preset.expression
        assert symmetric != (preset.name in ("contempt", "wink_left", "wink_right")), preset.name


def test_no_two_presets_look_the_same():
    shapes = [tuple(sorted(preset.expression.shapes.items())) for preset in PRESETS.values()]
    silence = tuple()
    assert len([entry for entry in shapes if entry != silence]) == len({entry for entry in shapes if entry != silence})


def test_action_units_name_arkit_shapes():
    assert all(name in ARKIT_NAMES for unit in ACTION_UNITS.values() for name in unit)


# blinks


def test_blinks_keep_the_rate_and_never_overlap():
    blinks = random_blinks(0.0, 3600.0, rate_per_minute=17.0, seed=3)
    # a pause is a fixed part and an exponential one: the spread of the count is below Poisson's
    assert abs(len(blinks) / 60.0 - 17.0) < 3 * math.sqrt(17.0 / 60.0)
    assert all(later.start_s > earlier.end_s for earlier, later in itertools.pairwise(blinks))
    assert all(blink.start_s < blink.closed_s < blink.opening_s < blink.end_s <= 3600.0 for blink in blinks)


def test_blinks_are_the_same_for_a_seed():
    assert random_blinks(0, 60, seed=1) == random_blinks(0, 60, seed=1)
    assert random_blinks(0, 60, seed=1) != random_blinks(0, 60, seed=2)


@pytest.mark.parametrize("rate", [0.0, -3.0, 1000.0])
def test_an_impossible_rate_is_refused(rate: float):
    with pytest.raises(LikenessError):
        random_blinks(0, 10, rate)


# rotations


def test_axis_angles_agree_with_scipy():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(50, 3))
    vectors[0] = 0.0
    vectors[1] *= 1e-7
    matrices = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(axis_angle_from_matrix(matrices), vectors, atol=1e-9)


@pytest.mark.parametrize("axis", "xyz")
def test_rotations_about_an_axis_agree_with_scipy(axis: str):
    angles = np.linspace(-3, 3, 7)
    wanted = Rotation.from_euler(axis, angles[:, None]).as_matrix()
    np.testing.assert_allclose(rotation_about(axis, angles), wanted, atol=1e-12)


# recordings


@pytest.mark.parametrize("num_values", [51, 52, 61])
@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_recordings_of_every_kind(tmp_path: Path, num_values: int, rate: int):
    count = 3 * rate
    path = write_recording(
        tmp_path / "take.csv", timecodes(count, rate), {"JawOpen": list(np.linspace(0, 1, count))}, num_values
    )
    recording = read_live_link_csv(path)
    assert recording.frame_rate == rate
    assert recording.rate_is_known
    np.testing.assert_allclose(recording.times_s, np.arange(count) / rate, atol=1e-9)
    np.testing.assert_allclose(recording.shapes[:, ARKIT_NAMES.index("jawOpen")], np.linspace(0, 1, count), atol=1e-6)
    assert recording.shapes.sum() == pytest.approx(np.linspace(0, 1, count).sum(), rel=1e-5)
    assert (recording.turns is None) == (num_values < 61)


def test_columns_are_found_by_name(tmp_path: Path):
    path = write_recording(tmp_path / "take.csv", timecodes(2, 60), {"EyeBlinkRight": [0.25, 0.5]}, shuffled=True)
    recording = read_live_link_csv(path)
    np.testing.assert_allclose(recording.shapes[:, ARKIT_NAMES.index("eyeBlinkRight")], [0.25, 0.5])


def test_a_recording_past_midnight(tmp_path: Path):
    path = write_recording(tmp_path / "take.csv", timecodes(90, 30, start_s=86398), {})
    np.testing.assert_allclose(read_live_link_csv(path).times_s, np.arange(90) / 30, atol=1e-9)


def test_a_short_recording_says_that_its_rate_is_a_guess(tmp_path: Path):
    path = write_recording(tmp_path / "take.csv", timecodes(10, 60), {})
    recording = read_live_link_csv(path)
    assert not recording.rate_is_known
    assert read_live_link_csv(path, frame_rate=60.0).times_s[-1] == pytest.approx(9 / 60)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [("HeadYaw", (0.0, -0.3, 0.0)), ("HeadPitch", (-0.3, 0.0, 0.0)), ("HeadRoll", (0.0, 0.0, 0.3))],
)
def test_single_turns_of_the_head(tmp_path: Path, column: str, wanted: tuple):
    path = write_recording(tmp_path / "take.csv", timecodes(1, 60), {column: [0.3]})
    np.testing.assert_allclose(read_live_link_csv(path).turns[0, 0], wanted, atol=1e-9)


def test_half_turns(tmp_path: Path):
    path = write_recording(tmp_path / "take.csv", timecodes(1, 60), {"HeadYaw": [-0.1]})
    turns = read_live_link_csv(path, radians_per_unit=math.pi).turns
    np.testing.assert_allclose(turns[0, 0], (0, 0.1 * math.pi, 0), atol=1e-9)


def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path):
    path = write_recording(tmp_path / "take.csv", timecodes(3, 60), {})
    path.write_text(path.read_text()[:-40])
    assert len(read_live_link_csv(path).times_s) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "recording_columns"),
        ("name,age\nAnn,3\n", "recording_columns"),
        ("Timecode,BlendShapeCount,JawOpen\n00:00:00:01.0,1,0.5\n", "recording_columns"),
        ("\x00\x01\x02", "recording_columns"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, code: str):
    path = tmp_path / "take.csv"
    path.write_text(content)
    with pytest.raises(RecordingError) as caught:
        read_live_link_csv(path)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("0.50000000", "nan", "recording_damaged"),
        ("0.50000000", "half", "recording_damaged"),
        ("0.50000000", "0.5,7", "recording_damaged"),
        ("01:00:00:01.500", "noon", "recording_timecode"),
        ("01:00:00:01.500", "00:59:00:01.500", "recording_timecode"),
    ],
)
def test_damage_is_named(tmp_path: Path, old: str, new: str, code: str):
    path = write_recording(tmp_path / "take.csv", timecodes(3, 60), {"JawOpen": [0.1, 0.5, 0.2]})
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RecordingError) as caught:
        read_live_link_csv(path)
    assert caught.value.code == code


def test_a_missing_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(RecordingError, match=r"take\.csv"):
        read_live_link_csv(tmp_path / "take.csv")
