"""Processing of batches in chunks (parts) of fixed size, on several threads."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from models.threads import one_thread

T = TypeVar("T")
PART = 8192
"""Rows of a chunk."""


def in_parts(function: Callable[[slice], T], count: int, threads: int | None = None) -> T:
    """Apply ``function`` to a batch of ``count`` rows in chunks and return the joined result.

    ``function`` takes a slice of rows and returns a dataclass, mapping, tuple or array; arrays in
    it are concatenated along their first axis, other values must be equal in all chunks (not
    checked). It is called once with an empty slice if ``count`` is 0. threads: at most so many, by
    default (None) one per processor; with several, BLAS uses one. Chunks do not depend on it, nor
    do results to the last bit, unless ``function`` lets BLAS use several threads where it may.
    """
    parts = [slice(first, min(first + PART, count)) for first in range(0, max(count, 1), PART)]
    threads = min(threads or len(os.sched_getaffinity(0)), len(parts))
    if threads == 1:
        return _joined([function(part) for part in parts])
    # Set once around all threads: the limit is global to the process, and each thread that set it
    # would restore the limit of another.
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        return _joined(list(pool.map(function, parts)))


def _joined(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, tuple):
        return tuple(map(_joined, zip(*parts, strict=True)))
    if isinstance(first, Mapping):
        return {key: _joined([part[key] for part in parts]) for key in first}
    build: Callable[..., Any] = type(first)
    if dataclasses.is_dataclass(first):
        names = [field.name for field in dataclasses.fields(first)]
        return build(**{name: _joined([getattr(part, name) for part in parts]) for name in names})
    return first  # equal in all chunks
