"""Blocks of weights that are zero together, so that hardware can leave them out.

A block spans some output channels, some input channels and one kernel position: what an array
reads as one word. Training prunes the blocks that weigh least, more and more of them (Zhu & Gupta,
To prune, or not to prune, 2017, arXiv 1710.01878).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError


@dataclass(frozen=True)
class BlockShape:
    """Consecutive channels of one block; those at a layer's end may be fewer."""

    out_channels: int
    in_channels: int

    def __post_init__(self) -> None:
        if self.out_channels < 1 or self.in_channels < 1:
            raise ModelError(f"a block spans 1 or more channels each way, not {self}")

    def __str__(self) -> str:
        return f"{self.out_channels}x{self.in_channels}"

    def sums(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Sum of magnitudes per block: [out blocks, in blocks, kernel_rows, kernel_cols].

        weights: [out_channels, in_channels, kernel_rows, kernel_cols].
        """
        out, channels = weights.shape[:2]
        over_out = np.add.reduceat(np.abs(weights), range(0, out, self.out_channels), axis=0)
        return np.add.reduceat(over_out, range(0, channels, self.in_channels), axis=1)

    def spread(self, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """A value per block, as ``sums`` orders them, given to each of its weights."""
        over_out = np.repeat(values, self.out_channels, axis=0)[: shape[0]]
        return np.repeat(over_out, self.in_channels, axis=1)[:, : shape[1]]


def zero_blocks(weights: NDArray[Any], block: BlockShape) -> int:
    """How many blocks have no weight but 0."""
    return int(np.count_nonzero(block.sums(weights) == 0))


@dataclass(frozen=True)
class Pruning:
    """Which share of the blocks of each named layer is to be zero at the end of training."""

    share: float
    blocks: tuple[tuple[str, BlockShape], ...]
    """Layers without a block are not pruned."""
    boxed: bool = False
    """Whether the blocks that stay of each tile form a box (``kept_box``)."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ModelError(f"share of zero blocks must be between 0 and 1, not {self.share!r}")

    def share_at(self, progress: float) -> float:
        """Zhu & Gupta's schedule: fast at first, while there is much to choose from.

        progress: 0..1 of the epochs that prune; 1 from there on.
        """
        return float(self.share * (1 - (1 - min(progress, 1.0)) ** 3))

    def kept(self, weights: NDArray[Any], block: BlockShape, share: float) -> NDArray[np.bool_]:
        """Where weights stay while ``share`` of the blocks are to be zero."""
        return (kept_box if self.boxed else kept)(weights, block, share)

    def least(self, tiles: int, blocks: int) -> int:
        """Zero blocks of a layer in the end: ``tiles`` tiles of output channels, ``blocks`` in
        all."""
        if self.boxed:
            return tiles * wanted(blocks // tiles, self.share)
        return wanted(blocks, self.share)


def wanted(blocks: int, share: float) -> int:
    """Zero blocks out of ``blocks``; never all."""
    return min(round(blocks * share), blocks - 1)


def kept(weights: NDArray[Any], block: BlockShape, share: float) -> NDArray[np.bool_]:
    """False at the weights of the blocks whose magnitudes sum to least, True elsewhere."""
    sums = block.sums(weights)
    order = np.argsort(sums, axis=None, kind="stable")
    stay = np.ones(sums.size, np.bool_)
    stay[order[: wanted(sums.size, share)]] = False
    return block.spread(stay.reshape(sums.shape), weights.shape)


def kept_box(weights: NDArray[Any], block: BlockShape, share: float) -> NDArray[np.bool_]:
    """The same share in every tile (a block's output channels), such that a box of blocks stays:
    input blocks, kernel rows and kernel columns without gaps, as one instruction walks them.

    Of all boxes that are small enough, the one whose weights have the largest sum of squares.
    """
    energy = block.sums(weights.astype(np.float64) ** 2)
    tiles, per_tile = len(energy), energy[0].size
    boxes = _boxes(energy.shape[1:], per_tile - wanted(per_tile, share))
    before = np.pad(energy, ((0, 0), (1, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2).cumsum(3)
    sums = np.zeros((tiles, len(boxes)))
    for corner in itertools.product((0, 1), repeat=3):  # inclusion and exclusion
        word, row, col = (boxes[:, end, axis] for axis, end in enumerate(corner))
        sums += (-1) ** (3 - sum(corner)) * before[:, word, row, col]
    stay = np.zeros(energy.shape, np.bool_)
    for tile, best in enumerate(sums.argmax(axis=1)):
        words, rows, cols = (slice(*ends) for ends in boxes[best].T.tolist())
        stay[tile, words, rows, cols] = True
    return block.spread(stay, weights.shape)


@lru_cache
def _boxes(shape: tuple[int, int, int], most: int) -> NDArray[np.int64]:
    """Boxes of at most ``most`` places, for every extent in rows and columns those of most input
    blocks: [boxes, first and end, axes of ``shape`` (input blocks, rows, columns)]."""
    inputs, rows, cols = shape
    found = []
    for top, bottom in itertools.combinations(range(rows + 1), 2):
        for left, right in itertools.combinations(range(cols + 1), 2):
            deep = min(inputs, most // ((bottom - top) * (right - left)))
            firsts = range(inputs - deep + 1) if deep else ()
            found += [((i, top, left), (i + deep, bottom, right)) for i in firsts]
    return np.array(found)
