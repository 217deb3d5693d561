"""Strip plans in columns: codesign.compiler.strips for many networks at once.

Which tensors are spread over the banks is a prefix of the chain: all up to a break. Every break of
every network is tried; arrays are slot-major, [slots, networks], so that prefixes are contiguous,
and hold whole numbers as floats, whose divisions are several times as fast.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.layers import LayerTable

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Work:
    """What the layers cost per row of output, [slots, n]."""

    active: Floats
    out_rows: Floats
    tiles_per_row: Floats
    """Accumulator tiles of one output row."""
    taps: Floats
    """Cycles of a tile on the array."""
    chunks: Floats
    """Cycles to drain one pixel lane of it."""
    starts_per_row: Floats
    """Tiles of an output row that come first in their row of positions."""
    fills: Floats
    """Cycles more that such a tile waits for a history to fill."""

    def cycles(self, rows: Floats, lanes: Floats) -> Floats:
        """Of each layer, when its lanes compute ``rows`` rows each and ``lanes`` lanes drain."""
        drain = lanes * self.chunks
        first, starts = self.taps + self.fills, self.starts_per_row * rows
        others = (self.tiles_per_row * rows - starts) * np.maximum(self.taps, drain)
        result: Floats = first + (starts - 1) * np.maximum(first, drain) + others + drain
        return result * self.active

    def first(self, slots: int) -> Work:
        return Work(*(getattr(self, field.name)[:slots] for field in dataclasses.fields(self)))


@dataclass(frozen=True, eq=False)
class Strips:
    """The fastest legal plan of every network."""

    cycles: Ints
    """[n] of all layers, without what each takes on any plan."""
    rows: Ints
    """[n, slots + 1] rows per strip of the input and of each layer's output."""


def fastest_strips(t: LayerTable, pixels: Ints, work: Work) -> Strips:
    """Of equally fast plans, the one that spreads most."""
    slots = t.active.shape[1]
    heights = np.concatenate([t.in_rows[:, :1], t.out_rows], axis=1).T.astype(np.float64)
    ratios = _ratios(t)
    whole = np.maximum.accumulate(ratios, axis=0)
    additions = _additions(t)
    least, asked = np.ceil(heights / pixels), _asked(t)
    alone = np.zeros((slots + 1, len(pixels)))
    alone[:-1] = np.cumsum(work.cycles(work.out_rows, np.ones(1))[::-1], axis=0)[::-1]
    best, best_break, best_unit = alone[0].copy(), np.full(len(pixels), -1), np.zeros(len(pixels))
    for last in range(int(np.max(np.sum(ratios > 0, axis=0))) - 1, -1, -1):
        held = ratios[: last + 1]
        per_unit = whole[last] / np.maximum(held, 1)
        need = least[: last + 1].copy()
        if last < slots:
            need[last] = np.maximum(need[last], asked[last])
        unit = np.max(np.ceil(need / np.maximum(per_unit, 1)), axis=0)
        rows = np.maximum(unit * per_unit, 1)
        split = work.first(last)
        lanes = np.ceil(split.out_rows / rows[1:])
        cycles = split.cycles(np.minimum(rows[1:], split.out_rows), lanes).sum(axis=0) + alone[last]
        possible = (held[last] > 0) & _legal(additions, rows, heights, last)
        better = possible & ((cycles < best) | ((cycles == best) & (best_break < 0)))
        best = np.where(better, cycles, best)
        best_break = np.where(better, last, best_break)
        best_unit = np.where(better, unit, best_unit)
    return Strips(best.astype(np.int64), _rows(ratios, whole, heights, best_break, best_unit))


def _ratios(t: LayerTable) -> Floats:
    """[slots + 1, n] input rows per row of the input and of each output, where every layer splits
    that can; 0 from the first that cannot."""
    count, slots = t.active.shape
    ratios = np.zeros((slots + 1, count))
    ratios[0] = 1
    every = np.arange(count)
    for slot in range(slots):
        before = np.minimum(ratios[slot], ratios[slot - t.skip[:, slot], every])
        splits = (t.out_rows[:, slot] > 1) & (t.raw[:, slot] == 0)
        ratios[slot + 1] = np.where(splits, before * t.step[:, slot], 0)
    return ratios


def _asked(t: LayerTable) -> Floats:
    """[slots, n] rows per strip that a layer asks of its input when lane 0 alone computes it."""
    steps = np.where(t.out_rows > 1, t.step, 1)
    steps = np.maximum(steps, np.where(t.pool_area > 1, t.stride, 1))
    return np.where(t.active == 1, steps, 0).T.astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Addition:
    """The networks that add in one slot, and what each adds to the output of the slot before."""

    slot: int
    networks: Ints
    other: Ints
    """Tensor (0 is the input) of each of ``networks``."""


def _additions(t: LayerTable) -> list[_Addition]:
    found = []
    for slot in np.flatnonzero((t.sources > 1).any(axis=0)):
        networks = np.flatnonzero(t.sources[:, slot] > 1)
        found.append(_Addition(int(slot), networks, slot - t.skip[networks, slot]))
    return found


def _legal(additions: Sequence[_Addition], rows: Floats, heights: Floats, last: int) -> Mask:
    """[n] whether both tensors of each addition lie alike; ``rows`` of tensors 0..last."""
    legal = np.ones(heights.shape[1], dtype=np.bool_)
    for one in additions:
        mine = (rows if one.slot <= last else heights)[one.slot, one.networks]
        spread = rows[np.minimum(one.other, last), one.networks]
        theirs = np.where(one.other <= last, spread, heights[one.other, one.networks])
        legal[one.networks] &= mine == theirs
    return legal


def _rows(ratios: Floats, whole: Floats, heights: Floats, breaks: Ints, units: Floats) -> Ints:
    """[n, slots + 1] rows per strip under the chosen plans."""
    tensors, count = ratios.shape
    total = whole[np.maximum(breaks, 0), np.arange(count)]
    spread = np.arange(tensors)[:, None] <= breaks
    rows = np.where(spread, units * (total / np.maximum(ratios, 1)), heights)
    return rows.T.astype(np.int64)
