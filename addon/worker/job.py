"""A job for the worker, and the states of jobs and of the worker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..exchange.errors import LikenessError
from ..exchange.worker_messages import JobResult, Request


class JobState(Enum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        """Whether nothing more happens to the job."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class WorkerState(Enum):
    """Where the worker is; FAILED: it is not started again until the user adds a job."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(eq=False)
class Job:
    """One thing that the user asked for.

    Attributes:
        id: of this queue.
        request: what to do; title: for people.
        stage: identifier of the running stage; text: the same for people.
        fraction: 0-1 of the whole job; seconds_left: None while nobody knows.
        result: when done; error: when failed.
    """

    id: str
    request: Request
    title: str
    state: JobState = JobState.WAITING
    stage: str = ""
    text: str = ""
    fraction: float = 0.0
    seconds_left: float | None = None
    result: JobResult | None = None
    error: LikenessError | None = None
