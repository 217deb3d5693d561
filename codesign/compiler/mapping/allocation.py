"""Placement: addresses for blocks of activation memory that are alive at known times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LiveBuffer:
    """``words`` words in use from step ``first`` to step ``last``, both included."""

    words: int
    first: int
    last: int


@dataclass(frozen=True)
class Allocation:
    bases: Mapping[str, int]
    words: int
    """Words used: the highest address of all blocks, plus 1."""


def allocate(blocks: Mapping[str, LiveBuffer]) -> Allocation:
    """Addresses such that blocks alive at the same time never overlap.

    Best fit (the smallest gap that holds the block, then the lowest address) in two orders,
    largest first and earliest first; the better of the two wins.
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
    """Start of the smallest gap between ``taken`` (ascending ranges) that holds ``words``."""
    end, gaps = 0, []
    for low, high in taken:
        if low - end >= words:
            gaps.append((low - end, end))
        end = max(end, high)
    return min(gaps)[1] if gaps else end
