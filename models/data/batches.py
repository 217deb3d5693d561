"""CIFAR-10's batches: pickles of Python 2 or 3, and binary files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.files import pickles
from models.files.reading import FileError, escaped, read_bytes

PIXELS = 3072
"""Bytes of an image: 3 channels of 32 x 32."""
MAX_BYTES = 256 << 20
"""Size of the largest batch; CIFAR-10's have 31 MB."""


class _Array:
    """Stand-in for numpy's array: takes the state of one of bytes."""

    values: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Type) or dtype.name != "u1" or type(fortran) is not bool:
            raise ValueError("arrays must be of bytes (uint8)")
        if isinstance(data, str):
            data = data.encode("latin1")
        sides = all(type(side) is int and 0 <= side <= len(data) for side in shape)
        if len(shape) != 2 or not sides or math.prod(shape) != len(data):
            raise ValueError(f"{len(data)} bytes are no array of shape {shape}")
        order = "F" if fortran else "C"
        self.values = np.frombuffer(data, np.uint8).reshape(shape, order=order)  # type: ignore[call-overload]


class _Type:
    """Stand-in for numpy's dtype: keeps its name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name.decode("latin1") if isinstance(name, bytes) else name

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like say nothing about bytes."""


_STAND_INS: pickles.StandIns = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): lambda *said: _Type(*said),
    ("_codecs", "encode"): lambda text, _: text.encode("latin1"),
}


def read_python(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixels (n, PIXELS) and labels (n,) of a python batch. Raises FileError.

    That there are as many labels as images is not checked.
    """
    where = f"{escaped(str(path))}: truncated, or not a CIFAR-10 batch"
    content = pickles.loads(read_bytes(path, MAX_BYTES), where, _STAND_INS, encoding="bytes")
    if not isinstance(content, dict) or not {b"data", b"labels"} <= content.keys():
        raise FileError(f"{where}: data and labels are missing")
    pixels, labels = content[b"data"], content[b"labels"]
    if not isinstance(pixels, _Array) or pixels.values.shape[1] != PIXELS:
        raise FileError(f"{where}: data must be bytes (n, {PIXELS})")
    if not isinstance(labels, list) or not all(_is_label(label) for label in labels):
        raise FileError(f"{where}: labels must be a list of class numbers")
    return pixels.values, np.array(labels, np.int64)


def _is_label(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


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
