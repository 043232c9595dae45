"""Reads the options of TFLite's custom operators: a map of names to numbers or lists of whole numbers.

The format is a FlexBuffer: read from its end; every value has its own width.
"""

from __future__ import annotations

import struct

_INTEGER, _FLOAT, _MAP, _INTEGER_LIST = 1, 3, 9, 11
_INTEGER_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
_UNSIGNED_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FLOAT_CODES = {4: "f", 8: "d"}


def read_flexbuffer_map(data: bytes) -> dict[str, int | float | list[int]]:
    """Read a map.

    Raises:
        ValueError: the data are not a map, or hold a type that this reader does not know.
    """
    root_width, root_type = data[-1], data[-2]
    if root_type >> 2 != _MAP:
        raise ValueError("The options of a custom operator are not a map.")
    width = 1 << (root_type & 3)
    position = _follow(data, len(data) - 2 - root_width, root_width)
    count = _read(data, position - width, width, _UNSIGNED_CODES)
    keys_width = _read(data, position - 2 * width, width, _UNSIGNED_CODES)
    keys = _follow(data, position - 3 * width, width)
    result = {}
    for row in range(count):
        name_at = _follow(data, keys + row * keys_width, keys_width)
        name = data[name_at : data.index(b"\0", name_at)].decode()
        result[name] = _value(data, position + row * width, width, data[position + count * width + row])
    return result


def _read(data: bytes, position: int, width: int, codes: dict[int, str]) -> int | float:
    return struct.unpack_from(f"<{codes[width]}", data, position)[0]


def _follow(data: bytes, position: int, width: int) -> int:
    return position - _read(data, position, width, _UNSIGNED_CODES)


def _value(data: bytes, position: int, width: int, packed_type: int) -> int | float | list[int]:
    kind = packed_type >> 2
    if kind == _INTEGER:
        return _read(data, position, width, _INTEGER_CODES)
    if kind == _FLOAT:
        return _read(data, position, width, _FLOAT_CODES)
    if kind == _INTEGER_LIST:
        item_width = 1 << (packed_type & 3)
        start = _follow(data, position, width)
        count = _read(data, start - item_width, item_width, _UNSIGNED_CODES)
        return [_read(data, start + row * item_width, item_width, _INTEGER_CODES) for row in range(count)]
    raise ValueError(f"A custom operator's options hold a value of type {kind}, which is not supported.")
