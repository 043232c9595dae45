"""A bake of exact wrinkles: images against the model, resumed, cancelled, refused; and the worker's job for it."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# OpenCV reads it when it loads
os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"
cv2 = pytest.importorskip("cv2")
pytest.importorskip("torch")

from addon.exchange.arkit import ARKIT_NAMES  # noqa: E402
from addon.exchange.avatar_package import read_package  # noqa: E402
from addon.exchange.errors import LikenessError, PackageError  # noqa: E402
from addon.exchange.expression_states import ExpressionStates, read_states, write_states  # noqa: E402
from addon.exchange.worker_messages import (  # noqa: E402
    DoneMessage,
    JobMessage,
    WrinklesRequest,
    WrinklesResult,
    client_message,
    decode_result,
    to_line,
    worker_message,
)
from addon.exchange.wrinkle_frames import frame_file_name, frame_of_file, read_index  # noqa: E402
from addon.worker.job_queue import JobState  # noqa: E402
from ml_backend.pipeline import PipelineOptions, make_avatar  # noqa: E402
from ml_backend.worker.bake_progress import BakeProgress  # noqa: E402
from ml_backend.worker.failures import for_people  # noqa: E402
from ml_backend.wrinkles import bake_frames as bake_module  # noqa: E402
from ml_backend.wrinkles.bake_frames import BakeStage, BakeStep, FrameBake, bake_frames  # noqa: E402
from ml_backend.wrinkles.exr_file import NoExrOfOurs, read_attributes, write_grey_exr  # noqa: E402
from ml_backend.wrinkles.frame_displacement import FrameModel, displacement_of_frame  # noqa: E402
from tests.worker_programs import Watched, real_environment  # noqa: E402

SIZE_PX = 256
KEYS = ("browInnerUp", "mouthSmileLeft", "mouthSmileRight")
JAW = 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, astronaut_photo: Path) -> FrameModel:
    folder = tmp_path_factory.mktemp("wrinkles") / "avatar"
    make_avatar(astronaut_photo, folder, PipelineOptions(texture_px=256, displacement_px=SIZE_PX))
    return FrameModel(read_package(folder))


def states(*rows: tuple[float, float, float], first: int = 4, jaw: float = 0.0) -> ExpressionStates:
    """Frames with a brow, a smile and a smile."""
    joints = np.zeros((len(rows), 5, 3), np.float32)
    joints[:, JAW, 0] = jaw
    frames = np.arange(first, first + len(rows), dtype=np.int32)
    return ExpressionStates(frames, KEYS, np.array(rows, np.float32), joints)


THREE = states((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.3, 0.8, 0.6), jaw=0.1)


def image_of(folder: Path, frame: int) -> np.ndarray:
    """What OpenCV reads: (H,W) millimetres."""
    return cv2.imread(str(folder / frame_file_name(frame)), cv2.IMREAD_UNCHANGED)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Which file stands under each name, and when it was written."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.exr")}


# --- images -----------------------------------------------------------------------------------------------------------


def test_images_are_the_models_displacement(model, tmp_path):
    assert bake_frames(model, THREE, tmp_path / "new" / "folder") == FrameBake(3, 0)
    for row, frame in enumerate(THREE.frames.tolist()):
        keys = dict(zip(KEYS, THREE.key_values[row].tolist(), strict=True))
        expected = displacement_of_frame(model.package, keys, {"jaw": (0.1, 0.0, 0.0)})
        found = image_of(tmp_path / "new" / "folder", frame)
        assert found.shape == (SIZE_PX, SIZE_PX)
        # the nearest half float, exactly
        np.testing.assert_array_equal(found, (expected * np.float32(1000)).astype(np.float16).astype(np.float32))
    assert np.abs(image_of(tmp_path / "new" / "folder", 5) - image_of(tmp_path / "new" / "folder", 4)).max() > 0.02


def test_at_rest_the_image_is_the_neutral_map(model, tmp_path):
    bake_frames(model, states((0.0, 0.0, 0.0)), tmp_path)
    np.testing.assert_allclose(image_of(tmp_path, 4), 1000 * model.neutral_m, atol=3e-4)


def test_the_index_says_what_is_there(model, tmp_path):
    bake_frames(model, THREE, tmp_path, owner="shot.blend/Ada")
    index = read_index(tmp_path)
    assert (index.owner, index.size_px, sorted(index.inputs)) == ("shot.blend/Ada", SIZE_PX, [4, 5, 6])
    for frame, inputs in index.inputs.items():
        assert read_attributes(tmp_path / frame_file_name(frame)) == {"likenessInputs": inputs}
    (tmp_path / "wrinkles.json").write_text('{"format": "other"}')
    assert read_index(tmp_path) is None


def test_smaller_images(model, tmp_path):
    bake_frames(model, THREE, tmp_path, size_px=64)
    assert image_of(tmp_path, 4).shape == (64, 64)
    # each is the mean of what it stands for
    assert image_of(tmp_path, 6).mean() == pytest.approx(float(model.displacement(
        dict(zip(KEYS, THREE.key_values[2].tolist(), strict=True)), {"jaw": (0.1, 0.0, 0.0)}
    ).mean()) * 1000, abs=1e-4)  # fmt: skip
    with pytest.raises(LikenessError, match="have 256 pixels, not 512"):
        bake_frames(model, THREE, tmp_path, size_px=512)


def test_a_head_that_turns_as_a_whole_keeps_its_images(model, tmp_path):
    bake_frames(model, THREE, tmp_path)
    turned = replace(THREE, joint_rotations=THREE.joint_rotations.copy())
    turned.joint_rotations[:, 0] = (0.0, 0.7, 0.0)
    assert bake_frames(model, turned, tmp_path) == FrameBake(0, 3)


# --- again ------------------------------------------------------------------------------------------------------------


def test_images_that_are_right_are_left_alone(model, tmp_path):
    bake_frames(model, THREE, tmp_path)
    before = stamps(tmp_path)
    steps = []
    assert bake_frames(model, THREE, tmp_path, progress=steps.append) == FrameBake(0, 3)
    assert stamps(tmp_path) == before
    # nor are the lines drawn for nothing
    assert steps == [BakeStep(BakeStage.BAKE_FRAMES)]


def test_only_the_changed_frame_is_made_again(model, tmp_path):
    bake_frames(model, THREE, tmp_path)
    before = stamps(tmp_path)
    changed = replace(THREE, key_values=THREE.key_values.copy())
    changed.key_values[1, 0] = 0.5
    assert bake_frames(model, changed, tmp_path) == FrameBake(1, 2)
    after = stamps(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {frame_file_name(5)}
    expected = displacement_of_frame(model.package, {"browInnerUp": 0.5}, {"jaw": (0.1, 0.0, 0.0)})
    np.testing.assert_allclose(image_of(tmp_path, 5), 1000 * expected, atol=3e-4)


def test_a_longer_range_makes_the_new_frames_alone(model, tmp_path):
    bake_frames(model, states((0.1, 0, 0), (0.2, 0, 0)), tmp_path)
    assert bake_frames(model, states((0.1, 0, 0), (0.2, 0, 0), (0.3, 0, 0)), tmp_path) == FrameBake(1, 2)
    assert sorted(read_index(tmp_path).inputs) == [4, 5, 6]


def test_another_size_is_another_image(model, tmp_path):
    bake_frames(model, THREE, tmp_path, size_px=64)
    assert bake_frames(model, THREE, tmp_path) == FrameBake(3, 0)


def test_frames_of_one_state_are_computed_once(model, tmp_path, monkeypatch):
    computed = []
    own = FrameModel.displacement
    monkeypatch.setattr(FrameModel, "displacement", lambda *items: computed.append(items) or own(*items))
    bake_frames(model, states((0.4, 0, 0), (0.4, 0, 0), (0.0, 0, 0), (0.4, 0, 0)), tmp_path)
    assert len(computed) == 2
    for frame in (5, 7):
        np.testing.assert_array_equal(image_of(tmp_path, frame), image_of(tmp_path, 4))
    # one of them changes, the other names keep their content
    bake_frames(model, states((0.9, 0, 0), (0.4, 0, 0), (0.0, 0, 0), (0.4, 0, 0)), tmp_path)
    assert np.abs(image_of(tmp_path, 4) - image_of(tmp_path, 5)).max() > 0.01


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_text(path: Path) -> None:
    path.write_text("not an image, though it is called one")


@pytest.mark.parametrize("damage", [cut_short, make_empty, write_text, Path.unlink])
def test_a_damaged_image_is_made_again(model, tmp_path, damage):
    bake_frames(model, THREE, tmp_path)
    whole = image_of(tmp_path, 5)
    damage(tmp_path / frame_file_name(5))
    assert bake_frames(model, THREE, tmp_path) == FrameBake(1, 2)
    np.testing.assert_array_equal(image_of(tmp_path, 5), whole)


# --- stopped ----------------------------------------------------------------------------------------------------------


def test_a_cancelled_bake_leaves_whole_images_and_goes_on_later(model, tmp_path):
    def stop_at_the_third(step: BakeStep) -> None:
        if step.frame == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bake_frames(model, THREE, tmp_path, progress=stop_at_the_third)
    assert {path.name for path in tmp_path.iterdir()} == {"wrinkles.json", *map(frame_file_name, (4, 5))}
    assert sorted(read_index(tmp_path).inputs) == [4, 5]
    assert image_of(tmp_path, 5).shape == (SIZE_PX, SIZE_PX)
    assert bake_frames(model, THREE, tmp_path) == FrameBake(1, 2)


def test_a_full_disk_leaves_whole_images_and_one_sentence(model, tmp_path, monkeypatch):
    def fill(path: Path, values: np.ndarray, attributes: dict[str, str]) -> None:
        if len(list(tmp_path.glob("*.exr"))) == 2:
            path.write_bytes(b"the beginning of an image")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_grey_exr(path, values, attributes)

    monkeypatch.setattr(bake_module, "write_grey_exr", fill)
    with pytest.raises(OSError, match="No space left") as failure:
        bake_frames(model, THREE, tmp_path)
    told = for_people(failure.value)
    assert told.code == "disk_full" and "no room left" in told.message
    assert {path.name for path in tmp_path.iterdir()} == {"wrinkles.json", *map(frame_file_name, (4, 5))}


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here that refuses everyone, root included")
def test_an_unwritable_folder_is_one_sentence(model):
    with pytest.raises(OSError, match="/proc/self") as failure:
        bake_frames(model, THREE, Path("/proc/self/wrinkles"))
    assert "Choose a folder that you may write to" in for_people(failure.value).hint


def test_what_a_killed_bake_left_goes(model, tmp_path):
    left = tmp_path / f".{frame_file_name(5)}.part"
    left.write_bytes(b"half an image")
    (tmp_path / ".notes.part").write_text("the artist's own")
    bake_frames(model, states((0, 0, 0)), tmp_path)
    assert not left.exists() and (tmp_path / ".notes.part").exists()


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (16, 7), (17, 33), (100, 50)])
def test_exr_files_are_what_others_read(tmp_path, shape):
    values = np.random.default_rng(0).normal(0, 100, shape).astype(np.float16).astype(np.float32)
    values[0, 0] = -65504.0
    write_grey_exr(tmp_path / "a.exr", values, {"madeFrom": "x" * 64})
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.exr"), cv2.IMREAD_UNCHANGED).reshape(shape), values)
    assert read_attributes(tmp_path / "a.exr") == {"madeFrom": "x" * 64}
    content = (tmp_path / "a.exr").read_bytes()
    for length in (0, 3, 100, len(content) - 1):
        (tmp_path / "a.exr").write_bytes(content[:length])
        with pytest.raises(NoExrOfOurs):
            read_attributes(tmp_path / "a.exr")


@pytest.mark.parametrize("value", [np.nan, np.inf, 70000.0])
def test_values_without_a_half_float_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match="no half float"):
        write_grey_exr(tmp_path / "a.exr", np.array([[0.0, value]]))


def test_frames_and_their_files():
    assert frame_file_name(7) == "wrinkles_0007.exr"
    assert frame_file_name(123456) == "wrinkles_123456.exr"
    assert [frame_of_file(name) for name in ("wrinkles_0007.exr", "wrinkles_123456.exr")] == [7, 123456]
    others = ("wrinkles_7.exr", "wrinkles_007.exr", "wrinkles_.exr", "wrinkles.json", "Wrinkles_0007.exr", "x_0007.exr")
    assert [frame_of_file(name) for name in others] == [None] * len(others)


def test_states_survive_their_file(tmp_path):
    write_states(tmp_path / "states", THREE)
    read = read_states(tmp_path / "states")
    assert read.key_names == THREE.key_names
    for name in ("frames", "key_values", "joint_rotations"):
        np.testing.assert_array_equal(getattr(read, name), getattr(THREE, name))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": np.array([4, 4, 5], np.int32)}, "frames are not in order"),
        ({"frames": np.array([-1, 4, 5], np.int32)}, "frames are not in order"),
        ({"frames": np.zeros(0, np.int32)}, "no frames"),
        ({"key_values": np.zeros((3, 2), np.float32)}, "key values do not fit"),
        ({"joint_rotations": np.full((3, 5, 3), np.nan, np.float32)}, "joint rotations do not fit"),
    ],
)
def test_damaged_states_are_refused(tmp_path, change, words):
    write_states(tmp_path / "states", replace(THREE, **change))
    with pytest.raises(PackageError, match=words):
        read_states(tmp_path / "states")


# --- the worker -------------------------------------------------------------------------------------------------------


def test_the_messages_survive():
    request = WrinklesRequest("/a b/package", "/tmp/states", "/out/wrinkles", "shot.blend/Ada", 512)
    assert client_message(to_line(JobMessage("1", request))) == JobMessage("1", request)
    result = WrinklesResult("/out/wrinkles", 3, 4)
    document = {"folder": "/out/wrinkles", "frames_made": 3, "frames_kept": 4}
    assert decode_result(request, worker_message(to_line(DoneMessage("1", document))).result) == result


def test_progress_counts_frames_and_knows_the_time_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("ml_backend.worker.bake_progress.time.monotonic", lambda: now[0])
    expected = {BakeStage.READ_AVATAR: 1.0, BakeStage.DRAW_LINES: 3.0, BakeStage.BAKE_FRAMES: 2.0}
    progress = BakeProgress("1", expected)
    assert progress.message() is None
    progress.enter(BakeStep(BakeStage.READ_AVATAR))
    assert (progress.message().fraction, progress.message().seconds_left) == (0.0, None)
    progress.enter(BakeStep(BakeStage.READ_AVATAR, total=4))
    assert progress.message().seconds_left == pytest.approx(12.0)
    now[0] = 1.0
    progress.enter(BakeStep(BakeStage.DRAW_LINES, 0, 4))
    assert progress.message().fraction == pytest.approx(1 / 12, abs=1e-4)
    now[0] = 4.0
    fractions = []
    for done, frame in enumerate((11, 12, 13, 14)):
        progress.enter(BakeStep(BakeStage.BAKE_FRAMES, done, 4, frame))
        fractions.append(progress.message().fraction)
        # frames take half as long as expected, as the first has shown
        assert progress.message().seconds_left == pytest.approx(8.0 if not done else 4.0 - done)
        now[0] += 1.0
    assert progress.message().text == "baking wrinkles: frame 14 (4 of 4)"
    progress.enter(BakeStep(BakeStage.BAKE_FRAMES, 4, 4))
    assert (progress.message().fraction, progress.message().seconds_left) == (1.0, 0.0)
    assert fractions == sorted(fractions) and len(set(fractions)) == 4
    assert progress.seconds == {BakeStage.READ_AVATAR: 1.0, BakeStage.DRAW_LINES: 3.0, BakeStage.BAKE_FRAMES: 1.0}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory):
    with Watched(real_environment(), tmp_path_factory.mktemp("log") / "log.txt") as watched:
        yield watched


def test_the_worker_bakes_stops_and_goes_on(warm, model, tmp_path):
    rows = [(value, 0.0, 0.0) for value in np.linspace(0, 1, 300)]
    write_states(tmp_path / "states", states(*rows, first=1))
    request = WrinklesRequest(str(model.package.folder), str(tmp_path / "states"), str(tmp_path / "out"))
    job = warm.queue.add(request, "bake")
    warm.poll_until(lambda: "(5 of 300)" in job.text or job.state.is_end, 90)
    assert 0 < job.fraction < 1 and job.seconds_left > 0
    warm.queue.cancel(job.id)
    assert warm.poll_until(lambda: job.state.is_end) < 2.0
    assert job.state is JobState.CANCELLED
    made = sorted((tmp_path / "out").glob("*.exr"))
    assert 4 <= len(made) < 300
    for path in made:
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == (SIZE_PX, SIZE_PX)
    assert not list((tmp_path / "out").glob("*.part")) and not list((tmp_path / "out").glob(".*"))
    short = states(*rows[: len(made) + 2], first=1)
    write_states(tmp_path / "states", short)
    again = warm.queue.add(request, "again")
    warm.finish(90)
    assert again.state is JobState.DONE, again.error
    assert again.result == WrinklesResult(str(tmp_path / "out"), 2, len(made))
    assert len(warm.workers) == 1


@pytest.mark.parametrize(
    ("package", "states_file", "words"),
    [("gone", "states", "gone"), ("package", "gone", "gone"), ("package", "other", "cannot be used")],
)
def test_the_worker_refuses_in_one_sentence(warm, model, tmp_path, package, states_file, words):
    shutil.copytree(model.package.folder, tmp_path / "package")
    write_states(tmp_path / "states", THREE)
    shutil.copy(tmp_path / "package" / "wrinkles.safetensors", tmp_path / "other")
    request = WrinklesRequest(str(tmp_path / package), str(tmp_path / states_file), str(tmp_path / "out"))
    job = warm.queue.add(request, "bake")
    warm.finish(90)
    assert job.state is JobState.FAILED
    assert words in job.error.message
    assert job.error.hint


def test_unknown_keys_are_refused(model, tmp_path):
    with pytest.raises(LikenessError, match="no key smirk"):
        bake_frames(model, replace(states((1, 0, 0)), key_names=("smirk", *ARKIT_NAMES[:2])), tmp_path)
