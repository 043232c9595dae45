"""Builds the avatar of a package in the scene: from the file browser, or when a job has ended."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..exchange.avatar_package import DESCRIPTION_FILE
from .create_options import BuiltOptions, copy_options, draw_built_options, import_options
from .guarded_operator import FINISHED, UNDOABLE_WITH_PRESETS, GuardedOperator
from .local_view import enclosing_object
from .place_avatar import place_avatar
from .texts import TEXTS, text


class LIKENESS_OT_import_package(GuardedOperator, BuiltOptions, bpy.types.Operator):
    bl_idname = "likeness.import_package"
    bl_label = TEXTS["import"]
    bl_description = TEXTS["import.tip"]
    bl_options = UNDOABLE_WITH_PRESETS

    filepath: StringProperty(name=TEXTS["import.path"], subtype="FILE_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_glob: StringProperty(default=DESCRIPTION_FILE, options={"HIDDEN", "SKIP_SAVE"})

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, for the package's avatar.json."""
        copy_options(context.scene.likeness, self)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        """The file browser's side, and Adjust Last Operation."""
        draw_built_options(self.layout, self)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Build it."""
        avatar = place_avatar(context, package_of(self.filepath), import_options(self))
        self.report({"INFO"}, _arrival(context, avatar.mesh))
        return FINISHED


def _arrival(context: bpy.types.Context, head: bpy.types.Object) -> str:
    """What is said of an avatar that is there: also what hides it, so that nobody looks for it in vain."""
    # the new objects' places are not worked out yet
    context.view_layer.update()
    other = enclosing_object(context, head)
    if other is None:
        return text("import.done", name=head.name)
    return text("import.hidden", name=head.name, other=other.name)


def package_of(filepath: str) -> Path:
    """The folder of a package: the chosen one, or the one that holds the chosen file."""
    path = Path(bpy.path.abspath(filepath))
    return path if path.is_dir() else path.parent


CLASSES = (LIKENESS_OT_import_package,)
