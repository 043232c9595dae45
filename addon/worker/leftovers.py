"""What a killed worker leaves half written."""

from __future__ import annotations

from pathlib import Path

from ..exchange.whole_folder import remove_leftovers
from ..exchange.worker_messages import HeadRequest, PhotoRequest
from .job import Job


def remove_leftovers_of(job: Job | None, pid: int) -> None:
    """Remove the unfinished package of a job whose worker has ended; other writers' are left alone.

    Args:
        pid: of the worker.
    """
    if job is not None and isinstance(job.request, PhotoRequest | HeadRequest):
        remove_leftovers(Path(job.request.package), pid)
