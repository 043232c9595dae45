"""The worker's life: it beats, loads, says that it is ready, does jobs, and ends with the process that started it.

Until `_load` only the standard library is imported, so that the heart beats, and what is missing is told, before numpy
and torch load.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from addon.exchange.errors import LikenessError
from addon.exchange.worker_messages import (
    PROTOCOL,
    CancelledMessage,
    CancelMessage,
    DoneMessage,
    FailedMessage,
    HeartbeatMessage,
    JobMessage,
    MalformedMessage,
    ReadyMessage,
    ShutdownMessage,
    client_message,
)
from ml_backend.worker.channel import Answers, Inbox, own_standard_input
from ml_backend.worker.device import CHOICES, Device, choose_device, processor
from ml_backend.worker.failures import for_people
from ml_backend.worker.interrupts import JobInterrupts

if TYPE_CHECKING:
    from ml_backend.worker.jobs import JobRunner, Progress, Step

# pyproject.toml's requires-python
OLDEST_PYTHON = (3, 11)
# what the stages import; Pillow is called PIL
PACKAGES = ("torch", "numpy", "scipy", "cv2", "safetensors", "PIL")
HEARTBEAT_S = 1.0
PROGRESS_S = 0.25
# a job is given this long to clean up when its process must end
LAST_CHANCE_S = 2.0
REFUSED, DONE = 2, 0


def main(argv: list[str]) -> int:
    """Run the worker; returns its exit status: 0, or 2 when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m ml_backend worker")
    add_worker_options(parser)
    options = parser.parse_args(argv)
    worker = Worker(options.device, options.threads)
    return worker.check() if options.check else worker.serve()


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("--device", choices=CHOICES, default="auto", help="where the tracker's networks run")
    parser.add_argument("--threads", type=int, metavar="N", help="threads on the processor (default: the libraries')")
    parser.add_argument("--check", action="store_true", help="say what there is, load no model, and end")


class Worker:
    """One worker: the main thread does the jobs, one thread reads, one tells how things are.

    Args:
        device: one of CHOICES; threads: None = the libraries' own number.
    """

    def __init__(self, device: str, threads: int | None) -> None:
        self._device_choice = device
        self._threads = threads
        self._answers = Answers()
        self._inbox = Inbox()
        self._interrupts = JobInterrupts()
        self._progress: Progress | None = None
        # no progress is told after a job's last word
        self._telling = threading.Lock()
        self._has_news = threading.Event()
        self._parent = os.getppid()

    def check(self) -> int:
        """Say what a worker would run on; returns the exit status."""
        try:
            self._require_packages()
            self._limit_threads()
            self._send_ready(choose_device(self._device_choice))
        except Exception as error:
            return self._refuse(error)
        return DONE

    def serve(self) -> int:
        """Do jobs until there are no more; returns the exit status."""
        self._interrupts.install()
        # told to end from outside: as when Blender goes
        signal.signal(signal.SIGTERM, lambda *_arguments: self._end_soon())
        self._answers.send(HeartbeatMessage())
        threading.Thread(target=self._report, name="reporter", daemon=True).start()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            self._require_packages()
            self._limit_threads()
            runner, device = self._load()
        except Exception as error:
            return self._refuse(error)
        self._send_ready(device)
        while job := self._inbox.next():
            self._do(runner, job)
        return DONE

    # --- starting -----------------------------------------------------------------------------------------------------

    def _require_packages(self) -> None:
        version = platform.python_version()
        if sys.version_info < OLDEST_PYTHON:
            wanted = ".".join(map(str, OLDEST_PYTHON))
            raise LikenessError(
                "python_version",
                f"The backend needs Python {wanted} or later; {sys.executable} is {version}.",
                "Choose another Python in the preferences, for instance the .venv that build.py makes.",
            )
        missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            raise LikenessError(
                f"{missing[0].lower()}_missing",
                f"{sys.executable} has no {' and no '.join(missing)}.",
                "Choose a Python that has them in the preferences, for instance the .venv that build.py makes.",
            )

    def _limit_threads(self) -> None:
        if self._threads is None:
            return
        if self._threads < 1:
            raise LikenessError("threads", "At least one thread is needed.", "Choose 1 or more in the preferences.")
        # read by the libraries when they load
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(self._threads)
        import cv2
        import torch

        cv2.setNumThreads(self._threads)
        torch.set_num_threads(self._threads)

    def _load(self) -> tuple[JobRunner, Device]:
        """Load everything; a graphics card that turns out not to work gives way, where the choice is ours."""
        from ml_backend.worker.jobs import JobRunner

        device = choose_device(self._device_choice)
        runner = JobRunner(device.name)
        try:
            runner.load()
        except LikenessError:
            raise
        except Exception:
            if device.name == "cpu" or self._device_choice != "auto":
                raise
            traceback.print_exc()
            device = Device("cpu", f"{processor().words}; {device.words} failed")
            runner = JobRunner(device.name)
            runner.load()
        return runner, device

    def _send_ready(self, device: Device) -> None:
        import torch

        from addon.exchange.conventions import VERSION

        self._answers.send(
            ReadyMessage(
                protocol=PROTOCOL,
                version=VERSION,
                python=platform.python_version(),
                torch=torch.__version__,
                device=device.name,
                device_name=device.words,
                threads=torch.get_num_threads(),
                pid=os.getpid(),
            )
        )

    def _refuse(self, error: Exception) -> int:
        """Say why there is no worker."""
        self._answers.send(_failed(None, error))
        return REFUSED

    # --- working ------------------------------------------------------------------------------------------------------

    def _do(self, runner: JobRunner, job: JobMessage) -> None:
        """Do a job and answer it; the edge at which every failure becomes a message."""
        progress = runner.progress_of(job.job, job.request)

        def enter(stage: Step) -> None:
            with self._interrupts.paused(job.job):
                progress.enter(stage)
                self._has_news.set()

        self._progress = progress
        try:
            with self._interrupts.job(job.job):
                result = runner.run(job.request, enter)
            answer = DoneMessage(job.job, result)
            runner.learn(job.request, progress)
        except KeyboardInterrupt:
            answer = CancelledMessage(job.job)
        except Exception as error:
            answer = _failed(job.job, error)
        with self._telling:
            self._progress = None
        self._send(answer)

    def _send(self, message: object) -> None:
        try:
            self._answers.send(message)
        except OSError:
            self._end_soon()

    # --- the other threads --------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Beat every second, tell progress four times a second and at each stage, notice that Blender has gone."""
        last, beat = None, time.monotonic()
        while True:
            self._has_news.wait(PROGRESS_S)
            self._has_news.clear()
            with self._telling:
                progress = self._progress
                message = progress.message() if progress is not None else None
                if message is not None and message != last:
                    self._send(message)
                    last = message
            if time.monotonic() - beat >= HEARTBEAT_S:
                beat = time.monotonic()
                self._send(HeartbeatMessage(progress.job_id if progress is not None else None))
            # Windows never changes the number; there the job object ends this process with Blender
            if os.getppid() != self._parent:
                self._end_soon()
                return

    def _read(self) -> None:
        """Take what Blender says until it says no more."""
        with own_standard_input() as messages:
            for line in iter(messages.readline, b""):
                try:
                    message = client_message(line)
                except MalformedMessage as error:
                    print(f"not understood: {error}", file=sys.stderr)
                    continue
                if isinstance(message, JobMessage):
                    self._inbox.put(message)
                elif isinstance(message, CancelMessage):
                    self._cancel(message.job)
                elif isinstance(message, ShutdownMessage):
                    break
        self._end_soon()

    def _cancel(self, job_id: str) -> None:
        if self._inbox.remove(job_id):
            self._send(CancelledMessage(job_id))
        else:
            self._interrupts.request(job_id)

    def _end_soon(self) -> None:
        """Stop the job, which cleans up after itself, and end in any case."""
        self._inbox.close()
        progress = self._progress
        if progress is not None:
            self._interrupts.request(progress.job_id)
        last_chance = threading.Timer(LAST_CHANCE_S if progress is not None else 0.0, os._exit, [DONE])
        last_chance.daemon = True
        with contextlib.suppress(RuntimeError):
            # no thread can be started while Python ends anyway
            last_chance.start()


def _failed(job_id: str | None, error: Exception) -> FailedMessage:
    """The message for an error; the log gets the traceback of one that nobody expected."""
    told = for_people(error)
    print(f"likeness: {told}", file=sys.stderr)
    if told is not error:
        traceback.print_exception(error)
    return FailedMessage(job_id, told.code, told.message, told.hint)
