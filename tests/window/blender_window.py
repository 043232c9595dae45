"""A Blender with a window, as the suite sees it: ask the driver inside, find a button, press it, wait."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.window.machine import Machine
from tests.window.screen import HEIGHT_PX, WIDTH_PX, Screen

_START_S = 60.0
# 5.2 compiles its shaders in software before it does anything else
_ANSWER_S = 900.0
_QUIT_S = 60.0
# half the height of a button at scale 1
_SCAN_STEP_PX = 9
# what Blender is given to hear of each movement of the mouse, in one search after the other: most machines need none
_PAUSES_S = (0.0, 0.2, 0.6)
# from the top of the file browser's list, below its column titles, to its first file
_FIRST_FILE_PX = 34
# from the right edge of the file browser to the middle of its last button
_ACCEPT_PX = 70
_POLL_S = 0.1
# until a sidebar that has just been opened is drawn
_SIDEBAR_S = 0.5


@dataclass(frozen=True)
class Place:
    """A region of an editor, and where its window stands.

    Attributes:
        kind: of the region; area: of the editor.
        left: of the window, top: of the window, in pixels of the screen.
    """

    kind: str
    area: str
    left: int = 0
    top: int = 0


SIDEBAR = Place("UI", "VIEW_3D")


class WindowGone(Exception):
    """Blender has ended, or does not answer."""


class BlenderWindow:
    """One running Blender."""

    def __init__(self, machine: Machine, screen: Screen, process: subprocess.Popen, connection: socket.socket) -> None:
        self.machine, self.screen = machine, screen
        self._process = process
        self._connection = connection
        self._stream = connection.makefile("rw", encoding="utf-8")
        self.pid = self.ask("os.getpid()")

    def ask(self, expression: str, **values: object) -> Any:
        """Evaluate an expression in the driver; `values` are put in with their names.

        Raises:
            WindowGone: nothing answers.
            RuntimeError: the expression failed; with Blender's traceback.
        """
        # JSON's words for nothing, yes and no are not Python's, so values go as Python's own text
        text = expression.format(**{name: repr(value) for name, value in values.items()})
        try:
            self._stream.write(json.dumps({"expression": text}) + "\n")
            self._stream.flush()
            line = self._stream.readline()
        except OSError as error:
            raise WindowGone(f"{text}: {error}") from error
        if not line:
            raise WindowGone(f"{text}: Blender has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def wait_until(self, what: str, condition: Callable[[], Any], timeout_s: float) -> Any:
        """Wait for something; returns what the condition returned.

        Raises:
            AssertionError: it did not come.
        """
        end = time.monotonic() + timeout_s
        while not (found := condition()):
            assert time.monotonic() < end, f"{what}: not within {timeout_s:.0f} s; {self.ask('status()')}"
            time.sleep(_POLL_S)
        return found

    def open_tab(self) -> None:
        """Open the sidebar at our tab."""

        def is_open() -> bool:
            # a sidebar that was not drawn yet forgets the tab
            return self.ask("show_sidebar('Likeness')") == "Likeness" and not time.sleep(_SIDEBAR_S)

        self.wait_until("the tab opens", lambda: is_open() and is_open(), 15.0)

    def find_button(self, command: str, place: Place = SIDEBAR, across: float = 1 / 3) -> tuple[int, int]:
        """Move the mouse down a region until Blender names the button under it.

        Args:
            command: words of the button's Python command: its name, or one of its arguments.
            place: the region.
            across: how far from its left edge to look, as a part of its width.

        Raises:
            AssertionError: there is no such button.
        """
        # the path of a property may hold the same words
        return self._find(lambda found: found.startswith("bpy.ops.") and command in found, command, place, across)

    def find_property(self, path: str, place: Place = SIDEBAR, across: float = 1 / 3) -> tuple[int, int]:
        """The same for a property.

        Args:
            path: from the block of data that holds it.
        """
        return self._find(lambda found: found == path, path, place, across)

    def _find(self, is_it: Callable[[str], bool], words: str, place: Place, across: float) -> tuple[int, int]:
        seen: list[str] = []
        for pause_s in _PAUSES_S:
            for x, y, found in self._buttons(place, across, pause_s):
                if is_it(found):
                    return x, y
                seen += [found] if found not in seen else []
        raise AssertionError(f"no {words} in {place}; there are {seen}")

    def _buttons(self, place: Place, across: float, pause_s: float) -> Iterator[tuple[int, int, str]]:
        """Where something is under the mouse on its way down a region: a button's Python command, a property's path."""
        left, top, right, bottom = self.ask("box({kind}, {area})", kind=place.kind, area=place.area)
        x = place.left + left + round((right - left) * across)
        for y in range(place.top + top + _SCAN_STEP_PX, place.top + bottom, _SCAN_STEP_PX):
            self.screen.move(x, y)
            time.sleep(pause_s)
            found = self.ask("under_mouse({kind}, {area})", kind=place.kind, area=place.area)
            if found:
                yield x, y, found

    def press(self, command: str, place: Place = SIDEBAR, across: float = 1 / 3) -> None:
        """Click a button (see `find_button`)."""
        self.screen.click(*self.find_button(command, place, across))

    def choose_file(self, folder: str, name: str) -> None:
        """Choose the first file of a folder in the file browser that is open or opening, with the mouse.

        Raises:
            AssertionError: no file browser opens, or another file comes first.
        """
        left, top = self.open_folder(folder)
        place = self.ask("browser()")

        def click_first() -> bool:
            self.screen.click(left + place["list"][0] + 40, top + place["list"][1] + _FIRST_FILE_PX)
            return self.ask("browser()")["file"] == name

        self.wait_until(f"{name} is chosen", click_first, 10.0)

    def open_folder(self, folder: str, name: str = "") -> tuple[int, int]:
        """Go to a folder in the file browser that is open or opening, and write a name there.

        Returns:
            Left and top of its window, in pixels of the screen.

        Raises:
            AssertionError: no file browser opens.
        """
        self.wait_until("the file browser opens", lambda: self.ask("browser()"), 10.0)
        place = self.screen.bring_into_view("Blender File View")
        self.ask("browse({folder}, {name})", folder=folder, name=name)
        return place

    def confirm_file(self) -> None:
        """Press the button of the file browser that accepts what is chosen."""
        left, top = self.screen.bring_into_view("Blender File View")
        box = self.ask("browser()")["buttons"]
        self.screen.click(left + box[2] - _ACCEPT_PX, top + (box[1] + box[3]) // 2)
        self.wait_until("the file browser closes", lambda: self.ask("browser()") is None, 10.0)

    def point_at_view(self) -> None:
        """Put the mouse on the viewport, so that keys go there."""
        left, top, _right, bottom = self.ask("box('WINDOW')")
        self.screen.move(left + 200, (top + bottom) // 2)

    def quit(self) -> int:
        """Press Ctrl Q; returns the exit status.

        Raises:
            AssertionError: Blender does not end.
        """
        self.point_at_view()
        self.screen.key("ctrl+q")
        try:
            return self._process.wait(_QUIT_S)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"Blender has not quit within {_QUIT_S:.0f} s") from error

    def kill(self) -> None:
        """End it without a word, as a crash does."""
        _kill(self._process)

    def picture(self, path: Path) -> Path:
        """A picture of the screen, when what was asked to be drawn has been drawn."""
        # the mouse would leave a tooltip or a highlighted button in the picture
        self.screen.move(WIDTH_PX // 3, HEIGHT_PX - 120)
        for _ in range(3):
            self.ask("1")
            time.sleep(0.2)
        return self.screen.picture(path)

    def close(self) -> None:
        """Let go of it, dead or alive."""
        # what was still to be sent to a Blender that is gone cannot be
        with contextlib.suppress(OSError):
            self._stream.close()
        self._connection.close()
        if self._process.poll() is None:
            self.kill()


@contextlib.contextmanager
def opened_window(machine: Machine, screen: Screen, *arguments: str) -> Iterator[BlenderWindow]:
    """Start Blender with a window; it does not outlive the block.

    Args:
        arguments: of its command line, a file to open for instance.
    """
    driver, sockets = machine.folder / "driver.py", machine.folder / "sockets"
    shutil.copy(Path(__file__).with_name("driver.py"), driver)
    shutil.rmtree(sockets, ignore_errors=True)
    sockets.mkdir()
    address = sockets / "driver"
    command = machine.command(
        "blender", "--window-geometry", "0", "0", str(WIDTH_PX), str(HEIGHT_PX), *arguments,
        "--python-exit-code", "1", "--python", machine.seen(driver), "--", machine.seen(address),
    )  # fmt: skip
    with (machine.folder / "blender.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=machine.folder,
            env=screen.variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    window = None
    try:
        window = BlenderWindow(machine, screen, process, _connected(process, address))
        yield window
    finally:
        if window is not None:
            window.close()
        elif process.poll() is None:
            _kill(process)


def _kill(process: subprocess.Popen) -> None:
    """Kill Blender and the tool that waits for it; a worker is in a group of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_QUIT_S)


def _connected(process: subprocess.Popen, address: Path) -> socket.socket:
    """A connection to the driver, as soon as it listens."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_ANSWER_S)
        try:
            connection.connect(str(address))
            return connection
        except OSError:
            connection.close()
            time.sleep(0.3)
    raise WindowGone(f"Blender did not start (status {process.poll()}); its words are in blender.log")
