"""Blocks of weights that are zero together, so that hardware can skip them.

A block spans some output channels, some input channels and one kernel position: one word per weight
digit that the array reads. Training prunes the blocks of least magnitude, or if ``boxed`` those
outside a box, a growing share of them (Zhu & Gupta, To prune, or not to prune, 2017, arXiv
1710.01878).
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
    """Number of consecutive channels in a block; blocks at a layer's end may have fewer.

    Raises ModelError for numbers below 1.

    >>> BlockShape(out_channels=4, in_channels=2).sums(np.ones((4, 6, 1, 1)))[0, :, 0, 0]
    array([8., 8., 8.])
    """

    out_channels: int
    in_channels: int

    def __post_init__(self) -> None:
        if self.out_channels < 1 or self.in_channels < 1:
            raise ModelError(f"a block spans 1 or more channels each way, not {self}")

    def __str__(self) -> str:
        return f"{self.out_channels}x{self.in_channels}"

    def sums(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of magnitudes of each block.

        Shape (out blocks, in blocks, kernel_rows, kernel_cols), counted from channel 0. weights:
        (out_channels, in_channels, kernel_rows, kernel_cols).
        """
        out, channels = weights.shape[:2]
        over_out = np.add.reduceat(np.abs(weights), range(0, out, self.out_channels), axis=0)
        return np.add.reduceat(over_out, range(0, channels, self.in_channels), axis=1)

    def spread(self, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an array of the weights' ``shape`` that repeats each block's value.

        values: one per block, in the shape that ``sums`` returns.
        """
        over_out = np.repeat(values, self.out_channels, axis=0)[: shape[0]]
        return np.repeat(over_out, self.in_channels, axis=1)[:, : shape[1]]


def zero_blocks(weights: NDArray[Any], block: BlockShape) -> int:
    """Return the number of blocks whose weights are all 0."""
    return int(np.count_nonzero(block.sums(weights) == 0))


@dataclass(frozen=True)
class Pruning:
    """Setting of block pruning: the share of zero blocks in named layers at the end of training.

    Raises ModelError if ``share`` is not between 0 and 1 (both excluded).

    >>> pruning = Pruning(share=0.5, blocks=(("conv1", BlockShape(4, 2)),))
    >>> [pruning.share_at(progress) for progress in (0, 0.5, 1)]
    [0.0, 0.4375, 0.5]
    """

    share: float
    """Fraction of zero blocks in each layer, 0..1; ``least`` gives their number."""
    blocks: tuple[tuple[str, BlockShape], ...]
    """(Layer name, block shape) pairs; other layers are not pruned."""
    boxed: bool = False
    """If set, the blocks that stay of each output-channel tile form a box (``kept_box``)."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ModelError(f"share of zero blocks must be between 0 and 1, not {self.share!r}")

    def share_at(self, progress: float) -> float:
        """Return the share at a point of training by Zhu & Gupta's cubic schedule.

        It grows fast at first, while there are many blocks to choose from. progress: 0..1 over the
        epochs that prune; larger values count as 1.
        """
        return float(self.share * (1 - (1 - min(progress, 1.0)) ** 3))

    def kept(self, weights: NDArray[Any], block: BlockShape, share: float) -> NDArray[np.bool_]:
        """Return the mask of ``kept_box`` if ``boxed``, else of ``kept``: True where weights stay.

        weights: (out_channels, in_channels, kernel_rows, kernel_cols), as is the mask. share:
        fraction of zero blocks, 0..1.
        """
        return (kept_box if self.boxed else kept)(weights, block, share)

    def least(self, tiles: int, blocks: int) -> int:
        """Return the number of zero blocks that a layer must have after training.

        That is ``wanted`` of all its blocks, or if ``boxed`` of each tile's. tiles: its
        output-channel tiles (rows of blocks); blocks: its blocks in all tiles.
        """
        if self.boxed:
            return tiles * wanted(blocks // tiles, self.share)
        return wanted(blocks, self.share)


def wanted(blocks: int, share: float) -> int:
    """Return the number of zero blocks: ``share`` of ``blocks``, but at most ``blocks - 1``.

    It is rounded half to even.
    """
    return min(round(blocks * share), blocks - 1)


def kept(weights: NDArray[Any], block: BlockShape, share: float) -> NDArray[np.bool_]:
    """Return a mask like ``weights``: False at the blocks with the smallest sums of magnitudes.

    There are ``wanted(blocks, share)`` of these; of equal sums the first blocks. weights:
    (out_channels, in_channels, kernel_rows, kernel_cols).
    """
    sums = block.sums(weights)
    order = np.argsort(sums, axis=None, kind="stable")
    stay = np.ones(sums.size, np.bool_)
    stay[order[: wanted(sums.size, share)]] = False
    return block.spread(stay.reshape(sums.shape), weights.shape)


def kept_box(weights: NDArray[Any], block: BlockShape, share: float) -> NDArray[np.bool_]:
    """Return a mask like ``weights``: True in a box of blocks in every tile.

    A tile is the output channels of a block; a box is a range of input blocks, kernel rows and
    kernel columns without gaps, which one instruction can walk. Every tile loses at least
    ``wanted(its blocks, share)`` blocks. Of all boxes that are small enough, the one whose weights
    have the largest sum of squares is kept. weights: (out_channels, in_channels, kernel_rows,
    kernel_cols).
    """
    energy = block.sums(weights.astype(np.float64) ** 2)
    tiles, per_tile = len(energy), energy[0].size
    boxes = _boxes(energy.shape[1:], per_tile - wanted(per_tile, share))
    before = np.pad(energy, ((0, 0), (1, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2).cumsum(3)
    sums = np.zeros((tiles, len(boxes)))
    for corner in itertools.product((0, 1), repeat=3):  # sum of a box from prefix sums
        word, row, col = (boxes[:, end, axis] for axis, end in enumerate(corner))
        sums += (-1) ** (3 - sum(corner)) * before[:, word, row, col]
    stay = np.zeros(energy.shape, np.bool_)
    for tile, best in enumerate(sums.argmax(axis=1)):
        words, rows, cols = (slice(*ends) for ends in boxes[best].T.tolist())
        stay[tile, words, rows, cols] = True
    return block.spread(stay, weights.shape)


@lru_cache
def _boxes(shape: tuple[int, int, int], most: int) -> NDArray[np.int64]:
    """Return the boxes of at most ``most`` blocks; per row and column range, the deepest ones.

    Shape (boxes, 2, 3): first and end (excluded) along the axes of ``shape`` (input blocks, rows,
    columns). Deepest: of most input blocks, in every position.
    """
    inputs, rows, cols = shape
    found = []
    for top, bottom in itertools.combinations(range(rows + 1), 2):
        for left, right in itertools.combinations(range(cols + 1), 2):
            deep = min(inputs, most // ((bottom - top) * (right - left)))
            firsts = range(inputs - deep + 1) if deep else ()
            found += [((i, top, left), (i + deep, bottom, right)) for i in firsts]
    return np.array(found)
