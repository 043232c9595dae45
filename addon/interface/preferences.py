"""The add-on's preferences: backend, head model, cache."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from .extension_package import PACKAGE
from .session import Session, session
from .texts import CONTEXT, TEXTS, text

_DEVICE_ITEMS = [
    (name, TEXTS[f"preferences.device.{name}"], TEXTS[f"preferences.device.{name}.tip"])
    for name in ("auto", "cpu", "cuda", "mps")
]
# more than any desktop has
_MOST_THREADS = 256


@dataclass(frozen=True)
class PreferenceValues:
    """What is chosen; the defaults are those of a new user.

    Attributes:
        python: path of the backend's interpreter, empty for the automatic choice.
        device: one of auto, cpu, cuda, mps; threads: 0 = torch decides.
        flame_file: path of the user's FLAME file, empty for none.
    """

    python: str = ""
    device: str = "auto"
    threads: int = 0
    flame_file: str = ""


def preference_values() -> PreferenceValues:
    """The preferences as they are now."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    chosen = addon.preferences if addon is not None else None
    if chosen is None:
        return PreferenceValues()
    return PreferenceValues(chosen.backend_python, chosen.device, chosen.threads, chosen.flame_file)


def _backend_changed(_self: bpy.types.AddonPreferences, _context: bpy.types.Context) -> None:
    bpy.ops.likeness.backend_changed()


def _flame_changed(_self: bpy.types.AddonPreferences, _context: bpy.types.Context) -> None:
    bpy.ops.likeness.check_flame()


class LikenessPreferences(bpy.types.AddonPreferences):
    """Drawn in Preferences > Add-ons."""

    bl_idname = PACKAGE
    bl_translation_context = CONTEXT

    backend_python: StringProperty(
        name=TEXTS["preferences.python"],
        description=TEXTS["preferences.python.tip"],
        subtype="FILE_PATH",
        translation_context=CONTEXT,
        update=_backend_changed,
    )
    device: EnumProperty(
        name=TEXTS["preferences.device"],
        description=TEXTS["preferences.device.tip"],
        items=_DEVICE_ITEMS,
        translation_context=CONTEXT,
        update=_backend_changed,
    )
    threads: IntProperty(
        name=TEXTS["preferences.threads"],
        description=TEXTS["preferences.threads.tip"],
        min=0,
        max=_MOST_THREADS,
        translation_context=CONTEXT,
        update=_backend_changed,
    )
    flame_file: StringProperty(
        name=TEXTS["preferences.flame"],
        description=TEXTS["preferences.flame.tip"],
        subtype="FILE_PATH",
        translation_context=CONTEXT,
        update=_flame_changed,
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        now = session()
        self._draw_backend(now)
        self._draw_head(now)
        self._draw_cache(now)

    def _draw_backend(self, now: Session) -> None:
        box = self.layout.box()
        row = box.row()
        row.label(text=text("preferences.backend"), icon="PREFERENCES")
        row.operator("likeness.test_backend", text=text("preferences.test"))
        status = box.column()
        untested = "preferences.not_tested" if now.backend_error is None else "preferences.not_set"
        for line in now.status.get("backend", text(untested)).splitlines():
            status.label(text=line, translate=False)
        column = box.column()
        column.use_property_split = True
        column.prop(self, "backend_python")
        column.prop(self, "device")
        column.prop(self, "threads")
        making = now.work.running("environment")
        if making is not None:
            row = box.row()
            row.label(text=making.line, icon="SORTTIME", translate=False)
            row.operator("likeness.stop_environment", text=text("preferences.create.cancel"))
        else:
            box.operator("likeness.create_environment", text=text("preferences.create"))
            if now.backend_error is not None and not bpy.app.online_access:
                box.label(text=text("preferences.create.offline"), icon="INFO", translate=False)
            if "environment" in now.status:
                box.label(text=now.status["environment"], translate=False)

    def _draw_head(self, now: Session) -> None:
        box = self.layout.box()
        row = box.row()
        row.label(text=text("preferences.head"), icon="USER")
        row.operator("likeness.check_flame", text=text("preferences.flame.check"))
        column = box.column()
        column.use_property_split = True
        column.prop(self, "flame_file")
        unchecked = "preferences.flame.unchecked" if self.flame_file else "preferences.flame.none"
        box.label(text=now.status.get("flame", text(unchecked)), translate=False)

    def _draw_cache(self, now: Session) -> None:
        box = self.layout.box()
        row = box.row()
        row.label(text=text("preferences.cache"), icon="FILE_CACHE")
        row.operator("likeness.clear_cache", text=text("preferences.cache.clear"))
        if "cache" not in now.status:
            # measured once, when somebody looks
            now.measure_cache()
        box.label(text=now.status.get("cache", text("preferences.cache.measuring")), translate=False)
