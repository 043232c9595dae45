"""Exports an avatar for game engines and other programs, with its wrinkle maps and a text on how to wire them."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import bpy

from ..expressions.avatar_parts import AvatarParts
from .baked_copy import baked_copy
from .export_copy import ExportError, export_copy, write_image
from .wiring_text import wiring_text
from .wrinkle_images import wrinkle_images

TEXTURE_FOLDER = "textures"
WIRING_FILE = "wrinkles.txt"
# characters that one system or another refuses in file names
_REFUSED_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


class EngineFormat(Enum):
    """The file formats, by their extension."""

    GLTF = "glb"
    FBX = "fbx"
    USD = "usdc"


@dataclass(frozen=True)
class EngineExportOptions:
    """What goes into the files.

    Attributes:
        formats: which files to write.
        own_keys: the head model's own expressions as well as the 52 ARKit keys.
        animation: the avatar's actions.
        wrinkles: the three displacement maps and the text about them.
        baked_levels: subdivide the mesh so often and bake rest detail and wrinkles into it and its keys; 0 = leave the
            mesh as it is.
    """

    formats: tuple[EngineFormat, ...] = (EngineFormat.GLTF, EngineFormat.FBX)
    own_keys: bool = False
    animation: bool = False
    wrinkles: bool = True
    baked_levels: int = 0


class ExportWork(Enum):
    """What an export does, step by step."""

    COPY = "copy"
    MODEL = "model"
    WRINKLES = "wrinkles"


@dataclass(frozen=True)
class ExportStep:
    """One step: what is done next; path: of the model file that it writes."""

    work: ExportWork
    path: Path | None = None


@dataclass(frozen=True)
class EngineExport:
    """What was written.

    Attributes:
        models: the model files; textures: what stands in the folder of the textures.
        maps: the displacement maps among the textures; empty where the avatar has none, or they were not asked for.
    """

    models: tuple[Path, ...]
    textures: tuple[Path, ...]
    maps: tuple[Path, ...]


def export_for_engines(avatar: AvatarParts, folder: Path, options: EngineExportOptions) -> EngineExport:
    """Write an avatar as glTF, FBX or USD: skin, the 52 ARKit keys, rig and textures.

    Args:
        avatar: what to export; it is not changed.
        folder: is made where it is missing; files of the same names are replaced.
        options: which files.

    Raises:
        ExportError: the folder cannot be written, or this Blender lacks an exporter.
    """
    steps = engine_export_steps(avatar, folder, options)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def engine_export_steps(
    avatar: AvatarParts, folder: Path, options: EngineExportOptions
) -> Generator[ExportStep, None, EngineExport]:
    """What `export_for_engines` does, one step after the other, so that an artist can be told and can stop it.

    Between the steps the copy to be exported is in the scene; closing the generator takes it away.

    Args:
        avatar, folder, options: as `export_for_engines`.

    Yields:
        What comes next.

    Returns:
        What was written.

    Raises:
        ExportError: as `export_for_engines`.
    """
    for engine_format in options.formats:
        _require_exporter(engine_format)
    textures = folder / TEXTURE_FOLDER
    try:
        textures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            "export_folder", f"The folder {folder} cannot be written.", "Choose a folder that you may write to."
        ) from error
    stem = file_stem(avatar.mesh.name)
    models: list[Path] = []
    maps: tuple[Path, ...] = ()
    with ExitStack() as stack:
        if options.formats:
            yield ExportStep(ExportWork.COPY)
            source = stack.enter_context(baked_copy(avatar, options.baked_levels)) if options.baked_levels else avatar
            stack.enter_context(export_copy(source, textures, options.own_keys, options.animation))
        for engine_format in options.formats:
            path = folder / f"{stem}.{engine_format.value}"
            yield ExportStep(ExportWork.MODEL, path)
            models.append(_write(engine_format, path, options))
    if options.wrinkles:
        yield ExportStep(ExportWork.WRINKLES)
        maps = _write_wrinkles(avatar, folder, stem)
    return EngineExport(tuple(models), tuple(sorted(textures.iterdir())), maps)


def file_stem(name: str) -> str:
    """The name of a file for an object's name: the same where every system allows it."""
    return _REFUSED_IN_NAMES.sub("_", name).strip(" .") or "avatar"


def _write(engine_format: EngineFormat, path: Path, options: EngineExportOptions) -> Path:
    try:
        _EXPORTERS[engine_format](path, options)
    except RuntimeError as error:
        # operators raise their report; its first line is the reason
        reason = str(error).strip().splitlines()[0]
        raise ExportError(
            "export_failed", f"{path.name} was not written: {reason}", "Choose another folder or another format."
        ) from error
    return path


def _write_gltf(path: Path, options: EngineExportOptions) -> None:
    bpy.ops.export_scene.gltf(
        filepath=str(path),
        export_format="GLB",
        use_selection=True,
        # applying modifiers would drop the keys
        export_apply=False,
        export_morph=True,
        export_morph_normal=True,
        export_skins=True,
        export_animations=options.animation,
        export_morph_animation=options.animation,
        export_animation_mode="ACTIVE_ACTIONS",
        # otherwise the pose of the current frame would be the bind pose
        export_rest_position_armature=True,
        export_extras=False,
    )


def _write_fbx(path: Path, options: EngineExportOptions) -> None:
    bpy.ops.export_scene.fbx(
        filepath=str(path),
        use_selection=True,
        object_types={"ARMATURE", "MESH"},
        use_mesh_modifiers=False,
        mesh_smooth_type="FACE",
        add_leaf_bones=False,
        bake_anim=options.animation,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        path_mode="COPY",
        embed_textures=True,
    )


def _write_usd(path: Path, options: EngineExportOptions) -> None:
    known = bpy.ops.wm.usd_export.get_rna_type().properties
    # newer versions make a light of the scene's world, with a picture beside the textures
    without_world = {"convert_world_material": False} if "convert_world_material" in known else {}
    bpy.ops.wm.usd_export(
        filepath=str(path),
        selected_objects_only=True,
        export_armatures=True,
        export_shapekeys=True,
        export_animation=options.animation,
        export_materials=True,
        **without_world,
    )


_EXPORTERS = {EngineFormat.GLTF: _write_gltf, EngineFormat.FBX: _write_fbx, EngineFormat.USD: _write_usd}
_OPERATORS = {
    EngineFormat.GLTF: ("export_scene", "gltf", "glTF 2.0 format"),
    EngineFormat.FBX: ("export_scene", "fbx", "FBX format"),
    EngineFormat.USD: ("wm", "usd_export", None),
}


def _require_exporter(engine_format: EngineFormat) -> None:
    """Exporters are add-ons that an artist may have switched off, or parts that a build of Blender lacks."""
    module, name, add_on = _OPERATORS[engine_format]
    try:
        getattr(getattr(bpy.ops, module), name).get_rna_type()
    except (AttributeError, KeyError) as error:
        hint = f"Enable “{add_on}” in the preferences, Add-ons." if add_on else "Choose glTF or FBX."
        raise ExportError(
            "exporter_missing", f"This Blender cannot write .{engine_format.value} files now.", hint
        ) from error


def _write_wrinkles(avatar: AvatarParts, folder: Path, stem: str) -> tuple[Path, ...]:
    """The maps and the text about them; nothing where the avatar has no wrinkles."""
    images = wrinkle_images(avatar.mesh)
    if images is None:
        return ()
    paths = {
        role: write_image(image, folder / TEXTURE_FOLDER / f"{stem}_displacement_{role}.png")
        for role, image in images.maps.items()
    }
    names = {role: f"{TEXTURE_FOLDER}/{path.name}" for role, path in paths.items()}
    try:
        (folder / WIRING_FILE).write_text(wiring_text(avatar.mesh.name, names, images.figures), encoding="utf-8")
    except OSError as error:
        raise ExportError(
            "export_folder", f"{WIRING_FILE} cannot be written to {folder}.", "Choose a folder that you may write to."
        ) from error
    return tuple(paths.values())
