"""What goes wrong while a job runs: whatever it is, the scene stays and one sentence says what to do."""

from __future__ import annotations

import os
import signal
import time

from tests.window.blender_window import BlenderWindow
from tests.window.play import Play, seconds_until_gone

_FAILURE_S = 15.0
# how long a worker may outlive its Blender
_WORKER_S = 5.0
# the window takes all that a halted worker has said in this time; it counts as hanging much later
_HEARD_S = 1.5
_ATTEMPTS = 3
# how far across the sidebar the crosses stand that dismiss something
_CROSS = 0.82


def kill_the_worker(play: Play) -> None:
    """The worker dies: the panel says so, the scene is as it was, and the next job gets a new worker."""
    with play.blender() as window:
        window.open_tab()
        worker = _halt_at_work(play, window)
        before = window.ask("fingerprint()")
        os.kill(worker, signal.SIGKILL)
        failure = window.wait_until("the panel says it", lambda: window.ask("status()")["failure"], _FAILURE_S)
        _code, message, hint = failure
        print(f"    the panel says: {message} {hint}")
        # one sentence of what happened, one of what to do
        assert message.count(". ") == 0 and message.endswith(".") and hint.endswith(".")
        assert window.ask("fingerprint()") == before
        play.take(window, "worker_killed")
        # nothing in there could open a text, but the button is what mends it
        window.find_button("likeness.open_log")
        window.press("likeness.dismiss", across=_CROSS)
        window.wait_until("the message goes", lambda: window.ask("status()")["failure"] is None, 5.0)
        play.choose_photo(window)
        assert _worker_at_work(window) != worker
        assert window.quit() == 0


def open_another_file(play: Play) -> None:
    """A file is opened during a job: the avatar does not come into the wrong scene, and is not lost."""
    other = play.scenes / "other" / "other.blend"
    other.parent.mkdir(exist_ok=True)
    with play.blender() as window:
        window.ask("save_copy({path})", path=play.machine.seen(other))
        window.open_tab()
        play.choose_photo(window)
        _worker_at_work(window)
        window.point_at_view()
        play.screen.key("ctrl+o")
        window.choose_file(play.machine.seen(other.parent), other.name)
        window.confirm_file()
        window.wait_until("the file is open", lambda: window.ask("bpy.data.filepath"), 30.0)
        before = window.ask("fingerprint()")
        window.wait_until("the avatar waits", lambda: window.ask("status()")["waiting"], 300.0)
        window.open_tab()
        play.take(window, "other_file")
        assert window.ask("fingerprint()") == before
        window.press("likeness.import_finished")
        play.wait_for_avatar(window, 1)
        assert window.quit() == 0


def drop_a_photo(play: Play) -> None:
    """A photo is dropped on the sidebar: as Blender does it, for there is no file manager here to drag it from."""
    with play.blender() as window:
        window.open_tab()
        folder = play.machine.seen(play.photo.parent) + "/"
        window.ask("drop({folder}, {names})", folder=folder, names=[play.photo.name])
        # Blender asks which of its ways to take a picture is meant
        play.take_with_mouse("dropped")
        play.screen.key("p")
        window.wait_until("the job is there", lambda: window.ask("status()")["job"], 10.0)
        assert window.quit() == 0


def quit_during_a_job(play: Play) -> None:
    """Blender is closed: the worker ends."""
    with play.blender() as window:
        window.open_tab()
        play.choose_photo(window)
        worker = _worker_at_work(window)
        assert window.quit() == 0
        seconds = seconds_until_gone(worker, 2 * _WORKER_S)
        print(f"    the worker ended {seconds:.1f} s after Blender")
        assert seconds < _WORKER_S


def crash_during_a_job(play: Play) -> None:
    """Blender dies without a word: the worker ends all the same."""
    with play.blender() as window:
        window.open_tab()
        play.choose_photo(window)
        worker = _worker_at_work(window)
        os.kill(window.pid, signal.SIGKILL)
        seconds = seconds_until_gone(worker, 2 * _WORKER_S)
        print(f"    the worker ended {seconds:.1f} s after Blender")
        assert seconds < _WORKER_S


def _halt_at_work(play: Play, window: BlenderWindow) -> int:
    """Start a job and halt its worker before it is through; returns the worker's process.

    A window that is drawn in software may hear of the first stage when the last one is over: whether the worker was
    halted in time shows when all that it has said is heard.
    """
    for _ in range(_ATTEMPTS):
        play.choose_photo(window)
        worker = _worker_at_work(window)
        os.kill(worker, signal.SIGSTOP)
        time.sleep(_HEARD_S)
        if window.ask("status()")["job"] is not None:
            return worker
        os.kill(worker, signal.SIGCONT)
    raise AssertionError("every job was through before its worker could be halted")


def _worker_at_work(window: BlenderWindow) -> int:
    """Wait until the worker computes, past its start and the search for faces; returns its process."""

    def at_work() -> int:
        status = window.ask("status()")
        assert status["job"] is not None, status
        return status["worker"] if status["worker"] and status["job"]["fraction"] > 0.1 else 0

    return window.wait_until("the worker computes", at_work, 180.0)


ALL = (
    ("the worker is killed", kill_the_worker),
    ("another file is opened during a job", open_another_file),
    ("a photo is dropped", drop_a_photo),
    ("Blender is closed during a job", quit_during_a_job),
    ("Blender crashes during a job", crash_during_a_job),
)
