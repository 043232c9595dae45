"""A screen without a monitor: its mouse, its keyboard, and pictures of it."""

from __future__ import annotations

import contextlib
import os
import statistics
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
# between letters, and between the two clicks of a double click
_KEY_DELAY_MS = 25


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

    def click(self, x: float, y: float, held: str = "") -> None:
        """Click there, with a key held where one is named."""
        self.move(x, y)
        time.sleep(_EVENT_S)
        # one after the other, since Blender asks for the state of the keys when it comes to the click
        for command in ([["keydown", held]] if held else []) + [["click", "1"]] + ([["keyup", held]] if held else []):
            self._xdotool(*command)

    def key(self, *keys: str) -> None:
        """Press keys, in xdotool's names."""
        self._xdotool("key", *keys)

    def write(self, text: str) -> None:
        """Type a text."""
        self._xdotool("type", "--delay", str(_KEY_DELAY_MS), text)

    def double_click(self, x: float, y: float) -> None:
        """Click there twice."""
        self.move(x, y)
        time.sleep(_EVENT_S)
        self._xdotool("click", "--repeat", "2", "--delay", str(_KEY_DELAY_MS), "1")

    def bring_into_view(self, title: str, size_px: tuple[int, int] | None = None) -> tuple[int, int]:
        """Move the window whose title has these words to where all of it is seen; there is no window manager to do it.

        Args:
            title: words of it.
            size_px: width and height that it shall have; None leaves it as it is.

        Returns:
            Its left and top, in pixels of the screen.
        """
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", title],
            env=self.variables, check=True, capture_output=True, text=True,
        )  # fmt: skip
        number = found.stdout.split()[-1]
        self._xdotool("windowmove", "--sync", number, *map(str, SECOND_WINDOW_PX))
        if size_px:
            self._xdotool("windowsize", "--sync", number, *map(str, size_px))
        return SECOND_WINDOW_PX

    def picture(self, path: Path) -> Path:
        """Take a picture of the whole screen, as PNG."""
        xwd = subprocess.run(["xwd", "-root", "-silent"], env=self.variables, capture_output=True, check=True).stdout
        subprocess.run(["convert", "xwd:-", str(path)], input=xwd, check=True)
        return path

    def mean_colour(self, x: int, y: int, half_px: int) -> tuple[float, float, float]:
        """Mean red, green and blue, 0 to 255, of a square around a point."""
        xwd = subprocess.run(["xwd", "-root", "-silent"], env=self.variables, capture_output=True, check=True).stdout
        side = 2 * half_px
        crop = f"{side}x{side}+{x - half_px}+{y - half_px}"
        command = ["convert", "xwd:-", "-crop", crop, "+repage", "-depth", "8", "rgb:-"]
        pixels = subprocess.run(command, input=xwd, capture_output=True, check=True).stdout
        red, green, blue = (statistics.fmean(pixels[channel::3]) for channel in range(3))
        return red, green, blue

    def _xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.variables, check=True, capture_output=True)
        time.sleep(_EVENT_S)


@contextlib.contextmanager
def opened_screen() -> Iterator[Screen]:
    """A screen for the time of the block."""
    read, write = os.pipe()
    size = f"{WIDTH_PX}x{HEIGHT_PX}x24"
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", size, "-ac", "+extension", "GLX"]
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
