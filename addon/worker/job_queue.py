"""The queue of jobs: one worker, kept warm, that does one after the other; an explicit state machine."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..exchange.errors import Cancelled, LikenessError
from ..exchange.worker_messages import (
    CancelledMessage,
    CancelMessage,
    DoneMessage,
    FailedMessage,
    JobMessage,
    MalformedMessage,
    ProgressMessage,
    ReadyMessage,
    Request,
    WorkerMessage,
    WrongProtocol,
    decode_result,
)
from . import worker_failures as failures
from .backend_environment import protocol_mismatch, start_failure
from .job import Job, JobState, WorkerState
from .leftovers import remove_leftovers_of
from .message_pipe import Unreadable
from .worker_process import WorkerProcess

STARTING_STAGE = "start_worker"


@dataclass(frozen=True)
class Patience:
    """How long the queue waits, seconds.

    Attributes:
        cancel_s: for a job to stop when told to; then its worker is killed.
        end_s: for a worker that was killed to end, where Blender has to wait for it.
        silence_s: without a heartbeat, which comes every second.
        start_silence_s: the same before the worker is ready: loading torch's libraries from a slow disk lets no
            other thread run, and takes tens of seconds.
        starts: a worker that ends so often in a row before it is ready is not started again by itself.
    """

    cancel_s: float = 2.0
    end_s: float = 1.0
    silence_s: float = 10.0
    start_silence_s: float = 60.0
    starts: int = 3


@dataclass(frozen=True)
class _Leaving:
    """A worker that was told to stop, and the job that it was doing."""

    worker: WorkerProcess
    job: Job | None


class JobQueue:
    """Jobs and the worker that does them.

    Nothing here but `close` waits: `poll`, called by a timer while the queue is `busy`, moves everything on.

    Args:
        start_worker: starts a worker with the present settings; raises LikenessError where it cannot.
        on_end: called by `poll` with each job that has ended, whichever way.
        clock: seconds; for tests.
        patience: how long to wait for what.
    """

    def __init__(
        self,
        start_worker: Callable[[], WorkerProcess],
        on_end: Callable[[Job], None],
        clock: Callable[[], float] = time.monotonic,
        patience: Patience = Patience(),
    ) -> None:
        self._start_worker = start_worker
        self._on_end = on_end
        self._clock = clock
        self._patience = patience
        self._numbers = itertools.count(1)
        self._jobs: list[Job] = []
        self._ended: deque[Job] = deque()
        self._changed = False
        self._worker: WorkerProcess | None = None
        self._leaving: list[_Leaving] = []
        self._failed_starts = 0
        # the job that the worker was told to do, and when it must have stopped
        self._sent: Job | None = None
        self._cancel_deadline = 0.0
        self.worker_state = WorkerState.STOPPED
        self.worker_info: ReadyMessage | None = None
        self.worker_error: LikenessError | None = None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs that have not ended, in their order."""
        return tuple(self._jobs)

    @property
    def running(self) -> Job | None:
        """The job at work."""
        return next((job for job in self._jobs if job.state is not JobState.WAITING), None)

    @property
    def busy(self) -> bool:
        """Whether `poll` has anything to do."""
        return bool(self._jobs or self._ended or self._leaving)

    def add(self, request: Request, title: str) -> Job:
        """Put a job at the end of the queue; after a failure of the worker this is the user's next try."""
        if self.worker_state is WorkerState.FAILED:
            self.worker_state, self._failed_starts = WorkerState.STOPPED, 0
        job = Job(str(next(self._numbers)), request, title)
        self._jobs.append(job)
        self._changed = True
        # here rather than in the timer, since starting a process takes longer than a tick
        self._take_next()
        return job

    def cancel(self, job_id: str) -> None:
        """Stop a job; one that is not in the queue any more stays as it is."""
        job = next((job for job in self._jobs if job.id == job_id), None)
        if job is None or job.state is JobState.CANCELLING:
            return
        self._changed = True
        if job is self._sent and self._worker is not None:
            job.state = JobState.CANCELLING
            self._cancel_deadline = self._clock() + self._patience.cancel_s
            self._worker.send(CancelMessage(job.id))
        else:
            self._end(job, JobState.CANCELLED, error=Cancelled())

    def cancel_all(self) -> None:
        """Stop every job."""
        for job in reversed(self.jobs):
            self.cancel(job.id)

    def restart_worker(self) -> None:
        """Let the next job have a fresh worker, for settings that have changed; a job at work is finished first."""
        if self._sent is None:
            self._discard_worker(grace_s=self._patience.cancel_s)

    def poll(self, budget_s: float = 0.001) -> bool:
        """Take what the worker has said, notice what has happened to it, and go on.

        Args:
            budget_s: after this no further message is taken; calls of `on_end` come on top, at most one a poll.

        Returns:
            Whether anything changed that people see.
        """
        deadline = self._clock() + budget_s
        if self._worker is not None:
            self._take_messages(deadline)
        if self._worker is not None:
            self._check_worker()
        self._take_next()
        self._see_out()
        changed, self._changed = self._changed, False
        if self._ended:
            self._on_end(self._ended.popleft())
            changed = True
        return changed

    def close(self) -> None:
        """Kill the worker; every job counts as cancelled, without a call of `on_end`."""
        for job in self._jobs:
            job.state, job.error = JobState.CANCELLED, Cancelled()
        self._discard_worker()
        # no timer asks after them any more
        for leaving in self._leaving:
            leaving.worker.stop(0.0)
            leaving.worker.wait(self._patience.end_s)
        self._see_out()
        self._leaving.clear()
        self._jobs.clear()
        self._ended.clear()

    # --- what the worker says -----------------------------------------------------------------------------------------

    def _take_messages(self, deadline: float) -> None:
        worker = self._worker
        while self._worker is worker:
            message = worker.messages.take()
            if message is None:
                return
            self._take(message)
            if self._clock() >= deadline:
                return

    def _take(self, message: WorkerMessage | Unreadable) -> None:
        if isinstance(message, Unreadable):
            self._take_unreadable(message.error)
        elif isinstance(message, ReadyMessage):
            self.worker_info, self.worker_state, self._failed_starts = message, WorkerState.READY, 0
            self._changed = True
        elif isinstance(message, FailedMessage) and message.job is None:
            # it has said itself what is wrong; another start would end alike
            self._give_up(LikenessError(message.code, message.message, message.hint))
        elif self._sent is not None and message.job == self._sent.id:
            self._take_for_job(self._sent, message)

    def _take_for_job(self, job: Job, message: WorkerMessage) -> None:
        is_cancelling = job.state is JobState.CANCELLING
        if isinstance(message, ProgressMessage):
            job.stage, job.text = message.stage, message.text
            job.fraction, job.seconds_left = min(max(message.fraction, 0.0), 1.0), message.seconds_left
            self._changed = True
        elif isinstance(message, CancelledMessage) or (is_cancelling and isinstance(message, DoneMessage)):
            self._end(job, JobState.CANCELLED, error=Cancelled())
        elif isinstance(message, FailedMessage):
            state = JobState.CANCELLED if is_cancelling else JobState.FAILED
            self._end(job, state, error=LikenessError(message.code, message.message, message.hint))
        elif isinstance(message, DoneMessage):
            try:
                job.result = decode_result(job.request, message.result)
            except MalformedMessage as error:
                self._take_unreadable(error)
            else:
                job.fraction, job.seconds_left = 1.0, 0.0
                self._end(job, JobState.DONE)

    def _take_unreadable(self, error: MalformedMessage) -> None:
        if isinstance(error, WrongProtocol):
            self._give_up(protocol_mismatch(error.protocol))
        else:
            self._lose_worker(failures.garbage(error))

    # --- what becomes of the worker -----------------------------------------------------------------------------------

    def _check_worker(self) -> None:
        """Notice a worker that has ended, hangs, or does not stop."""
        worker, job = self._worker, self._sent
        if job is not None and job.state is JobState.CANCELLING and self._clock() >= self._cancel_deadline:
            self._discard_worker()
            self._end(job, JobState.CANCELLED, error=Cancelled())
        elif not worker.alive:
            # its last words come first
            if worker.exhausted:
                self._lose_worker(self._obituary(worker))
        elif worker.messages.is_empty and worker.seconds_since_heartbeat > self._silence_allowed():
            self._lose_worker(failures.hanging(job))

    def _silence_allowed(self) -> float:
        is_ready = self.worker_state is WorkerState.READY
        return self._patience.silence_s if is_ready else self._patience.start_silence_s

    def _obituary(self, worker: WorkerProcess) -> LikenessError:
        if self.worker_state is WorkerState.STARTING:
            return start_failure(worker.environment.python, worker.log_tail())
        return failures.died(self._sent, worker.exit_status)

    def _lose_worker(self, error: LikenessError) -> None:
        """The worker has ended or is ended: its job fails, the next one gets a fresh worker."""
        job, was_starting = self._sent or self.running, self.worker_state is WorkerState.STARTING
        self._discard_worker()
        if was_starting:
            self._failed_starts += 1
            if self._failed_starts >= self._patience.starts:
                self._give_up(error)
        elif job is not None:
            is_cancelling = job.state is JobState.CANCELLING
            self._end(job, JobState.CANCELLED if is_cancelling else JobState.FAILED, error=error)

    def _give_up(self, error: LikenessError) -> None:
        """No worker can be had: every job fails."""
        self._discard_worker()
        self.worker_state, self.worker_error = WorkerState.FAILED, error
        for job in self.jobs:
            self._end(job, JobState.FAILED, error=error)

    def _discard_worker(self, grace_s: float = 0.0) -> None:
        worker, job = self._worker, self._sent
        self._worker, self._sent = None, None
        self.worker_state, self.worker_info = WorkerState.STOPPED, None
        self._changed = True
        if worker is not None:
            worker.stop(grace_s)
            self._leaving.append(_Leaving(worker, job))

    def _see_out(self) -> None:
        """Forget the workers that have ended, and what they have left half written."""
        for leaving in self._leaving[:]:
            if leaving.worker.has_left():
                self._leaving.remove(leaving)
                remove_leftovers_of(leaving.job, leaving.worker.pid)

    # --- what comes next ----------------------------------------------------------------------------------------------

    def _take_next(self) -> None:
        """Give the first job to the worker, which is started where there is none."""
        if not self._jobs or self._sent is not None:
            return
        job = self._jobs[0]
        if job.state is JobState.WAITING:
            job.state = JobState.RUNNING
            self._changed = True
        if self._worker is not None and not self._worker.alive and self.worker_state is WorkerState.READY:
            # it ended while nothing was to be done
            self._discard_worker()
        if self._worker is None:
            self._start()
        if self.worker_state is WorkerState.STARTING:
            job.stage, job.text = STARTING_STAGE, failures.STARTING_TEXT
        elif self.worker_state is WorkerState.READY:
            self._worker.send(JobMessage(job.id, job.request))
            self._sent = job

    def _start(self) -> None:
        try:
            self._worker = self._start_worker()
        except LikenessError as error:
            self._give_up(error)
        else:
            self.worker_state, self.worker_error = WorkerState.STARTING, None

    def _end(self, job: Job, state: JobState, error: LikenessError | None = None) -> None:
        job.state, job.error = state, error
        self._jobs.remove(job)
        self._ended.append(job)
        if job is self._sent:
            self._sent = None
        self._changed = True
