"""What a child process prints, read without waiting and without a thread (see `steps`)."""

from __future__ import annotations

import os
import sys
from typing import IO

if sys.platform == "win32":
    import _winapi
    import msvcrt

_CHUNK_BYTES = 65536


class ChildOutput:
    """The reading end of a pipe.

    Attributes:
        has_ended: nothing more will come: the other end was closed, or this one.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.has_ended = False
        if sys.platform != "win32":
            # this end alone: who writes still waits while the pipe is full
            os.set_blocking(stream.fileno(), False)

    def read(self) -> bytes:
        """Some of what is there now; empty where nothing is."""
        if self.has_ended:
            return b""
        try:
            if not self._has_come():
                return b""
            chunk = os.read(self._stream.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            # how Windows says that the other end was closed
            chunk = b""
        self.has_ended = not chunk
        return chunk

    def close(self) -> None:
        """Read no more."""
        self.has_ended = True
        self._stream.close()

    def _has_come(self) -> bool:
        """Whether reading returns at once; elsewhere than on Windows it always does."""
        if sys.platform == "win32":
            return _winapi.PeekNamedPipe(msvcrt.get_osfhandle(self._stream.fileno()), 0)[0] > 0
        return True
