"""Work beside what the artist does, in steps that Blender's timer takes: no thread (see `worker.steps`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..exchange.errors import Cancelled, LikenessError
from ..worker.steps import MORE, Steps
from .failure_log import log_failure
from .texts import text

# between two looks at what others do, where Blender waits for the end
_PAUSE_S = 0.01


@dataclass
class Work:
    """One piece of work.

    Attributes:
        name: also the key under which it is found.
        on_end: called with the result, or None and the error.
        line: the last line of progress.
        shall_stop: set when the work shall end early; its steps then get a Cancelled.
        has_more: whether it could go on at once.
    """

    name: str
    on_end: Callable[[Any, LikenessError | None], None]
    line: str = ""
    shall_stop: bool = False
    has_more: bool = MORE
    steps: Steps[Any] | None = None
    result: Any = None
    error: Exception | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there are no steps left."""
        return self.steps is None

    def take_step(self) -> None:
        """Take the next step; the last one leaves `result` or `error`."""
        try:
            if self.shall_stop:
                self.shall_stop = False
                self.has_more = self.steps.throw(Cancelled())
            else:
                self.has_more = next(self.steps)
        except StopIteration as end:
            self.result, self.steps = end.value, None
        # the edge of the work: whatever happens is told where it ends
        except Exception as error:
            self.error, self.steps = error, None


class BackgroundWork:
    """All running pieces of work, by name."""

    def __init__(self) -> None:
        self._running: dict[str, Work] = {}
        self._shown: dict[str, str] = {}

    @property
    def busy(self) -> bool:
        """Whether there is any."""
        return bool(self._running)

    @property
    def has_more(self) -> bool:
        """Whether any could go on at once."""
        return any(work.has_more for work in self._running.values())

    def running(self, name: str) -> Work | None:
        """The work of that name while it runs."""
        return self._running.get(name)

    def start(
        self, name: str, action: Callable[[Work], Steps[Any]], on_end: Callable[[Any, LikenessError | None], None]
    ) -> None:
        """Start work, unless work of that name already runs.

        Args:
            action: makes its steps; gets its record, to write progress to.
        """
        if name not in self._running:
            work = Work(name, on_end)
            work.steps = action(work)
            self._running[name] = work

    def poll(self, budget_s: float) -> bool:
        """Take steps, and tell who waits for the end; returns whether anything is to be drawn anew.

        Args:
            budget_s: after this no further step is taken; each work takes one at least.
        """
        deadline = time.monotonic() + budget_s
        for work in list(self._running.values()):
            work.take_step()
            while work.has_more and not work.has_ended and time.monotonic() < deadline:
                work.take_step()
        lines = {name: work.line for name, work in self._running.items()}
        changed, self._shown = lines != self._shown, lines
        for work in [work for work in self._running.values() if work.has_ended]:
            del self._running[work.name]
            work.on_end(work.result, _for_people(work))
            changed = True
        return changed

    def close(self, timeout_s: float) -> None:
        """Stop all, and wait for them a little; nobody hears of their outcome."""
        deadline = time.monotonic() + timeout_s
        for work in self._running.values():
            work.shall_stop = True
            while not work.has_ended and time.monotonic() < deadline:
                work.take_step()
                if not work.has_ended and not work.has_more:
                    time.sleep(_PAUSE_S)
            if work.steps is not None:
                work.steps.close()
        self._running.clear()


def _for_people(work: Work) -> LikenessError | None:
    if work.error is None or isinstance(work.error, LikenessError):
        return work.error
    log_failure(work.name, work.error)
    return LikenessError("fault", text("error.fault", reason=work.error), text("error.fault.hint"))
