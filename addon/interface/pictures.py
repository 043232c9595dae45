"""Pictures for the interface that lie in files: crops of faces, thumbnails of avatars."""

from __future__ import annotations

import bpy
import bpy.utils.previews

_pictures: bpy.utils.previews.ImagePreviewCollection | None = None


def open_pictures() -> None:
    """Begin to keep pictures."""
    global _pictures
    _pictures = bpy.utils.previews.new()


def close_pictures() -> None:
    """Free all pictures."""
    global _pictures
    if _pictures is not None:
        bpy.utils.previews.remove(_pictures)
        _pictures = None


def picture_icon(path: str) -> int:
    """The icon of an image file; Blender reads the file later, in a job of its own. 0 where there is none.

    Args:
        path: absolute.
    """
    if _pictures is None or not path:
        return 0
    picture = _pictures.get(path)
    if picture is None:
        picture = _pictures.load(path, path, "IMAGE")
    return picture.icon_id


def forget_picture(path: str) -> None:
    """Let a picture whose file has changed be read again."""
    if _pictures is not None and path in _pictures:
        del _pictures[path]
