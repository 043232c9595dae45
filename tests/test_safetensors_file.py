"""Our safetensors files are the library's; damaged ones are refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from addon.exchange.errors import PackageError
from addon.exchange.safetensors_file import read_safetensors, write_safetensors

DTYPES = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")


def arrays_of_every_type() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    arrays = {f"array {dtype}": (random.normal(size=(3, 2, 5)) * 50).astype(dtype) for dtype in DTYPES}
    return arrays | {"scalar": np.array(2.5, np.float32), "empty": np.zeros((0, 3), np.int32), "ünï": np.arange(3)}


def assert_same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name], right[name])


def test_the_library_reads_what_we_write(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, arrays_of_every_type(), {"format": "x", "words": "é"})
    assert_same(load_file(path), arrays_of_every_type())
    assert read_safetensors(path)[1] == {"format": "x", "words": "é"}


def test_we_read_what_the_library_writes(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    save_file(arrays_of_every_type(), path, {"format": "x"})
    arrays, metadata = read_safetensors(path)
    assert_same(arrays, arrays_of_every_type())
    assert metadata == {"format": "x"}
    arrays["array f4"] += 1  # writable


def test_memory_order_does_not_matter(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    array = np.arange(24, dtype=">i4").reshape(2, 3, 4).transpose(2, 0, 1)
    write_safetensors(path, {"a": array})
    np.testing.assert_array_equal(load_file(path)["a"], array)


def test_same_arrays_give_the_same_bytes(tmp_path: Path):
    arrays = arrays_of_every_type()
    write_safetensors(tmp_path / "a", arrays)
    write_safetensors(tmp_path / "b", dict(reversed(arrays.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_unknown_type_is_refused_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(PackageError, match="words"):
        write_safetensors(tmp_path / "a.safetensors", {"words": np.array(["text"])})
    assert not list(tmp_path.iterdir())


def file_of(header: object, data: bytes = bytes(8)) -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


def entry(shape: list, offsets: list, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


DAMAGED = {
    "nothing": b"",
    "short": b"abc",
    "header_beyond_the_file": (2**40).to_bytes(8, "little") + b"{}",
    "header_not_json": file_of(b"{not json"),
    "header_not_text": file_of(b"\xff\xfe\xfa"),
    "header_a_list": file_of([1, 2]),
    "header_deep": file_of(b"[" * 200_000),
    "name_twice": file_of(b'{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{}}'),
    "unknown_type": file_of({"a": entry([2], [0, 8], "F13")}),
    "negative_shape": file_of({"a": entry([-2], [0, 8])}),
    "shape_a_number": file_of({"a": entry(2, [0, 8])}),
    "shape_of_truths": file_of({"a": entry([True, True], [0, 4])}, bytes(4)),
    "size_mismatch": file_of({"a": entry([3], [0, 8])}),
    "three_offsets": file_of({"a": entry([2], [0, 8, 9])}),
    "data_cut_off": file_of({"a": entry([4], [0, 16])}),
    "data_left_over": file_of({"a": entry([1], [0, 4])}),
    "overlap": file_of({"a": entry([2], [0, 8]), "b": entry([1], [4, 8])}),
    "hole": file_of({"a": entry([1], [4, 8])}),
    "metadata_not_texts": file_of({"__metadata__": {"a": 1}, "a": entry([2], [0, 8])}),
    "huge_shape": file_of({"a": entry([2**40, 2**40], [0, 8])}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_file_is_refused(tmp_path: Path, name: str):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(PackageError, match=r"weights\.safetensors is damaged"):
        read_safetensors(path)


def test_missing_file(tmp_path: Path):
    with pytest.raises(PackageError, match="cannot be read"):
        read_safetensors(tmp_path / "none.safetensors")
