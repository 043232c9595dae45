"""The worker's jobs on a folder of photos: judged, ticked anew without reading again, made into an avatar, stopped."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from addon.exchange.avatar_description import HeldOutError
from addon.exchange.errors import LikenessError
from addon.exchange.folder_messages import (
    FolderAvatarOptions,
    FolderAvatarRequest,
    FolderAvatarResult,
    FolderChoice,
    JudgedFolder,
    JudgeFolderRequest,
    PhotoVerdict,
)
from addon.exchange.typed_json import encode
from addon.exchange.worker_messages import (
    MAX_LINE_BYTES,
    DoneMessage,
    JobMessage,
    client_message,
    decode_result,
    to_line,
    worker_message,
)
from addon.worker.job_queue import JobState
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise import kept_files
from ml_backend.personalise.face_readings import FaceReader
from ml_backend.personalise.folder_avatar import FolderStage
from ml_backend.worker import folder_jobs, folder_progress
from ml_backend.worker.folder_jobs import MOST_LISTED, FolderJobs
from ml_backend.worker.folder_progress import FolderProgress, FolderStep
from ml_backend.worker.jobs import JobRunner
from tests.rendered_person import write_person
from tests.worker_programs import Watched, real_environment

SMALL = FolderAvatarOptions("Someone", 256, 256, 0.4, False)
ROW = PhotoVerdict("a/1.jpg", "used", "Used: seen from the front.", 0.9, "1.png", True, True)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, also for a real worker."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(kept_files, "default_cache_folder", lambda: folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def jobs() -> FolderJobs:
    return FolderJobs(LoadedModels())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of one person, one without a face, and a file that is no photo."""
    folder = tmp_path_factory.mktemp("person") / "photos"
    write_person(folder, 2)
    cv2.imwrite(str(folder / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are read from now on."""
    names: list[str] = []
    read = FaceReader.read

    def counted(reader, image):
        names.append(image.name)
        return read(reader, image)

    monkeypatch.setattr(FaceReader, "read", counted)
    return names


def judge(jobs: FolderJobs, folder: Path, thumbnails: Path, **choice: object) -> JudgedFolder:
    request = JudgeFolderRequest(str(folder), str(thumbnails), FolderChoice(**choice))
    return jobs.judge(request, lambda _step: None)


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        (
            JudgeFolderRequest("/写真", "/t", FolderChoice(True, 9, {"é.jpg": False}, "/p")),
            JudgedFolder((ROW,), ("1",)),
        ),
        (FolderAvatarRequest("/写真", "/out", FolderChoice(), SMALL), FolderAvatarResult("/out", {"a": 1.0}, 2, 1.5)),
        (FolderAvatarRequest("/a", "/b"), FolderAvatarResult("/b", {}, 9, 1.5, HeldOutError(2, 2.5, 1.75))),
    ],
)
def test_requests_and_results_survive_the_line(request_, result):
    assert client_message(to_line(JobMessage("1", request_))) == JobMessage("1", request_)
    answer = worker_message(to_line(DoneMessage("1", encode(result))))
    assert decode_result(request_, answer.result) == result


def test_the_longest_list_fits_into_a_line():
    # 255 bytes are the most that file systems take; a character outside ASCII takes six in JSON for its three
    name = "写" * 85
    sentence = f"Not needed: of the photos that are used, {name} is most like it."
    row = PhotoVerdict(name, "not needed", sentence, 0.123456789012345, "1000.png", False, True)
    line = to_line(DoneMessage("1", encode(JudgedFolder((row,) * MOST_LISTED, ("All.",)))))
    assert len(line) <= MAX_LINE_BYTES


def test_each_photo_gets_a_row_and_a_thumbnail(jobs: FolderJobs, folder: Path, tmp_path: Path):
    judged = judge(jobs, folder, tmp_path / "new" / "thumbnails")
    rows = {row.name: row for row in judged.photos}
    assert list(rows) == ["0.png", "1.png", "broken.jpg", "wall.png"]
    assert [row.chosen for row in judged.photos] == [True, True, False, False]
    assert [row.usable for row in judged.photos] == [True, True, False, False]
    assert (rows["broken.jpg"].verdict, rows["wall.png"].verdict) == ("unreadable", "no face")
    assert rows["broken.jpg"].thumbnail == ""
    for name in ("0.png", "1.png", "wall.png"):
        assert cv2.imread(str(tmp_path / "new" / "thumbnails" / rows[name].thumbnail)).shape == (96, 96, 3)
    assert judged.sentences[0].startswith("2 of 4 images are used")


def test_new_ticks_read_no_photo_again(jobs: FolderJobs, folder: Path, tmp_path: Path, reads: list[str]):
    judge(jobs, folder, tmp_path)
    reads.clear()
    judged = judge(jobs, folder, tmp_path, overruled={"1.png": False})
    assert reads == []
    assert [(row.name, row.verdict) for row in judged.photos[:2]] == [("0.png", "used"), ("1.png", "left out")]
    # what has changed is read again, and nothing else
    status = (folder / "0.png").stat()
    os.utime(folder / "0.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    judge(jobs, folder, tmp_path)
    assert reads == ["0.png"]


@pytest.mark.slow
def test_the_avatar_of_a_judged_folder(jobs: FolderJobs, folder: Path, tmp_path: Path, reads: list[str]):
    judge(jobs, folder, tmp_path / "thumbnails")
    reads.clear()
    steps: list[FolderStep] = []
    result = jobs.make(FolderAvatarRequest(str(folder), str(tmp_path / "avatar"), options=SMALL), steps.append)
    assert reads == []
    assert result.photos_used == 2
    assert 0 < result.landmark_error_percent < 6
    assert (tmp_path / "avatar" / "avatar.json").is_file()
    assert set(result.timings_s) == {step.stage.value for step in steps}
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)


def test_too_few_photos_are_said_and_nothing_is_left(jobs: FolderJobs, folder: Path, tmp_path: Path):
    request = FolderAvatarRequest(
        str(folder), str(tmp_path / "avatar"), FolderChoice(overruled={"0.png": False}), SMALL
    )
    with pytest.raises(LikenessError, match="1 photos that can be used") as refusal:
        jobs.make(request, lambda _step: None)
    assert refusal.value.hint
    assert list(tmp_path.iterdir()) == []


def test_stopped_while_judging_it_goes_on_where_it_was(folder: Path, tmp_path: Path, reads: list[str]):
    jobs = FolderJobs(LoadedModels())

    def stop(step: FolderStep) -> None:
        if "1.png" in step.text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.judge(JudgeFolderRequest(str(folder), str(tmp_path)), stop)
    assert reads == ["0.png"]
    judge(jobs, folder, tmp_path)
    assert reads == ["0.png", "1.png", "broken.jpg", "wall.png"]


def test_a_new_worker_goes_on_with_what_a_killed_one_has_read(folder: Path, tmp_path: Path, reads: list[str]):
    models = LoadedModels()

    def stop(step: FolderStep) -> None:
        if "1.png" in step.text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FolderJobs(models).judge(JudgeFolderRequest(str(folder), str(tmp_path)), stop)
    reads.clear()
    told: list[str] = []
    request = FolderAvatarRequest(
        str(folder), str(tmp_path / "avatar"), FolderChoice(overruled={"0.png": False}), SMALL
    )
    with pytest.raises(LikenessError, match="1 photos that can be used"):
        FolderJobs(models).make(request, lambda step: told.append(step.text))
    assert told[0] == "goes on from: 1 photo read"
    assert reads == ["1.png", "broken.jpg", "wall.png"]


def test_a_folder_that_cannot_be_listed_is_said_before_any_photo_is_read(jobs, folder, tmp_path, reads, monkeypatch):
    monkeypatch.setattr(folder_jobs, "MOST_LISTED", 3)
    with pytest.raises(LikenessError, match="4 images; at most 3"):
        judge(jobs, folder, tmp_path)
    with pytest.raises(LikenessError, match="There is no folder"):
        judge(jobs, tmp_path / "gone", tmp_path)
    assert reads == []


def test_a_person_that_is_no_package_is_said(jobs: FolderJobs, folder: Path, tmp_path: Path):
    with pytest.raises(LikenessError, match="not an avatar package"):
        judge(jobs, folder, tmp_path, person=str(tmp_path))


@pytest.mark.slow
def test_a_real_worker_judges_stops_and_judges_again(folder: Path, tmp_path: Path):
    request = JudgeFolderRequest(str(folder), str(tmp_path / "thumbnails"))
    with Watched(real_environment(), tmp_path / "log.txt") as w:
        job = w.queue.add(FolderAvatarRequest(str(folder), str(tmp_path / "avatar"), options=SMALL), "stopped")
        # held up by the first photos or later, wherever the news of them arrives
        w.poll_until(lambda: job.stage in {stage.name.lower() for stage in FolderStage}, 240)
        w.queue.cancel(job.id)
        w.poll_until(lambda: job.state.is_end, 60)
        assert job.state is JobState.CANCELLED
        assert not (tmp_path / "avatar").exists()
        again = w.queue.add(request, "judged")
        w.poll_until(lambda: again.state.is_end, 120)
        assert again.state is JobState.DONE, again.error
        assert len(w.workers) == 1
    assert [photo.chosen for photo in again.result.photos] == [True, True, False, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "thumbnails"]


def test_the_bar_goes_forward_and_knows_the_time_left(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(folder_progress.time, "monotonic", lambda: now[0])
    progress = JobRunner("cpu").progress_of("7", JudgeFolderRequest("/f", "/t"))
    assert isinstance(progress, FolderProgress)
    assert progress.message() is None
    progress.enter(FolderStep(FolderStage.JUDGE_PHOTOS, "looking at 1.png", 0.0))
    assert (progress.message().job, progress.message().stage) == ("7", "judge_photos")
    assert (progress.message().text, progress.message().seconds_left) == ("looking at 1.png", None)
    now[0] = 10.0
    progress.enter(FolderStep(FolderStage.FIT_HEAD, "shading", 0.25))
    assert progress.message().text == FolderStage.FIT_HEAD.value
    assert progress.message().seconds_left == pytest.approx(30.0)
    progress.enter(FolderStep(FolderStage.FIT_HEAD, "", 0.1))
    assert progress.message().fraction == 0.25
