"""Liveness-based memory allocation: addresses for buffers whose lifetimes are known.

Buffers that are never alive at the same time may share addresses. Finding the least memory is
NP-hard (dynamic storage allocation), so two orders of a best-fit heuristic are tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LiveBuffer:
    """A buffer of ``words`` words, alive from step ``first`` to step ``last``, both included.

    >>> buffers = {"a": LiveBuffer(8, 0, 1), "b": LiveBuffer(4, 1, 2), "c": LiveBuffer(8, 2, 3)}
    >>> allocate(buffers).words
    12
    """

    words: int
    first: int
    last: int


@dataclass(frozen=True)
class Allocation:
    """Addresses of buffers in one memory. Made by ``allocate``."""

    bases: Mapping[str, int]
    """First address of each buffer."""
    words: int
    """Words of memory used: the highest address of all buffers, plus 1; 0 without buffers."""


def allocate(blocks: Mapping[str, LiveBuffer]) -> Allocation:
    """Assign addresses such that buffers that are alive at the same time never overlap.

    Best fit (the smallest gap that holds the buffer, then the lowest address; behind all others if
    there is no such gap) in two orders, largest first and earliest first; the one that uses less
    memory is returned, the former if they are equal. Memory has no limit here.
    """
    largest_first = sorted(blocks, key=lambda name: (-blocks[name].words, blocks[name].first))
    earliest_first = sorted(blocks, key=lambda name: (blocks[name].first, -blocks[name].words))
    options = (_place(blocks, largest_first), _place(blocks, earliest_first))
    return min(options, key=lambda option: option.words)


def _place(blocks: Mapping[str, LiveBuffer], order: list[str]) -> Allocation:
    bases: dict[str, int] = {}
    for name in order:
        block = blocks[name]
        taken = sorted(
            (bases[other], bases[other] + blocks[other].words)
            for other in bases
            if blocks[other].first <= block.last and block.first <= blocks[other].last
        )
        bases[name] = _best_gap(taken, block.words)
    words = max((bases[name] + blocks[name].words for name in bases), default=0)
    return Allocation(bases, words)


def _best_gap(taken: list[tuple[int, int]], words: int) -> int:
    """Return the start of the smallest gap of at least ``words`` words between ``taken``.

    taken: address ranges (start, end), end excluded, in ascending order; they may overlap. Before
    the first of them there is a gap from 0 on. Of equal gaps it is the lowest; if none is large
    enough, the highest end of ``taken``, or 0 if that is empty.
    """
    end, gaps = 0, []
    for low, high in taken:
        if low - end >= words:
            gaps.append((low - end, end))
        end = max(end, high)
    return min(gaps)[1] if gaps else end
