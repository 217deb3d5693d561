"""Just-in-time compilation of numeric loops by numba, cached in the user's cache folder."""

from __future__ import annotations

import hashlib
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from sim.cache import cache_folder

P = ParamSpec("P")
T = TypeVar("T")
Records = Any
"""A structured array or one record of it; numba knows its fields, mypy does not."""
Scratch = tuple[Records, NDArray[np.int64]]
"""Records, and the same memory as an int64 array of shape (records, fields)."""


def part(function: Callable[P, T]) -> Callable[P, T]:
    """Compile a helper that ``compiled`` functions of the same package call.

    That happens at its first call; integer division by zero is not checked in it.
    """
    made: Callable[P, T] = numba.njit(function, error_model="numpy")
    return made


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Compile ``function`` to machine code, or read it from the cache, at its first call.

    It runs without the interpreter lock. It may call ``part`` functions of its own folder;
    constants of other folders must be arguments, as the cache key covers the sources of this folder
    only. (numba's own key is the modification time of one file, and its cache lies beside the
    source.) If the cache cannot be read or written, the function is compiled in every process.
    Integer division by zero is not checked in it.
    """
    plain: Callable[P, T] = numba.njit(function, nogil=True, error_model="numpy")
    kept = _kept(function) or plain

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return kept(*args, **kwargs)
        except (OSError, EOFError, pickle.PickleError):
            return plain(*args, **kwargs)

    return call


def _kept(function: Callable[P, T]) -> Callable[P, T] | None:
    """Return the function compiled with a cache, or None if no cache folder can be written."""
    sources = sorted(Path(inspect.getfile(function)).parent.glob("*.py"))
    version = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    before = numba.config.CACHE_DIR
    try:
        numba.config.CACHE_DIR = str(cache_folder(f"compiled/{version[:16]}"))
        made: Callable[P, T] = numba.njit(function, cache=True, nogil=True, error_model="numpy")
        return made
    except (OSError, RuntimeError):  # RuntimeError: numba's, for a folder that it cannot write
        return None
    finally:
        numba.config.CACHE_DIR = before


def scratch(fields: np.dtype[np.void], count: int) -> Scratch:
    """Return ``count`` zeroed records of type ``fields``, working memory of a compiled function.

    The records and, of the same memory, an int64 array of shape (count, fields). All fields are
    int64, as of ``int64_fields``.
    """
    records = np.zeros(count, fields)
    return records, records.view(np.int64).reshape(count, -1)


def int64_fields(*names: str) -> np.dtype[np.void]:
    """Return the dtype of records with int64 fields of these names."""
    return np.dtype([(name, np.int64) for name in names])
