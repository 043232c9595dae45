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
        PackageError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PackageError(
            "image_unreadable", f"{path.name} of the avatar package cannot be read.", "Make the avatar again."
        ) from error
    # not `images.load`, which leaves the folder of the package in the .blend; the size is the packed image's in the end
    image = bpy.data.images.new(name, 1, 1)
    # where "Unpack" would put it
    image.filepath_raw = f"//textures/{path.name}"
    image.pack(data=content, data_len=len(content))
    image.source = "FILE"
    image.colorspace_settings.name = colour_space
    return image
