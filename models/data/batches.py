"""CIFAR-10's batches: pickles of Python 2 or 3, read without running them, and binary files.

A pickle is a program. Its instructions are checked against a list of those that build plain values
before any is followed, and what it calls are stand-ins of this module, which build nothing but
arrays of bytes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.files.reading import FileError, escaped, printable, quoted, read_bytes

PIXELS = 3072
"""Bytes of an image: 3 channels of 32 x 32."""
MAX_BYTES = 256 << 20
"""Size of the largest batch; CIFAR-10's have 31 MB."""
_OPCODES = frozenset(
    {
        "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE",
        "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
        "SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
        "SHORT_BINUNICODE", "BINUNICODE",
        "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS",
        "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
        "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET",
        "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
    }
)  # fmt: skip
_PUTS = frozenset({"BINPUT", "LONG_BINPUT"})
_BROKEN = (
    pickle.UnpicklingError, ValueError, LookupError, TypeError, AttributeError, EOFError,
    OverflowError, MemoryError, RecursionError,
)  # fmt: skip
"""What damaged pickles raise."""


class _Array:
    """Stand-in for numpy's array: takes the state of one of bytes."""

    values: NDArray[np.uint8]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Type) or dtype.name != "u1" or type(fortran) is not bool:
            raise pickle.UnpicklingError("arrays must be of bytes (uint8)")
        if isinstance(data, str):
            data = data.encode("latin1")
        sides = all(type(side) is int and 0 <= side <= len(data) for side in shape)
        if len(shape) != 2 or not sides or math.prod(shape) != len(data):
            raise pickle.UnpicklingError(f"{len(data)} bytes are no array of shape {shape}")
        order = "F" if fortran else "C"
        self.values = np.frombuffer(data, np.uint8).reshape(shape, order=order)  # type: ignore[call-overload]


class _Type:
    """Stand-in for numpy's dtype: keeps its name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name.decode("latin1") if isinstance(name, bytes) else name

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like say nothing about bytes."""


class _Unpickler(pickle.Unpickler):
    """Follows a pickle that ``_check`` has let through, with stand-ins for what it calls."""

    def find_class(self, module: str, name: str) -> Any:
        stand_ins = {
            ("multiarray", "_reconstruct"): lambda *_: _Array(),
            ("numpy", "ndarray"): None,
            ("numpy", "dtype"): lambda *said: _Type(*said),
            ("_codecs", "encode"): lambda text, _: text.encode("latin1"),
        }
        key = (module.removeprefix("numpy.core.").removeprefix("numpy._core."), name)
        if key not in stand_ins:
            raise pickle.UnpicklingError(f"{printable(f'{module}.{name}')} has no place in a batch")
        return stand_ins[key]


def _check(data: bytes) -> None:
    """Raise UnpicklingError for an instruction that builds something else than plain values."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"the instruction {opcode.name} has no place in a batch")
        if opcode.name in _PUTS and isinstance(argument, int) and argument > count:
            raise pickle.UnpicklingError(f"{opcode.name} {argument} has no place in a batch")


def read_python(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixels (n, PIXELS) and labels (n,) of a python batch. Raises FileError."""
    data, name = read_bytes(path, MAX_BYTES), escaped(str(path))
    try:
        _check(data)
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        pixels, labels = content[b"data"], content[b"labels"]
        if not isinstance(pixels, _Array) or pixels.values.shape[1] != PIXELS:
            raise pickle.UnpicklingError(f"data must be bytes (n, {PIXELS})")
        if not isinstance(labels, list) or not all(type(label) is int for label in labels):
            raise pickle.UnpicklingError("labels must be a list of integers")
        return pixels.values, np.array(labels, np.int64)
    except _BROKEN as error:
        absent = type(error) is KeyError
        what = f"{quoted(error.args[0])} is missing" if absent else printable(error, 99)
        raise FileError(f"{name}: truncated, or not a CIFAR-10 batch ({what})") from None


def read_binary(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixels (n, PIXELS) and labels (n,) of a binary batch. Raises FileError."""
    data = np.frombuffer(read_bytes(path, MAX_BYTES), np.uint8)
    if not data.size or data.size % (1 + PIXELS):
        raise FileError(
            f"{escaped(str(path))}: truncated, or not a binary CIFAR-10 batch: {data.size} bytes "
            f"are no multiple of {1 + PIXELS}"
        )
    rows = data.reshape(-1, 1 + PIXELS)
    return rows[:, 1:], rows[:, 0].astype(np.int64)
