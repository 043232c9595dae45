"""Exports the active avatar: for engines with its wrinkle maps, or as a mesh cache."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from ..exchange.errors import LikenessError
from ..exchange.expression_states import LAST_FRAME
from ..export.engine_export import (
    EngineExport,
    EngineExportOptions,
    EngineFormat,
    ExportStep,
    ExportWork,
    engine_export_steps,
    file_stem,
)
from ..export.mesh_cache import export_mesh_cache
from ..export.wrinkle_images import wrinkle_images
from ..expressions.avatar_parts import AvatarParts
from .active_avatar import active_avatar, has_active_avatar
from .expression_operators import words
from .guarded_operator import WITH_PRESETS
from .motion_operators import frame_range
from .stepwise_operator import RUNNING, StepwiseOperator
from .texts import TEXTS, text

_HIDDEN = {"HIDDEN", "SKIP_SAVE"}
# each makes four polygons of one: three are more than half a million on the open head
_MOST_LEVELS = 2


class ExportOperator(StepwiseOperator):
    """Mixin: writes the avatar of the active object; a linked one as well, since nothing of it changes."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is an avatar."""
        found = has_active_avatar(context)
        if not found:
            cls.poll_message_set(text("avatar.poll"))
        return found

    def draw_options(self, names: tuple[str, ...]) -> None:
        """The file browser's side."""
        column = self.layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        for name in names:
            column.prop(self, name)


def exported_avatar(context: bpy.types.Context) -> AvatarParts:
    """The active object's avatar.

    Raises:
        LikenessError: there is none.
    """
    avatar = active_avatar(context)
    if avatar is None:
        raise LikenessError("no_avatar", f"{text('avatar.poll')}.")
    return avatar


class LIKENESS_OT_export_for_engines(ExportOperator, bpy.types.Operator):
    bl_idname = "likeness.export_for_engines"
    bl_label = TEXTS["export.engines"]
    bl_description = TEXTS["export.engines.tip"]
    bl_options = WITH_PRESETS

    directory: StringProperty(name=TEXTS["export.folder"], subtype="DIR_PATH", options=_HIDDEN)
    filter_folder: BoolProperty(default=True, options=_HIDDEN)
    gltf: BoolProperty(default=True, **words("export.gltf"))
    fbx: BoolProperty(default=True, **words("export.fbx"))
    usd: BoolProperty(default=False, **words("export.usd"))
    wrinkles: BoolProperty(default=True, **words("export.wrinkles"))
    animation: BoolProperty(default=False, **words("export.animation"))
    own_keys: BoolProperty(default=False, **words("export.own_keys"))
    baked_levels: IntProperty(default=0, min=0, max=_MOST_LEVELS, **words("export.baked"))

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, for a folder."""
        self.watch()
        context.window_manager.fileselect_add(self)
        return RUNNING

    def draw(self, context: bpy.types.Context) -> None:
        """The file browser's side."""
        self.draw_options(("gltf", "fbx", "usd", "wrinkles", "animation", "own_keys", "baked_levels"))

    def chosen_options(self) -> EngineExportOptions:
        """What was chosen."""
        chosen = {EngineFormat.GLTF: self.gltf, EngineFormat.FBX: self.fbx, EngineFormat.USD: self.usd}
        formats = tuple(engine_format for engine_format, wanted in chosen.items() if wanted)
        return EngineExportOptions(formats, self.own_keys, self.animation, self.wrinkles, self.baked_levels)

    def steps(self, context: bpy.types.Context) -> Generator[str, None, str]:
        """Write the files."""
        avatar, options = exported_avatar(context), self.chosen_options()
        has_maps = options.wrinkles and wrinkle_images(avatar.mesh) is not None
        if not options.formats and not has_maps:
            missing = "wrinkles.none" if options.wrinkles else "export.nothing"
            raise LikenessError("nothing_to_export", text(missing), text("export.nothing.hint"))
        if not self.directory:
            raise LikenessError("no_folder", text("export.no_folder"))
        folder = Path(bpy.path.abspath(self.directory))
        steps = engine_export_steps(avatar, folder, options)
        try:
            while True:
                yield _words_of(next(steps), options)
        except StopIteration as end:
            return _outcome(end.value, folder)
        finally:
            steps.close()


def _words_of(step: ExportStep, options: EngineExportOptions) -> str:
    """A step for people."""
    if step.work is ExportWork.MODEL:
        return text("export.model", name=step.path.name)
    if step.work is ExportWork.WRINKLES:
        return text("export.maps")
    return text("export.bake") if options.baked_levels else text("export.copy")


def _outcome(export: EngineExport, folder: Path) -> str:
    """What was written, for people."""
    names = [path.name for path in export.models]
    if export.maps:
        names.append(text("export.done.maps"))
    return text("export.done", names=", ".join(names), folder=folder)


class LIKENESS_OT_export_mesh_cache(ExportOperator, bpy.types.Operator):
    bl_idname = "likeness.export_mesh_cache"
    bl_label = TEXTS["cache"]
    bl_description = TEXTS["cache.tip"]
    bl_options = WITH_PRESETS

    filepath: StringProperty(name=TEXTS["cache.path"], subtype="FILE_PATH", options=_HIDDEN)
    filter_glob: StringProperty(default="*.abc", options=_HIDDEN)
    check_existing: BoolProperty(default=True, options=_HIDDEN)
    first_frame: IntProperty(min=0, max=LAST_FRAME, options={"SKIP_SAVE"}, **words("cache.first"))
    last_frame: IntProperty(min=0, max=LAST_FRAME, options={"SKIP_SAVE"}, **words("cache.last"))

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, with the frames that play."""
        self.watch()
        self._take_frames(context)
        self.filepath = f"{file_stem(exported_avatar(context).mesh.name)}.abc"
        context.window_manager.fileselect_add(self)
        return RUNNING

    def draw(self, context: bpy.types.Context) -> None:
        """The file browser's side."""
        self.draw_options(("first_frame", "last_frame"))

    def steps(self, context: bpy.types.Context) -> Generator[str, None, str]:
        """Write the file."""
        self._take_frames(context)
        avatar = exported_avatar(context)
        path = Path(bpy.path.ensure_ext(bpy.path.abspath(self.filepath), ".abc"))
        yield text("cache.writing", name=path.name, first=self.first_frame, last=self.last_frame)
        export_mesh_cache(avatar, path, self.first_frame, self.last_frame)
        return text("cache.done", name=path.name, first=self.first_frame, last=self.last_frame, folder=path.parent)

    def _take_frames(self, context: bpy.types.Context) -> None:
        """Frames that nobody has chosen are those that play."""
        first, last = frame_range(context.scene)
        for name, frame in (("first_frame", first), ("last_frame", last)):
            if not self.properties.is_property_set(name):
                setattr(self, name, frame)


CLASSES = (LIKENESS_OT_export_for_engines, LIKENESS_OT_export_mesh_cache)
