"""Worker programs that misbehave, and a way to wait for a queue: what the worker's tests share."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from addon.worker.backend_environment import BackendEnvironment
from addon.worker.job_queue import Job, JobQueue, Patience
from addon.worker.steps import Steps
from addon.worker.worker_process import WorkerProcess

ROOT = Path(__file__).resolve().parents[1]
PYTHON = Path(sys.executable)
USUAL = Patience()
_Result = TypeVar("_Result")
# what every program begins with: it can say things and hear things as the real worker does
_BEGINNING = """
import json, os, sys, threading, time

READY = {"type": "ready", "protocol": 1, "version": "0", "python": "3", "torch": "2", "device": "cpu",
         "device_name": "CPU", "threads": 1, "pid": os.getpid()}
RESULT = {"package": "/made", "timings_s": {}, "faces_found": 1}

def say(**message):
    sys.stdout.write(json.dumps(message) + "\\n")
    sys.stdout.flush()

def hear():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)

def beat():
    while True:
        time.sleep(0.05)
        say(type="heartbeat", job=None)

"""
OBEDIENT = """
say(**READY)
while True:
    message = hear()
    if message["type"] == "job":
        say(type="progress", job=message["job"], stage="fit", text="fitting", fraction=0.5, seconds_left=1.0)
        say(type="done", job=message["job"], result=RESULT)
"""


def fake_environment(folder: Path, program: str) -> BackendEnvironment:
    """A backend that is a short program instead of ours.

    Args:
        folder: an empty folder for it.
        program: Python, with `say(**message)`, `hear()`, READY, RESULT and `beat` at hand.
    """
    package = folder / "ml_backend"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_BEGINNING + textwrap.dedent(program))
    return BackendEnvironment(PYTHON, (folder,))


def real_environment() -> BackendEnvironment:
    """Our backend in the Python that runs the tests."""
    return BackendEnvironment(PYTHON, (ROOT,))


def result_of(steps: Steps[_Result]) -> _Result:
    """Take all steps, as Blender's timer does."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        time.sleep(0.005)


@dataclass
class Watched:
    """A queue, how many workers it has started, and the jobs that have ended, in order.

    Use as a context: it closes the queue and waits for its workers' end.
    """

    environment: BackendEnvironment
    log_file: Path
    patience: Patience = USUAL
    workers: list[WorkerProcess] = field(default_factory=list)
    ended: list[Job] = field(default_factory=list)
    queue: JobQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = JobQueue(self._start, self.ended.append, patience=self.patience)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_error: object) -> None:
        self.queue.close()
        for worker in self.workers:
            assert worker.wait(10.0), "a worker outlived its queue"

    def _start(self) -> WorkerProcess:
        self.workers.append(WorkerProcess.start(self.environment, self.log_file, threads=1, device="cpu"))
        return self.workers[-1]

    def poll_until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> float:
        """Poll as Blender's timer does; returns how many seconds it took."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < timeout_s, f"still waiting: {self.queue.jobs}, {self.queue.worker_state}"
            self.queue.poll()
            time.sleep(0.005)
        return time.monotonic() - start

    def finish(self, timeout_s: float = 60.0) -> float:
        """Poll until nothing is left to do."""
        return self.poll_until(lambda: not self.queue.busy, timeout_s)
