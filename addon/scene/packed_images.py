"""Loads images into the .blend file, so that it needs no other file."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..exchange.errors import PackageError

SRGB = "sRGB"
DATA = "Non-Color"


def load_packed_image(path: Path, name: str, colour_space: str) -> bpy.types.Image:
    """Load an image file and pack its bytes as they are (nothing is decoded or encoded).

    Args:
        path: PNG file.
        name: of the image in Blender.
        colour_space: SRGB or DATA.

    Raises:
        PackageError: Blender cannot read it.
    """
    try:
        image = bpy.data.images.load(str(path), check_existing=False)
        image.colorspace_settings.name = colour_space
        image.pack()
    except RuntimeError as error:
        raise PackageError(
            "image_unreadable", f"{path.name} of the avatar package cannot be read.", "Make the avatar again."
        ) from error
    image.name = name
    # where "Unpack" would put it; the folder of the package is no business of the .blend
    image.filepath_raw = f"//textures/{path.name}"
    for packed in image.packed_files:
        packed.filepath = image.filepath_raw
    return image
