"""Loops over numbers, compiled: ``numba.njit``, kept in the user's cache folder."""

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
"""A structured array, or one record of it: numba knows the fields, mypy does not."""
Scratch = tuple[Records, NDArray[np.int64]]
"""Records, and the same as numbers [records, fields]."""


def part(function: Callable[P, T]) -> Callable[P, T]:
    """A function that compiled ones of its package call. Divisions by 0 are not looked for."""
    made: Callable[P, T] = numba.njit(function, error_model="numpy")
    return made


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """``function`` as machine code, without the interpreter's lock; made at its first call.

    It may call ``part`` functions of its own package; constants of other packages are arguments.
    Each version of the package has a cache of its own: numba compares one file's time of change,
    and would write beside it. A cache that cannot be read or written is no cache.
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
    """With a cache; None where there is no folder for it."""
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
    """``count`` records of ``fields`` (int64_fields) for a compiled function to work on, all 0."""
    records = np.zeros(count, fields)
    return records, records.view(np.int64).reshape(count, -1)


def int64_fields(*names: str) -> np.dtype[np.void]:
    """The type of records with int64 fields of these names."""
    return np.dtype([(name, np.int64) for name in names])
