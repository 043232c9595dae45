"""The options of Create, as properties of the scene and of the operators that use them."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from ..exchange.errors import LikenessError
from ..exchange.folder_messages import FolderAvatarOptions, FolderChoice
from ..exchange.worker_messages import PhotoOptions
from .orders import AvatarSettings, ImportOptions
from .preferences import preference_values
from .texts import CONTEXT, TEXTS, text

_HEADS = ("open", "flame")
_CAMERAS = ("orthographic", "perspective")
_TEXTURE_ITEMS = [(str(size), f"{size} px", "") for size in (512, 1024, 2048, 4096)]
# of a photo; the tracker finds at most that many worth a choice
_MOST_FACES = 32
# as the backend: the longest lens that is made; 0 = from the photo
_LONGEST_FOCAL_MM = 1500.0
_SHORTEST_FOCAL_MM = 5.0
# more do not make the head better, and every one costs time
_MOST_PHOTOS = 200
MADE_OPTIONS = ("head_model", "texture_px", "face", "camera", "focal_mm", "wrinkle_age")
FOLDER_OPTIONS = ("with_subfolders", "most_photos", "adapters")
BUILT_OPTIONS = ("photo_camera", "photo_light", "photo_expression", "match_render", "at_cursor")


def _items(key: str, names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    return [(name, TEXTS[f"{key}.{name}"], TEXTS[f"{key}.{name}.tip"]) for name in names]


def _words(key: str) -> dict[str, str]:
    return {"name": TEXTS[key], "description": TEXTS[f"{key}.tip"], "translation_context": CONTEXT}


class MadeOptions:
    """Mixin: how an avatar is made."""

    head_model: EnumProperty(items=_items("option.head", _HEADS), **_words("option.head"))
    texture_px: EnumProperty(items=_TEXTURE_ITEMS, default="2048", **_words("option.texture"))
    face: IntProperty(min=0, max=_MOST_FACES, **_words("option.face"))
    camera: EnumProperty(items=_items("option.camera", _CAMERAS), **_words("option.camera"))
    focal_mm: FloatProperty(min=0, max=_LONGEST_FOCAL_MM, precision=0, **_words("option.focal"))
    wrinkle_age: FloatProperty(
        default=PhotoOptions.wrinkle_age, min=0, max=1, subtype="FACTOR", **_words("option.wrinkle_age")
    )


class FolderOptions:
    """Mixin: how an avatar of many photos is made; always of the open head."""

    with_subfolders: BoolProperty(default=False, **_words("option.subfolders"))
    most_photos: IntProperty(default=FolderChoice.most_photos, min=2, max=_MOST_PHOTOS, **_words("option.most_photos"))
    adapters: BoolProperty(default=True, **_words("option.adapters"))
    texture_px: EnumProperty(items=_TEXTURE_ITEMS, default="2048", **_words("option.texture"))
    wrinkle_age: FloatProperty(
        default=PhotoOptions.wrinkle_age, min=0, max=1, subtype="FACTOR", **_words("option.wrinkle_age")
    )


class BuiltOptions:
    """Mixin: what is built around an avatar."""

    photo_camera: BoolProperty(default=True, **_words("option.photo_camera"))
    photo_light: BoolProperty(default=False, **_words("option.photo_light"))
    photo_expression: BoolProperty(default=True, **_words("option.photo_expression"))
    match_render: BoolProperty(default=False, **_words("option.match_render"))
    at_cursor: BoolProperty(default=False, **_words("option.at_cursor"))


class LIKENESS_PG_create(MadeOptions, BuiltOptions, bpy.types.PropertyGroup):
    """On the scene: what the Create panel shows."""


def copy_options(source: bpy.types.bpy_struct, operator: bpy.types.Operator) -> None:
    """Give an operator the panel's options, but for those that its caller or a preset has set."""
    # an operator itself does not know which of its properties are set
    properties = operator.properties
    for name in (*MADE_OPTIONS, *BUILT_OPTIONS):
        if hasattr(properties, name) and not properties.is_property_set(name):
            setattr(properties, name, getattr(source, name))


def avatar_settings(options: MadeOptions) -> AvatarSettings:
    """How an avatar is made, for the worker.

    Raises:
        LikenessError: the FLAME file is asked for and none is chosen.
    """
    head = None
    if options.head_model == "flame":
        chosen = preference_values().flame_file
        if not chosen:
            raise LikenessError("flame_missing", text("error.no_flame"), text("error.no_flame.hint"))
        head = str(Path(bpy.path.abspath(chosen)))
    focal = max(options.focal_mm, _SHORTEST_FOCAL_MM) if options.focal_mm else None
    is_perspective = options.camera == "perspective"
    return AvatarSettings(
        head=head,
        texture_px=int(options.texture_px),
        face=options.face,
        perspective=is_perspective,
        focal_35mm_mm=focal if is_perspective else None,
        # the property's single precision would show in the package's record
        wrinkle_age=round(options.wrinkle_age, 4),
    )


def folder_settings(options: FolderOptions, name: str) -> FolderAvatarOptions:
    """How an avatar of many photos is made, for the worker."""
    age = round(options.wrinkle_age, 4)
    return FolderAvatarOptions(name, int(options.texture_px), wrinkle_age=age, adapters=options.adapters)


def import_options(options: BuiltOptions) -> ImportOptions:
    """What is built around it."""
    return ImportOptions(**{name: getattr(options, name) for name in BUILT_OPTIONS})


def draw_made_options(layout: bpy.types.UILayout, options: MadeOptions) -> None:
    """Draw them in a panel or in the file browser."""
    column = layout.column()
    column.use_property_split, column.use_property_decorate = True, False
    for name in ("head_model", "texture_px", "face", "camera"):
        column.prop(options, name)
    if options.camera == "perspective":
        column.prop(options, "focal_mm")
    column.prop(options, "wrinkle_age")


def draw_built_options(layout: bpy.types.UILayout, options: BuiltOptions) -> None:
    """Draw them in a panel or in the file browser."""
    column = layout.column()
    column.use_property_split, column.use_property_decorate = True, False
    for name in BUILT_OPTIONS:
        column.prop(options, name)


def draw_folder_options(layout: bpy.types.UILayout, options: FolderOptions) -> None:
    """Draw them in the file browser."""
    column = layout.column()
    column.use_property_split, column.use_property_decorate = True, False
    for name in (*FOLDER_OPTIONS, "texture_px", "wrinkle_age"):
        column.prop(options, name)
