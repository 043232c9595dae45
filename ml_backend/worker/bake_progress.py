"""How far a bake of wrinkles is: counted in frames, timed by the frames before."""

from __future__ import annotations

import time

from addon.exchange.worker_messages import ProgressMessage
from ml_backend.worker.progress import part_done
from ml_backend.wrinkles.bake_frames import BakeStage, BakeStep


class BakeProgress:
    """One bake's way through its frames. The job calls `enter`, another thread asks for `message`.

    Args:
        job_id: of the job.
        expected_s: seconds that each stage is likely to take, the last for one frame.
    """

    def __init__(self, job_id: str, expected_s: dict[BakeStage, float]) -> None:
        self.job_id = job_id
        self._expected_s = expected_s
        self._seconds: dict[BakeStage, float] = {}
        # step and its start together, so that the other thread never sees one without the other
        self._now: tuple[BakeStep, float] | None = None
        self._frames_started = 0.0
        self._fraction = 0.0

    def enter(self, step: BakeStep) -> None:
        """The job has come to a step; a step of the last stage that is all done ends it."""
        now = time.monotonic()
        if self._now is not None and self._now[0].stage is not step.stage:
            before, since = self._now
            self._seconds[before.stage] = now - since
            self._frames_started = now
        if step.stage is BakeStage.BAKE_FRAMES and step.done:
            # the mean of this bake's frames; those that only get a second name make it smaller for the rest as well
            self._seconds[step.stage] = (now - self._frames_started) / step.done
        self._now = (step, now)

    @property
    def seconds(self) -> dict[BakeStage, float]:
        """What the stages that have ended took, the last for one frame."""
        return dict(self._seconds)

    def message(self) -> ProgressMessage | None:
        """How far the job is now; None before its first step."""
        if self._now is None:
            return None
        step, since = self._now
        stage = step.stage.name.lower()
        if not step.total and step.stage is BakeStage.READ_AVATAR:
            # nobody knows yet how many frames there are
            return ProgressMessage(self.job_id, stage, _words(step), 0.0, None)
        elapsed = time.monotonic() - since
        frame_s = self._seconds.get(BakeStage.BAKE_FRAMES, self._expected_s[BakeStage.BAKE_FRAMES])
        if step.stage is BakeStage.BAKE_FRAMES:
            part = part_done(elapsed / frame_s) if step.frame is not None else 0.0
            before_s = self._preparation_s() + (step.done + part) * frame_s
            left_s = (step.total - step.done - part) * frame_s
        else:
            expected = self._expected_s[step.stage]
            part = part_done(elapsed / expected)
            earlier = self._preparation_s(before=step.stage)
            before_s = earlier + part * expected
            left_s = self._preparation_s() - before_s + step.total * frame_s
        self._fraction = max(self._fraction, before_s / max(before_s + left_s, 1e-6))
        left_s = round(max(left_s, 0.0), 1)
        return ProgressMessage(self.job_id, stage, _words(step), round(self._fraction, 4), left_s)

    def _preparation_s(self, before: BakeStage = BakeStage.BAKE_FRAMES) -> float:
        """Seconds of the stages before one: as they were, or as they are expected."""
        stages = list(BakeStage)
        earlier = stages[: stages.index(before)]
        if self._now is not None and self._now[0].stage is BakeStage.BAKE_FRAMES:
            return sum(self._seconds.get(stage, 0.0) for stage in earlier)
        return sum(self._seconds.get(stage, self._expected_s[stage]) for stage in earlier)


def _words(step: BakeStep) -> str:
    if step.frame is None:
        return step.stage.value
    return f"{step.stage.value}: frame {step.frame} ({step.done + 1} of {step.total})"
