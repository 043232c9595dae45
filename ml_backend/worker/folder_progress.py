"""How far a job on a folder of photos is: the job itself knows, the time left follows from the time it has taken."""

from __future__ import annotations

import time
from dataclasses import dataclass

from addon.exchange.worker_messages import ProgressMessage
from ml_backend.personalise.folder_avatar import FolderStage

# before that nobody can tell how long the rest takes: the first photo loads the models
_FIRST_FRACTION, _FIRST_S = 0.03, 2.0


@dataclass(frozen=True)
class FolderStep:
    """Where such a job is: the stage, what is at work in it (may be empty), and the fraction done of the whole job."""

    stage: FolderStage
    text: str
    fraction: float


class FolderProgress:
    """One such job's way. The job calls `enter`, another thread asks for `message`.

    Args:
        job_id: of the job.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self._began: float | None = None
        self._step: FolderStep | None = None
        self._fraction = 0.0

    def enter(self, step: FolderStep) -> None:
        """The job has come to a step."""
        if self._began is None:
            self._began = time.monotonic()
        self._fraction = max(self._fraction, min(1.0, step.fraction))
        self._step = step

    @property
    def seconds(self) -> dict[FolderStage, float]:
        """Nothing to be learnt: the next folder has other photos."""
        return {}

    def message(self) -> ProgressMessage | None:
        """How far the job is now; None before its first step."""
        step = self._step
        if step is None:
            return None
        elapsed, fraction = time.monotonic() - self._began, self._fraction
        left_s = None
        if fraction > _FIRST_FRACTION and elapsed > _FIRST_S:
            left_s = round(elapsed * (1 - fraction) / fraction, 1)
        # which photo is looked at tells more than the stage; of the others the stage is what people understand
        words = step.text if step.stage is FolderStage.JUDGE_PHOTOS and step.text else step.stage.value
        return ProgressMessage(self.job_id, step.stage.name.lower(), words, round(fraction, 4), left_s)
