"""Brings a finished avatar into its scene from the timer, when the artist is not in the middle of something."""

from __future__ import annotations

from dataclasses import asdict

import bpy

from ..exchange.errors import LikenessError
from .avatar_properties import head_of_uid
from .orders import FinishedAvatar
from .texts import text

DONE = ""


def import_finished(avatar: FinishedAvatar) -> str:
    """Import an avatar as one undo step, if that is possible now.

    Returns:
        DONE, or the text key of what it waits for.

    Raises:
        LikenessError: the package cannot be built; the scene is as it was.
    """
    window = window_of_scene(avatar.scene_uid)
    if window is None:
        return "wait.scene"
    reason = reason_to_wait(window)
    if reason:
        return reason
    run_import(window, avatar)
    return DONE


def run_import(window: bpy.types.Window, avatar: FinishedAvatar) -> None:
    """Run the operator in a window, as if the artist had: with its undo step and, for an import, Adjust Last Operation.

    The head that the package was made for takes it over; where it is gone, or there was none, it becomes a new avatar.

    Raises:
        LikenessError: the package cannot be built; the scene is as it was.
    """
    with bpy.context.temp_override(**_view_override(window)):
        try:
            # the second argument asks for the undo step, which scripts do not get otherwise
            if avatar.head_uid and head_of_uid(avatar.head_uid) is not None:
                bpy.ops.likeness.update_avatar(
                    "EXEC_DEFAULT", True, head_uid=str(avatar.head_uid), filepath=str(avatar.package)
                )
            else:
                bpy.ops.likeness.import_package(
                    "EXEC_DEFAULT", True, filepath=str(avatar.package), **asdict(avatar.options)
                )
        except RuntimeError as error:
            # what the operator reported as an error
            reason = str(error).removeprefix("Error: ").strip()
            raise LikenessError("import_failed", reason) from error


def window_of_scene(scene_uid: int) -> bpy.types.Window | None:
    """A window that shows the scene; scenes of a file that was closed are found no more."""
    for window in bpy.context.window_manager.windows:
        if window.scene.session_uid == scene_uid:
            return window
    return None


def reason_to_wait(window: bpy.types.Window) -> str:
    """Why nothing may be built in this window now, as a text key; empty when it may."""
    if bpy.app.is_job_running("RENDER"):
        return "wait.render"
    active = window.view_layer.objects.active
    if active is not None and active.mode != "OBJECT":
        return "wait.mode"
    if len(window.modal_operators):
        return "wait.modal"
    return ""


def _view_override(window: bpy.types.Window) -> dict[str, object]:
    """The window's largest 3D view, where Adjust Last Operation opens, or the window alone."""
    views = [area for area in window.screen.areas if area.type == "VIEW_3D"]
    # without a screen to draw on, Blender crashes when it opens that panel
    if not views or bpy.app.background:
        return {"window": window}
    area = max(views, key=lambda view: view.width * view.height)
    region = next(region for region in area.regions if region.type == "WINDOW")
    return {"window": window, "area": area, "region": region}


def wait_text(avatar: FinishedAvatar) -> str:
    """The sentence for the panel; empty when nothing keeps the avatar waiting."""
    return text(avatar.wait) if avatar.wait else ""
