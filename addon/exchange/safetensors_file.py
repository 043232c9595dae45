"""Reads and writes .safetensors files with the standard library and numpy.

The format: 8 bytes little-endian header length, a JSON header (name -> dtype, shape, data_offsets), the raw arrays.
Blender's Python has numpy but not the safetensors package, hence this file.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import PackageError

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_DTYPE_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}

# the safetensors library refuses longer headers too
MAX_HEADER_BYTES = 100_000_000
# the library aligns the data to this, so that arrays can be mapped
_ALIGNMENT = 8
_METADATA = "__metadata__"


@dataclass(frozen=True)
class _Entry:
    """One array of the header: offsets count from the end of the header."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    end: int


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read every array of a file.

    Args:
        path: the file.

    Returns:
        The arrays by name (writable, native memory) and the file's metadata.

    Raises:
        PackageError: the file is missing or damaged.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise _damaged(path, f"it cannot be read: {error.strerror or error}") from error
    header, data_start = _read_header(path, content)
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its metadata are not texts")
    entries = [_entry(path, name, record) for name, record in header.items()]
    _check_layout(path, entries, content.size - data_start)
    arrays = {
        entry.name: _array(content[data_start + entry.start : data_start + entry.end], entry) for entry in entries
    }
    return arrays, metadata


def write_safetensors(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Write arrays to a file, which appears whole or not at all.

    Args:
        path: the file; an existing one is replaced.
        arrays: by name; any shape; booleans, integers and floats of 2, 4 or 8 bytes.
        metadata: texts.

    Raises:
        PackageError: an array has a type that the format lacks.
        OSError: the disk is full, or the folder cannot be written.
    """
    prepared = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = _header_bytes(path, prepared, metadata or {})
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(len(header).to_bytes(8, "little"))
            file.write(header)
            for name in _order(prepared):
                file.write(prepared[name].astype(prepared[name].dtype.newbyteorder("<"), copy=False).tobytes())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _order(arrays: dict[str, np.ndarray]) -> list[str]:
    """Wide types first, so that every array is aligned; then by name, so that the same arrays give the same bytes."""
    return sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))


def _header_bytes(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    header: dict[str, Any] = {_METADATA: metadata} if metadata else {}
    offset = 0
    for name in _order(arrays):
        array = arrays[name]
        dtype = _DTYPE_NAMES.get(array.dtype.newbyteorder("<"))
        if dtype is None or name == _METADATA:
            raise PackageError(
                "array_not_storable",
                f"{path.name} cannot hold the array {name} of type {array.dtype}.",
                "Convert it to a float, an integer or a boolean type.",
            )
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return encoded + b" " * (-len(encoded) % _ALIGNMENT)


def _read_header(path: Path, content: np.ndarray) -> tuple[dict[str, Any], int]:
    """The decoded header and where the data start."""
    if content.size < 8:
        raise _damaged(path, "it is too short")
    length = int.from_bytes(content[:8].tobytes(), "little")
    if length > min(MAX_HEADER_BYTES, content.size - 8):
        raise _damaged(path, "its header is longer than the file")
    try:
        header = json.loads(content[8 : 8 + length].tobytes().decode("utf-8"), object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not valid") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not valid")
    return header, 8 + length


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _entry(path: Path, name: str, record: Any) -> _Entry:
    """One checked entry of the header."""
    if not isinstance(record, dict) or record.get("dtype") not in _DTYPES:
        raise _damaged(path, f"the array {name} has an unknown type")
    shape, offsets = record.get("shape"), record.get("data_offsets")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise _damaged(path, f"the header of the array {name} is not valid")
    dtype = np.dtype(_DTYPES[record["dtype"]])
    start, end = offsets
    if end - start != math.prod(shape) * dtype.itemsize:
        raise _damaged(path, f"the array {name} has another size than its shape says")
    return _Entry(name, dtype, tuple(shape), start, end)


def _counts(value: Any) -> bool:
    """Whether a header value is a list of whole numbers from 0."""
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_layout(path: Path, entries: list[_Entry], data_bytes: int) -> None:
    """The arrays must fill the data without holes or overlaps."""
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.end)):
        if entry.start != position:
            raise _damaged(path, f"the array {entry.name} lies in the wrong place")
        position = entry.end
    if position != data_bytes:
        raise _damaged(path, f"it has {data_bytes} bytes of data where {position} belong")


def _array(raw: np.ndarray, entry: _Entry) -> np.ndarray:
    """A view of the file's bytes, copied only where the processor needs another alignment or byte order."""
    array = raw.view(entry.dtype).reshape(entry.shape)
    return np.require(array, dtype=entry.dtype.newbyteorder("="), requirements=["A", "W", "C"])


def _damaged(path: Path, reason: str) -> PackageError:
    return PackageError("array_file_damaged", f"{path.name} is damaged: {reason}.", "Make or get the file again.")
