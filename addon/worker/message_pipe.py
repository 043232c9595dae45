"""What a worker says, taken from its pipe without ever waiting for it."""

from __future__ import annotations

import _thread
import os
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

_CHUNK_BYTES = 65536
# more than this waits in the pipe, and the worker with it, until somebody takes what is there
_MOST_WAITING_BYTES = 4 * MAX_LINE_BYTES
_WAIT_S = 0.05
# the only thing that comes while nobody asks
_IDLE_HEARTBEAT = to_line(HeartbeatMessage(None))


@dataclass(frozen=True)
class Unreadable:
    """The worker printed what is no message; what follows is not to be taken."""

    error: MalformedMessage


class MessagePipe:
    """The messages of a worker, in order, heartbeats left out; to be used by one thread.

    A thread of Python's reads the bytes, since pipes cannot be asked on every system whether something is in them. It
    makes nothing that Python's collector of cycles tracks: the collector runs in the thread that asked for memory, and
    in this one it would free Blender's objects while Blender works with them.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._descriptor = stream.fileno()
        self._chunks: deque[bytes] = deque()
        self._bytes_read = self._bytes_taken = 0
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._heard = time.monotonic()
        self._has_ended = False
        _thread.start_new_thread(self._read, ())

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to be taken now."""
        return not self._lines and not self._chunks

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing more will come: the worker has closed the pipe, and all was taken."""
        return self._has_ended and self.is_empty

    @property
    def seconds_since_heard(self) -> float:
        """Since anything came, or since the pipe was opened."""
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

    def _next_line(self) -> bytes | None:
        while not self._lines:
            if len(self._rest) > MAX_LINE_BYTES:
                line, self._rest = self._rest, b""
                return line
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._bytes_taken += len(chunk)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._lines.extend(lines)
        return self._lines.popleft()

    def _read(self) -> None:
        try:
            # nothing in this loop is tracked: bytes, numbers, and the deque that is there already
            while chunk := os.read(self._descriptor, _CHUNK_BYTES):
                self._heard = time.monotonic()
                if chunk != _IDLE_HEARTBEAT:
                    self._bytes_read += len(chunk)
                    self._chunks.append(chunk)
                while self._bytes_read - self._bytes_taken > _MOST_WAITING_BYTES:
                    time.sleep(_WAIT_S)
            self._stream.close()
        except OSError:
            # the pipe was closed at this end
            pass
        finally:
            self._has_ended = True
