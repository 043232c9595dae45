"""The buttons of the preferences: test, create an environment, check the FLAME file, clear the cache."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy

from ..exchange.errors import LikenessError
from ..worker.backend_environment import check_environment
from ..worker.steps import Steps
from .backend_choice import chosen_environment
from .background_work import Work
from .environment_maker import backend_packages, make_environment
from .extension_package import PACKAGE, ROOT_FOLDER
from .guarded_operator import CANCELLED, FINISHED, INTERNAL, GuardedOperator
from .preferences import preference_values
from .session import session
from .texts import TEXTS, text
from .user_folders import backend_folder

_REQUIREMENTS = ROOT_FOLDER / "requirements.txt"


class LIKENESS_OT_open_preferences(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.open_preferences"
    bl_label = TEXTS["preferences.open"]
    bl_description = TEXTS["preferences.open.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Show the preferences with our entry open."""
        bpy.ops.preferences.addon_show(module=PACKAGE)
        return FINISHED


class LIKENESS_OT_backend_changed(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.backend_changed"
    bl_label = TEXTS["preferences.backend"]
    bl_options = INTERNAL

    def perform(self, context: bpy.types.Context) -> set[str]:
        """The next job gets a worker with the new settings; what was tested was the old one."""
        now = session()
        now.status.pop("backend", None)
        now.queue.restart_worker()
        # sees the old worker out
        now.run_timer()
        now.look_for_backend()
        return FINISHED


class LIKENESS_OT_test_backend(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.test_backend"
    bl_label = TEXTS["preferences.test"]
    bl_description = TEXTS["preferences.test.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Start the backend once."""
        environment, device = chosen_environment(), preference_values().device
        now = session()
        now.status["backend"] = text("preferences.testing")

        def end(report, error: LikenessError | None) -> None:
            if error is not None:
                now.status["backend"] = f"{error.message}\n{error.hint}"
            else:
                name = report.device_name or report.device
                now.status["backend"] = f"Python {report.python} · torch {report.torch} · {name}"

        now.start_work("test", lambda work: check_environment(environment, device=device), end)
        return FINISHED


class LIKENESS_OT_check_flame(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.check_flame"
    bl_label = TEXTS["preferences.flame.check"]
    bl_description = TEXTS["preferences.flame.check.tip"]

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Let the worker read the file."""
        chosen, now = preference_values().flame_file, session()
        now.status.pop("flame", None)
        if not chosen:
            return CANCELLED
        path = Path(bpy.path.abspath(chosen))
        if not path.is_file():
            now.status["flame"] = text("error.missing_file", name=path.name)
            return CANCELLED
        now.check_head(str(path))
        return FINISHED


class LIKENESS_OT_create_environment(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.create_environment"
    bl_label = TEXTS["preferences.create"]
    bl_description = TEXTS["preferences.create.tip"]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with the user's leave to go online."""
        if not bpy.app.online_access:
            cls.poll_message_set(text("preferences.create.offline"))
        return bpy.app.online_access

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for consent."""
        return context.window_manager.invoke_props_dialog(self, width=480)

    def draw(self, context: bpy.types.Context) -> None:
        """The dialog."""
        self.layout.label(text=text("preferences.create.consent"))
        self.layout.label(text=str(backend_folder()), translate=False)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Make it, in steps."""
        if not bpy.app.online_access:
            raise LikenessError("offline", text("error.online"), text("error.online.hint"))
        folder, packages = backend_folder(), backend_packages(_REQUIREMENTS)
        now, base = session(), Path(sys.executable)
        # on Windows a running worker holds the files that are to be replaced
        now.queue.restart_worker()

        def make(work: Work) -> Steps[Path]:
            return make_environment(base, folder, packages, lambda line: setattr(work, "line", line))

        def end(_python, error: LikenessError | None) -> None:
            now.status["environment"] = _outcome(error)
            now.look_for_backend()

        now.status.pop("environment", None)
        now.start_work("environment", make, end)
        return FINISHED


def _outcome(error: LikenessError | None) -> str:
    if error is None:
        return text("preferences.create.done")
    if error.code == "environment_failed":
        return f"{text('error.create', reason=error.message)} {text('error.create.hint')}"
    return str(error)


class LIKENESS_OT_stop_environment(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.stop_environment"
    bl_label = TEXTS["preferences.create.cancel"]
    bl_options = INTERNAL

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Stop it; what was there before comes back."""
        work = session().work.running("environment")
        if work is not None:
            work.shall_stop = True
        return FINISHED


class LIKENESS_OT_clear_cache(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.clear_cache"
    bl_label = TEXTS["preferences.cache.clear"]
    bl_description = TEXTS["preferences.cache.clear.tip"]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a job may be reading from it."""
        busy = session().queue.busy or bool(session().choices)
        if busy:
            cls.poll_message_set(text("preferences.cache.busy"))
        return not busy

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask first."""
        return context.window_manager.invoke_confirm(self, event)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Delete what is in the cache, in steps."""
        session().clear_cache()
        self.report({"INFO"}, text("preferences.cache.cleared"))
        return FINISHED


CLASSES = (
    LIKENESS_OT_open_preferences,
    LIKENESS_OT_backend_changed,
    LIKENESS_OT_test_backend,
    LIKENESS_OT_check_flame,
    LIKENESS_OT_create_environment,
    LIKENESS_OT_stop_environment,
    LIKENESS_OT_clear_cache,
)
