"""Inert records of what a pickle held, and the arrays made of them.

`restricted_unpickler` puts a record wherever a pickle names a class; records keep what the pickle gave them and do
nothing. `as_array` reads the numbers out of them, and refuses what does not fit together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_MAX_ARRAY_DIMENSIONS = 8
_MAX_DENSE_BYTES = 1 << 28  # FLAME's joint regressor is 0.2 MB when made dense
_ARRAY_KINDS = "biuf"


class Record:
    """An object of the file, kept as what was asked to build it; nothing is interpreted here."""

    __slots__ = ("arguments", "state")

    def __new__(cls, *arguments: Any) -> Any:
        record = object.__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __init__(self, *arguments: Any) -> None:
        """Nothing: pickles that make objects without calling the class skip this."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


class ArrayRecord(Record):
    """numpy.ndarray: state (version, shape, dtype, is Fortran order, content)."""

    __slots__ = ()


class BufferArrayRecord(Record):
    """numpy's `_frombuffer`, of pickle protocol 5: arguments (content, dtype, shape, order)."""

    __slots__ = ()


class DtypeRecord(Record):
    """numpy.dtype: arguments (code, align, copy), state (version, byte order, ...)."""

    __slots__ = ()


class ScalarRecord(Record):
    """numpy scalar: arguments (dtype, content)."""

    __slots__ = ()


class EncodedTextRecord(Record):
    """`_codecs.encode(text, 'latin1')`: bytes, as Python 3 writes them for Python 2."""

    __slots__ = ()


class ChumpyRecord(Record):
    """chumpy.Ch: state is a dict, its array under "x"."""

    __slots__ = ()


class SparseRecord(Record):
    """A scipy sparse matrix: state is a dict of arrays."""

    __slots__ = ()


class CscRecord(SparseRecord):
    __slots__ = ()


class CsrRecord(SparseRecord):
    __slots__ = ()


class CooRecord(SparseRecord):
    __slots__ = ()


class TensorRecord(Record):
    """torch's `_rebuild_tensor_v2`: arguments (storage, offset, size, stride, ...)."""

    __slots__ = ()


class StorageRecord(Record):
    """torch's `_load_from_bytes`: arguments (content,)."""

    __slots__ = ()


class UnusedRecord(Record):
    """A set, an ordered dict or a bare object that hangs on another one; its content is never looked at."""

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        """Nothing is kept."""


def as_array(value: Any) -> np.ndarray:
    """Make a numeric array of what a pickle held.

    Args:
        value: a record of an array, sparse matrix (made dense), chumpy array or scalar; or plain numbers.

    Raises:
        ValueError: it is none of these or does not fit together.
    """
    if isinstance(value, ChumpyRecord):
        if not isinstance(value.state, dict) or "x" not in value.state:
            raise ValueError("a chumpy array without content")
        return as_array(value.state["x"])
    if isinstance(value, SparseRecord):
        return _dense_array(value)
    if isinstance(value, ArrayRecord):
        return _numpy_array(value)
    if isinstance(value, BufferArrayRecord):
        buffer, dtype, shape, order = value.arguments
        return _shaped(_bytes_of(buffer), _plain_dtype(dtype), shape, order)
    if isinstance(value, ScalarRecord):
        dtype, content = value.arguments
        return _shaped(_bytes_of(content), _plain_dtype(dtype), (), "C")
    array = np.asarray(value) if isinstance(value, (np.ndarray, list, tuple, int, float)) else np.asarray(None)
    if array.dtype.kind not in _ARRAY_KINDS:
        raise ValueError("something that is no array of numbers")
    return array


def object_items(value: Any) -> list[Any]:
    """The elements of an object array, in order (numpy saves a dict as an object array of one element)."""
    if not isinstance(value, ArrayRecord) or not isinstance(value.state, tuple) or len(value.state) != 5:
        raise ValueError("no array")
    content = value.state[4]
    if not isinstance(content, list):
        raise ValueError("an array of numbers where objects should be")
    return content


def _numpy_array(record: ArrayRecord) -> np.ndarray:
    if not isinstance(record.state, tuple) or len(record.state) != 5:
        raise ValueError("an array without content")
    _, shape, dtype, is_fortran, content = record.state
    if isinstance(content, list):
        raise ValueError("an array of objects, no array of numbers")
    return _shaped(_bytes_of(content), _plain_dtype(dtype), shape, "F" if is_fortran else "C")


def _shaped(content: bytes, dtype: np.dtype, shape: Any, order: str) -> np.ndarray:
    if not isinstance(shape, tuple) or len(shape) > _MAX_ARRAY_DIMENSIONS or order not in ("C", "F"):
        raise ValueError("an array of no shape")
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError("an array of no shape")
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _bytes_of(content: Any) -> bytes:
    """Python 2's byte strings arrive as latin1 text, or as `_codecs.encode(text, 'latin1')`."""
    if isinstance(content, EncodedTextRecord):
        content = content.arguments[0] if content.arguments else b""
    if isinstance(content, str):
        return content.encode("latin1")
    if isinstance(content, (bytes, bytearray)):
        return bytes(content)
    raise ValueError("an array without content")


def _plain_dtype(record: Any) -> np.dtype:
    """The numeric dtype that a record describes; no structured, object or text types."""
    if not isinstance(record, DtypeRecord) or not record.arguments or not isinstance(record.arguments[0], str):
        raise ValueError("an array of an unknown type")
    code = record.arguments[0]
    if not (code[:1] in _ARRAY_KINDS and code[1:].isdigit() and len(code) <= 3):
        raise ValueError(f"an array of type {code[:20]!r} instead of numbers")
    state = record.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|") else "="
    return np.dtype(code).newbyteorder(order)


def _dense_array(record: SparseRecord) -> np.ndarray:
    """A scipy sparse matrix as a dense float64 array."""
    state = record.state
    if not isinstance(state, dict):
        raise ValueError("a sparse matrix without content")
    shape = state.get("_shape", state.get("shape"))
    if not isinstance(shape, tuple) or len(shape) != 2 or not all(isinstance(size, int) for size in shape):
        raise ValueError("a sparse matrix of no shape")
    if not 0 < shape[0] * shape[1] * 8 <= _MAX_DENSE_BYTES:
        raise ValueError("a sparse matrix of no sensible size")
    values = as_array(state.get("data"))
    if isinstance(record, CooRecord):
        row, column = (as_array(index).astype(np.int64) for index in _coo_indices(state))
    else:
        inner = as_array(state.get("indices")).astype(np.int64)
        outer = np.repeat(np.arange(shape[isinstance(record, CscRecord)]), np.diff(as_array(state.get("indptr"))))
        row, column = (inner, outer) if isinstance(record, CscRecord) else (outer, inner)
    if not len(row) == len(column) == len(values) or min(row.min(initial=0), column.min(initial=0)) < 0:
        raise ValueError("a sparse matrix that does not fit together")
    dense = np.zeros(shape)
    np.add.at(dense, (row, column), values)  # an index beyond the shape raises IndexError
    return dense


def _coo_indices(state: dict[str, Any]) -> tuple[Any, Any]:
    """Rows and columns of a coo matrix; scipy before 1.13 keeps them as `row` and `col`."""
    if "coords" not in state:
        return state.get("row"), state.get("col")
    coordinates = state["coords"]
    if not isinstance(coordinates, tuple) or len(coordinates) != 2:
        raise ValueError("a sparse matrix that is no matrix")
    return coordinates
