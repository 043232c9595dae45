"""Plays exact wrinkles: an image for each frame takes the place of the maps, in the geometry and in the shader.

Everything is native: the geometry's group reads the image of the scene's frame, the material's image node is a
sequence. Each head has an image of its own, and a material of its own as soon as another head shows the same one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..exchange.errors import LikenessError
from ..exchange.wrinkle_frames import frame_file_name
from ..scene.packed_images import DATA
from ..scene.shader_nodes import socket
from .add_wrinkles import wrinkle_modifier
from .modifier_inputs import get_input, set_input
from .wrinkle_group import (
    EXACT_IMAGES,
    EXACT_WRINKLES,
    FIRST_EXACT_FRAME,
    LAST_EXACT_FRAME,
    wrinkle_group,
)
from .wrinkle_shader import EXACT_HEIGHT, find_shading, new_exact_texture, shading_group


@dataclass(frozen=True)
class ExactFrames:
    """A baked range.

    Attributes:
        folder: as it is kept in the .blend, perhaps relative to it.
        first, last: frames of the timeline; the range is baked without gaps.
    """

    folder: str
    first: int
    last: int


def show_exact_frames(mesh_object: bpy.types.Object, frames: ExactFrames) -> None:
    """Let a head play the images of a folder, in place of an earlier bake.

    Args:
        mesh_object: a head with wrinkles.
        frames: baked; the images are in the folder.

    Raises:
        LikenessError: the head has no wrinkles, or the first image is not there.
    """
    modifier = _modifier_of(mesh_object)
    first_file = f"{frames.folder.rstrip('/')}/{frame_file_name(frames.first)}"
    if not Path(bpy.path.abspath(first_file)).is_file():
        raise LikenessError(
            "no_exact_frames", f"{frame_file_name(frames.first)} is not in {frames.folder}.", "Bake the wrinkles again."
        )
    # a file of an earlier version; what is set, keyed and driven stays
    modifier.node_group = wrinkle_group()
    image = _own_image(mesh_object, modifier)
    image.source = "SEQUENCE"
    image.filepath = first_file
    image.colorspace_settings.name = DATA
    # what was drawn of an earlier bake
    image.reload()
    for name, value in (
        (EXACT_IMAGES, image),
        (FIRST_EXACT_FRAME, frames.first),
        (LAST_EXACT_FRAME, frames.last),
        (EXACT_WRINKLES, True),
    ):
        set_input(modifier, name, value)
    for slot, _shading in _wrinkled_slots(mesh_object):
        _own_material(mesh_object, slot)
        _show_in_material(slot.material, image, frames)


def exact_frames(mesh_object: bpy.types.Object) -> ExactFrames | None:
    """What a head has baked; None where it has nothing."""
    modifier = wrinkle_modifier(mesh_object)
    image = exact_image(modifier)
    if image is None:
        return None
    folder = image.filepath.replace(os.sep, "/").rpartition("/")[0]
    return ExactFrames(folder, get_input(modifier, FIRST_EXACT_FRAME), get_input(modifier, LAST_EXACT_FRAME))


def remove_exact_frames(mesh_object: bpy.types.Object) -> None:
    """Let a head play its maps by tension again, and forget the images; their files stay.

    Raises:
        LikenessError: the head has no wrinkles.
    """
    modifier = _modifier_of(mesh_object)
    image = exact_image(modifier)
    if image is None:
        return
    for name, value in (
        (EXACT_WRINKLES, False),
        (EXACT_IMAGES, None),
        (FIRST_EXACT_FRAME, 0),
        (LAST_EXACT_FRAME, 0),
    ):
        set_input(modifier, name, value)
    if any(exact_image(wrinkle_modifier(other)) == image for other in _other_heads(mesh_object)):
        # a duplicate of this head still plays them, perhaps with the same material
        return
    for slot, _shading in _wrinkled_slots(mesh_object):
        nodes = slot.material.node_tree.nodes
        for node in [node for node in nodes if node.type == "TEX_IMAGE" and node.image == image]:
            nodes.remove(node)
    if not image.users:
        bpy.data.images.remove(image)


def exact_image(modifier: bpy.types.NodesModifier | None) -> bpy.types.Image | None:
    """The image sequence of a wrinkle modifier; None without one."""
    if modifier is None:
        return None
    try:
        return get_input(modifier, EXACT_IMAGES)
    except KeyError:
        # the group of an earlier version
        return None


def _modifier_of(mesh_object: bpy.types.Object) -> bpy.types.NodesModifier:
    modifier = wrinkle_modifier(mesh_object)
    if modifier is None:
        raise LikenessError(
            "no_wrinkles", f"{mesh_object.name} has no wrinkles.", "Make the avatar anew from its photo."
        )
    return modifier


def _other_heads(mesh_object: bpy.types.Object) -> Iterator[bpy.types.Object]:
    """All other objects with wrinkles."""
    for other in bpy.data.objects:
        if other != mesh_object and other.type == "MESH" and wrinkle_modifier(other) is not None:
            yield other


def _own_image(mesh_object: bpy.types.Object, modifier: bpy.types.NodesModifier) -> bpy.types.Image:
    """The image that this head alone plays; a new one where it has none."""
    image = exact_image(modifier)
    is_own = image is not None and image.is_editable
    if is_own and all(exact_image(wrinkle_modifier(other)) != image for other in _other_heads(mesh_object)):
        return image
    return bpy.data.images.new(f"{mesh_object.name} exact wrinkles", 1, 1, float_buffer=True, is_data=True)


def _wrinkled_slots(
    mesh_object: bpy.types.Object,
) -> Iterator[tuple[bpy.types.MaterialSlot, bpy.types.ShaderNodeGroup]]:
    """The material slots whose material bends its normal by wrinkle maps, and the group that does it."""
    for slot in mesh_object.material_slots:
        shading = find_shading(slot.material)
        if shading is not None:
            yield slot, shading


def _own_material(mesh_object: bpy.types.Object, slot: bpy.types.MaterialSlot) -> None:
    """Give a slot a copy of its material where another head shows the same one, whose frames may differ."""
    material = slot.material
    shared = any(item.material == material for other in _other_heads(mesh_object) for item in other.material_slots)
    if not shared and material.is_editable:
        return
    own = material.copy()
    if mesh_object.data.users > 1 or not mesh_object.data.is_editable:
        # objects that share a mesh share its materials, unless the object says otherwise
        slot.link = "OBJECT"
    slot.material = own


def _show_in_material(material: bpy.types.Material, image: bpy.types.Image, frames: ExactFrames) -> None:
    shading = find_shading(material)
    shading.node_tree = shading_group()
    height = socket(shading.inputs, EXACT_HEIGHT)
    texture = height.links[0].from_node if height.is_linked else new_exact_texture(material.node_tree, shading)
    texture.image = image
    player = texture.image_user
    # frame f of the scene shows the image numbered f
    player.frame_start, player.frame_offset = frames.first, frames.first - 1
    player.frame_duration = frames.last - frames.first + 1
    player.use_cyclic, player.use_auto_refresh = False, True
