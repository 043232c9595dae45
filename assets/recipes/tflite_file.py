"""Reads TFLite network files with the standard library and numpy: operators, tensors and their stored values.

A TFLite file is a flatbuffer: tables whose fields are found through a table of offsets (`vtable`). Only the fields that
the tracker's networks use are read. Field numbers are those of TensorFlow's published schema, version 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_TENSOR_TYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 9: np.int8}

_OPERATOR_NAMES = {
    0: "ADD", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE", 6: "DEQUANTIZE",
    17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 22: "RESHAPE", 23: "RESIZE_BILINEAR", 32: "CUSTOM", 34: "PAD",
    45: "STRIDED_SLICE", 54: "PRELU", 124: "DENSIFY",
}  # fmt: skip

# for each kind of options table: field number -> (name, how to read the value)
_OPTIONS = {
    "CONV_2D": {0: ("padding", "b"), 1: ("stride_w", "i"), 2: ("stride_h", "i"), 3: ("activation", "b")},
    "DEPTHWISE_CONV_2D": {0: ("padding", "b"), 1: ("stride_w", "i"), 2: ("stride_h", "i"), 4: ("activation", "b")},
    "MAX_POOL_2D": {0: ("padding", "b"), 1: ("stride_w", "i"), 2: ("stride_h", "i"), 3: ("filter_w", "i"),
                    4: ("filter_h", "i"), 5: ("activation", "b")},
    "ADD": {0: ("activation", "b")},
    "MUL": {0: ("activation", "b")},
    "CONCATENATION": {0: ("axis", "i"), 1: ("activation", "b")},
    "DEPTH_TO_SPACE": {0: ("block_size", "i")},
    "RESIZE_BILINEAR": {2: ("align_corners", "b"), 3: ("half_pixel_centers", "b")},
}  # fmt: skip

_SPARSE_INDEX_TYPES = {1: np.int32, 2: np.uint16, 3: np.uint8}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the network; `values` is None for those computed at run time."""

    name: str
    shape: tuple[int, ...]
    values: np.ndarray | None


@dataclass(frozen=True)
class Operation:
    """One step: tensor numbers in and out (-1: an optional input left out)."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int] = field(default_factory=dict)
    custom_options: bytes = b""


@dataclass(frozen=True)
class StoredNetwork:
    """The one graph of a file, operations in the order in which they run."""

    tensors: list[StoredTensor]
    operations: list[Operation]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class _Table:
    """A flatbuffer table: fields by number."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - struct.unpack_from("<i", data, position)[0]
        self._vtable_bytes = struct.unpack_from("<H", data, self._vtable)[0]

    def _field(self, number: int) -> int | None:
        entry = 4 + 2 * number
        if entry >= self._vtable_bytes:
            return None
        offset = struct.unpack_from("<H", self._data, self._vtable + entry)[0]
        return self._position + offset if offset else None

    def scalar(self, number: int, code: str, default: int = 0) -> int:
        position = self._field(number)
        return default if position is None else struct.unpack_from(f"<{code}", self._data, position)[0]

    def _follow(self, number: int) -> int | None:
        position = self._field(number)
        return None if position is None else position + struct.unpack_from("<I", self._data, position)[0]

    def table(self, number: int) -> _Table | None:
        target = self._follow(number)
        return None if target is None else _Table(self._data, target)

    def vector(self, number: int, dtype: Any) -> np.ndarray:
        target = self._follow(number)
        if target is None:
            return np.zeros(0, dtype)
        length = struct.unpack_from("<I", self._data, target)[0]
        return np.frombuffer(self._data, dtype, length, target + 4)

    def text(self, number: int) -> str:
        return self.vector(number, np.uint8).tobytes().decode()

    def tables(self, number: int) -> list[_Table]:
        target = self._follow(number)
        if target is None:
            return []
        offsets = self.vector(number, np.uint32)
        return [_Table(self._data, target + 4 + 4 * row + int(offset)) for row, offset in enumerate(offsets)]


def read_tflite(data: bytes) -> StoredNetwork:
    """Read a network.

    Args:
        data: the content of a .tflite file with one graph.

    Returns:
        Its graph; sparse tensors come back dense.

    Raises:
        ValueError: not a TFLite file, or one that uses an operator or type that this reader does not know.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("This is not a TFLite file of schema version 3.")
    model = _Table(data, struct.unpack_from("<I", data, 0)[0])
    graphs = model.tables(2)
    if len(graphs) != 1:
        raise ValueError(f"The file has {len(graphs)} graphs where one is expected.")
    buffers = model.tables(4)
    codes = model.tables(1)
    return StoredNetwork(
        tensors=[_read_tensor(table, buffers) for table in graphs[0].tables(0)],
        operations=[_read_operation(table, codes) for table in graphs[0].tables(3)],
        inputs=_numbers(graphs[0], 1),
        outputs=_numbers(graphs[0], 2),
    )


def _numbers(table: _Table, number: int) -> tuple[int, ...]:
    return tuple(int(value) for value in table.vector(number, np.int32))


def _read_operation(table: _Table, codes: list[_Table]) -> Operation:
    code = codes[table.scalar(0, "I")]
    # old files have the code in the byte field only, new ones in the wider field as well
    number = max(code.scalar(0, "b"), code.scalar(3, "i"))
    if number not in _OPERATOR_NAMES:
        raise ValueError(f"The network uses operator {number}, which is not supported.")
    name = _OPERATOR_NAMES[number]
    options_table = table.table(4)
    layout = _OPTIONS.get(name, {}) if options_table else {}
    options = {label: options_table.scalar(slot, kind) for slot, (label, kind) in layout.items()}
    custom = code.text(1) if name == "CUSTOM" else ""
    raw = table.vector(5, np.uint8).tobytes()
    return Operation(custom or name, _numbers(table, 1), _numbers(table, 2), options, raw)


def _read_tensor(table: _Table, buffers: list[_Table]) -> StoredTensor:
    kind = table.scalar(1, "b")
    if kind not in _TENSOR_TYPES:
        raise ValueError(f"The tensor {table.text(3)} has type {kind}, which is not supported.")
    shape = _numbers(table, 0)
    raw = buffers[table.scalar(2, "I")].vector(0, np.uint8)
    if raw.size == 0:
        return StoredTensor(table.text(3), shape, None)
    values = raw.view(_TENSOR_TYPES[kind])
    sparsity = table.table(6)
    dense = values.reshape(shape) if sparsity is None else _densify(values, shape, sparsity)
    return StoredTensor(table.text(3), shape, dense)


def _densify(values: np.ndarray, shape: tuple[int, ...], sparsity: _Table) -> np.ndarray:
    """Unfold TFLite's sparse storage: a tree of levels, each dense or in compressed rows, then blocks."""
    order = _numbers(sparsity, 0)
    block_map = _numbers(sparsity, 1)
    levels = [_level(table) for table in sparsity.tables(2)]
    rank = len(shape)
    block_sizes = {axis: levels[rank + number][0] for number, axis in enumerate(block_map)}
    # (position in the values, coordinates so far): grown level by level
    rows = np.zeros((1, 0), np.int64)
    positions = np.zeros(1, np.int64)
    for dense_size, segments, indices in levels:
        if segments is None:
            children = np.tile(np.arange(dense_size), len(rows))
            parents = np.repeat(np.arange(len(rows)), dense_size)
            positions = np.repeat(positions, dense_size) * dense_size + children
        else:
            counts = np.diff(segments)[positions]
            parents = np.repeat(np.arange(len(rows)), counts)
            positions = np.concatenate([np.arange(segments[p], segments[p + 1]) for p in positions])
            children = indices[positions]
        rows = np.concatenate([rows[parents], children[:, None]], axis=1)
    coordinates = np.zeros((len(rows), rank), np.int64)
    for level, axis in enumerate(order):
        if axis < rank:
            coordinates[:, axis] += rows[:, level] * block_sizes.get(axis, 1)
        else:
            coordinates[:, block_map[axis - rank]] += rows[:, level]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(coordinates.T)] = values[positions]
    return dense


def _level(table: _Table) -> tuple[int, np.ndarray | None, np.ndarray | None]:
    """(size when dense, row starts, child indices); the last two are None for a dense level."""
    if table.scalar(0, "b") == 0:
        return table.scalar(1, "i"), None, None
    segments = table.table(3).vector(0, _SPARSE_INDEX_TYPES[table.scalar(2, "B")])
    indices = table.table(5).vector(0, _SPARSE_INDEX_TYPES[table.scalar(4, "B")])
    return 0, segments.astype(np.int64), indices.astype(np.int64)
