"""What the extension costs Blender: the worker's start, ticks of the timer, idle panels, building an avatar."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import bpy
import pytest

from addon.interface import registration
from addon.interface.user_folders import log_file
from addon.worker.worker_process import WorkerProcess
from tests.interface_stage import Stage, python_of_tests, raised
from tests.panel_page import drawn

# Blender's timer comes about this often
_TICK_S = 0.02
_DRAWS = 300
_STARTS = 3
# a part of another panel is asked for only when that one is open
_PANELS = [cls for cls in registration.CLASSES if issubclass(cls, bpy.types.Panel) and not hasattr(cls, "bl_parent_id")]
# a job that takes longer has failed
_JOB_S = 300.0


@dataclass(frozen=True)
class ExtensionCost:
    """Figures.

    Attributes:
        worker_start_s: from the process's start to its `ready`, the least of a few.
        tick_median_ms, tick_worst_ms: the timer's work while a real job runs, the import left out.
        draw_ms: our part of drawing the tab, an avatar active, nothing running; the least of many.
        build_s: the finished package read and built in the scene, evaluated once, with its undo step.
        idle_timer: whether a timer runs when nothing is to be done.
    """

    worker_start_s: float
    tick_median_ms: float
    tick_worst_ms: float
    draw_ms: float
    build_s: float
    idle_timer: bool


def extension_cost(photo: Path, folder: Path) -> ExtensionCost:
    """Switch the add-on on in this process and make an avatar with the real worker.

    Args:
        photo: with one face.
        folder: empty; gets everything that is written.
    """
    starts = [_worker_start_s(folder / f"log {run}.txt") for run in range(_STARTS)]
    with pytest.MonkeyPatch.context() as monkeypatch, raised(folder, monkeypatch) as stage:
        ticks, build_s = _one_job(stage, photo)
        return ExtensionCost(
            worker_start_s=min(starts),
            tick_median_ms=1000 * statistics.median(ticks),
            tick_worst_ms=1000 * max(ticks),
            draw_ms=1000 * _draw_s(),
            build_s=build_s,
            idle_timer=stage.session.tick() is not None,
        )


def _worker_start_s(log: Path) -> float:
    begun = time.perf_counter()
    worker = WorkerProcess.start(python_of_tests(), log)
    try:
        while worker.messages.take() is None:
            time.sleep(0.002)
        return time.perf_counter() - begun
    finally:
        worker.stop(0.0)
        worker.wait(10.0)


def _one_job(stage: Stage, photo: Path) -> tuple[list[float], float]:
    """Seconds of each tick while the job runs, and of the one that brings the avatar into the scene."""
    registration.close_session()
    environment, ticks = python_of_tests(), []

    def start() -> WorkerProcess:
        stage.workers.append(WorkerProcess.start(environment, log_file()))
        return stage.workers[-1]

    session = registration.open_session(start, lambda: environment)
    bpy.ops.likeness.photo("EXEC_DEFAULT", filepath=str(photo), face=0)
    end, build_s = time.monotonic() + _JOB_S, 0.0
    while session.busy:
        if time.monotonic() > end or session.failure is not None:
            raise RuntimeError(f"the avatar was not made: {session.failure or session.queue.jobs}")
        had_finished = bool(session.finished)
        begun = time.perf_counter()
        session.tick()
        seconds = time.perf_counter() - begun
        if had_finished or session.finished or not session.busy:
            build_s = max(build_s, seconds)
        else:
            ticks.append(seconds)
        time.sleep(_TICK_S)
    return ticks, build_s


def _draw_s() -> float:
    """Seconds of our Python when the tab is drawn: the open panels on a stand-in layout, and what closed ones ask."""
    times = []
    for _ in range(_DRAWS):
        begun = time.perf_counter()
        for panel in _PANELS:
            is_shown = not hasattr(panel, "poll") or panel.poll(bpy.context)
            if is_shown and "DEFAULT_CLOSED" not in getattr(panel, "bl_options", ()):
                drawn(panel)
        times.append(time.perf_counter() - begun)
    return min(times)
