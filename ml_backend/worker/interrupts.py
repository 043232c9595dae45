"""Stops the job of the main thread from another thread, wherever the job is in Python code."""

from __future__ import annotations

import _thread
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class JobInterrupts:
    """As Ctrl-C, but for one job only: a cancel that comes too late does not reach the next job.

    The stages need no checks of their own: the interrupt arrives as soon as the library call at work returns.
    """

    def __init__(self) -> None:
        self._wanted: str | None = None
        # the job that may be interrupted; it is raised once, so that cleaning up is not disturbed
        self._open: str | None = None

    def install(self) -> None:
        """Take over SIGINT, also a real Ctrl-C, which is not for this process. Call it in the main thread."""
        signal.signal(signal.SIGINT, self._on_signal)

    def request(self, job_id: str) -> None:
        """Interrupt a job if it is at work; from any thread."""
        self._wanted = job_id
        _thread.interrupt_main()

    @contextmanager
    def job(self, job_id: str) -> Iterator[None]:
        """The block in which the job may be interrupted.

        Raises:
            KeyboardInterrupt: it was.
        """
        self._open = job_id
        try:
            # the request may have come just before
            self.check(job_id)
            yield
        finally:
            self._open = None

    @contextmanager
    def paused(self, job_id: str) -> Iterator[None]:
        """The block, within `job`, that is finished first: one that holds locks which other threads need.

        Raises:
            KeyboardInterrupt: afterwards, if it was wanted.
        """
        self._open = None
        yield
        self._open = job_id
        self.check(job_id)

    def check(self, job_id: str) -> None:
        """Interrupt the job here if that is wanted: an interrupt that came inside a destructor was lost.

        Raises:
            KeyboardInterrupt: it is wanted.
        """
        if self._wanted == job_id:
            self._open = None
            raise KeyboardInterrupt

    def _on_signal(self, *_arguments: object) -> None:
        if self._open is not None and self._wanted == self._open:
            self._open = None
            raise KeyboardInterrupt
