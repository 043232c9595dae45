"""A folder of photos: look through the list, make an avatar of it, undo, give it what the folder shows once more."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from tests.window.blender_window import BlenderWindow
from tests.window.play import PORTRAIT, Play

# names as cameras and browsers give them
_FOLDER = "Pilote d'été"
_MIRRORED = "IMG_0413.jpg"
# in the order of the list; the same face in other proportions counts as another photo, so that no further is needed
_VERDICTS = {
    "IMG_0412.jpg": "used",
    _MIRRORED: "used",
    "IMG_0414.jpg": "used",
    "IMG_0415 from the agency's archive, darker.jpg": "duplicate",
    "IMG_0416.jpg": "blurred",
    "IMG_0417.jpg": "no face",
    "IMG_0418.jpg": "used",
    "IMG_0419.jpg": "used",
    "IMG_0420.jpg": "unreadable",
}
_NUM_USED = 5
_STRETCH = 1.1
_BLUR_PX = 4.0
# how far across the sidebar the ticks stand, and Folder…
_TICK, _RIGHT = 0.11, 0.7
# from the top of the options beside the browser to Learn the Person, below Operator Presets where there are any
_LEARN_PX = {"likeness.folder": 91, "likeness.personalise_folder": 65}
# from Personalise from Folder to the header of Photos, past that of Details
_PHOTOS_PX = 58
# how far across the options it stands
_OPTION = 0.6
# the browser, drawn in software
_DRAWN_S = 0.7
_JUDGED_S, _MADE_S = 120.0, 300.0


def make_avatar_of_folder(play: Play) -> None:
    """Folder…, the list, one tick, Make Avatar, the report; one undo, redo; Personalise, and one undo of that."""
    folder = _lay_out(play)
    with play.blender() as window:
        window.open_tab()
        # the size that is made soonest, as an artist may set it in the panel
        window.ask("setattr(bpy.context.scene.likeness, 'texture_px', '512')")
        before = window.ask("fingerprint()")
        _choose_folder(play, window, "likeness.folder", folder)
        _look_through_list(play, window)
        window.press("likeness.make_folder_avatar")
        _watch_progress(play, window)
        avatar = play.wait_for_avatar(window, 1)
        _check_report(window, avatar)
        play.take(window, "folder_avatar")
        x, y = window.find_button("likeness.personalise_folder")
        play.screen.click(x, y + _PHOTOS_PX)
        play.take(window, "folder_photos")
        _undo(play, window, lambda: window.ask("fingerprint()") == before)
        assert window.ask("avatars()") == []
        play.screen.key("ctrl+shift+z")
        window.wait_until("redo brings it back", lambda: window.ask("avatars()") == [avatar], 20.0)
        _personalise(play, window, folder, avatar)
        assert window.quit() == 0


def _lay_out(play: Play) -> Path:
    """Write the photos, all made of the portrait."""
    folder = play.machine.folder / _FOLDER
    folder.mkdir()
    portrait = cv2.imread(str(PORTRAIT))
    pictures = (
        portrait,
        portrait[:, ::-1],
        _stretched(portrait, 1.0, _STRETCH),
        (portrait * 0.6).astype(np.uint8),
        cv2.GaussianBlur(portrait, (0, 0), _BLUR_PX),
        # the shuttle beside her
        portrait[300:, :200],
        _stretched(portrait, _STRETCH, 1.0),
        _stretched(portrait, 1.0, _STRETCH)[:, ::-1],
        None,
    )
    for name, picture in zip(_VERDICTS, pictures, strict=True):
        content = b"\xff\xd8\xff torn" if picture is None else cv2.imencode(".jpg", picture)[1].tobytes()
        (folder / name).write_bytes(content)
    return folder


def _stretched(picture: np.ndarray, across: float, down: float) -> np.ndarray:
    height, width = picture.shape[:2]
    return cv2.resize(picture, (round(across * width), round(down * height)), interpolation=cv2.INTER_CUBIC)


def _choose_folder(play: Play, window: BlenderWindow, button: str, folder: Path) -> None:
    """Press a button, take Learn the Person away in the browser, which would take minutes, and choose the folder."""
    window.press(button, across=_RIGHT)
    left, top = window.open_folder(play.machine.seen(folder))
    box = window.ask("box('TOOL_PROPS', 'FILE_BROWSER')")
    place = left + box[0] + round(_OPTION * (box[2] - box[0])), top + box[1] + _LEARN_PX[button]

    def turn_off() -> bool:
        # a browser that is not drawn yet hears of no click
        time.sleep(_DRAWN_S)
        play.screen.click(*place)
        time.sleep(_DRAWN_S)
        return not window.ask("browser_option('adapters')")

    window.wait_until("Learn the Person is off", turn_off, 10.0)
    play.take_with_mouse(f"{button.partition('.')[2]}_browser")
    window.confirm_file()


def _look_through_list(play: Play, window: BlenderWindow) -> None:
    """Each photo has the verdict that it deserves; untick one, tick it, untick it."""
    photos = window.wait_until("the photos are judged", lambda: _judged(window), _JUDGED_S)
    assert {photo["name"]: photo["verdict"] for photo in photos} == _VERDICTS, photos
    # what is no photo has no picture
    assert [photo["name"] for photo in photos if not photo["picture"]] == ["IMG_0420.jpg"]
    assert sum(photo["use"] for photo in photos) == _NUM_USED
    play.take(window, "folder_list")
    tick = window.find_property(f"likeness_folder.photos[{list(_VERDICTS).index(_MIRRORED)}].use", across=_TICK)
    for used in (False, True, False):
        play.screen.click(*tick)
        window.wait_until(
            "the tick changes",
            lambda used=used: {photo["name"]: photo["use"] for photo in window.ask("photos()")}[_MIRRORED] == used,
            5.0,
        )
    play.take(window, "folder_ticked")


def _judged(window: BlenderWindow) -> list[dict]:
    status = window.ask("status()")
    assert status["failure"] is None, status["failure"]
    return [] if status["busy"] else window.ask("photos()")


def _watch_progress(play: Play, window: BlenderWindow) -> None:
    """See the bar move."""
    seen: list[float] = []
    for _ in range(2):

        def further() -> bool:
            job = window.ask("status()")["job"]
            assert job is not None, f"the avatar was made before its progress was seen: {seen}"
            return job["fraction"] > max(seen, default=0.0) and not seen.append(job["fraction"])

        window.wait_until("the progress moves", further, _MADE_S)
    play.take(window, "folder_progress")


def _check_report(window: BlenderWindow, avatar: dict) -> None:
    """What the panel says of the folder: the photo that was unticked is left out."""
    report = window.ask("folder_report({name})", name=avatar["name"])
    print(f"    the report: {report}")
    assert (report["used"], report["found"]) == (_NUM_USED - 1, len(_VERDICTS))
    assert report["photos"][_MIRRORED] == "left out"
    assert 0 < report["error"] < 5
    assert report["held_out"] >= 1
    assert 0 < report["after"] < 10


def _personalise(play: Play, window: BlenderWindow, folder: Path, avatar: dict) -> None:
    """The same folder once more, into the avatar that stands in the scene: its package is another; one undo."""
    _choose_folder(play, window, "likeness.personalise_folder", folder)
    window.wait_until("the photos are judged", lambda: _judged(window), _JUDGED_S)
    play.take(window, "personalise_list")
    window.press("likeness.make_folder_avatar")
    window.wait_until("the avatar is personalised", lambda: _package(window) != avatar["package"], _MADE_S)
    (personal,) = window.ask("avatars()")
    assert {**personal, "package": ""} == {**avatar, "package": ""}, (personal, avatar)
    assert window.ask("folder_report({name})", name=avatar["name"])["used"] == _NUM_USED
    play.take(window, "personalised")
    _undo(play, window, lambda: window.ask("avatars()") == [avatar])


def _package(window: BlenderWindow) -> str:
    """Of the one avatar in the scene."""
    status = window.ask("status()")
    assert status["failure"] is None, status["failure"]
    (avatar,) = window.ask("avatars()")
    return avatar["package"]


def _undo(play: Play, window: BlenderWindow, is_undone: Callable[[], bool]) -> None:
    window.point_at_view()
    play.screen.key("ctrl+z")
    window.wait_until("one undo takes it back", is_undone, 20.0)
