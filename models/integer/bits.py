"""Counts of zeros and one-bits in integer weights, which hardware can exploit.

One-bits (the objective of binary one optimisation, BOO, in EMONAS-BOO: Feng, KTH 2023) are counted
in sign and magnitude: each is a partial product, for a weight and its negative alike. Weight
memories hold two's complement, where -1 is all ones; those are counted as stored ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.integer.network import IntegerNetwork, Ints, MacLayer
from models.quantisation.blocks import BlockShape, zero_blocks


@dataclass(frozen=True)
class LayerBits:
    """Counts of weights, bits, digits and blocks in one layer, or in several summed.

    Made by ``layer_bits``, ``total`` and ``network_bits``.
    """

    weights: int
    zero_weights: int
    ones: int
    """One-bits of the magnitudes."""
    stored_ones: int
    """One-bits of the weights in two's complement of max(2, the layer's weight bits) bits."""
    planes: int
    """Digits of a weight: bit-serial passes of the array over the layer."""
    zero_planes: int
    """Digits that are 0 in every weight of the layer."""
    blocks: int
    """Blocks of weights (BlockShape); like the words, 0 for a layer without blocks."""
    zero_blocks: int
    words: int
    """Weight words: blocks times planes, summed over the layers."""
    zero_words: int
    """Words that are 0: those of zero blocks, and zero digits of other blocks."""

    @property
    def ones_per_weight(self) -> float:
        """Mean one-bits of a weight's magnitude, comparable between networks of any size."""
        return self.ones / self.weights


def total(layers: Iterable[LayerBits]) -> LayerBits:
    """Return the sum of every count over ``layers``, at least one."""
    return LayerBits(*map(sum, zip(*map(dataclasses.astuple, layers), strict=True)))


def ones(weights: Ints) -> int:
    """Return the number of one-bits of the weights' magnitudes, summed over all weights."""
    return int(np.bitwise_count(np.abs(weights)).sum())


def digits(weights: Ints, weight_bits: int, digit_bits: int) -> NDArray[np.int64]:
    """Return the two's complement digits of weights, lowest first: (planes, *weights.shape).

    Each is unsigned, 0..2**digit_bits - 1; planes is max(weight_bits, 2) / digit_bits, rounded up.
    A 1-bit weight takes two bits, for -1 and +1; the top digit is sign-extended.
    """
    planes = -(-max(weight_bits, 2) // digit_bits)
    shifts = digit_bits * np.arange(planes).reshape(-1, *(1,) * weights.ndim)
    return (weights >> shifts) & ((1 << digit_bits) - 1)


def layer_bits(layer: MacLayer, block: BlockShape | None, digit_bits: int) -> LayerBits:
    """Count zeros and one-bits of a layer with one source (ValueError for more).

    block: shape of its blocks; None (for a grouped layer) counts no blocks and words. digit_bits:
    width of a weight digit.
    """
    (source,) = layer.sources
    weights = source.weights
    planes = digits(weights, layer.weight_bits, digit_bits)
    stored = weights & ((1 << max(layer.weight_bits, 2)) - 1)
    words = np.stack([block.sums(plane) for plane in planes]) if block else np.empty(0, np.int64)
    return LayerBits(
        weights=weights.size,
        zero_weights=int(np.count_nonzero(weights == 0)),
        ones=ones(weights),
        stored_ones=int(np.bitwise_count(stored).sum()),
        planes=len(planes),
        zero_planes=sum(not plane.any() for plane in planes),
        blocks=words.size // len(planes),
        zero_blocks=zero_blocks(weights, block) if block else 0,
        words=words.size,
        zero_words=int(np.count_nonzero(words == 0)),
    )


def network_bits(
    network: IntegerNetwork, blocks: Mapping[str, BlockShape], digit_bits: int
) -> dict[str, LayerBits]:
    """Count zeros and one-bits of every conv2d and linear layer, by name.

    blocks: block shape by layer name, for the layers that have blocks. digit_bits: width of a
    weight digit.
    """
    return {
        layer.name: layer_bits(layer, blocks.get(layer.name), digit_bits)
        for layer in network.mac_layers
        if layer.op in ("conv2d", "linear")
    }
