"""The sentences for a worker that fails."""

from __future__ import annotations

import sys

from ..exchange.errors import LikenessError
from .job import Job

STARTING_TEXT = "starting the backend"
_AGAIN = "Try again; if it happens every time, open the log and report what it says."
# the signal of a system that has run out of memory
_KILLED = -9


def garbage(error: Exception) -> LikenessError:
    """It printed what is no message."""
    return LikenessError(
        "worker_garbage", f"The backend gave an answer that cannot be understood ({error!s:.120}).", _AGAIN
    )


def hanging(job: Job | None) -> LikenessError:
    """It has not said anything for too long."""
    return LikenessError("worker_hangs", f"The backend stopped answering{_while(job)}.", _AGAIN)


def died(job: Job | None, exit_status: int | None) -> LikenessError:
    """It ended in the middle of a job."""
    if exit_status == _KILLED and sys.platform != "win32":
        return LikenessError(
            "worker_died",
            f"The backend was ended by the system{_while(job)}.",
            "Perhaps the memory ran out: close other programs or choose smaller textures, then try again.",
        )
    return LikenessError("worker_died", f"The backend ended unexpectedly{_while(job)}.", _AGAIN)


def _while(job: Job | None) -> str:
    return f" while {job.text}" if job is not None and job.text else ""
