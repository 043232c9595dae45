"""Pickles that would run something are refused before they do; pickles of arrays give the arrays."""

from __future__ import annotations

import builtins
import copyreg
import os
import pickle
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from addon.exchange.errors import HeadFileError
from ml_backend.head.pickled_arrays import as_array
from ml_backend.head.restricted_unpickler import load_pickle, loads_pickle

EXTENSION_CODE = 0x7A01  # free in copyreg's registry


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def _short_text(text: str) -> bytes:
    return b"\x8c" + struct.pack("<B", len(text)) + text.encode()


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _python_that_writes(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


def _system(marker: Path) -> bytes:
    return pickle.dumps(Call(os.system, f"touch '{marker}'"), protocol=2)


def _eval(marker: Path) -> bytes:
    return pickle.dumps(Call(builtins.eval, _python_that_writes(marker)), protocol=4)


def _exec_python2_name(marker: Path) -> bytes:
    return b"c__builtin__\neval\n(" + _text(_python_that_writes(marker)) + b"tR."


def _subprocess(marker: Path) -> bytes:
    return pickle.dumps(Call(subprocess.call, ["touch", str(marker)]), protocol=3)


def _getattr_chain(marker: Path) -> bytes:
    """getattr(__import__("os"), "system")(...), from built-in names only."""
    imported = b"cbuiltins\n__import__\n(" + _text("os") + b"tR"
    return b"cbuiltins\ngetattr\n(" + imported + _text("system") + b"tR(" + _text(f"touch '{marker}'") + b"tR."


def _inside_allowed_types(marker: Path) -> bytes:
    """A dict of arrays, one of which is an object array with a call in it."""
    objects = np.array([Call(os.system, f"touch '{marker}'")], dtype=object)
    return pickle.dumps({"v_template": np.zeros((4, 3)), "weights": objects}, protocol=2)


def _inside_sparse_state(marker: Path) -> bytes:
    matrix = scipy.sparse.csc_matrix(np.eye(3))
    matrix.extra = Call(builtins.eval, _python_that_writes(marker))
    return pickle.dumps(matrix, protocol=4)


def _memoised_stack_global(marker: Path) -> bytes:
    """Module and name come out of the memo, after other use."""
    names = _short_text("system") + b"\x94" + _short_text("posix") + b"\x94" + b"00"  # memo 0 and 1, then dropped
    return b"\x80\x04" + names + b"h\x01h\x00\x93" + _short_text(f"touch '{marker}'") + b"\x85R."


def _overwritten_memo(marker: Path) -> bytes:
    """The memo first holds an allowed name, then another one under the same number."""
    names = _text("ndarray") + b"q\x00" + b"0" + _text("system") + b"q\x00" + b"0"
    return b"\x80\x04" + names + _text("posix") + b"h\x00\x93" + _short_text(f"touch '{marker}'") + b"\x85R."


def _old_style_instance(marker: Path) -> bytes:
    return b"(" + _text(_python_that_writes(marker)) + b"ibuiltins\nexec\n."


def _dotted_name(marker: Path) -> bytes:
    """Protocol 4 follows dots: numpy.ndarray's neighbours are one attribute away from anything."""
    return b"\x80\x04" + _short_text("pathlib") + _short_text("Path.touch") + b"\x93" + _path(marker) + b"\x85R."


def _path(marker: Path) -> bytes:
    return b"cpathlib\nPath\n(" + _text(str(marker)) + b"tR"


def _state_setter(marker: Path) -> bytes:
    """BUILD on an allowed class: its __setstate__ replaced by eval, then called with the state."""
    setter = b"}(" + _text("__setstate__") + b"cbuiltins\neval\nus"[:-1] + b"b"
    return b"cnumpy\ndtype\n" + setter + _text(_python_that_writes(marker)) + b"b."


RUNNING = {
    "os.system": (_system, f"{os.system.__module__}.system"),
    "eval": (_eval, "builtins.eval"),
    "eval, Python 2's name": (_exec_python2_name, "__builtin__.eval"),
    "subprocess": (_subprocess, "subprocess.call"),
    "getattr chain": (_getattr_chain, "builtins.getattr"),
    "inside an object array": (_inside_allowed_types, f"{os.system.__module__}.system"),
    "inside a sparse matrix": (_inside_sparse_state, "builtins.eval"),
    "memoised STACK_GLOBAL": (_memoised_stack_global, "posix.system"),
    "overwritten memo": (_overwritten_memo, "posix.system"),
    "INST": (_old_style_instance, "builtins.exec"),
    "dotted name": (_dotted_name, "pathlib.Path.touch"),
}


@pytest.mark.parametrize("kind", RUNNING)
def test_harmful_pickle_is_refused_by_name_and_runs_nothing(kind: str, tmp_path: Path) -> None:
    build, wanted = RUNNING[kind]
    marker = tmp_path / "it ran"
    file = tmp_path / "flame.pkl"
    file.write_bytes(build(marker))
    with pytest.raises(HeadFileError) as refusal:
        load_pickle(file)
    assert refusal.value.code == "head_file_refused"
    assert f"asks for {wanted}," in refusal.value.message
    assert not marker.exists()
    # the payload is real: Python's own unpickler runs it
    pickle.loads(file.read_bytes(), fix_imports=True)
    assert marker.exists()


def test_state_of_an_allowed_class_cannot_be_replaced(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    with pytest.raises(HeadFileError, match=r"builtins\.eval"):
        loads_pickle(_state_setter(marker), "flame.pkl")
    assert not marker.exists()


def test_build_on_an_allowed_class_changes_nothing() -> None:
    """BUILD with a harmless state on the class itself: refused, and later files still read."""
    with pytest.raises(HeadFileError):
        loads_pickle(b"cnumpy\ndtype\n}(" + _text("arguments") + b"K\x01ub.", "flame.pkl")
    array = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(as_array(loads_pickle(pickle.dumps(array, protocol=2), "a.pkl")), array)


def test_extension_registry_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    copyreg.add_extension("os", "system", EXTENSION_CODE)
    try:
        payload = b"\x83" + struct.pack("<H", EXTENSION_CODE) + _text(f"touch '{marker}'") + b"\x85R."
        with pytest.raises(HeadFileError, match="extension registry"):
            loads_pickle(b"\x80\x02" + payload, "flame.pkl")
        assert not marker.exists()
        pickle.loads(b"\x80\x02" + payload)
        assert marker.exists()
    finally:
        copyreg.remove_extension("os", "system", EXTENSION_CODE)


@pytest.mark.parametrize("payload", [b"Psomewhere\n.", b"K\x01Q."], ids=["PERSID", "BINPERSID"])
def test_persistent_objects_are_refused(payload: bytes) -> None:
    with pytest.raises(HeadFileError, match="outside the file"):
        loads_pickle(payload, "flame.pkl")


def test_computed_name_is_refused() -> None:
    """The module's name is the result of a call, so no scan can tell it."""
    computed = b"c_codecs\nencode\n(" + _text("posix") + _text("latin1") + b"tR"
    with pytest.raises(HeadFileError, match="whose name it computes"):
        loads_pickle(b"\x80\x04" + computed + _text("system") + b"\x93.", "flame.pkl")


def test_second_lock_holds_without_the_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when the scan sees nothing, the unpickler itself looks nothing up."""
    monkeypatch.setattr("ml_backend.head.restricted_unpickler.named_objects", lambda data: [])
    marker = tmp_path / "it ran"
    for build, _ in RUNNING.values():
        with pytest.raises(HeadFileError) as refusal:
            loads_pickle(build(marker), "flame.pkl")
        assert refusal.value.code == "head_file_refused"
        assert not marker.exists()


DAMAGED = {
    "empty": b"",
    "text": b"not a pickle at all",
    "cut off": pickle.dumps({"v_template": np.zeros((5, 3))}, protocol=2)[:-20],
    "stack underflow": b"\x80\x02\x93.",
    "huge memo index": b"\x80\x02Nr" + struct.pack("<I", 0x7FFFFFFF) + b".",
    "unknown memo": b"\x80\x02h\x05.",
    "no mark": b"\x80\x02t.",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_pickle_gets_one_sentence(kind: str) -> None:
    with pytest.raises(HeadFileError) as error:
        loads_pickle(DAMAGED[kind], "flame.pkl")
    assert error.value.code == "head_file_damaged"
    assert error.value.message.count("\n") == 0


def test_endless_pickle_is_refused() -> None:
    with pytest.raises(HeadFileError, match="1,000,000 steps"):
        loads_pickle(b"N0" * 600_000 + b"N.", "flame.pkl")


ARRAYS = {
    "float64": np.linspace(-1, 1, 12).reshape(3, 4),
    "float32 in Fortran order": np.asfortranarray(np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)),
    "uint32": np.array([[4294967295, 0, 1], [0, 1, 2]], np.uint32),
    "big-endian": np.arange(5, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "bool": np.array([True, False]),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_read_as_they_were(kind: str, protocol: int) -> None:
    content = {"v_template": ARRAYS[kind], "f": ARRAYS[kind]}  # the second one comes out of the memo
    read = loads_pickle(pickle.dumps(content, protocol=protocol), "flame.pkl")
    for name in content:
        array = as_array(read[name])
        assert array.dtype == ARRAYS[kind].dtype
        assert np.array_equal(array, ARRAYS[kind])


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("layout", ["csc", "csr", "coo"])
@pytest.mark.parametrize("shape", [(5, 40), (6, 6)])
def test_sparse_matrices_read_as_they_were(layout: str, protocol: int, shape: tuple[int, int]) -> None:
    matrix = scipy.sparse.random(*shape, density=0.3, format=layout, random_state=np.random.RandomState(3))
    read = loads_pickle(pickle.dumps(matrix, protocol=protocol), "flame.pkl")
    assert np.allclose(as_array(read), matrix.toarray(), atol=0)


def test_scalar_reads_as_it_was() -> None:
    assert as_array(loads_pickle(pickle.dumps(np.float64(0.25), protocol=2), "flame.pkl")) == 0.25


def test_python2_bytes_in_protocol_0() -> None:
    """FLAME_masks.pkl was written by Python 2: raw bytes in quoted strings, which pickletools itself cannot read."""
    array = np.array([200, 3, 255], np.uint8)
    quoted = "'" + "".join(f"\\x{value:02x}" for value in array) + "'"
    content = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I3\ntcnumpy\ndtype\n"
        b"(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS" + quoted.encode() + b"\ntb."
    )
    assert np.array_equal(as_array(loads_pickle(content, "masks.pkl")), array)
    raw = content.replace(quoted.encode(), b"'\xc8\x03\xff'")
    assert np.array_equal(as_array(loads_pickle(raw, "masks.pkl")), array)


UNFIT = {
    "too little content": b"\x80\x02cnumpy\ndtype\n" + _text("f8") + b"\x85R.",
    "a number": b"N.",
    "text": _text("lbs") + b".",
    "array without state": b"cnumpy\nndarray\n)R.",
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_no_array_is_said_to_be_none(kind: str) -> None:
    with pytest.raises(ValueError):
        as_array(loads_pickle(UNFIT[kind], "flame.pkl"))


def test_object_array_is_no_array_of_numbers() -> None:
    with pytest.raises(ValueError, match="no array of numbers"):
        as_array(loads_pickle(pickle.dumps(np.array([1, "a"], dtype=object), protocol=2), "flame.pkl"))


def test_array_whose_content_is_too_short_is_refused() -> None:
    content = pickle.dumps(np.zeros(2, np.uint8), protocol=3).replace(b"K\x02\x85", b"K\x7f\x85")
    with pytest.raises(ValueError):
        as_array(loads_pickle(content, "flame.pkl"))
