"""Reads pickles of plain arrays without running anything that they name.

A pickle is a program: loading it calls whatever it asks for. Here it may ask only for the few names below, and each of
them stands for an inert record of ours (`pickled_arrays`), never for the real class. Before that the opcodes are read
without being run, so that a refusal can say what the file asked for.

The names are those of numpy arrays, scipy sparse matrices and chumpy's Ch in files written by Python 2 and 3, and of
the tensors in FLAME's official landmark file.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addon.exchange.errors import HeadFileError
from ml_backend.head.pickled_arrays import (
    ArrayRecord,
    BufferArrayRecord,
    ChumpyRecord,
    CooRecord,
    CscRecord,
    CsrRecord,
    DtypeRecord,
    EncodedTextRecord,
    Record,
    ScalarRecord,
    StorageRecord,
    TensorRecord,
    UnusedRecord,
)

MAX_FILE_BYTES = 1 << 30  # FLAME 2023 is 53 MB, the largest body models about 300 MB
MAX_OPCODES = 1_000_000  # FLAME's file has about 500; also bounds the memo, whose index would otherwise reserve memory


class NumpyArrayFunction(Record):
    """Stands for `_reconstruct(ndarray, shape, typecode)`: an array that gets its content from its state."""

    __slots__ = ()

    def __new__(cls, *arguments: Any) -> ArrayRecord:  # type: ignore[misc]
        return ArrayRecord(*arguments)


class CopyregFunction(Record):
    """Stands for Python 2's `copy_reg._reconstructor(class, base, state)`."""

    __slots__ = ()

    def __new__(cls, record_class: Any = None, *_: Any) -> Record:  # type: ignore[misc]
        if not (isinstance(record_class, type) and issubclass(record_class, Record)):
            raise pickle.UnpicklingError("copy_reg._reconstructor of something that is no class")
        return record_class()


def _allowed_names() -> dict[tuple[str, str], type[Record]]:
    names: dict[tuple[str, str], type[Record]] = {
        ("numpy", "ndarray"): ArrayRecord,
        ("numpy", "dtype"): DtypeRecord,
        ("_codecs", "encode"): EncodedTextRecord,
        ("chumpy.ch", "Ch"): ChumpyRecord,
        ("chumpy", "Ch"): ChumpyRecord,
        ("collections", "OrderedDict"): UnusedRecord,
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = NumpyArrayFunction
        names[f"{core}.multiarray", "scalar"] = ScalarRecord
        names[f"{core}.numeric", "_frombuffer"] = BufferArrayRecord
    for builtins in ("builtins", "__builtin__"):
        names[builtins, "set"] = UnusedRecord
        names[builtins, "object"] = UnusedRecord
        names[builtins, "bytes"] = EncodedTextRecord  # how an empty byte string is written
    for copyreg in ("copyreg", "copy_reg"):
        names[copyreg, "_reconstructor"] = CopyregFunction
    for layout, record in (("csc", CscRecord), ("csr", CsrRecord), ("coo", CooRecord)):
        for module in (f"scipy.sparse.{layout}", f"scipy.sparse._{layout}", "scipy.sparse"):
            names[module, f"{layout}_matrix"] = record
            names[module, f"{layout}_array"] = record
    return names


ALLOWED_NAMES = _allowed_names()
# FLAME's official landmark_embedding.npy holds two torch tensors; only that reader allows them.
TENSOR_NAMES: dict[tuple[str, str], type[Record]] = {
    ("torch._utils", "_rebuild_tensor_v2"): TensorRecord,
    ("torch.storage", "_load_from_bytes"): StorageRecord,
}


def load_pickle(path: Path) -> Any:
    """Read a pickle file that holds arrays; records stand where it had arrays (see `as_array`).

    Raises:
        HeadFileError: it asks for anything else, is damaged, or is too large.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise HeadFileError("head_file_too_large", f"{path.name} is larger than 1 GiB.", "Choose a FLAME file.")
    return loads_pickle(path.read_bytes(), path.name)


def loads_pickle(data: bytes, file_name: str, also_allowed: dict[tuple[str, str], type[Record]] | None = None) -> Any:
    """Read a pickle that holds arrays.

    Args:
        data: the pickle.
        file_name: for the messages.
        also_allowed: (module, name) -> record, beyond `ALLOWED_NAMES`.

    Returns:
        Dicts, lists, numbers, text, and `Record`s where the pickle names a class.

    Raises:
        HeadFileError: it asks for anything else, or is damaged. Nothing of it has run.
    """
    allowed = {**ALLOWED_NAMES, **(also_allowed or {})}
    try:
        for module, name in named_objects(data):
            if (module, name) not in allowed:
                raise _refusal(file_name, f"{module}.{name}")
        return _RecordUnpickler(io.BytesIO(data), allowed, file_name).load()
    except HeadFileError:
        raise
    except RefusedOpcode as error:
        raise _refusal(file_name, str(error)) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way; nothing foreign has run
        raise HeadFileError(
            "head_file_damaged", f"{file_name} is damaged or not a pickle ({error}).", "Get the file again."
        ) from error


def _refusal(file_name: str, wanted: str) -> HeadFileError:
    return HeadFileError(
        "head_file_refused",
        f"{file_name} was refused: it asks for {wanted}, which a head model has no need of; nothing of it was run.",
        "Get the file from its official site.",
    )


class _RecordUnpickler(pickle.Unpickler):
    """The second lock: even a pickle that deceived the scan gets records only."""

    def __init__(self, file: io.BytesIO, allowed: dict[tuple[str, str], type[Record]], file_name: str) -> None:
        super().__init__(file, fix_imports=False, encoding="latin1")
        self._allowed = allowed
        self._file_name = file_name

    def find_class(self, module: str, name: str) -> type[Record]:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise _refusal(self._file_name, f"{module}.{name}") from None

    def persistent_load(self, _: Any) -> Any:
        raise _refusal(self._file_name, "an object outside the file")


class RefusedOpcode(Exception):
    """The pickle uses an opcode that no array needs; the text says what it asks for."""


_REFUSED_OPCODES = {
    "EXT1": "an object of copyreg's extension registry",
    "EXT2": "an object of copyreg's extension registry",
    "EXT4": "an object of copyreg's extension registry",
    "PERSID": "an object outside the file",
    "BINPERSID": "an object outside the file",
    "NEXT_BUFFER": "a buffer outside the file",
    "READONLY_BUFFER": "a buffer outside the file",
}
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_MARK = object()
_TEXT_OPCODES = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"}


def _opcodes(data: bytes) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    """Opcodes and their arguments; like pickletools.genops, which stumbles over Python 2's non-ASCII strings."""
    file = io.BytesIO(data)
    for _ in range(MAX_OPCODES):
        code = file.read(1)
        if not code:
            raise ValueError("it ends too early")
        opcode = _OPCODES[code.decode("latin1")]
        if opcode.name == "STRING":
            argument: Any = file.readline().strip()[1:-1].decode("latin1")
        else:
            argument = opcode.arg.reader(file) if opcode.arg else None
        yield opcode, argument
        if opcode.name == "STOP":
            return
    raise ValueError(f"it has more than {MAX_OPCODES:,} steps")


@dataclass
class _NameScan:
    """Follows the stack of a pickle as far as text goes, to know which names it looks up."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> tuple[str, str] | None:
        """Follow one opcode; the (module, name) that it looks up, if it does."""
        name = opcode.name
        if name in _REFUSED_OPCODES:
            raise RefusedOpcode(_REFUSED_OPCODES[name])
        if handler := _SCAN_HANDLERS.get(name):
            return handler(self, argument)
        self._pop(opcode)
        if name in _TEXT_OPCODES:
            self.stack.append(argument)
        else:
            self.stack.extend(_MARK if kind is pickletools.markobject else None for kind in opcode.stack_after)
        return None

    def _pop(self, opcode: pickletools.OpcodeInfo) -> None:
        before = opcode.stack_before
        if pickletools.markobject in before:
            while self.stack.pop() is not _MARK:
                pass
            before = before[: before.index(pickletools.markobject)]
        for _ in before:
            self.stack.pop()

    def _global(self, argument: str) -> tuple[str, str]:
        self.stack.append(None)
        module, _, name = argument.partition(" ")
        return module, name

    def _instance(self, argument: str) -> tuple[str, str]:
        while self.stack.pop() is not _MARK:
            pass
        return self._global(argument)

    def _stack_global(self, _: None) -> tuple[str, str]:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise RefusedOpcode("something whose name it computes")
        self.stack.append(None)
        return module, name

    def _put(self, argument: str | int) -> None:
        if not 0 <= int(argument) < MAX_OPCODES:
            raise ValueError("it numbers its objects beyond all measure")
        self.memo[int(argument)] = self.stack[-1]

    def _memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, argument: str | int) -> None:
        self.stack.append(self.memo[int(argument)])

    def _duplicate(self, _: None) -> None:
        self.stack.append(self.stack[-1])

    def _pop_one(self, _: None) -> None:
        self.stack.pop()


_SCAN_HANDLERS: dict[str, Callable[[_NameScan, Any], tuple[str, str] | None]] = {
    "GLOBAL": _NameScan._global,
    "INST": _NameScan._instance,
    "STACK_GLOBAL": _NameScan._stack_global,
    "PUT": _NameScan._put,
    "BINPUT": _NameScan._put,
    "LONG_BINPUT": _NameScan._put,
    "MEMOIZE": _NameScan._memoize,
    "GET": _NameScan._get,
    "BINGET": _NameScan._get,
    "LONG_BINGET": _NameScan._get,
    "DUP": _NameScan._duplicate,
    "POP": _NameScan._pop_one,
}


def named_objects(data: bytes) -> list[tuple[str, str]]:
    """Every (module, name) that a pickle looks up, in order, without running it.

    Raises:
        RefusedOpcode: it reaches for objects in a way that cannot be named.
        ValueError, LookupError: it is damaged.
    """
    scan = _NameScan()
    found = [scan.step(opcode, argument) for opcode, argument in _opcodes(data)]
    return [name for name in found if name is not None]
