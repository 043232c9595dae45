"""Command line: an avatar package to a .blend file and a preview sheet, in a process of its own.

    python -m addon.scene PACKAGE --blend FILE.blend [--preview PREVIEW.png]
    python -m addon.scene -

With `-` it loads Blender first and prints the line `ready`; then it serves jobs until the input ends. A job is one line
of JSON, {"package": PATH, "blend": PATH, "preview": PATH or null}, and each gets one in answer: {"done": true,
"timings_s": {...}} or {"failed": {"code": ..., "message": ..., "hint": ...}}. Exit status: 0 done, 2 an expected
failure, 1 a defect; with `-`, that of the last job.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from ..exchange.errors import LikenessError

_DONE, _DEFECT, _FAILED = 0, 1, 2


@dataclass(frozen=True)
class Job:
    """What to build: a package folder into a .blend file, with a preview sheet or without."""

    package: Path
    blend: Path
    preview: Path | None


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m addon.scene", description="An avatar package becomes a .blend file."
    )
    parser.add_argument("package", help="folder of the avatar package, or - to take jobs from standard input")
    parser.add_argument("--blend", type=Path, help="the .blend file to write")
    parser.add_argument("--preview", type=Path, help="the preview sheet to write (PNG)")
    options = parser.parse_args(arguments)
    answers = _own_standard_output()
    if options.package == "-":
        return _serve(answers)
    if options.blend is None:
        parser.error("--blend is required")
    job = Job(Path(options.package), options.blend, options.preview)
    return _report(lambda: _run(job), lambda timings: print(_table(timings), file=answers), _print_failure)


def _own_standard_output() -> TextIO:
    """Keep standard output for answers: Blender writes its own progress to the same file descriptor."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.close(quiet)
    return answers


def _serve(answers: TextIO) -> int:
    """Load Blender, then do and answer the jobs one after the other; returns the status of the last."""

    def answer(document: dict) -> None:
        print(json.dumps(document), file=answers, flush=True)

    def done(timings_s: dict[str, float]) -> None:
        answer({"done": True, "timings_s": timings_s})

    def failed(error: LikenessError) -> None:
        answer({"failed": {"code": error.code, "message": error.message, "hint": error.hint}})

    # everything a job needs is loaded before the process calls itself ready
    from . import build_avatar  # noqa: F401
    from .scene_settings import empty_scene

    empty_scene()
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    print("ready", file=answers, flush=True)
    status = _DONE
    # not `for line in sys.stdin`, which would read ahead
    for line in iter(sys.stdin.readline, ""):
        if line.strip():
            status = _report(partial(_run_line, line), done, failed)
    return status


def _run_line(line: str) -> dict[str, float]:
    return _run(_read_job(line))


def _report(
    work: Callable[[], dict[str, float]],
    on_done: Callable[[dict[str, float]], None],
    on_failure: Callable[[LikenessError], None],
) -> int:
    """The edge of a job: every outcome becomes a report and an exit status."""
    try:
        timings_s = work()
    except LikenessError as error:
        on_failure(error)
        return _FAILED
    except Exception as error:
        traceback.print_exc()
        on_failure(LikenessError("defect", f"Building the avatar failed: {error}.", "Please report this."))
        return _DEFECT
    on_done(timings_s)
    return _DONE


def _read_job(line: str) -> Job:
    try:
        request = json.loads(line)
        preview = request.get("preview")
        return Job(Path(request["package"]), Path(request["blend"]), None if preview is None else Path(preview))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LikenessError(
            "job_unreadable", "The job is not a line of JSON with a package and a blend.", "See the module's text."
        ) from error


def _run(job: Job) -> dict[str, float]:
    """Build, save, draw; returns the seconds of each stage."""
    # imported here, so that a wrong command line answers at once; importing bpy takes half a second
    from ..exchange.avatar_package import read_package
    from .blend_file import save_blend
    from .build_avatar import build_avatar
    from .scene_settings import empty_scene, look_through_camera

    timings: dict[str, float] = {}

    def timed(stage: str, action: Callable):
        start = time.perf_counter()
        result = action()
        timings[stage] = round(time.perf_counter() - start, 3)
        return result

    package = timed("read_package", lambda: read_package(job.package))
    empty_scene()
    avatar = timed("blender_objects", lambda: build_avatar(package))
    look_through_camera()
    timed("save_blend", lambda: save_blend(job.blend))
    if job.preview is not None:
        from .preview_sheet import make_preview_sheet

        preview = job.preview
        timed("preview", lambda: make_preview_sheet(package, avatar, preview))
    return timings


def _table(timings: dict[str, float]) -> str:
    return "\n".join(f"{stage:16} {seconds:7.2f} s" for stage, seconds in timings.items())


def _print_failure(error: LikenessError) -> None:
    print(f"{error.message} {error.hint}".strip(), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
