"""Arrays from elsewhere (.npy, .npz): shape and type from headers before memory is taken.

It needs numpy alone, as build folders carry a copy. No pickle is read, so nothing is executed.
"""

from __future__ import annotations

import math
import tokenize
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .reading import FileError, check_memory, escaped, opened, printable, size
from .zips import Archive, opened_zip

MAX_ARRAYS = 100_000
"""Most arrays of an .npz."""
MAX_SIDE = (1 << 31) - 1
"""Longest axis of an array."""
_PIECE = 1 << 18
"""Bytes that are read at once: zipfile copies what it has unpacked more than once."""
_KINDS = "biufUS"
"""Kinds of plain numbers and text; objects, records, complex numbers and dates are refused."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_BROKEN = (
    ValueError, TypeError, LookupError, SyntaxError, EOFError, MemoryError, OverflowError,
    RecursionError, AttributeError, tokenize.TokenError,
)  # fmt: skip
"""What numpy raises for damaged headers."""


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz by name; together they take up to ``reading.max_memory``.

    Raises FileError: not such a file, damaged, too large, more than MAX_ARRAYS, two of one name,
    other values than booleans, integers, reals and text.
    """
    with opened_zip(path) as archive:
        names = archive.names
        if len(names) > MAX_ARRAYS:
            raise FileError(f"{archive.where}: holds {len(names)} arrays, more than {MAX_ARRAYS}")
        check_memory(archive.where, sum(map(archive.size, names)))
        arrays = {name.removesuffix(".npy"): _member(archive, name) for name in names}
        if len(arrays) != len(names):
            raise FileError(f"{archive.where}: holds two arrays of one name")
        return arrays


def _member(archive: Archive, name: str) -> NDArray[Any]:
    with archive.member(name) as file:
        return _array(file, archive.size(name), f"{archive.where}: {printable(name)}")


def read_npy(path: Path) -> NDArray[Any]:
    """Return the array of an .npy of up to ``reading.max_memory``. Raises FileError."""
    with opened(path) as file:
        name = escaped(str(path))
        check_memory(name, size(file))
        return _array(file, size(file), name)


def _array(file: IO[bytes], have: int, where: str) -> NDArray[Any]:
    """Read the array of an open .npy of ``have`` bytes. Raises FileError, starting with ``where``.

    It is read from the file's start to its end.
    """
    try:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"format {version} of .npy files is not known")
        shape, fortran, dtype = _HEADERS[version](file)
        _check(shape, dtype)
    except _BROKEN as error:
        raise FileError(f"{where} is not an array of numbers ({printable(error)})") from None
    need, left = math.prod(shape) * dtype.itemsize, have - file.tell()
    if need != left:
        what = "truncated" if left < need else "too long"
        raise FileError(f"{where} is {what}: {need} bytes of data expected, {left} found")
    array = np.empty(math.prod(shape), dtype)
    data = memoryview(array.view(np.uint8).data) if need else memoryview(b"")
    done = 0
    while done < need:
        piece = file.read(min(_PIECE, need - done))
        if not piece:
            raise FileError(f"{where} is truncated: {need} bytes of data expected, {done} found")
        data[done : done + len(piece)] = piece
        done += len(piece)
    return array.reshape(shape, order="F" if fortran else "C")


def _check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise ValueError for a shape that no array can have, and a type that is not plain."""
    if dtype.kind not in _KINDS or dtype.hasobject or dtype.itemsize == 0:
        raise ValueError(f"values of type {dtype}")
    if len(shape) > 32 or not all(0 <= side <= MAX_SIDE for side in shape):
        raise ValueError(f"shape {shape}")
    if math.prod(filter(None, shape)) * dtype.itemsize > MAX_SIDE**2:
        raise ValueError(f"shape {shape}")
