"""`python3 build.py test --window`: works in real Blenders with mouse and keyboard, and leaves pictures."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from assets.recipes.extension.contents import ROOT
from assets.recipes.refusal import Refusal
from tests.window import artist, mishaps, photo_folder
from tests.window.blender_window import WindowGone
from tests.window.machine import Machine, why_not
from tests.window.play import PORTRAIT, Play
from tests.window.screen import opened_screen

# Debian's names: Blender 4.3.2 and 5.2.2
SUITES = ("trixie", "sid")
_PICTURES = ROOT / "out" / "window"
REFUSED = 2


def main() -> int:
    """Run the suite; returns the exit status, 2 where it cannot run at all."""
    parser = argparse.ArgumentParser(prog="build.py test --window", description=__doc__)
    parser.add_argument("--suite", choices=SUITES, action="append", help="one Blender only (default: all)")
    parser.add_argument("--pictures", type=Path, default=_PICTURES, help="folder for pictures (default: out/window)")
    parser.add_argument(
        "--part", choices=("artist", "folder", "mishaps"), action="append", help="a part only (default: all)"
    )
    parser.add_argument("--set-up-limit", type=float, default=1200.0, metavar="S", help="for a Blender from nothing")
    arguments = parser.parse_args()
    # whoever ends this one ends its Blender and its screen too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(REFUSED))
    suites = tuple(arguments.suite or SUITES)
    reason = why_not(suites) or ("" if PORTRAIT.is_file() else f"the window suite needs {PORTRAIT}.")
    if reason:
        print(f"likeness: {reason}", file=sys.stderr)
        return REFUSED
    try:
        with tempfile.TemporaryDirectory(prefix="likeness-window-") as folder:
            archive = _build_zip(Path(folder))
            return max(_run_suite(suite, archive, arguments) for suite in suites)
    except Refusal as refusal:
        print(f"likeness: {refusal}", file=sys.stderr)
        return REFUSED


def _build_zip(folder: Path) -> Path:
    """The small zip, as `build.py extension` makes it."""
    command = [sys.executable, "-m", "assets.recipes.extension", "--out", str(folder)]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise Refusal("the zip could not be built; see above.")
    return next(folder.glob("*.zip"))


def _run_suite(suite: str, archive: Path, arguments: argparse.Namespace) -> int:
    """Everything in one Blender; returns 1 when a step failed, which ends it."""
    with tempfile.TemporaryDirectory(prefix=f"likeness-{suite}-", ignore_cleanup_errors=True) as folder:
        machine = Machine(suite, Path(folder).resolve())
        start, was_set_up = time.monotonic(), machine.is_set_up
        machine.set_up(arguments.set_up_limit)
        if not was_set_up:
            print(f"{time.monotonic() - start:7.1f} s  {suite}: set up from nothing")
        print(f"{machine.make_profile()} ({suite})", flush=True)
        with opened_screen() as screen:
            play = Play.begin(machine, screen, archive, arguments.pictures.absolute() / suite)
            try:
                _play(play, arguments.part)
            except (AssertionError, WindowGone, RuntimeError) as failure:
                print(f"FAILED  {suite}: {failure}")
                print(f"        the screen: {play.pictures / 'failure.png'}; Blender's words:")
                print((machine.folder / "blender.log").read_text(errors="replace")[-4000:])
                for crash in sorted((machine.folder / "temporary").rglob("*.crash.txt")):
                    print(crash.read_text(errors="replace")[-8000:])
                return 1
    return 0


def _play(play: Play, parts: list[str] | None) -> None:
    scene = play.scenes / "astronaut.blend"
    _step("install the zip, choose the backend", lambda: artist.install(play))
    if not parts or "artist" in parts:
        avatar = _step("make the first avatar, save, quit", lambda: artist.make_first_avatar(play, scene))
        _step("open the file again", lambda: artist.come_back(play, scene, avatar))
    if not parts or "folder" in parts:
        _step("make an avatar of a folder, undo, personalise", lambda: photo_folder.make_avatar_of_folder(play))
    if not parts or "mishaps" in parts:
        for words, mishap in mishaps.ALL:
            _step(words, lambda mishap=mishap: mishap(play))


def _step(words: str, action: Callable[[], object]) -> object:
    start = time.monotonic()
    result = action()
    print(f"{time.monotonic() - start:7.1f} s  {words}", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
