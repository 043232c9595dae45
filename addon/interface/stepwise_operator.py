"""The base of operators that take seconds: they say what they do in the status bar, and Esc stops them."""

from __future__ import annotations

from collections.abc import Generator

import bpy

from .guarded_operator import CANCELLED, FINISHED, GuardedOperator
from .texts import text

# what Blender wants to hear of an operator that goes on
RUNNING = {"RUNNING_MODAL"}
# long enough for Blender to draw the words before the next step keeps it from drawing
_PAUSE_S = 0.05


class StepwiseOperator(GuardedOperator):
    """Mixin: subclasses define `steps`. Started by a script, they run to the end at once."""

    _is_watched = False
    _steps: Generator[str, None, str] | None = None
    _timer: bpy.types.Timer | None = None

    def steps(self, context: bpy.types.Context) -> Generator[str, None, str]:
        """Do the work.

        Yields:
            What comes next, for people.

        Returns:
            What came of it, for people.
        """
        raise NotImplementedError

    def watch(self) -> None:
        """There is somebody to be told: for `begin`, before a file browser opens."""
        self._is_watched = not bpy.app.background

    def perform(self, context: bpy.types.Context) -> set[str]:
        """All steps, or the first words and the rest by a timer."""
        self._steps = self.steps(context)
        if not self._is_watched:
            while self._step() is not None:
                pass
            return FINISHED
        first = self._step()
        if first is None:
            return FINISHED
        manager = context.window_manager
        self._timer = manager.event_timer_add(_PAUSE_S, window=context.window)
        manager.modal_handler_add(self)
        context.window.cursor_modal_set("WAIT")
        context.workspace.status_text_set(first)
        return RUNNING

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Called by Blender."""
        result = self._guarded(lambda: self._go_on(context, event))
        if result != RUNNING:
            self._end_watch(context)
        return result

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender when it closes the window or the file."""
        self._end_watch(context)

    def _go_on(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            self._steps.close()
            self.report({"WARNING"}, text("stopped"))
            return CANCELLED
        if event.type != "TIMER":
            return RUNNING
        words = self._step()
        if words is None:
            return FINISHED
        context.workspace.status_text_set(words)
        return RUNNING

    def _step(self) -> str | None:
        """Do one step: the words of the next; None when all is done, which is reported."""
        try:
            return next(self._steps)
        except StopIteration as end:
            self.report({"INFO"}, end.value)
            return None

    def _end_watch(self, context: bpy.types.Context) -> None:
        if self._steps is not None:
            self._steps.close()
        if self._timer is None:
            return
        context.window_manager.event_timer_remove(self._timer)
        self._timer = None
        if context.window is not None:
            context.window.cursor_modal_restore()
        if context.workspace is not None:
            context.workspace.status_text_set(None)
