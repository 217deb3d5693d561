"""Nonzero part of the weights of each tile, as far as a LAYER can leave out the rest.

A tile needs the kernel rows, kernel columns and input words in which it has nonzero weights, and
the digits that hold these (its need). All other taps add nothing to any sum, as the array
multiplies codes and zero points are folded into the bias.
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
    """Union of the nonzero weights of successive tiles of a layer. Made by ``layer_needs``.

    Bit i of a mask is set if any tile has a weight in kernel row, kernel column or input word i.
    """

    layer: int
    """Index of the MacLayer."""
    first: int
    """First tile."""
    tiles: int
    """Number of tiles."""
    rows: int
    """Mask of kernel rows."""
    cols: int
    """Mask of kernel columns, with column reuse of the new ones."""
    words: int
    """Mask of input words of the tile's window."""
    passes: int
    """Number of weight digits that hold all weights, from the least significant one on."""

    def __add__(self, next_tiles: Need) -> Need:
        """Return the need of both; that ``next_tiles`` follow in the same layer is not checked."""
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
        """The tiles as a run, with the smallest extent that covers the need.

        Rows and columns are walked one by one, words in equal steps of one or more.
        """
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
    """Return the positions of the set bits, ascending; [0] if there are none.

    A tile without weights still has biases, so one tap is walked.
    """
    return [i for i in range(mask.bit_length()) if mask >> i & 1] or [0]


def layer_needs(schedule: Schedule, index: int) -> tuple[Need, ...]:
    """Return the needs of the tiles of MacLayer ``index``, successive equal ones joined.

    Equal are those with the same masks and digits. A raw layer has a single need unless the NPU has
    a memory port, as one LAYER must compute it. With column reuse, whose history depends on the
    whole kernel, and with two sources, which are walked by the loops over words or columns, masks
    are full and only digits are left out.
    """
    taps, tile = layer_taps(schedule, index), schedule.tiles[index]
    there = (taps != 0).any(axis=(-2, -1))
    if tile.walk or len(tile.first_words) > 1:
        there[:] = True
    masks = (_masks(there.any(axis=axes)) for axes in ((2, 3, 4), (1, 3, 4), (1, 2, 3)))
    fixed = tile.binary or tile.digits > 1
    passes = [tile.passes] * tile.tiles if fixed else _passes(taps, schedule.config)
    needs, first = list[Need](), 0
    for need, some in groupby(zip(*masks, passes, strict=True)):
        tiles = len(list(some))
        needs.append(Need(index, first, tiles, *need))
        first += tiles
    # Without a memory port each raw LAYER fills the result buffer from word 0, so there is one.
    raw = schedule.shapes[index].layer.raw and not schedule.config.memory_port_bits
    return (reduce(add, needs),) if raw else tuple(needs)


def _masks(there: NDArray[np.bool_]) -> list[int]:
    return [sum(1 << i for i in np.flatnonzero(row).tolist()) for row in there]


def _passes(taps: Ints, config: NpuConfig) -> list[int]:
    """Return for each tile the least number of digits whose two's complement holds all its weights.

    taps: as ``layer_taps`` returns them. It is at least ``config.least_passes``.
    """
    largest = np.maximum(taps, ~taps).max(axis=tuple(range(1, taps.ndim)))
    passes = (-(-(1 + size.bit_length()) // config.weight_digit_bits) for size in largest.tolist())
    return [max(one, config.least_passes) for one in passes]
