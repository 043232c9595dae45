"""JSON becomes dataclasses only where every value has its type; the message names the one that has not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from addon.exchange.typed_json import JsonMismatch, decode, encode


@dataclass(frozen=True)
class Inner:
    width: int
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    flag: bool
    pair: tuple[int, int]
    words: tuple[str, ...]
    inner: Inner
    many: dict[str, Inner]
    maybe: float | None = None
    defaults: dict[str, int] = field(default_factory=dict)


WHOLE = Outer("ünï 写真", True, (1, 2), ("a", "b"), Inner(3, 0.25), {"x": Inner(4)}, 1.5, {"n": 7})


def document() -> dict:
    return json.loads(json.dumps(encode(WHOLE)))


def test_round_trip_through_text():
    assert decode(Outer, document()) == WHOLE


def test_defaults_fill_in_and_unknown_fields_are_ignored():
    shortened = document() | {"later": [1, {"a": None}]}
    del shortened["maybe"], shortened["defaults"]
    decoded = decode(Outer, shortened)
    assert decoded.maybe is None
    assert decoded.defaults == {}
    assert decoded.name == WHOLE.name


def test_whole_numbers_are_floats_too():
    assert decode(Inner, {"width": 1, "share": 2}) == Inner(1, 2.0)
    assert isinstance(decode(Inner, {"width": 1, "share": 2}).share, float)


MISMATCHES = {
    "name a number": ({"name": 3}, "name is not of type str"),
    "name null": ({"name": None}, "name is not of type str"),
    "flag a number": ({"flag": 1}, "flag is not of type bool"),
    "pair too long": ({"pair": [1, 2, 3]}, "pair has 3 values, not 2"),
    "pair an object": ({"pair": {"0": 1}}, "pair is not a list"),
    "pair of texts": ({"pair": [1, "2"]}, "pair[1] is not of type int"),
    "words a text": ({"words": "ab"}, "words is not a list"),
    "a word a list": ({"words": ["a", []]}, "words[1] is not of type str"),
    "inner a list": ({"inner": []}, "inner is not an object"),
    "inner incomplete": ({"inner": {}}, "inner.width is missing"),
    "width a fraction": ({"inner": {"width": 1.0}}, "inner.width is not of type int"),
    "width a truth": ({"inner": {"width": True}}, "inner.width is not of type int"),
    "share a truth": ({"inner": {"width": 1, "share": False}}, "inner.share is not of type float"),
    "share a text": ({"inner": {"width": 1, "share": "1"}}, "inner.share is not of type float"),
    "share not a number": ({"inner": {"width": 1, "share": float("nan")}}, "inner.share is not a finite number"),
    "share infinite": ({"inner": {"width": 1, "share": float("-inf")}}, "inner.share is not a finite number"),
    "share beyond floats": ({"inner": {"width": 1, "share": -(10**400)}}, "inner.share is not a finite number"),
    "many a list": ({"many": [1]}, "many is not an object"),
    "one of many wrong": ({"many": {"x": {"width": None}}}, "many.x.width is not of type int"),
    "maybe a text": ({"maybe": "no"}, "maybe is not of type float"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_mismatch_is_named(name: str):
    change, reason = MISMATCHES[name]
    with pytest.raises(JsonMismatch) as mismatch:
        decode(Outer, document() | change)
    assert str(mismatch.value) == reason


def test_missing_field_is_named():
    incomplete = document()
    del incomplete["pair"]
    with pytest.raises(JsonMismatch, match=r"^pair is missing$"):
        decode(Outer, incomplete)


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_only_objects_become_dataclasses(value: object):
    with pytest.raises(JsonMismatch, match="the document is not an object"):
        decode(Outer, value)
