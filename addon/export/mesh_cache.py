"""Exports an avatar's motion, wrinkles included, as a mesh cache: an Alembic file with every frame's vertices."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..expressions.avatar_parts import AvatarParts
from .export_copy import ExportError, selected_alone


def export_mesh_cache(avatar: AvatarParts, path: Path, first_frame: int, last_frame: int) -> None:
    """Write an Alembic file of what renders show, frame by frame.

    Args:
        avatar: is not changed.
        path: ends in .abc.
        first_frame, last_frame: of the timeline, both included.

    Raises:
        ExportError: this Blender has no Alembic, or the file cannot be written.
    """
    try:
        bpy.ops.wm.alembic_export.get_rna_type()
    except (AttributeError, KeyError) as error:
        raise ExportError(
            "exporter_missing", "This build of Blender has no Alembic.", "Use the build from Blender's own site."
        ) from error
    if last_frame < first_frame:
        raise ExportError("export_range", "The range of frames is empty.", "Choose an end after the start.")
    with selected_alone([avatar.mesh]):
        result = bpy.ops.wm.alembic_export(
            "EXEC_DEFAULT",
            filepath=str(path),
            start=first_frame,
            end=last_frame,
            selected=True,
            flatten=True,
            uvs=True,
            evaluation_mode="RENDER",
        )
    if "FINISHED" not in result or not path.is_file():
        raise ExportError("export_failed", f"{path.name} was not written.", "Choose a folder that you may write to.")
