"""Accumulator widths of candidates: wide enough for any weights, or what training keeps to.

The choice ``accumulator_bits`` of a space is a gene of the network, as its training depends on it.
Choices that give the same width are the same design: the first of them stands for all (canonical).
"""

from __future__ import annotations

import numpy as np

from codesign.cost.cycles.layers import Ints, LayerTable
from codesign.search.space.choices import ACCUMULATOR
from codesign.search.space.genome import Genome
from models import arithmetic
from models.quantisation.plan import MAX_BITS
from rtl_gen.parameters import RANGES

LEAST_ACCUMULATOR_BITS = 12
"""Smallest accumulator width that no training keeps to: in a narrower one the bias of a small
network may not fit."""
LEAST, MOST = RANGES[ACCUMULATOR]


def accumulator_bits(layers: LayerTable) -> Ints:
    """Return the smallest accumulator widths that no weights can overflow, shape (n,).

    The same as codesign.compiler.worst_accumulator_bits, for a batch; they may exceed the range of
    NpuConfig.
    """
    return _bits(_sums(layers).max(axis=1))


def any_weights(layers: LayerTable) -> Ints:
    """Return the accumulator widths of NPUs that hold the sums of any weights, shape (n,).

    They are limited to LEAST_ACCUMULATOR_BITS and the most that NpuConfig allows, which may be too
    few.
    """
    return np.clip(accumulator_bits(layers), LEAST_ACCUMULATOR_BITS, MOST)


def kept_bits(space: Genome, candidates: Ints, layers: LayerTable) -> Ints:
    """Return the bits that the training of candidates keeps sums to, shape (n,); 0: any weights.

    layers: the networks of the candidates.
    """
    if ACCUMULATOR not in space.index:
        return np.zeros(len(candidates), dtype=np.int64)
    return _kept(space.integers(candidates, ACCUMULATOR), layers)


def canonical(space: Genome, candidates: Ints, layers: LayerTable) -> Ints:
    """Return a copy of candidates (n, genes) with the first choice of those of the same width.

    The space has such choices; layers: the networks of the candidates.
    """
    found, gene = candidates.copy(), space.index[ACCUMULATOR]
    kept = np.stack(
        [_kept(np.full(len(found), int(choice)), layers) for choice in space.choices[ACCUMULATOR]],
        axis=1,
    )
    own = kept[np.arange(len(found)), found[:, gene]]
    found[:, gene] = (kept == own[:, None]).argmax(axis=1)
    return found


def shorten(space: Genome, candidates: Ints, layers: LayerTable) -> None:
    """Write LayerTable.short of the candidates' networks, in place."""
    kept = kept_bits(space, candidates, layers)[:, None]
    layers.short[:] = np.where(kept > 0, np.maximum(_bits(_sums(layers)) - kept, 0), 0)


def _kept(chosen: Ints, layers: LayerTable) -> Ints:
    """Return ``kept_bits`` of choices (n,), 0 of which is any weights."""
    found = np.maximum(chosen, _least(layers))
    return np.where((chosen > 0) & (found < accumulator_bits(layers)), found, 0)


def _least(layers: LayerTable) -> Ints:
    """Return bits that a training can keep to, shape (n,), no fewer than NpuConfig allows.

    Layers whose weights are fixed (averages, adds, and like them depthwise ones) or never 0 (1-bit
    weights) need those of any weights, one more where biases are added within.
    """
    fixed = (layers.diagonal == 1) | (layers.sources > 1) | (layers.weight_bits == 1)
    bits = np.where(fixed & (layers.active == 1), _bits(_sums(layers)) + layers.raw, LEAST)
    return np.maximum(bits.max(axis=1), LEAST)


def _sums(layers: LayerTable) -> Ints:
    """Return the largest sums of any weights, shape (n, slots)."""
    channels = np.where(layers.diagonal == 1, 1, layers.in_channels) * layers.sources
    products = channels * layers.kernel_rows * layers.kernel_cols
    largest = np.array([0, *(arithmetic.weight_range(bits)[1] for bits in range(1, MAX_BITS + 1))])
    sums: Ints = products * largest[layers.weight_bits] * ((1 << layers.in_bits) - 1)
    return sums


def _bits(sums: Ints) -> Ints:
    """Return the bits of accumulators that hold sums of any sign up to these."""
    bits: Ints = np.ceil(np.log2(np.maximum(sums, 1) + 1)).astype(np.int64) + 1
    return bits
