"""Lets an avatar play its finished bake from the timer, when the artist is not in the middle of something."""

from __future__ import annotations

import bpy

from ..exchange.errors import LikenessError
from .avatar_properties import head_of_uid
from .import_finished import DONE
from .orders import FinishedBake
from .texts import text
from .user_folders import path_in_blend

# animators pose while they wait; what else a mode changes is not to be mixed with ours in one undo step
_MODES = ("OBJECT", "POSE")


def show_finished_bake(bake: FinishedBake) -> str:
    """Show a bake as one undo step, if that is possible now.

    Returns:
        DONE, or the text key of what it waits for.

    Raises:
        LikenessError: the head is not there any more, or its images are not.
    """
    order = bake.order
    if head_of_uid(order.head_uid) is None:
        raise LikenessError("bake_head_gone", text("bake.head_gone"), text("bake.head_gone.hint", folder=order.folder))
    window = bpy.context.window_manager.windows[0]
    reason = _reason_to_wait(window)
    if reason:
        return reason
    with bpy.context.temp_override(window=window):
        try:
            # the second argument asks for the undo step, which scripts do not get otherwise
            bpy.ops.likeness.show_bake(
                "EXEC_DEFAULT", True, head_uid=str(order.head_uid), folder=path_in_blend(order.folder),
                first=order.first, last=order.last,
            )  # fmt: skip
        except RuntimeError as error:
            # what the operator reported as an error
            reason = str(error).removeprefix("Error: ").strip()
            raise LikenessError("bake_not_shown", reason) from error
    return DONE


def _reason_to_wait(window: bpy.types.Window) -> str:
    if bpy.app.is_job_running("RENDER"):
        return "wait.render"
    active = window.view_layer.objects.active
    if active is not None and active.mode not in _MODES:
        return "wait.mode"
    return "wait.modal" if len(window.modal_operators) else ""
