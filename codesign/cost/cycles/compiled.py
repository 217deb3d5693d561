"""Just-in-time compilation of numeric loops by numba, cached in the user's cache folder."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from codesign.tools import caches

P = ParamSpec("P")
T = TypeVar("T")
_CACHE = "compiled"
_settings = threading.Lock()
"""Held while numba's cache folder, a setting of the whole process, is set to ours."""
Records = Any
"""A structured array or one record of it; numba knows its fields, mypy does not."""
Scratch = tuple[Records, NDArray[np.int64]]
"""Records, and the same memory as an int64 array of shape (records, fields)."""


def part(function: Callable[P, T]) -> Callable[P, T]:
    """Compile a helper that ``compiled`` functions of the same package call.

    That happens at its first call; integer division by zero is not checked in it.
    """
    made: Callable[P, T] = numba.njit(
        function, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
    )
    return made


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Compile ``function`` to machine code, or read it from the cache, at its first call.

    It runs without the interpreter lock. It may call ``part`` functions of its own folder;
    constants of other folders must be arguments, as the cache key covers the sources of this folder
    only. (numba's own key is the modification time of one file, and its cache lies beside the
    source.) Files of the cache are compared with their hashes before numba reads them. If the cache
    cannot be read or written, the function is compiled in every process; if it is not this user's
    alone, a call raises CacheError. Integer division by zero is not checked in it.
    """
    plain: Callable[P, T] = numba.njit(function, nogil=True, error_model="numpy")
    kept: _Kept[P, T] | None = None

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal kept
        kept = kept or _Kept(function, plain)
        return kept.call(*args, **kwargs)

    return call


class _Kept(Generic[P, T]):
    """A function whose machine code the cache keeps, or ``plain`` if no cache can be written."""

    def __init__(self, function: Callable[P, T], plain: Callable[P, T]) -> None:
        self._plain, self._made, self._sealed = plain, plain, 0
        sources = sorted(Path(inspect.getfile(function)).parent.glob("*.py"))
        self._key = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
        with _settings, contextlib.suppress(OSError, RuntimeError):  # numba's, too
            folder = caches.tree(_CACHE, self._key)
            _verify(self._key, str(folder))
            before = numba.config.CACHE_DIR
            try:
                numba.config.CACHE_DIR = str(folder)
                self._made = numba.njit(function, cache=True, nogil=True, error_model="numpy")
            finally:
                numba.config.CACHE_DIR = before

    def call(self, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = self._made(*args, **kwargs)
        except (OSError, EOFError, pickle.PickleError):
            return self._plain(*args, **kwargs)
        forms = len(self._made.overloads)  # type: ignore[attr-defined]
        if forms != self._sealed and self._made is not self._plain:
            self._sealed = forms
            caches.seal(_CACHE, self._key)
        return result


@functools.cache
def _verify(key: str, folder: str) -> None:
    """Verify the files of a folder of the cache, once in a process."""
    caches.verify(_CACHE, key)


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
