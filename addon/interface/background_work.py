"""Work in a thread that never touches Blender's data; its outcome is taken on Blender's own thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..exchange.errors import LikenessError
from .failure_log import log_failure
from .texts import text


@dataclass
class Work:
    """One piece of work.

    Attributes:
        name: also the key under which it is found.
        on_end: called on Blender's thread with the result, or None and the error.
        line: the last line of progress.
        stop: set when the work shall end early.
    """

    name: str
    on_end: Callable[[Any, LikenessError | None], None]
    line: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None
    thread: threading.Thread | None = None


class BackgroundWork:
    """All running pieces of work, by name."""

    def __init__(self) -> None:
        self._running: dict[str, Work] = {}
        self._shown: dict[str, str] = {}

    @property
    def busy(self) -> bool:
        """Whether any runs, or has an outcome that was not taken."""
        return bool(self._running)

    def running(self, name: str) -> Work | None:
        """The work of that name while it runs."""
        return self._running.get(name)

    def start(
        self, name: str, action: Callable[[Work], Any], on_end: Callable[[Any, LikenessError | None], None]
    ) -> None:
        """Start work, unless work of that name already runs.

        Args:
            action: runs in a thread; gets its own record, to write progress to and to look for `stop`.
        """
        if name in self._running:
            return
        work = Work(name, on_end)

        def run() -> None:
            try:
                work.result = action(work)
            # the edge of the thread: whatever happens is told on Blender's thread
            except BaseException as error:
                work.error = error

        work.thread = threading.Thread(target=run, name=f"likeness {name}", daemon=True)
        self._running[name] = work
        work.thread.start()

    def poll(self) -> bool:
        """Take the outcomes; returns whether anything is to be drawn anew."""
        lines = {name: work.line for name, work in self._running.items()}
        changed, self._shown = lines != self._shown, lines
        for work in [work for work in self._running.values() if not work.thread.is_alive()]:
            del self._running[work.name]
            work.on_end(work.result, _for_people(work))
            changed = True
        return changed

    def close(self, timeout_s: float) -> None:
        """Ask all to stop, and wait for them a little; nobody hears of their outcome."""
        for work in self._running.values():
            work.stop.set()
        for work in self._running.values():
            work.thread.join(timeout_s)
        self._running.clear()


def _for_people(work: Work) -> LikenessError | None:
    if work.error is None or isinstance(work.error, LikenessError):
        return work.error
    log_failure(work.name, work.error)
    return LikenessError("fault", text("error.fault", reason=work.error), text("error.fault.hint"))
