"""What a worker says, taken from its pipe without ever waiting for it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import IO

from ..exchange.worker_messages import (
    MAX_LINE_BYTES,
    HeartbeatMessage,
    MalformedMessage,
    WorkerMessage,
    to_line,
    worker_message,
)
from .child_output import ChildOutput

# the only thing that comes while nobody asks: hundreds are in the pipe when somebody does
_IDLE_HEARTBEAT = to_line(HeartbeatMessage(None)).rstrip(b"\n")


@dataclass(frozen=True)
class Unreadable:
    """The worker printed what is no message; what follows is not to be taken."""

    error: MalformedMessage


class MessagePipe:
    """The messages of a worker, in order, heartbeats left out.

    What nobody takes waits in the pipe; once that is full, the worker waits too.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._output = ChildOutput(stream)
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._heard = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether `take` has taken all that was there."""
        return not self._lines

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing more will come: the worker has closed the pipe, and all was taken."""
        return self._output.has_ended and self.is_empty

    @property
    def seconds_since_heard(self) -> float:
        """Since `take` last found anything, or since the pipe was opened."""
        return time.monotonic() - self._heard

    def take(self) -> WorkerMessage | Unreadable | None:
        """The next message; None when none is there now."""
        while (line := self._next_line()) is not None:
            try:
                message = worker_message(line)
            except MalformedMessage as error:
                return Unreadable(error)
            if not isinstance(message, HeartbeatMessage):
                return message
        return None

    def close(self) -> None:
        """Take no more."""
        self._output.close()

    def _next_line(self) -> bytes | None:
        while not self._lines:
            if len(self._rest) > MAX_LINE_BYTES:
                line, self._rest = self._rest, b""
                return line
            chunk = self._output.read()
            if not chunk:
                return None
            self._heard = time.monotonic()
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._lines.extend(line for line in lines if line != _IDLE_HEARTBEAT)
        return self._lines.popleft()
