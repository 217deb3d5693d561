"""What the integer weights of a network hold that hardware could leave out: zeros, bit by bit.

The count of one-bits (binary one optimisation, BOO, of EMONAS-BOO: Feng, KTH 2023) is of sign and
magnitude: a one there is a partial product, for a weight and its
negative alike. In two's complement, which weight memories hold, -1 is all ones.
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
    """Counts of the weights of a layer, or of several."""

    weights: int
    zero_weights: int
    ones: int
    """One-bits of the magnitudes."""
    stored_ones: int
    """One-bits in two's complement of the layer's weight bits (2 at least)."""
    planes: int
    """Digits of a weight: passes of the array over the layer."""
    zero_planes: int
    """Digits that are 0 in every weight of the layer."""
    blocks: int
    zero_blocks: int
    words: int
    """Blocks times planes."""
    zero_words: int
    """Words without a one: those of zero blocks, and single digits of others."""

    @property
    def ones_per_weight(self) -> float:
        """Fewer weights have fewer ones; this compares networks of different size."""
        return self.ones / self.weights


def total(layers: Iterable[LayerBits]) -> LayerBits:
    return LayerBits(*map(sum, zip(*map(dataclasses.astuple, layers), strict=True)))


def ones(weights: Ints) -> int:
    """One-bits of the magnitudes."""
    return int(np.bitwise_count(np.abs(weights)).sum())


def digits(weights: Ints, weight_bits: int, digit_bits: int) -> NDArray[np.int64]:
    """Digits of two's complement, lowest first: [planes, *weights.shape], each unsigned.

    One bit has two, for -1 and +1; the top digit is filled up with the sign.
    """
    planes = -(-max(weight_bits, 2) // digit_bits)
    shifts = digit_bits * np.arange(planes).reshape(-1, *(1,) * weights.ndim)
    return (weights >> shifts) & ((1 << digit_bits) - 1)


def layer_bits(layer: MacLayer, block: BlockShape | None, digit_bits: int) -> LayerBits:
    """Counts of a layer with one source; without a block (a grouped layer), of blocks none."""
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
    """Counts of every conv2d and linear layer, by name; ``blocks`` by name too."""
    return {
        layer.name: layer_bits(layer, blocks.get(layer.name), digit_bits)
        for layer in network.mac_layers
        if layer.op in ("conv2d", "linear")
    }
