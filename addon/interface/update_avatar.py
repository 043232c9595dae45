"""Gives an avatar in the scene the neutral, keys, bones and maps of another package; all else of it stays.

Object, materials, actions, values of keys, the photo's camera, and whatever nodes and images of their own the artist
has put into the materials are left alone.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.avatar_description import AvatarDescription, DisplacementDescription
from ..exchange.avatar_package import (
    ALBEDO_FILE,
    COMPRESSED_FILE,
    DISPLACEMENT_FILE,
    EXPANDED_FILE,
    AvatarHead,
    AvatarPackage,
    read_package,
)
from ..exchange.conventions import JOINT_NAMES, blender_from_model
from ..exchange.errors import LikenessError
from ..scene.build_avatar import PROVENANCE_PROPERTY
from ..scene.packed_images import load_packed_image
from ..scene.shader_nodes import socket
from ..scene.shape_keys import BASIS_NAME, distinct_key_names
from ..wrinkles.add_wrinkles import wrinkle_modifier
from ..wrinkles.map_blend import (
    FULL_COMPRESSION,
    FULL_STRETCH,
    NEUTRAL_MIDLEVEL,
    NEUTRAL_SCALE,
    WRINKLE_MIDLEVEL,
    WRINKLE_SCALE,
)
from ..wrinkles.modifier_inputs import get_input, set_input
from ..wrinkles.wrinkle_group import COMPRESSED_MAP, EXPANDED_MAP, NEUTRAL_MAP
from ..wrinkles.wrinkle_shader import find_shading
from .avatar_properties import describe_again, rig_of
from .neutral_shape import neutral_vertices
from .place_avatar import leave_mode
from .texts import text
from .texture_files import images_by_file, images_by_name
from .user_folders import path_in_blend

_MM_PER_M = 1000.0


def update_avatar(context: bpy.types.Context, head: bpy.types.Object, folder: Path) -> None:
    """Give an avatar what another package of the same person holds.

    Args:
        context: whose view layer shows the avatar.
        head: the avatar's mesh object.
        folder: of the package; its head model must be the avatar's.

    Raises:
        LikenessError: the package is damaged, or the avatar cannot take it; nothing is changed.
    """
    package = read_package(folder)
    _check_mesh(head, package)
    description = package.description
    leave_mode(context)
    rig = rig_of(head)
    if rig is not None:
        # the one step that Blender may refuse comes first
        _move_bones(context, rig, package)
    _set_keys(head, package)
    files = (ALBEDO_FILE, DISPLACEMENT_FILE, COMPRESSED_FILE, EXPANDED_FILE)
    for name, image in _own_images(head).items():
        if name in files[: 2 if description.wrinkles is None else 4]:
            _replace_image(image, folder / name)
    _set_figures(head, description)
    head[PROVENANCE_PROPERTY] = json.dumps(asdict(description.provenance))
    describe_again(head, package)
    head.likeness.package = path_in_blend(folder)


def _check_mesh(head: bpy.types.Object, package: AvatarPackage) -> None:
    mesh, arrays = head.data, package.head
    fits = (
        len(mesh.vertices) == len(arrays.vertices)
        and len(mesh.polygons) == len(arrays.polygons)
        and mesh.shape_keys is not None
        and BASIS_NAME in mesh.shape_keys.key_blocks
    )
    if not fits or not head.is_editable or not mesh.is_editable:
        raise LikenessError(
            "update_mesh", text("update.mesh", name=head.name), text("update.mesh.hint", folder=package.folder)
        )


def _move_bones(context: bpy.types.Context, rig: bpy.types.Object, package: AvatarPackage) -> None:
    """Move the bones at rest to the new joints; their directions, limits and poses stay."""
    refusal = LikenessError(
        "update_rig", text("update.rig", name=rig.name), text("update.rig.hint", folder=package.folder)
    )
    view_layer = context.view_layer
    if not (rig.is_editable and rig.data.is_editable) or view_layer.objects.get(rig.name) != rig:
        raise refusal
    previously_active, was_hidden = view_layer.objects.active, rig.hide_get(view_layer=view_layer)
    rig.hide_set(False, view_layer=view_layer)
    view_layer.objects.active = rig
    try:
        # bones at rest can only be moved in edit mode, which only the operator enters
        if not bpy.ops.object.mode_set.poll() or bpy.ops.object.mode_set(mode="EDIT") != {"FINISHED"}:
            raise refusal
        for joint, place in zip(JOINT_NAMES, blender_from_model(package.head.joints), strict=True):
            bone = rig.data.edit_bones.get(joint)
            if bone is not None:
                bone.translate(Vector(place.tolist()) - bone.head)
        bpy.ops.object.mode_set(mode="OBJECT")
    except RuntimeError as error:
        raise refusal from error
    finally:
        view_layer.objects.active = previously_active
        rig.hide_set(was_hidden, view_layer=view_layer)


def _set_keys(head: bpy.types.Object, package: AvatarPackage) -> None:
    """The new neutral and the new offsets; keys that the package does not have move along with the neutral."""
    mesh = head.data
    neutral = blender_from_model(package.head.vertices).astype(np.float32)
    change = neutral - neutral_vertices(head)
    offsets = _offsets(package.head, package.description)
    for key in mesh.shape_keys.key_blocks:
        if key.name in offsets:
            positions = neutral + offsets[key.name]
        else:
            positions = np.empty_like(change)
            key.data.foreach_get("co", positions.ravel())
            positions += change
        key.data.foreach_set("co", np.ascontiguousarray(positions, np.float32).ravel())
    mesh.vertices.foreach_set("co", neutral.ravel())
    mesh.update()


def _offsets(arrays: AvatarHead, description: AvatarDescription) -> dict[str, np.ndarray]:
    """Offsets of the package's keys by the names that they have in Blender."""
    names = [*ARKIT_NAMES, *distinct_key_names(description.expression_names, ARKIT_NAMES)]
    keys = [*arrays.arkit_keys, *arrays.expression_keys]
    return {name: blender_from_model(offsets).astype(np.float32) for name, offsets in zip(names, keys, strict=True)}


def _replace_image(image: bpy.types.Image, path: Path) -> None:
    """Put a file's image into the place of another, wherever that is used.

    A new image, because undo does not give an image its older pixels back.
    """
    name, colour_space = image.name, image.colorspace_settings.name
    new = load_packed_image(path, name, colour_space)
    new.alpha_mode, new.use_fake_user = image.alpha_mode, image.use_fake_user
    image.user_remap(new)
    bpy.data.images.remove(image)
    new.name = name


def _own_images(head: bpy.types.Object) -> dict[str, bpy.types.Image]:
    """The avatar's images by file name, wherever they are used; one that is not packed is the artist's own."""
    modifier = wrinkle_modifier(head)
    played = []
    for name in (NEUTRAL_MAP, COMPRESSED_MAP, EXPANDED_MAP) if modifier is not None else ():
        with suppress(KeyError):
            played.append(get_input(modifier, name))
    images = {**images_by_name([image for image in played if image is not None]), **images_by_file(head)}
    return {name: image for name, image in images.items() if image.packed_file is not None}


def _set_figures(head: bpy.types.Object, description: AvatarDescription) -> None:
    """How the maps are read: in the modifier, in the materials' shading, and in plain displacement nodes."""
    at_rest, wrinkles = description.displacement, description.wrinkles
    figures = {NEUTRAL_MIDLEVEL: at_rest.midlevel, NEUTRAL_SCALE: at_rest.scale_mm}
    if wrinkles is not None:
        figures |= {
            WRINKLE_MIDLEVEL: wrinkles.midlevel,
            WRINKLE_SCALE: wrinkles.scale_mm,
            FULL_COMPRESSION: wrinkles.full_compression,
            FULL_STRETCH: wrinkles.full_stretch,
        }
    modifier, shadings = wrinkle_modifier(head), [find_shading(slot.material) for slot in head.material_slots]
    for name, value in figures.items():
        # an artist may have taken an input out of the group
        with suppress(KeyError):
            if modifier is not None:
                set_input(modifier, name, value)
        for shading in shadings:
            with suppress(KeyError):
                if shading is not None:
                    socket(shading.inputs, name).default_value = value
    _set_plain_displacement(head, at_rest)


def _set_plain_displacement(head: bpy.types.Object, at_rest: DisplacementDescription) -> None:
    """Set the displacement nodes that read the displacement map itself, where an avatar without wrinkles has them."""
    image = _own_images(head).get(DISPLACEMENT_FILE)
    trees = [slot.material.node_tree for slot in head.material_slots if slot.material is not None]
    for node in [node for tree in trees if tree is not None for node in tree.nodes]:
        if node.type != "DISPLACEMENT" or not node.inputs["Height"].is_linked:
            continue
        source = node.inputs["Height"].links[0].from_node
        if image is not None and source.type == "TEX_IMAGE" and source.image == image:
            node.inputs["Midlevel"].default_value = at_rest.midlevel
            node.inputs["Scale"].default_value = at_rest.scale_mm / _MM_PER_M
