"""What all scenes of the suite have: the machine, the screen, the files of an artist, and a place for pictures."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assets.recipes.extension.contents import ROOT
from tests.window.blender_window import BlenderWindow, opened_window
from tests.window.machine import Machine
from tests.window.screen import Screen

PORTRAIT = ROOT / ".cache" / "astronaut.png"
# names as people give them
_PHOTOS = "Mes photos d'été"
_PHOTO = "Astronaute à l'école.png"
# a fit on two slow cores that also draw Blender's window
_JOB_S = 300.0
# a menu, drawn in software
_DRAWN_S = 1.0


@dataclass(frozen=True)
class Play:
    """One version of Blender, and what lies on the artist's disk.

    Attributes:
        machine: Blender; screen: its screen.
        archive: the zip, alone in its folder.
        photo: alone in its folder.
        scenes: for .blend files.
        pictures: for pictures of the screen.
    """

    machine: Machine
    screen: Screen
    archive: Path
    photo: Path
    scenes: Path
    pictures: Path

    @classmethod
    def begin(cls, machine: Machine, screen: Screen, archive: Path, pictures: Path) -> Play:
        """Lay everything out."""
        downloads, photos = machine.folder / "Downloads", machine.folder / _PHOTOS
        scenes = machine.folder / "Scenes"
        for folder in (downloads, photos, scenes, pictures):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(PORTRAIT, photos / _PHOTO)
        zip_file = Path(shutil.copy(archive, downloads))
        return cls(machine, screen, zip_file, photos / _PHOTO, scenes, pictures)

    @contextlib.contextmanager
    def blender(self, scene: Path | None = None) -> Iterator[BlenderWindow]:
        """Blender, with a .blend or with the scene that a new user sees."""
        arguments = [self.machine.seen(scene)] if scene else []
        with opened_window(self.machine, self.screen, *arguments) as window:
            try:
                yield window
            except AssertionError:
                self.screen.picture(self.pictures / "failure.png")
                raise

    def take(self, window: BlenderWindow, name: str) -> Path:
        """Take a picture of the screen without the mouse's tooltip."""
        return window.picture(self.pictures / f"{name}.png")

    def take_with_mouse(self, name: str) -> Path:
        """Take a picture of the screen as it is, with an open menu for instance."""
        time.sleep(_DRAWN_S)
        return self.screen.picture(self.pictures / f"{name}.png")

    def choose_photo(self, window: BlenderWindow, picture: str = "") -> None:
        """Press Photo… and choose the photo, all with the mouse."""
        window.press("likeness.photo")
        window.choose_file(self.machine.seen(self.photo.parent), self.photo.name)
        if picture:
            self.take_with_mouse(picture)
        window.confirm_file()
        window.wait_until("the job is there", lambda: window.ask("status()")["job"], 5.0)

    def wait_for_avatar(self, window: BlenderWindow, count: int) -> dict:
        """Wait until so many avatars stand in the scene; returns the newest, whose failure would be said.

        Raises:
            AssertionError: the job failed, or took too long.
        """

        def arrived() -> list[dict]:
            status = window.ask("status()")
            assert status["failure"] is None, status["failure"]
            found = [] if status["busy"] else window.ask("avatars()")
            return found if len(found) >= count else []

        found = window.wait_until("the avatar is in the scene", arrived, _JOB_S)
        assert len(found) == count, found
        return next(avatar for avatar in found if avatar["name"] == window.ask("bpy.context.object.name"))


def seconds_until_gone(pid: int, limit_s: float) -> float:
    """How long a process still runs; `limit_s` where it does not end within that."""
    start = time.monotonic()
    while _runs(pid) and time.monotonic() - start < limit_s:
        time.sleep(0.1)
    return time.monotonic() - start


def _runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
