"""Command line: an avatar package to a .blend file and a preview sheet, in a process of its own.

    python -m addon.scene PACKAGE --blend FILE.blend [--preview PREVIEW.png]
    python -m addon.scene -

With `-` it loads Blender first and prints the line `ready`; then it reads one line of JSON,
{"package": PATH, "blend": PATH, "preview": PATH or null}, and answers with one: {"done": true, "timings_s": {...}} or
{"failed": {"code": ..., "message": ..., "hint": ...}}. Exit status: 0 done, 2 an expected failure, 1 a defect.
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
    parser.add_argument("package", help="folder of the avatar package, or - to take one job from standard input")
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
    """Load Blender, wait for one job, do it, answer."""

    def answer(document: dict) -> None:
        print(json.dumps(document), file=answers, flush=True)

    def failed(error: LikenessError) -> None:
        answer({"failed": {"code": error.code, "message": error.message, "hint": error.hint}})

    def work() -> dict[str, float] | None:
        # everything a job needs is loaded before the process calls itself ready
        from . import build_avatar  # noqa: F401
        from .scene_settings import empty_scene

        empty_scene()
        print("ready", file=answers, flush=True)
        line = sys.stdin.readline()
        return _run(_read_job(line)) if line.strip() else None

    return _report(work, lambda timings: timings is not None and answer({"done": True, "timings_s": timings}), failed)


def _report(
    work: Callable[[], dict[str, float] | None],
    on_done: Callable[[dict[str, float] | None], object],
    on_failure: Callable[[LikenessError], None],
) -> int:
    """The edge of the process: every outcome becomes a report and an exit status."""
    try:
        on_done(work())
    except LikenessError as error:
        on_failure(error)
        return _FAILED
    except Exception as error:
        traceback.print_exc()
        on_failure(LikenessError("defect", f"Building the avatar failed: {error}.", "Please report this."))
        return _DEFECT
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


def _table(timings: dict[str, float] | None) -> str:
    return "\n".join(f"{stage:16} {seconds:7.2f} s" for stage, seconds in (timings or {}).items())


def _print_failure(error: LikenessError) -> None:
    print(f"{error.message} {error.hint}".strip(), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
