"""What an avatar's objects know of themselves: it stays with them through save, rename and duplicate."""

from __future__ import annotations

import bpy
import numpy as np
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from ..exchange.avatar_description import AvatarDescription, FolderPhoto
from ..exchange.avatar_package import AvatarPackage
from ..scene.build_avatar import AvatarObjects
from .user_folders import path_in_blend

HEAD, RIG, CAMERA, LIGHT, NOTHING = "HEAD", "RIG", "CAMERA", "LIGHT", "NOTHING"
_ROLES = [(name, name.title(), "") for name in (NOTHING, HEAD, RIG, CAMERA, LIGHT)]
_LIGHT_SHAPE = (9, 3)


class LIKENESS_PG_avatar_photo(bpy.types.PropertyGroup):
    """A photo of the folder that an avatar was made of; `name` is Blender's own."""

    verdict: StringProperty()
    # the error is that of the joint fit, and 0 where the photo was not used
    used: BoolProperty()
    error: FloatProperty()


class LIKENESS_PG_avatar(bpy.types.PropertyGroup):
    """On every object; empty but on those of an avatar. All but the first two stand on the head alone."""

    role: EnumProperty(items=_ROLES)
    avatar_id: StringProperty()
    # relative to the .blend where possible
    package: StringProperty()
    photo_name: StringProperty()
    photo_size: bpy.props.IntVectorProperty(size=2)
    # spherical harmonics (9,3), row by row, axes of the photo's camera; 0 where it is not known
    photo_light: FloatVectorProperty(size=_LIGHT_SHAPE[0] * _LIGHT_SHAPE[1])
    faces_found: IntProperty()
    face_used: IntProperty()
    quality_words: StringProperty()
    landmark_error: FloatProperty()
    warnings: StringProperty()
    head_name: StringProperty()
    head_licence: StringProperty()
    created: StringProperty()
    version: StringProperty()
    has_photo: BoolProperty()
    # of an avatar of a folder: photos that were used, and all; 0 for one of a single photo
    photos_used: IntProperty()
    photos_found: IntProperty()
    photos_error: FloatProperty()
    photos: CollectionProperty(type=LIKENESS_PG_avatar_photo)
    photo_active: IntProperty()
    # on photos that were held out, of which there may be none
    held_out_photos: IntProperty()
    held_out_before: FloatProperty()
    held_out_after: FloatProperty()


def mark_objects(avatar: AvatarObjects, avatar_id: str, package: AvatarPackage) -> None:
    """Write an avatar's identity to its objects.

    Args:
        avatar: as it was built.
        avatar_id: new for each import.
        package: that it was built from.
    """
    roles = [(avatar.mesh, HEAD), (avatar.armature, RIG), *((sun, LIGHT) for sun in avatar.suns)]
    if avatar.camera is not None:
        roles.append((avatar.camera, CAMERA))
    for item, role in roles:
        item.likeness.role, item.likeness.avatar_id = role, avatar_id
    _describe(avatar.mesh.likeness, package)
    avatar.mesh.likeness.package = path_in_blend(package.folder)


def _describe(properties: LIKENESS_PG_avatar, package: AvatarPackage) -> None:
    description = package.description
    provenance = description.provenance
    properties.head_name, properties.head_licence = provenance.head.name, provenance.head.licence
    properties.has_photo = provenance.photo is not None
    _describe_making(properties, description)
    if provenance.photo is None:
        return
    properties.photo_name = provenance.photo.original_name
    properties.photo_size = description.camera.image_size_px
    properties.faces_found, properties.face_used = provenance.photo.faces_found, provenance.photo.face_used
    properties.photo_light = package.parameters.light.ravel()


def photo_light_of(head: bpy.types.Object) -> np.ndarray | None:
    """Light of the photo that a head's camera shows: (9,3) spherical harmonics, the cosine kernel folded in.

    Args:
        head: of an avatar.

    Returns:
        In the axes of the photo's camera (x right, y up, z to it); None for avatars that do not know it.
    """
    light = np.array(head.likeness.photo_light).reshape(_LIGHT_SHAPE)
    return light if light.any() else None


def describe_again(head: bpy.types.Object, package: AvatarPackage) -> None:
    """Write what another package of the same avatar changes: its camera goes on showing the photo that it showed.

    Args:
        head: of the avatar; package: the other one.
    """
    properties, photo = head.likeness, package.description.provenance.photo
    _describe_making(properties, package.description)
    shown = (properties.photo_name, *properties.photo_size)
    # that photo's light has been found anew with the texture; another photo's is no light for this camera
    if photo is not None and shown == (photo.original_name, *package.description.camera.image_size_px):
        properties.photo_light = package.parameters.light.ravel()


def _describe_making(properties: LIKENESS_PG_avatar, description: AvatarDescription) -> None:
    provenance, quality = description.provenance, description.quality
    properties.created, properties.version = provenance.created[:10], provenance.version
    properties.quality_words, properties.landmark_error = quality.words, quality.landmark_error_percent
    properties.warnings = "\n".join(quality.warnings)
    _describe_folder(properties, provenance.folder)
    held_out = description.held_out
    properties.held_out_photos = 0 if held_out is None else held_out.photos
    properties.held_out_before = 0.0 if held_out is None else held_out.before_percent
    properties.held_out_after = 0.0 if held_out is None else held_out.after_percent


def _describe_folder(properties: LIKENESS_PG_avatar, photos: tuple[FolderPhoto, ...]) -> None:
    errors = [photo.landmark_error_percent for photo in photos if photo.landmark_error_percent is not None]
    properties.photos_used, properties.photos_found = len(errors), len(photos)
    properties.photos_error = sum(errors) / max(1, len(errors))
    properties.photos.clear()
    properties.photo_active = 0
    for photo in photos:
        row = properties.photos.add()
        row.name, row.verdict = photo.name, photo.verdict
        row.used, row.error = photo.landmark_error_percent is not None, photo.landmark_error_percent or 0.0


def head_of(item: bpy.types.Object | None) -> bpy.types.Object | None:
    """The head of the avatar that an object belongs to; cheap enough for drawing.

    Args:
        item: any object; None has no head.
    """
    if item is None or item.likeness.role == NOTHING:
        return None
    if item.likeness.role == HEAD:
        return item
    return next(iter(_parts_near(item, HEAD)), None)


def head_of_uid(head_uid: int) -> bpy.types.Object | None:
    """The object of a session uid; objects of a file that was closed are found no more."""
    return next((item for item in bpy.data.objects if item.session_uid == head_uid), None)


def camera_of(head: bpy.types.Object) -> bpy.types.Object | None:
    """The photo's camera of a head: in its collection, else anywhere in the file."""
    return next(iter(_parts_near(head, CAMERA)), None) or next(
        (item for item in bpy.data.objects if _is_part(item, head.likeness.avatar_id, CAMERA)), None
    )


def rig_of(head: bpy.types.Object) -> bpy.types.Object | None:
    """The armature that moves a head."""
    armatures = [modifier.object for modifier in head.modifiers if modifier.type == "ARMATURE"]
    return next((armature for armature in armatures if armature is not None), None)


def _parts_near(item: bpy.types.Object, role: str) -> list[bpy.types.Object]:
    """The parts of the same avatar in the same collections."""
    return [
        other
        for collection in item.users_collection
        for other in collection.objects
        if _is_part(other, item.likeness.avatar_id, role)
    ]


def _is_part(item: bpy.types.Object, avatar_id: str, role: str) -> bool:
    return item.likeness.role == role and item.likeness.avatar_id == avatar_id
