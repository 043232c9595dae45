"""Writes one grey channel as an OpenEXR file, and reads such a file's header.

Scan lines, half floats, ZIP compression: what every program that knows OpenEXR reads. The writer is ours because
OpenCV's has to be allowed by an environment variable before OpenCV loads, and keeps no attributes.

Source: "OpenEXR File Layout" and "Technical Introduction to OpenEXR", openexr.com.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np

_MAGIC_AND_VERSION = struct.pack("<II", 20000630, 2)
# luminance: readers show it as grey
_CHANNEL = b"Y"
_HALF = 1
_ZIP, _LINES_PER_BLOCK = 3, 16
# the first level that searches for repetitions at all: a third of the time of the usual 6, for files 4% larger
_ZLIB_LEVEL = 1
_LARGEST_HALF = float(np.finfo(np.float16).max)
# far more than our own headers take
_MOST_HEADER_BYTES = 4096


class NoExrOfOurs(ValueError):
    """The file is damaged, cut short, or not one that `write_grey_exr` wrote."""


def write_grey_exr(path: Path, values: np.ndarray, attributes: dict[str, str] | None = None) -> None:
    """Write an image of half floats, to the disk itself.

    Args:
        path: of the file; what is there is overwritten.
        values: (H, W), row 0 at the top; rounded to half floats, finite.
        attributes: texts for the header, ASCII.

    Raises:
        ValueError: a value is not finite or beyond half floats.
        OSError: it cannot be written.
    """
    if not np.abs(values).max() <= _LARGEST_HALF:
        raise ValueError("a value has no half float")
    height, width = values.shape
    header = _header(width, height, attributes or {})
    halves = values.astype("<f2")
    blocks = []
    for first in range(0, height, _LINES_PER_BLOCK):
        data = _compressed(halves[first : first + _LINES_PER_BLOCK].tobytes())
        blocks.append(struct.pack("<ii", first, len(data)) + data)
    sizes = np.array([len(block) for block in blocks], np.uint64)
    start = len(header) + 8 * len(blocks)
    offsets = start + np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype("<u8")
    with path.open("wb") as file:
        file.write(b"".join([header, offsets.tobytes(), *blocks]))
        file.flush()
        # a full disk or a cut wire shows before the file takes its place
        os.fsync(file.fileno())


def read_attributes(path: Path) -> dict[str, str]:
    """Read the texts of a whole file's header.

    Raises:
        NoExrOfOurs: it is something else, or cut short.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_MOST_HEADER_BYTES)
        try:
            attributes, end = _read_header(start)
            _, _, _, last_line = struct.unpack("<4i", attributes["dataWindow"])
            num_blocks = last_line // _LINES_PER_BLOCK + 1
            file.seek(end + 8 * (num_blocks - 1))
            (last_block,) = struct.unpack("<Q", file.read(8))
            file.seek(last_block)
            _, size = struct.unpack("<ii", file.read(8))
            found = file.seek(0, 2)
        except (KeyError, ValueError, struct.error, OverflowError) as error:
            raise NoExrOfOurs(f"{path.name} is damaged") from error
    if found != last_block + 8 + size:
        raise NoExrOfOurs(f"{path.name} is cut short")
    return {name: value.decode("ascii") for name, value in attributes.items() if name not in _REQUIRED}


def _header(width: int, height: int, attributes: dict[str, str]) -> bytes:
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    # name, type, "linear" and three reserved bytes, a sample for each pixel along x and y
    channels = _CHANNEL + b"\0" + struct.pack("<iB3xii", _HALF, 0, 1, 1) + b"\0"
    entries = [
        ("channels", "chlist", channels),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
        *((name, "string", text.encode("ascii")) for name, text in sorted(attributes.items())),
    ]
    packed = [
        f"{name}\0{kind}\0".encode("ascii") + struct.pack("<i", len(value)) + value for name, kind, value in entries
    ]
    return _MAGIC_AND_VERSION + b"".join(packed) + b"\0"


_REQUIRED = frozenset(
    (
        "channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio",
        "screenWindowCenter", "screenWindowWidth",
    )
)  # fmt: skip


def _read_header(content: bytes) -> tuple[dict[str, bytes], int]:
    """The attributes, and where the header ends.

    Raises:
        ValueError, struct.error: it is no such header.
    """
    if not content.startswith(_MAGIC_AND_VERSION):
        raise ValueError("no OpenEXR file")
    attributes, place = {}, len(_MAGIC_AND_VERSION)
    while content[place : place + 1] != b"\0":
        name_end = content.index(b"\0", place)
        kind_end = content.index(b"\0", name_end + 1)
        (size,) = struct.unpack_from("<i", content, kind_end + 1)
        start = kind_end + 5
        if not 0 <= size <= len(content) - start:
            raise ValueError("an attribute is longer than the header")
        attributes[content[place:name_end].decode("ascii")] = content[start : start + size]
        place = start + size
    return attributes, place + 1


def _compressed(raw: bytes) -> bytes:
    """A block as the format's ZIP wants it: low bytes, then high bytes, as differences, deflated."""
    data = np.frombuffer(raw, np.uint8)
    halves = np.concatenate([data[::2], data[1::2]])
    differences = halves.copy()
    # modulo 256, around 128
    differences[1:] = halves[1:] - halves[:-1] + np.uint8(128)
    deflated = zlib.compress(differences.tobytes(), _ZLIB_LEVEL)
    # a block that does not get smaller is stored as it is
    return deflated if len(deflated) < len(raw) else raw
