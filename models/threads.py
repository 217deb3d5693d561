"""Threads of BLAS, which small matrices are slower with."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS of this process, in all its threads, uses one thread.

    Small matrices gain nothing from more, and where other processes take the cores, threads that
    wait for each other take many times as long. Libraries that were loaded after the first call are
    not limited.
    """
    limit: AbstractContextManager[object] = _threads().limit(limits=1)
    return limit
