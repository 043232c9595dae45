"""One worker process: its start, its pipes, its end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from ..exchange.worker_messages import ClientMessage, ShutdownMessage, to_line
from .backend_environment import BackendEnvironment, python_unusable
from .message_pipe import MessagePipe
from .process_group import ProcessGroup, group_options

# a log that has grown beyond this is set aside when the next worker starts
MAX_LOG_BYTES = 2**20
# the end of the log that tells why a start failed
_LOG_TAIL_BYTES = 4096


class WorkerProcess:
    """A running worker; `messages` is what it says.

    All methods but `wait` return at once.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], environment: BackendEnvironment, log_file: Path, log_start: int
    ) -> None:
        self.environment = environment
        self.messages = MessagePipe(process.stdout)
        self._log_file = log_file
        self._log_start = log_start
        self._process = process
        self._group = ProcessGroup(process)
        self._kill_at = 0.0

    @classmethod
    def start(
        cls, environment: BackendEnvironment, log_file: Path, threads: int | None = None, device: str | None = None
    ) -> WorkerProcess:
        """Start a worker.

        Args:
            log_file: what it writes to standard error is added there.
            threads: on the processor; None = its own choice.
            device: "auto", "cpu", "cuda" or "mps"; None = "auto".

        Raises:
            LikenessError: the environment's Python cannot be started.
        """
        options = [*(("--threads", str(threads)) if threads else ()), *(("--device", device) if device else ())]
        with _open_log(log_file) as log:
            log_start = log.tell()
            try:
                process = subprocess.Popen(
                    environment.command(*options),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment.variables(),
                    # a folder that nobody removes or unplugs meanwhile
                    cwd=tempfile.gettempdir(),
                    **group_options(),
                )
            except (OSError, ValueError) as error:
                raise python_unusable(environment.python, error) from error
        return cls(process, environment, log_file, log_start)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def exhausted(self) -> bool:
        """Whether nothing more will come: the process has closed its output, and all was taken."""
        return self.messages.is_exhausted

    @property
    def exit_status(self) -> int | None:
        """Of the process when it has ended; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def seconds_since_heartbeat(self) -> float:
        """Since the worker last said anything, or was started."""
        return self.messages.seconds_since_heard

    def send(self, message: ClientMessage) -> None:
        """Tell the worker something; a worker that has gone does not hear it, which `alive` tells."""
        stream = self._process.stdin
        with contextlib.suppress(OSError, ValueError):
            stream.write(to_line(message))
            stream.flush()

    def stop(self, grace_s: float) -> None:
        """End the worker and all that it has started; `has_left` is to be asked until it says so.

        Args:
            grace_s: how long it may take to end by itself; 0 = kill it now.
        """
        self._kill_at = time.monotonic() + grace_s
        if grace_s > 0:
            self.send(ShutdownMessage())
            self._close_input()
        else:
            self._group.kill()

    def has_left(self) -> bool:
        """Whether a worker that was told to stop has ended; one that takes too long is killed."""
        if self.alive:
            if time.monotonic() >= self._kill_at:
                self._group.kill()
            return False
        # on Windows, what it has started
        self._group.kill()
        self._close_input()
        self.messages.close()
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process; returns whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return not self.alive

    def log_tail(self) -> str:
        """The end of what this worker wrote to the log."""
        with contextlib.suppress(OSError), self._log_file.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - _LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace")
        return ""

    def _close_input(self) -> None:
        # what a process that has ended did not read cannot be delivered
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()


def _open_log(log_file: Path) -> IO[bytes]:
    """The log, to add to; a disk that is full or refuses must not keep the worker from running."""
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        if _size(log_file) > MAX_LOG_BYTES:
            log_file.replace(log_file.with_suffix(".old.txt"))
        return log_file.open("ab")
    except OSError as error:
        print(f"likeness: no log can be kept in {log_file} ({error})", file=sys.stderr)
        return Path(os.devnull).open("ab")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
