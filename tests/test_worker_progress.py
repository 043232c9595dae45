"""The progress bar never goes back, moves within stages, and learns how long they take."""

from __future__ import annotations

import pytest

from ml_backend.pipeline import Stage
from ml_backend.worker.progress import FIRST_SECONDS, JobProgress, StageDurations


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("ml_backend.worker.progress.time.monotonic", lambda: now[0])
    return now


def test_a_job_that_takes_as_long_as_expected(clock: list[float]):
    progress = JobProgress("1", {Stage.FIT_HEAD: 1.0, Stage.BAKE_TEXTURE: 3.0})
    assert progress.message() is None
    progress.enter(Stage.FIT_HEAD)
    clock[0] = 0.5
    message = progress.message()
    assert (message.job, message.stage, message.text) == ("1", "fit_head", Stage.FIT_HEAD.value)
    assert message.fraction == pytest.approx(0.125)
    assert message.seconds_left == pytest.approx(3.5)
    clock[0] = 1.0
    progress.enter(Stage.BAKE_TEXTURE)
    assert progress.message().fraction == pytest.approx(0.25)
    assert progress.message().seconds_left == pytest.approx(3.0)
    clock[0] = 4.0
    progress.enter(Stage.BAKE_TEXTURE)
    assert progress.seconds == {Stage.FIT_HEAD: 1.0, Stage.BAKE_TEXTURE: 3.0}


@pytest.mark.parametrize("pace", [0.2, 1.0, 5.0])
def test_the_bar_only_goes_forward_and_ends_below_one(clock: list[float], pace: float):
    progress = JobProgress("1", dict(FIRST_SECONDS))
    fractions, left = [], []
    for stage, seconds in FIRST_SECONDS.items():
        progress.enter(stage)
        for _ in range(20):
            clock[0] += seconds * pace / 20
            message = progress.message()
            fractions.append(message.fraction)
            left.append(message.seconds_left)
    assert fractions == sorted(fractions)
    # it moves in every stage, also where the machine is far slower than known
    assert len(set(fractions)) > 5 * len(FIRST_SECONDS)
    assert 0 < fractions[0] < fractions[-1] <= 1
    assert min(left) >= 0


def test_stages_are_learnt_by_choices_and_the_machine_by_the_fit():
    durations = StageDurations()
    assert durations.expected_s(Stage.BAKE_TEXTURE, "large") == FIRST_SECONDS[Stage.BAKE_TEXTURE]
    durations.learn({Stage.FIT_HEAD: 2 * FIRST_SECONDS[Stage.FIT_HEAD], Stage.BAKE_TEXTURE: 1.0}, "small")
    assert durations.expected_s(Stage.BAKE_TEXTURE, "small") == 1.0
    assert durations.expected_s(Stage.BAKE_TEXTURE, "large") == pytest.approx(2 * FIRST_SECONDS[Stage.BAKE_TEXTURE])


def test_loading_once_is_not_expected_again():
    durations = StageDurations()
    durations.learn({Stage.LOAD_MODELS: 12.0}, "flame")
    assert durations.expected_s(Stage.LOAD_MODELS, "flame") < 1
