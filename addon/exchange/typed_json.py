"""Decodes JSON into frozen dataclasses by their annotations, with one sentence for whatever does not fit."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
import typing
from typing import Any, TypeVar

Record = TypeVar("Record")
# evaluating the annotations takes ten times as long as the rest; there are few types
_type_hints = functools.cache(typing.get_type_hints)


class JsonMismatch(ValueError):
    """A value of the JSON document has the wrong type; the text says which."""


def decode(record_type: type[Record], value: Any, where: str = "") -> Record:
    """Make a dataclass of decoded JSON.

    Args:
        record_type: a dataclass of str, bool, int, float, tuples, dicts with text keys, unions with None, and further
            such dataclasses. Fields without a default must be present; unknown fields are ignored, so that an older
            program reads a newer file.
        value: what `json.loads` returned.
        where: the name of the value, for messages.

    Raises:
        JsonMismatch: a value is missing or has another type.
    """
    if not isinstance(value, dict):
        raise JsonMismatch(f"{where or 'the document'} is not an object")
    hints = _type_hints(record_type)
    fields = {}
    for field in dataclasses.fields(record_type):  # type: ignore[arg-type]
        name = f"{where}.{field.name}" if where else field.name
        if field.name in value:
            fields[field.name] = _decode(hints[field.name], value[field.name], name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise JsonMismatch(f"{name} is missing")
    return record_type(**fields)


def encode(value: Any) -> Any:
    """The inverse of `decode`: dataclasses become objects, tuples become lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def _decode(expected: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(expected):
        return decode(expected, value, where)  # type: ignore[arg-type]
    origin = typing.get_origin(expected)
    if origin in (types.UnionType, typing.Union):
        return _decode_optional(expected, value, where)
    if origin is tuple:
        return _decode_tuple(typing.get_args(expected), value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise JsonMismatch(f"{where} is not an object")
        item_type = typing.get_args(expected)[1]
        return {key: _decode(item_type, item, f"{where}.{key}") for key, item in value.items()}
    return _decode_scalar(expected, value, where)


def _decode_optional(expected: Any, value: Any, where: str) -> Any:
    if value is None:
        return None
    (inner,) = [option for option in typing.get_args(expected) if option is not type(None)]
    return _decode(inner, value, where)


def _decode_tuple(item_types: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise JsonMismatch(f"{where} is not a list")
    if len(item_types) == 2 and item_types[1] is Ellipsis:
        return tuple(_decode(item_types[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if len(value) != len(item_types):
        raise JsonMismatch(f"{where} has {len(value)} values, not {len(item_types)}")
    return tuple(
        _decode(item_type, item, f"{where}[{index}]")
        for index, (item_type, item) in enumerate(zip(item_types, value, strict=True))
    )


def _decode_scalar(expected: Any, value: Any, where: str) -> Any:
    if expected is float and isinstance(value, int | float) and not isinstance(value, bool):
        # a whole number may be beyond every float, and NaN compares with nothing
        if not abs(value) <= sys.float_info.max:
            raise JsonMismatch(f"{where} is not a finite number")
        return float(value)
    if type(value) is not expected:
        raise JsonMismatch(f"{where} is not of type {expected.__name__}")
    return value
