"""Writes failures to the log file, for whoever has to find out why."""

from __future__ import annotations

import datetime
import sys
import traceback

from .user_folders import log_file


def log_failure(what: str, error: BaseException) -> None:
    """Add a traceback to the log.

    Args:
        what: was being done.
        error: what came of it.
    """
    lines = "".join(traceback.format_exception(error))
    now = datetime.datetime.now().isoformat(timespec="seconds")
    path = log_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{now} {what}\n{lines}\n")
    except OSError as problem:
        # a full disk must not hide the failure itself
        print(f"likeness: no log can be kept in {path} ({problem})\n{lines}", file=sys.stderr)
