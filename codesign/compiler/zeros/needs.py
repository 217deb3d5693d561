"""Needs: which weights of a layer's tiles are not zero, as far as a LAYER can leave out the others.

A tile needs the kernel rows and columns and the input words where it has weights, and the digits
that hold them. What else its layer walks adds nothing to any sum: the array multiplies codes, and
zero points stand in the bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import add

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.parts import TileRun
from codesign.compiler.mapping.schedule import Schedule
from codesign.compiler.mapping.tiles import Extent
from codesign.compiler.program.weights import layer_taps
from models.integer.network import Ints
from rtl_gen.config import NpuConfig


@dataclass(frozen=True)
class Need:
    """Where tiles ``first`` ... of a layer have weights, all of them or one of them.

    Bit i of a mask stands for kernel row, kernel column or word i.
    """

    layer: int
    first: int
    tiles: int
    rows: int
    cols: int
    words: int
    passes: int

    def __add__(self, next_tiles: Need) -> Need:
        """The tiles of both, which follow each other in one layer."""
        return Need(
            self.layer,
            self.first,
            self.tiles + next_tiles.tiles,
            self.rows | next_tiles.rows,
            self.cols | next_tiles.cols,
            self.words | next_tiles.words,
            max(self.passes, next_tiles.passes),
        )

    @property
    def run(self) -> TileRun:
        """Steps are even in words alone: rows and columns are walked one by one."""
        rows, cols, words = (_places(mask) for mask in (self.rows, self.cols, self.words))
        step = math.gcd(*(place - words[0] for place in words)) or 1
        extent = Extent(
            rows=range(rows[0], rows[-1] + 1),
            cols=range(cols[0], cols[-1] + 1),
            words=range(words[0], words[-1] + 1, step),
            passes=self.passes,
        )
        return TileRun(self.layer, self.first, self.tiles, extent)


def _places(mask: int) -> list[int]:
    """Bits that are set; the first of none, as a tile without weights still has its bias."""
    return [i for i in range(mask.bit_length()) if mask >> i & 1] or [0]


def layer_needs(schedule: Schedule, index: int) -> tuple[Need, ...]:
    """Of the tiles of MacLayer ``index``, those in a row that are alike taken together, or all
    that one LAYER must compute.

    With column reuse, whose history follows the whole kernel, and with two sources, which stand
    where words or columns would, digits alone are left out.
    """
    taps, tile = layer_taps(schedule, index), schedule.tiles[index]
    there = (taps != 0).any(axis=(-2, -1))
    if tile.walk or len(tile.first_words) > 1:
        there[:] = True
    masks = (_masks(there.any(axis=axes)) for axes in ((2, 3, 4), (1, 3, 4), (1, 2, 3)))
    passes = [1] * tile.tiles if tile.binary else _passes(taps, schedule.config)
    needs, first = list[Need](), 0
    for need, some in groupby(zip(*masks, passes, strict=True)):
        tiles = len(list(some))
        needs.append(Need(index, first, tiles, *need))
        first += tiles
    # Without a memory port, LAYERs put raw results into the result buffer from its start on.
    raw = schedule.shapes[index].layer.raw and not schedule.config.memory_port_bits
    return (reduce(add, needs),) if raw else tuple(needs)


def _masks(there: NDArray[np.bool_]) -> list[int]:
    return [sum(1 << i for i in np.flatnonzero(row).tolist()) for row in there]


def _passes(taps: Ints, config: NpuConfig) -> list[int]:
    """Digits whose two's complement holds every weight of a tile."""
    largest = np.maximum(taps, ~taps).max(axis=tuple(range(1, taps.ndim)))
    passes = (-(-(1 + size.bit_length()) // config.weight_digit_bits) for size in largest.tolist())
    return [max(one, config.least_passes) for one in passes]
