"""The first day with the extension: install it, make an avatar, save, come back."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tests.window.blender_window import BlenderWindow
from tests.window.play import Play
from tests.window.preferences_window import choose_backend, install_from_disk

# how far from the sidebar's left edge the buttons stand that are right of a text
_RIGHT = 0.8
_CANCEL_S = 10.0
_PROGRESS_S = 180.0
_SHADERS_S = 900.0
# Eevee's first samples
_REFINED_S = 4.0
# a place between nose and cheek, metres from between the eyes: to the person's left, in front, below; pixels around it
_CHEEK_M = (0.025, -0.02, -0.03)
_CHEEK_PX = 4
# red above blue, of 255: a quarter of what skin of any colour has
_SKIN = 12.0
# a cheek's brightness, as the screen has it, by that of the photo; in Blender's first studio light one is 0.76
_LIKE_PHOTO = 0.15
_PHOTO_DEPTH = "setattr(bpy.context.scene.camera.data.background_images[0], 'display_depth', '{}')"
# from Personalise from Folder to the header of Expression: past that of Details
_EXPRESSION_PX = 61
# from Key Expression up to the header of Avatar, when only Expression is unfolded
_AVATAR_PX = 55
# from Reset to the header of Presets, to the left and down
_PRESETS_PX = (100, 32)
_PRESET = "preset='surprise'"
_FILE_MENU_PX = (46, 14)
# a menu, drawn in software on a busy machine
_MENU_S = 1.0
_TEXTURE = "setattr(bpy.context.scene.likeness, 'texture_px', '{}')"
# what the product promises: seconds of Blender's main thread that a tick may take
TICK_S = 0.002


def install(play: Play) -> None:
    """A new user's Blender: install the zip, choose the backend, save the preferences as Blender does on quitting."""
    with play.blender() as window:
        install_from_disk(play, window)
        choose_backend(play, window)
        assert window.quit() == 0


def make_first_avatar(play: Play, scene: Path) -> dict:
    """Cancel one job, let the next finish, undo it, redo it, look through the photo's camera, save.

    Args:
        scene: file to save to.

    Returns:
        The avatar, as the driver tells of it.
    """
    with play.blender() as window:
        window.open_tab()
        before = window.ask("fingerprint()")
        window.ask("time_ticks()")
        _cancel_a_job(play, window)
        assert window.ask("fingerprint()") == before, "a cancelled job has changed the scene"
        play.choose_photo(window)
        play.wait_for_avatar(window, 1)
        _check_ticks(window.ask("take_ticks()"))
        play.take(window, "avatar")
        _undo_and_redo(play, window, before)
        look_through_photo_camera(play, window)
        play.take(window, "photo_camera")
        _compare_with_photo(play, window)
        _show_an_expression(play, window)
        _save(play, window, scene)
        avatar = next(iter(window.ask("avatars()")))
        assert window.quit() == 0
    return avatar


def come_back(play: Play, scene: Path, avatar: dict) -> None:
    """Open the saved file again: the avatar, its keys, rig and maps are there, and its panel works."""
    with play.blender(scene) as window:
        assert window.ask("avatars()") == [avatar]
        assert all(width > 0 and height > 0 for _name, width, height, _kind in avatar["maps"]), avatar["maps"]
        assert window.ask("view()") == "CAMERA"
        window.open_tab()
        # the file remembers which panels were folded
        x, y = window.find_button("likeness.key_expression")
        play.screen.click(x, y - _AVATAR_PX, "ctrl")
        window.wait_until("Avatar opens", lambda: _found(window, "likeness.view_from_photo"), 10.0)
        look_through_photo_camera(play, window)
        play.take(window, "reopened")
        _import_from_the_menu(play, window)
        _add_head_from_the_menu(play, window)
        assert window.quit() == 0


def look_through_photo_camera(play: Play, window: BlenderWindow) -> None:
    """Press View from Photo, and wait for the materials."""
    window.press("likeness.view_from_photo")
    window.wait_until("the view goes to the camera", lambda: window.ask("view()") == "CAMERA", 10.0)
    # drawing in software, with the shaders still to be compiled
    window.wait_until("the skin is drawn", lambda: _has_skin(play, window), _SHADERS_S)
    time.sleep(_REFINED_S)


def _has_skin(play: Play, window: BlenderWindow) -> bool:
    """Whether the head is drawn in its colours; grey or bluish stands for a material that is not compiled yet."""
    # a compilation holds the answer back until it has ended
    x, y = window.ask("on_screen(*{cheek})", cheek=_CHEEK_M)
    red, _green, blue = play.screen.mean_colour(x, y, _CHEEK_PX)
    return red - blue > _SKIN


def _compare_with_photo(play: Play, window: BlenderWindow) -> None:
    """Both cheeks are about as bright as the photo's, which comes to the front for that."""
    head = _cheek_brightness(play, window)
    window.ask(_PHOTO_DEPTH.format("FRONT"))
    time.sleep(_REFINED_S)
    photo = _cheek_brightness(play, window)
    window.ask(_PHOTO_DEPTH.format("BACK"))
    time.sleep(_REFINED_S)
    ratios = [shown / wanted for shown, wanted in zip(head, photo, strict=True)]
    print(f"    the cheeks by the photo's: {ratios[0]:.2f} and {ratios[1]:.2f}")
    assert head != photo, "the photo did not come to the front"
    assert all(abs(ratio - 1) < _LIKE_PHOTO for ratio in ratios), (head, photo)


def _cheek_brightness(play: Play, window: BlenderWindow) -> list[float]:
    """Of the person's left and right cheek on the screen, 0-255."""
    x_m, y_m, z_m = _CHEEK_M
    places = [window.ask("on_screen(*{cheek})", cheek=(side * x_m, y_m, z_m)) for side in (1, -1)]
    return [statistics.mean(play.screen.mean_colour(x, y, _CHEEK_PX)) for x, y in places]


def _cancel_a_job(play: Play, window: BlenderWindow) -> None:
    """See the progress move, twice, and stop it."""
    # the usual job ends before a mouse that looks for Cancel has found it
    window.ask(_TEXTURE.format("4096"))
    play.choose_photo(window, "file_browser")
    first = _progress_beyond(window, 0.0)
    play.take(window, "progress_1")
    second = _progress_beyond(window, first)
    play.take(window, "progress_2")
    assert second > first
    window.press("likeness.cancel", across=_RIGHT)
    start = time.monotonic()
    window.wait_until("the job is cancelled", lambda: not window.ask("status()")["busy"], _CANCEL_S)
    print(f"    cancelled in {time.monotonic() - start:.1f} s")
    assert window.ask("status()")["failure"] is None
    assert window.ask("avatars()") == [], "the job was done before it could be cancelled"
    window.ask(_TEXTURE.format("2048"))


def _progress_beyond(window: BlenderWindow, fraction: float) -> float:
    """Wait until the running photo's progress has gone further, so that eyes see it."""

    def further() -> float:
        job = window.ask("status()")["job"]
        assert job is not None, "the job has ended before it could be cancelled"
        return job["fraction"] if job["fraction"] > fraction + 0.05 and job["stage"] != "find_faces" else 0.0

    return window.wait_until("the progress moves", further, _PROGRESS_S)


def _check_ticks(ticks: list[float]) -> None:
    """What the add-on took of Blender's main thread; the longest is the building of the avatar in the scene."""
    median, longest = statistics.median(ticks), max(ticks)
    print(f"    {len(ticks)} ticks of {median * 1e3:.2f} ms in the median; the avatar built in {longest:.2f} s")
    assert median < TICK_S


def _undo_and_redo(play: Play, window: BlenderWindow, before: dict) -> None:
    """One undo takes the import away, with everything it brought."""
    window.point_at_view()
    play.screen.key("ctrl+z")
    window.wait_until("one undo removes the import", lambda: window.ask("avatars()") == [], 20.0)
    after = window.ask("fingerprint()")
    assert after == before, {kind: (before[kind], after[kind]) for kind in before if before[kind] != after[kind]}
    play.screen.key("ctrl+shift+z")
    window.wait_until("redo brings it back", lambda: len(window.ask("avatars()")) == 1, 20.0)


def _show_an_expression(play: Play, window: BlenderWindow) -> None:
    """Unfold Expression and its Presets, which folds the panels above, and press one."""
    x, y = window.find_button("likeness.personalise_folder")
    play.screen.click(x, y + _EXPRESSION_PX, "ctrl")
    x, y = window.wait_until("Expression opens", lambda: _found(window, "likeness.reset_expression"), 10.0)
    play.screen.click(x - _PRESETS_PX[0], y + _PRESETS_PX[1])
    window.wait_until("Presets opens", lambda: _found(window, _PRESET), 10.0)
    before = window.ask("key_values()")
    window.press(_PRESET, across=_RIGHT)
    window.wait_until("the expression is there", lambda: window.ask("key_values()") != before, 10.0)
    play.take(window, "expression")


def _found(window: BlenderWindow, command: str) -> tuple[int, int] | None:
    try:
        return window.find_button(command, across=_RIGHT)
    except AssertionError:
        return None


def _import_from_the_menu(play: Play, window: BlenderWindow) -> None:
    """File > Import > Photo as Avatar, found as one finds entries of menus by typing, opens the file browser."""
    _type_in_menu(play, lambda: play.screen.click(*_FILE_MENU_PX), "Photo as Avatar", "menu_import")
    window.wait_until(
        "the file browser opens", lambda: (window.ask("browser()") or {}).get("operator") == "LIKENESS_OT_photo", 10.0
    )
    window.ask("close_window('FILE_BROWSER')")
    window.wait_until("the file browser closes", lambda: window.ask("browser()") is None, 10.0)


def _add_head_from_the_menu(play: Play, window: BlenderWindow) -> None:
    """Add > Mesh > Likeness Head, beside the avatar."""

    def open_menu() -> None:
        window.point_at_view()
        play.screen.key("shift+a")

    _type_in_menu(play, open_menu, "Likeness Head", "menu_add")
    head = play.wait_for_avatar(window, 2)
    assert head["roles"] == ["HEAD", "RIG"], head
    play.take(window, "head")


def _type_in_menu(play: Play, open_menu: Callable[[], None], entry: str, picture: str) -> None:
    """Open a menu, search in it and take what is found."""
    open_menu()
    time.sleep(_MENU_S)
    play.screen.key("space")
    time.sleep(_MENU_S)
    play.screen.write(entry)
    time.sleep(_MENU_S)
    play.take_with_mouse(picture)
    play.screen.key("Return")


def _save(play: Play, window: BlenderWindow, scene: Path) -> None:
    """Ctrl S, a folder, a name."""
    window.point_at_view()
    play.screen.key("ctrl+s")
    window.open_folder(play.machine.seen(scene.parent), scene.name)
    window.confirm_file()
    window.wait_until("the file is saved", lambda: window.ask("bpy.data.filepath") and scene.is_file(), 30.0)
