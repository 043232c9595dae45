"""The worker's end of the pipes: what it says, and the jobs it was given."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import IO

from addon.exchange.worker_messages import JobMessage, WorkerMessage, to_line


class Answers:
    """Where messages go. Standard output itself is given to the log, since libraries print there what they like."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file = os.dup(1)
        os.dup2(2, 1)

    def send(self, message: WorkerMessage) -> None:
        """Send a message whole.

        Raises:
            OSError: nobody listens any more.
        """
        line = to_line(message)
        with self._lock:
            while line:
                line = line[os.write(self._file, line) :]


def own_standard_input() -> IO[bytes]:
    """Keep standard input for messages: libraries that ask something get no answer."""
    messages = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return messages


class Inbox:
    """The jobs that have not begun, filled by the thread that reads."""

    def __init__(self) -> None:
        self._jobs: deque[JobMessage] = deque()
        self._has_news = threading.Condition()
        self._is_closed = False

    def put(self, job: JobMessage) -> None:
        """Add a job."""
        with self._has_news:
            self._jobs.append(job)
            self._has_news.notify()

    def remove(self, job_id: str) -> bool:
        """Take a job out again; returns whether it was there."""
        with self._has_news:
            found = [job for job in self._jobs if job.job == job_id]
            for job in found:
                self._jobs.remove(job)
            return bool(found)

    def close(self) -> None:
        """Nothing more is to be done."""
        with self._has_news:
            self._is_closed = True
            self._jobs.clear()
            self._has_news.notify()

    def next(self) -> JobMessage | None:
        """Wait for the next job; None when there will be none."""
        with self._has_news:
            self._has_news.wait_for(lambda: self._jobs or self._is_closed)
            return self._jobs.popleft() if self._jobs else None
