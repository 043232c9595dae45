"""The base of all operators: failures become one sentence and the next step, defects a traceback in the log."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ..exchange.errors import LikenessError
from .failure_log import log_failure
from .texts import CONTEXT, text

FINISHED = {"FINISHED"}
CANCELLED = {"CANCELLED"}
# kinds of operators, for bl_options
UNDOABLE = frozenset({"REGISTER", "UNDO"})
UNDOABLE_WITH_PRESETS = frozenset({"REGISTER", "UNDO", "PRESET"})
WITH_PRESETS = frozenset({"PRESET"})
# not found by F3
INTERNAL = frozenset({"INTERNAL"})


class GuardedOperator:
    """Mixin for operators: they define `perform`, and `begin` where a dialog comes first.

    Both may raise LikenessError; an operator that failed has changed nothing.
    """

    bl_translation_context = CONTEXT

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Do it."""
        raise NotImplementedError

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """What a menu or button starts; without a dialog, the work itself."""
        return self.perform(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Called by Blender."""
        return self._guarded(lambda: self.perform(context))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Called by Blender."""
        return self._guarded(lambda: self.begin(context, event))

    def _guarded(self, work: Callable[[], set[str]]) -> set[str]:
        try:
            return work()
        except LikenessError as error:
            if error.__cause__ is not None:
                log_failure(self.bl_idname, error)
            self.report({"ERROR"}, str(error))
        except Exception as error:
            log_failure(self.bl_idname, error)
            self.report({"ERROR"}, f"{text('error.fault', reason=error)} {text('error.fault.hint')}")
        return CANCELLED
