"""Blocks of weights that are zero together, so that hardware can leave them out.

A block spans some output channels, some input channels and one kernel position: what an array
reads as one word. Training prunes the blocks that weigh least, more and more of them (Zhu & Gupta,
To prune, or not to prune, 2017, arXiv 1710.01878).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError


@dataclass(frozen=True)
class Block:
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


def zero_blocks(weights: NDArray[Any], block: Block) -> int:
    """How many blocks have no weight but 0."""
    return int(np.count_nonzero(block.sums(weights) == 0))


@dataclass(frozen=True)
class Pruning:
    """Which share of the blocks of each named layer is to be zero at the end of training."""

    share: float
    blocks: tuple[tuple[str, Block], ...]
    """Layers without a block are not pruned."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ModelError(f"share of zero blocks must be between 0 and 1, not {self.share!r}")

    def share_at(self, progress: float) -> float:
        """Zhu & Gupta's schedule: fast at first, while there is much to choose from.

        progress: 0..1 of the epochs that prune; 1 from there on.
        """
        return float(self.share * (1 - (1 - min(progress, 1.0)) ** 3))


def wanted(blocks: int, share: float) -> int:
    """Zero blocks out of ``blocks``; never all."""
    return min(round(blocks * share), blocks - 1)


def kept(weights: NDArray[Any], block: Block, share: float) -> NDArray[np.bool_]:
    """False at the weights of the blocks whose magnitudes sum to least, True elsewhere."""
    sums = block.sums(weights)
    order = np.argsort(sums, axis=None, kind="stable")
    stay = np.ones(sums.size, np.bool_)
    stay[order[: wanted(sums.size, share)]] = False
    return block.spread(stay.reshape(sums.shape), weights.shape)
