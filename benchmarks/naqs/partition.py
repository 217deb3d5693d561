"""Partition of a network's layers into groups that share the LUTs one after another.

Layers of a group work at once: their LUTs add up, the slowest one sets the time. Groups follow
each other on the same LUTs: the largest one sets the LUTs, their times add up. Source as ``.cost``;
the search is the authors' dynamic programming, not exhaustive: each layer takes the tile of
the fewest LUTs or the one of the fewest cycles that still fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.naqs import cost
from benchmarks.naqs.cost import Convolution, Form, Ints

CLOCK_HZ = 100e6


@dataclass(frozen=True)
class Tile:
    """Engine of a layer: Tn input maps by Tm output maps, with its LUTs and cycles."""

    tn: int
    tm: int
    luts: int
    cycles: int


@dataclass(frozen=True)
class Partition:
    """Groups of layers in order, each a tuple of tiles."""

    groups: tuple[tuple[Tile, ...], ...] = ()

    @property
    def luts(self) -> int:
        return max((_luts(group) for group in self.groups), default=0)

    @property
    def cycles(self) -> int:
        """Cycles of one image."""
        return sum(_cycles(group) for group in self.groups)

    @property
    def last_luts(self) -> int:
        """LUTs of the last group."""
        return _luts(self.groups[-1]) if self.groups else 0

    @property
    def earlier_cycles(self) -> int:
        """Cycles of all groups but the last."""
        return sum(_cycles(group) for group in self.groups[:-1])

    @property
    def images_per_second(self) -> float:
        return CLOCK_HZ / self.cycles if self.cycles else 0.0

    def new_group(self, tile: Tile) -> Partition:
        return Partition((*self.groups, (tile,)))

    def in_last_group(self, tile: Tile) -> Partition:
        return Partition((*self.groups[:-1], (*(self.groups[-1:] or ((),))[0], tile)))


def _luts(group: Sequence[Tile]) -> int:
    return sum(tile.luts for tile in group)


def _cycles(group: Sequence[Tile]) -> int:
    return max(tile.cycles for tile in group)


def of_tiles(
    layers: Sequence[Convolution], tiles: Sequence[Sequence[tuple[int, int]]], form: Form
) -> Partition:
    """Return the partition with the given (Tn, Tm), by groups. Costs are those of ``form``."""
    rest = iter(layers)
    return Partition(
        tuple(tuple(_tile(next(rest), *pair, form) for pair in group) for group in tiles)
    )


def _tile(layer: Convolution, tn: int, tm: int, form: Form) -> Tile:
    place = (tn - 1, tm - 1)
    return Tile(tn, tm, int(cost.luts(layer, form)[place]), int(cost.cycles(layer, form)[place]))


def search(
    layers: Sequence[Convolution], most_luts: int, least_images_per_second: float, form: Form
) -> Partition | None:
    """Return the partition of the fewest cycles that the search finds, or None if nothing fits."""
    most_cycles = CLOCK_HZ / least_images_per_second
    pool = [Partition()]
    for layer in layers:
        luts, cycles = cost.luts(layer, form), cost.cycles(layer, form)
        longer: list[Partition] = []
        for partition in pool:
            left = most_cycles - partition.cycles
            longer += [partition.new_group(t) for t in _extremes(luts, cycles, most_luts, left)]
            if partition.groups:
                spare = most_luts - partition.last_luts
                left = most_cycles - partition.earlier_cycles
                longer += [partition.in_last_group(t) for t in _extremes(luts, cycles, spare, left)]
        pool = _frontier(longer)
    return min(pool, key=lambda partition: partition.cycles, default=None)


def _extremes(luts: Ints, cycles: Ints, most_luts: float, most_cycles: float) -> list[Tile]:
    """Tiles of the fewest LUTs and of the fewest cycles within both limits; none if none fits."""
    fits = (luts <= most_luts) & (cycles <= most_cycles)
    if not fits.any():
        return []
    found = []
    for measure in (luts, cycles):
        least = int(np.where(fits, measure, np.iinfo(np.int64).max).argmin())
        tn, tm = (int(index) for index in np.unravel_index(least, luts.shape))
        found.append(Tile(tn + 1, tm + 1, int(luts[tn, tm]), int(cycles[tn, tm])))
    return found


Measure = Callable[[Partition], int]
_MEASURES: tuple[tuple[Measure, Measure], ...] = (
    (lambda p: p.last_luts, lambda p: p.cycles),
    (lambda p: p.cycles, lambda p: p.earlier_cycles),
    (lambda p: p.last_luts, lambda p: p.earlier_cycles),
)


def _frontier(pool: Sequence[Partition]) -> list[Partition]:
    """Union of three Pareto fronts, each of two measures; of equal ones the first."""
    kept: dict[Partition, None] = {}
    for first, second in _MEASURES:
        best: dict[int, Partition] = {}
        for partition in pool:
            at = best.setdefault(first(partition), partition)
            if second(partition) < second(at):
                best[first(partition)] = partition
        least: int | None = None
        for _, partition in sorted(best.items(), key=lambda item: item[0]):
            if least is None or second(partition) < least:
                least = second(partition)
                kept[partition] = None
    return list(kept)
