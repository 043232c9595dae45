"""Our own worker process, with real photos: what it makes, how it stops, what it leaves behind when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from addon.exchange.avatar_package import PHOTO_FILE, read_package
from addon.exchange.worker_messages import (
    CheckHeadRequest,
    FacesRequest,
    HeadOptions,
    HeadRequest,
    PhotoOptions,
    PhotoRequest,
)
from addon.worker.backend_environment import BackendEnvironment
from addon.worker.job_queue import STARTING_STAGE, Job, JobState, WorkerState
from ml_backend.pipeline import Stage
from tests.test_worker_queue import is_running
from tests.worker_programs import PYTHON, ROOT, Watched, real_environment

SMALL = PhotoOptions(name="Eileen", texture_px=512, displacement_px=256)
# large enough for every stage to be caught at work
LARGE = PhotoOptions(texture_px=2048, displacement_px=1024)
HEAD = HeadOptions(texture_px=256)
# a stage that is over before the news of it has travelled is caught in the next
CAUGHT = [stage for stage in Stage if stage not in (Stage.READ_PHOTO, Stage.LOAD_MODELS)]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A queue with a worker that is ready; tests that kill it leave the next one to be started."""
    with Watched(real_environment(), tmp_path_factory.mktemp("log") / "log.txt") as w:
        yield w


def finish(w: Watched, job: Job) -> Job:
    w.poll_until(lambda: job.state.is_end, 90)
    return job


def test_an_avatar_progress_and_what_it_was_made_on(warm: Watched, astronaut_photo: Path, tmp_path: Path):
    package = tmp_path / "Ünï cödé 写真" / "avatar"
    job = warm.queue.add(PhotoRequest(str(astronaut_photo), str(package), SMALL), "astronaut")
    seen: list[tuple[str, float]] = []

    def is_done() -> bool:
        if job.stage != STARTING_STAGE and (not seen or (job.stage, job.fraction) != seen[-1]):
            seen.append((job.stage, job.fraction))
        return job.state.is_end

    warm.poll_until(is_done, 90)
    assert job.state is JobState.DONE, job.error
    avatar = read_package(package)
    assert avatar.description.name == "Eileen"
    assert job.result.package == str(package)
    assert job.result.faces_found == 1
    assert set(job.result.timings_s) == {stage.value for stage in Stage}
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > len(Stage), "the bar stands still within stages"
    assert {stage.name.lower() for stage in CAUGHT} <= {stage for stage, _ in seen}
    assert warm.queue.worker_info.device == "cpu"
    assert [path.name for path in package.parent.iterdir()] == ["avatar"]


def test_the_second_photo_finds_the_models_loaded(warm: Watched, astronaut_photo: Path, tmp_path: Path):
    request = PhotoRequest(str(astronaut_photo), str(tmp_path / "avatar"), SMALL)
    job = finish(warm, warm.queue.add(request, "astronaut"))
    assert job.result.timings_s[Stage.LOAD_MODELS.value] < 0.05


def test_the_time_left_is_known_from_the_job_before(warm: Watched, astronaut_photo: Path, tmp_path: Path):
    request = PhotoRequest(str(astronaut_photo), str(tmp_path / "avatar"), SMALL)
    finish(warm, warm.queue.add(request, "first"))
    job = warm.queue.add(request, "second")
    warm.poll_until(lambda: job.seconds_left is not None, 90)
    said, start = job.seconds_left, time.monotonic()
    finish(warm, job)
    took = time.monotonic() - start
    # other programs use this machine as well
    assert 0.3 * took - 0.3 < said < 3 * took + 0.3


def test_faces_are_cut_out(warm: Watched, astronaut_photo: Path, tmp_path: Path):
    cv2 = pytest.importorskip("cv2")
    job = finish(warm, warm.queue.add(FacesRequest(str(astronaut_photo), str(tmp_path / "new" / "crops")), "faces"))
    (face,) = job.result.faces
    assert face.number == 1
    assert cv2.imread(face.crop).shape == (160, 160, 3)
    x0, y0, x1, y1 = face.box_px
    assert 0 < x0 < 225 < x1 < 512
    assert 0 < y0 < 130 < y1 < 512


def test_a_head_without_a_photo(warm: Watched, tmp_path: Path):
    job = finish(warm, warm.queue.add(HeadRequest(str(tmp_path / "head"), HEAD), "head"))
    assert job.state is JobState.DONE, job.error
    avatar = read_package(tmp_path / "head")
    assert avatar.description.camera is None
    assert avatar.description.provenance.photo is None
    assert not (tmp_path / "head" / PHOTO_FILE).exists()
    assert (avatar.head.photo_vertices == avatar.head.vertices).all()
    # an avatar takes the place of a bare head as of any other avatar
    job = finish(warm, warm.queue.add(HeadRequest(str(tmp_path / "head"), HEAD), "again"))
    assert job.state is JobState.DONE, job.error


def test_a_head_file_is_judged_in_words(warm: Watched, tmp_path: Path):
    bad = tmp_path / "head.pkl"
    bad.write_bytes(b"not a pickle")
    job = finish(warm, warm.queue.add(CheckHeadRequest(str(bad)), "check"))
    assert job.state is JobState.FAILED
    assert "head.pkl" in job.error.message
    good = ROOT / "assets" / "open_head.safetensors"
    job = finish(warm, warm.queue.add(CheckHeadRequest(str(good)), "check"))
    assert f"{job.result.num_vertices:,} vertices" in job.result.words


def test_the_middle_one_of_three_fails(warm: Watched, astronaut_photo: Path, tmp_path: Path):
    photos = [str(astronaut_photo), str(tmp_path / "missing.jpg"), str(astronaut_photo)]
    jobs = [
        warm.queue.add(PhotoRequest(photo, str(tmp_path / str(number)), SMALL), photo)
        for number, photo in enumerate(photos)
    ]
    warm.finish(90)
    assert [job.state for job in jobs] == [JobState.DONE, JobState.FAILED, JobState.DONE]
    assert jobs[1].error.code == "photo_missing"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here that refuses everyone, root included")
def test_a_folder_without_rights(warm: Watched, astronaut_photo: Path):
    job = finish(warm, warm.queue.add(PhotoRequest(str(astronaut_photo), "/proc/self/avatar", SMALL), "photo"))
    assert job.error.code == "target_unwritable"
    assert "may write to" in job.error.hint
    job = finish(warm, warm.queue.add(FacesRequest(str(astronaut_photo), "/proc/self/crops"), "faces"))
    assert job.state is JobState.FAILED
    assert "folder" in job.error.hint


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes there")
def test_a_full_disk(astronaut_photo: Path, tmp_path: Path):
    (tmp_path / "full").mkdir()
    # no file beyond 100 kB: as on a disk that runs full while the avatar is written
    (tmp_path / "full" / "sitecustomize.py").write_text(
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    )
    environment = BackendEnvironment(PYTHON, (ROOT, tmp_path / "full"))
    with Watched(environment, tmp_path / "log.txt") as w:
        job = finish(w, w.queue.add(PhotoRequest(str(astronaut_photo), str(tmp_path / "avatar"), SMALL), "photo"))
        assert job.state is JobState.FAILED
        assert "room" in job.error.hint
        assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "log.txt"]
        # the worker lives and says so
        job = finish(w, w.queue.add(FacesRequest(str(astronaut_photo), str(tmp_path / "crops")), "faces"))
        assert job.state is JobState.DONE
        assert len(w.workers) == 1


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", CAUGHT)
def test_cancel_at_every_stage_is_quick_and_keeps_the_worker(
    warm: Watched, astronaut_photo: Path, tmp_path: Path, stage: Stage
):
    job = warm.queue.add(PhotoRequest(str(astronaut_photo), str(tmp_path / "avatar"), LARGE), "photo")
    warm.poll_until(lambda: job.stage == stage.name.lower(), 90)
    workers = len(warm.workers)
    warm.queue.cancel(job.id)
    assert warm.poll_until(lambda: job.state.is_end) < 2.0
    assert job.state is JobState.CANCELLED
    assert not list(tmp_path.iterdir())
    # the worker was asked, not killed
    assert len(warm.workers) == workers
    job = finish(warm, warm.queue.add(FacesRequest(str(astronaut_photo), str(tmp_path / "crops")), "faces"))
    assert job.state is JobState.DONE
    assert len(warm.workers) == workers


@pytest.mark.parametrize("stage", CAUGHT)
def test_killed_at_every_stage(warm: Watched, astronaut_photo: Path, tmp_path: Path, stage: Stage):
    package = tmp_path / "avatar"
    job = warm.queue.add(PhotoRequest(str(astronaut_photo), str(package), LARGE), "photo")
    warm.poll_until(lambda: job.stage == stage.name.lower(), 90)
    os.kill(warm.workers[-1].pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    finish(warm, job)
    assert job.state is JobState.FAILED
    assert job.error.code == "worker_died"
    assert stage.value in job.error.message
    assert not package.exists()
    deadline = time.monotonic() + 5
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not list(tmp_path.iterdir()), "a half-written package stays"


def test_killed_while_it_starts(warm: Watched, astronaut_photo: Path, tmp_path: Path):
    with Watched(real_environment(), tmp_path / "log.txt") as w:
        job = w.queue.add(FacesRequest(str(astronaut_photo), str(tmp_path / "crops")), "faces")
        time.sleep(0.5)
        assert w.queue.worker_state is WorkerState.STARTING
        w.workers[0]._group.kill()
        # a start that fails once is tried again
        assert finish(w, job).state is JobState.DONE
        assert len(w.workers) == 2


PARENT = """
import os, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from addon.exchange.worker_messages import PhotoRequest
from addon.worker.job_queue import JobQueue, WorkerState
from tests.worker_programs import Watched, real_environment

w = Watched(real_environment(), Path({folder!r}) / "log.txt")
job = w.queue.add(PhotoRequest({photo!r}, str(Path({folder!r}) / "avatar")), "photo")
if {holds_pipe}:
    # another child that Blender started keeps the worker's standard input open
    pipe = w.workers[0]._process.stdin.fileno()
    os.set_inheritable(pipe, True)
    holder = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
    print(holder.pid, end=" ")
w.poll_until(lambda: {moment})
print(w.workers[0].pid, flush=True)
os.kill(os.getpid(), 9)
"""
MOMENTS = {"while it starts": "True", "in a job": "job.stage == 'bake_texture'"}


@pytest.mark.skipif(sys.platform == "win32", reason="there the job object ends the worker")
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("holds_pipe", [False, True], ids=["input ends", "input stays open"])
def test_the_worker_ends_with_blender(astronaut_photo: Path, tmp_path: Path, moment: str, holds_pipe: bool):
    program = PARENT.format(
        root=str(ROOT), folder=str(tmp_path), photo=str(astronaut_photo), moment=MOMENTS[moment], holds_pipe=holds_pipe
    )
    done = subprocess.run([PYTHON, "-c", program], stdout=subprocess.PIPE, text=True, timeout=60)
    *holder, worker = map(int, done.stdout.split())
    try:
        deadline = time.monotonic() + 5
        while is_running(worker) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(worker)
        assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]
    finally:
        for pid in holder:
            os.kill(pid, signal.SIGKILL)


def test_a_library_that_prints_does_not_disturb(astronaut_photo: Path, tmp_path: Path):
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "sitecustomize.py").write_text(
        "import os, sys, threading, time\n"
        "def shout():\n    while True:\n        print('loud', flush=True); os.system('echo loud'); time.sleep(0.05)\n"
        "def later():\n"
        "    while 'ml_backend.pipeline' not in sys.modules:\n        time.sleep(0.01)\n    shout()\n"
        "threading.Thread(target=later, daemon=True).start()\n"
    )
    environment = BackendEnvironment(PYTHON, (ROOT, tmp_path / "loud"))
    with Watched(environment, tmp_path / "log.txt") as w:
        job = finish(w, w.queue.add(FacesRequest(str(astronaut_photo), str(tmp_path / "crops")), "faces"))
        assert job.state is JobState.DONE, job.error
    assert "loud" in (tmp_path / "log.txt").read_text()


def test_two_blenders_at_once_on_one_cache(shared_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    flame = CheckHeadRequest(str(shared_folder / "flame" / "flame_fixture.pkl"))
    with (
        Watched(real_environment(), tmp_path / "a.txt") as first,
        Watched(real_environment(), tmp_path / "b.txt") as second,
    ):
        jobs = [w.queue.add(flame, "check") for w in (first, second)]
        first.poll_until(lambda: second.queue.poll() is not None and all(job.state.is_end for job in jobs), 180)
        assert [job.state for job in jobs] == [JobState.DONE] * 2, [job.error for job in jobs]
        assert jobs[0].result == jobs[1].result
    if sys.platform == "linux":
        kept = list((tmp_path / "cache" / "likeness").iterdir())
        assert [path.suffix for path in kept] == [".safetensors"]
