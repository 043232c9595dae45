"""Reads the images of an avatar's materials again, after another program has changed them in the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy

from ..exchange.avatar_package import EDITABLE_FILES
from ..exchange.errors import LikenessError
from .texts import text

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def reload_images(head: bpy.types.Object, package: Path) -> None:
    """Pack the files' present content into the images that the head's materials use.

    Args:
        head: an avatar's mesh object.
        package: its folder.

    Raises:
        LikenessError: a file is missing or no PNG, or the materials use other images; nothing is changed.
    """
    used = images_by_file(head)
    contents = {name: _content(package / name) for name in EDITABLE_FILES}
    for name in EDITABLE_FILES:
        if name not in used:
            raise LikenessError("image_unused", text("texture.unused", name=name), text("texture.unused.hint"))
    for name, content in contents.items():
        image = used[name]
        image.pack(data=content, data_len=len(content))
        # drops the pixels of the older content
        image.reload()


def images_by_file(head: bpy.types.Object) -> dict[str, bpy.types.Image]:
    """Images of the head's materials by the names of the files they were packed from."""
    trees = [slot.material.node_tree for slot in head.material_slots if slot.material is not None]
    nodes = [node for tree in trees if tree is not None for node in tree.nodes]
    return images_by_name([node.image for node in nodes if node.type == "TEX_IMAGE" and node.image is not None])


def images_by_name(images: Sequence[bpy.types.Image]) -> dict[str, bpy.types.Image]:
    """Images by the names of the files they were packed from."""
    return {Path(image.filepath_raw.replace("\\", "/")).name: image for image in images}


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LikenessError(
            "image_missing", text("texture.missing", name=path.name), text("package.missing.hint")
        ) from error
    if not content.startswith(_PNG_SIGNATURE):
        raise LikenessError("image_not_png", text("texture.not_png", name=path.name), text("texture.not_png.hint"))
    return content
