"""Blender's preferences, as an artist uses them: install a zip, choose the backend, test it."""

from __future__ import annotations

import time
from pathlib import Path

from tests.window.blender_window import BlenderWindow, Place
from tests.window.play import Play

_SIZE_PX = (900, 640)
# from the top of the column of tabs to its first tab, and from tab to tab, at most
_FIRST_TAB_PX, _TAB_PX = 48, 18
# the arrow at the top right of Get Extensions, from that corner
_ARROW_PX = (24, 20)
# where the folder button at the end of a path's line, and the line itself, stand in the width of a page
_FOLDER_BUTTON, _LINE = 0.93, 0.6
_DRAWN_S = 0.7
_INSTALL_S, _TEST_S = 60.0, 120.0


def install_from_disk(play: Play, window: BlenderWindow) -> None:
    """Preferences > Get Extensions > Install from Disk, with the mouse."""
    window.point_at_view()
    play.screen.key("ctrl+comma")
    page = _bring_into_view(play, window)
    _open_tab(play, window, page, "EXTENSIONS")
    _left, _top, right, _bottom = window.ask("box('WINDOW', 'PREFERENCES')")
    play.screen.click(page.left + right - _ARROW_PX[0], page.top + _ARROW_PX[1])
    time.sleep(_DRAWN_S)
    # the menu's last entry
    play.screen.key("Up")
    play.take_with_mouse("install")
    play.screen.key("Return")
    window.choose_file(play.machine.seen(play.archive.parent), play.archive.name)
    window.confirm_file()
    window.wait_until(
        "the extension is enabled",
        lambda: window.ask("EXTENSION in bpy.context.preferences.addons"),
        _INSTALL_S,
    )
    window.ask("close_window('PREFERENCES')")


def choose_backend(play: Play, window: BlenderWindow) -> None:
    """From the panel's button to the preferences: type the Python's path, press Test, read the result."""
    window.open_tab()
    play.take(window, "not_set_up")
    window.press("likeness.open_preferences")
    page = _bring_into_view(play, window)
    _x, y = window.find_button("buttons.file_browse", page, _FOLDER_BUTTON)
    left, _top, right, _bottom = window.ask("box('WINDOW', 'PREFERENCES')")
    play.screen.double_click(page.left + left + round((right - left) * _LINE), y)
    play.screen.key("ctrl+a")
    python = play.machine.backend_python()
    play.screen.write(python)
    play.screen.key("Return")
    window.wait_until("the path is taken", lambda: window.ask("chosen_python()") == python, 5.0)
    window.press("likeness.test_backend", page, _LINE)
    window.wait_until("the backend is tested", lambda: "torch" in window.ask("backend_status()"), _TEST_S)
    play.take(window, "preferences")
    window.ask("close_window('PREFERENCES')")


def installed_version(profile: Path) -> str:
    """The version in the manifest of the extension that lies in a profile."""
    manifest = profile / "extensions" / "user_default" / "likeness" / "blender_manifest.toml"
    line = next(line for line in manifest.read_text().splitlines() if line.startswith("version"))
    return line.split('"')[1]


def _bring_into_view(play: Play, window: BlenderWindow) -> Place:
    window.wait_until("the preferences open", lambda: window.ask("regions('PREFERENCES')"), 10.0)
    left, top = play.screen.bring_into_view("Preferences", _SIZE_PX)
    time.sleep(_DRAWN_S)
    return Place("WINDOW", "PREFERENCES", left, top)


def _open_tab(play: Play, window: BlenderWindow, page: Place, name: str) -> None:
    """Click down the column of tabs until the right one is open."""
    # what the column is called changed with 5.2
    kind = "NAVIGATION_BAR" if "NAVIGATION_BAR" in window.ask("regions('PREFERENCES')") else "UI"
    left, top, right, bottom = window.ask("box({kind}, 'PREFERENCES')", kind=kind)
    for y in range(top + _FIRST_TAB_PX, bottom, _TAB_PX):
        play.screen.click(page.left + (left + right) // 2, page.top + y)
        if window.ask("bpy.context.preferences.active_section") == name:
            time.sleep(_DRAWN_S)
            return
    raise AssertionError(f"the preferences have no tab {name}")
