"""Runs a child process to its end, in steps."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .child_output import ChildOutput
from .process_group import ProcessGroup, group_options
from .steps import WAITING, Steps


@dataclass(frozen=True)
class EndedProcess:
    """Of a process that has ended: its exit status, and the whole lines that it printed.

    Attributes:
        output: to standard output; errors: to standard error.
    """

    status: int
    output: tuple[bytes, ...]
    errors: tuple[bytes, ...]


def run_in_steps(
    command: Sequence[str],
    variables: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    tell: Callable[[bytes], None] = lambda _line: None,
) -> Steps[EndedProcess]:
    """Start a process and see it to its end; one whose steps end early is killed, with all that it has started.

    Args:
        command: the program and its arguments.
        variables: its environment; None = ours.
        timeout_s: None = however long it takes.
        tell: gets each line that it prints.

    Raises:
        OSError, ValueError: it cannot be started.
        TimeoutError: it took longer.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
        **group_options(),
    )
    group, begun = ProcessGroup(process), time.monotonic()
    output, errors = _Lines(ChildOutput(process.stdout), tell), _Lines(ChildOutput(process.stderr), tell)
    try:
        has_ended = False
        while not has_ended:
            # asked first, so that its last words are read below
            has_ended = process.poll() is not None
            if not has_ended and timeout_s is not None and time.monotonic() - begun > timeout_s:
                raise TimeoutError
            output.take()
            errors.take()
            if not has_ended:
                yield WAITING
    finally:
        group.kill()
        process.wait()
        output.close()
        errors.close()
    return EndedProcess(process.returncode, tuple(output.lines), tuple(errors.lines))


class _Lines:
    """The lines of one pipe."""

    def __init__(self, output: ChildOutput, tell: Callable[[bytes], None]) -> None:
        self.lines: list[bytes] = []
        self._output, self._tell = output, tell
        self._rest = b""

    def take(self) -> None:
        """Take all that is there now."""
        while chunk := self._output.read():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._add(line)

    def close(self) -> None:
        """Read no more; what stands without a line's end counts as a line."""
        self._output.close()
        if self._rest:
            self._add(self._rest)

    def _add(self, line: bytes) -> None:
        self.lines.append(line)
        self._tell(line)
