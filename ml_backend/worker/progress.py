"""How far a job is: the stage it says, and within a stage the time that such a stage took before."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from addon.exchange.worker_messages import ProgressMessage
from ml_backend.pipeline import Stage
from ml_backend.wrinkles.bake_frames import BakeStage

# Seconds of each stage with a 2048-pixel texture and a 1024-pixel displacement, until this worker has measured its own:
# the demo's portrait on two cores of a server processor, models loaded already.
FIRST_SECONDS = {
    Stage.READ_PHOTO: 0.05,
    Stage.LOAD_MODELS: 0.02,
    Stage.FIND_FACE: 0.1,
    Stage.FIT_HEAD: 0.8,
    Stage.BAKE_TEXTURE: 2.8,
    Stage.BAKE_DISPLACEMENT: 0.45,
    Stage.WRITE_PACKAGE: 0.3,
}
# The same for a bake of wrinkles with maps of 1024 pixels; of the last stage, for one frame.
FIRST_BAKE_SECONDS = {BakeStage.READ_AVATAR: 0.3, BakeStage.DRAW_LINES: 2.0, BakeStage.BAKE_FRAMES: 0.15}
# Seconds of the first registration of a user's FLAME file, same machine; after that it comes from the cache.
FIRST_REGISTRATION_S = 12.0
# up to this part of a stage the bar moves with the clock, then ever more slowly: the stage may take longer than known
_STEADY_PART = 0.8
# a stage is never taken for shorter: the bar would jump
_LEAST_SECONDS = 0.02


@dataclass
class StageDurations:
    """What stages have taken, by the choices that change it.

    Attributes:
        measured: seconds by stage and choices, of the last job with these.
        pace: this machine's seconds for one of FIRST_SECONDS, by the fit of the last job: of the long stages the one
            that no choice changes.
    """

    measured: dict[tuple[Stage | BakeStage, object], float] = field(default_factory=dict)
    pace: float = 1.0

    def expected_s(self, stage: Stage | BakeStage, choices: object) -> float:
        """Seconds that a stage is likely to take; `choices`: whatever was chosen that changes it."""
        first = self.pace * (FIRST_BAKE_SECONDS[stage] if isinstance(stage, BakeStage) else FIRST_SECONDS[stage])
        return max(self.measured.get((stage, choices), first), _LEAST_SECONDS)

    def registration_s(self) -> float:
        """Seconds that a head file is likely to take which is not loaded yet."""
        return self.pace * FIRST_REGISTRATION_S

    def learn(self, seconds: Mapping[Stage | BakeStage, float], choices: object) -> None:
        """Remember a job that was done; models, once loaded, stay so."""
        self.measured |= {(stage, choices): value for stage, value in seconds.items() if stage is not Stage.LOAD_MODELS}
        if Stage.FIT_HEAD in seconds:
            self.pace = seconds[Stage.FIT_HEAD] / FIRST_SECONDS[Stage.FIT_HEAD]


class JobProgress:
    """One job's way through its stages. The job calls `enter`, another thread asks for `message`.

    Args:
        job_id: of the job.
        expected_s: its stages in order, with the seconds that each is likely to take.
    """

    def __init__(self, job_id: str, expected_s: dict[Stage, float]) -> None:
        self.job_id = job_id
        self._expected_s = expected_s
        self._stages = list(expected_s)
        self._seconds: dict[Stage, float] = {}
        # stage and its start together, so that the other thread never sees one without the other
        self._now: tuple[Stage, float] | None = None
        self._fraction = 0.0

    def enter(self, stage: Stage) -> None:
        """The job has come to a stage; entering the last one again ends it."""
        now = time.monotonic()
        if self._now is not None:
            before, since = self._now
            self._seconds[before] = self._seconds.get(before, 0.0) + now - since
        self._now = (stage, now)

    @property
    def seconds(self) -> dict[Stage, float]:
        """What the stages that have ended took."""
        return dict(self._seconds)

    def message(self) -> ProgressMessage | None:
        """How far the job is now; None before its first stage."""
        if self._now is None:
            return None
        stage, since = self._now
        elapsed, expected = time.monotonic() - since, self._expected_s[stage]
        part = part_done(elapsed / expected)
        place = self._stages.index(stage)
        before = sum(self._expected_s[done] for done in self._stages[:place])
        after = sum(self._expected_s[to_come] for to_come in self._stages[place + 1 :])
        self._fraction = max(self._fraction, (before + part * expected) / (before + expected + after))
        left_s = max(expected - elapsed, (1 - part) * expected) + after
        return ProgressMessage(self.job_id, stage.name.lower(), stage.value, round(self._fraction, 4), round(left_s, 1))


def part_done(elapsed: float) -> float:
    """How much of a stage is likely to be done, 0-1, by the time elapsed in units of the time expected."""
    beyond = max(0.0, elapsed - _STEADY_PART) / (1 - _STEADY_PART)
    return min(elapsed, _STEADY_PART) + (1 - _STEADY_PART) * (1 - math.exp(-beyond))
