"""A screen without a monitor: its mouse, its keyboard, and pictures of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WIDTH_PX, HEIGHT_PX = 1280, 800
# left and top of windows that Blender opens besides its first
SECOND_WINDOW_PX = (60, 60)
_START_S = 10.0
# Blender is told of a key or a place of the mouse well before this
_EVENT_S = 0.06


@dataclass(frozen=True)
class Screen:
    """A screen.

    Attributes:
        display: its name, for DISPLAY.
    """

    display: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment of what is to be seen on it."""
        return os.environ | {"DISPLAY": self.display}

    def move(self, x: float, y: float) -> None:
        """Put the mouse somewhere, in pixels from the top left; Blender hears of two movements."""
        self._xdotool("mousemove", str(round(x) + 1), str(round(y)), "mousemove", str(round(x)), str(round(y)))

    def click(self, x: float, y: float, button: int = 1) -> None:
        """Click there."""
        self.move(x, y)
        time.sleep(_EVENT_S)
        self._xdotool("click", str(button))

    def key(self, *keys: str) -> None:
        """Press keys, in xdotool's names."""
        self._xdotool("key", *keys)

    def bring_into_view(self, title: str) -> tuple[int, int]:
        """Move the window whose title has these words to where all of it is seen; there is no window manager to do it.

        Returns:
            Its left and top, in pixels of the screen.
        """
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", title],
            env=self.variables, check=True, capture_output=True, text=True,
        )  # fmt: skip
        self._xdotool("windowmove", "--sync", found.stdout.split()[-1], *map(str, SECOND_WINDOW_PX))
        return SECOND_WINDOW_PX

    def picture(self, path: Path) -> Path:
        """Take a picture of the whole screen, as PNG."""
        xwd = subprocess.run(["xwd", "-root", "-silent"], env=self.variables, capture_output=True, check=True).stdout
        subprocess.run(["convert", "xwd:-", str(path)], input=xwd, check=True)
        return path

    def _xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.variables, check=True, capture_output=True)
        time.sleep(_EVENT_S)


@contextlib.contextmanager
def opened_screen() -> Iterator[Screen]:
    """A screen for the time of the block."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{WIDTH_PX}x{HEIGHT_PX}x24", "-ac", "+extension", "GLX"]
    process = subprocess.Popen(command, pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as numbers:
            # the server writes its number when it is ready; nothing comes where it could not start
            number = numbers.readline().strip()
        if not number:
            raise RuntimeError(f"Xvfb ended with status {process.wait(_START_S)}")
        yield Screen(f":{number}")
    finally:
        process.terminate()
        process.wait(_START_S)
