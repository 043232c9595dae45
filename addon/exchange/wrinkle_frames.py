"""The folder of exact wrinkles: an image for each frame, and an index that says what they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FRAME_STEM = "wrinkles_"
INDEX_FILE = "wrinkles.json"
INDEX_FORMAT = "likeness-wrinkle-frames-1"
_EXTENSION = ".exr"
# image sequences are numbered so that they sort, as other programs number theirs
_DIGITS = 4


@dataclass(frozen=True)
class FrameIndex:
    """What a folder of exact wrinkles holds.

    Attributes:
        owner: whose frames they are, as the add-on has named them.
        size_px: side of the images that were made last.
        inputs: frame number to the hash of all that its image was made from.
    """

    owner: str
    size_px: int
    inputs: Mapping[int, str] = field(default_factory=dict)


def frame_file_name(frame: int) -> str:
    """The name of a frame's image, as Blender's image sequences count them."""
    return f"{FRAME_STEM}{frame:0{_DIGITS}d}{_EXTENSION}"


def frame_of_file(name: str) -> int | None:
    """The frame of an image by its name; None for another file."""
    number = name.removeprefix(FRAME_STEM).removesuffix(_EXTENSION)
    return int(number) if number.isdecimal() and name == frame_file_name(int(number)) else None


def write_index(path: Path, index: FrameIndex) -> None:
    """Write an index; what is there is overwritten.

    Raises:
        OSError: it cannot be written.
    """
    document = {
        "format": INDEX_FORMAT,
        "owner": index.owner,
        "size_px": index.size_px,
        "unit": "mm",
        "frames": {str(frame): inputs for frame, inputs in sorted(index.inputs.items())},
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_index(folder: Path) -> FrameIndex | None:
    """The index of a folder; None where there is none that can be read."""
    try:
        document = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        if document["format"] != INDEX_FORMAT:
            return None
        inputs = {int(frame): str(made_from) for frame, made_from in document["frames"].items()}
        return FrameIndex(str(document["owner"]), int(document["size_px"]), inputs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
