"""Analytic counts per block of the NPU: what its structure says that synthesis should find.

Every column is a count of LUTs (or FFs) that one block would take under a simple mapping (one LUT
per adder bit, a third of a LUT per multiplexer input and bit, ...). The regressors learn one
factor a column and a smooth correction; the sum alone is a usable estimate without any data.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codesign.cost import memories
from codesign.cost.dsps import (
    MAX_BITS,
    MAX_LANES,
    Packed,
    packed_blocks,
    product_bits,
    sum_tree,
    wide,
)
from codesign.cost.memories import MemoryCount
from codesign.cost.table import ConfigTable
from rtl_gen.blocks.dot_product import GROUP_PAIRS, STAGE_PAIRS
from rtl_gen.blocks.loops import RECORD_BITS
from rtl_gen.config import SHIFT_BITS
from rtl_gen.isa import BUS_WORDS, COLUMN_BITS, LOG_DEPTH, STRIP_BITS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SHIFT_SHARE = 0.3
"""Of what the data's post units give the shift, what it takes behind a multiplier in DSP slices:
the fitted factor holds a part of their multiplication. Measured."""


def _bits(values: Ints) -> Ints:
    """ceil(log2(values)), at least 1."""
    return np.maximum(np.ceil(np.log2(np.maximum(values, 2))).astype(np.int64), 1)


@functools.cache
def _plane_table() -> Floats:
    """[lanes, activation_bits, 4]: one bit plane of a dot product.

    LUTs of its chains, LUTs of the tree over them, FFs, and bits of the result. See
    rtl_gen.blocks.dot_product: a chain adds the choices of up to GROUP_PAIRS lane pairs. Equal to
    what Yosys maps for every dot product in the shipped data.
    """
    table = np.zeros((MAX_LANES + 1, MAX_BITS + 1, 4))
    for lanes in range(1, MAX_LANES + 1):
        for bits in range(1, MAX_BITS + 1):
            table[lanes, bits] = _plane(lanes, bits)
    return table


def _plane(lanes: int, bits: int) -> tuple[int, int, int, int]:
    pairs = (lanes + 1) // 2
    chain = tree = registers = 0
    widths = []
    for first in range(0, pairs, GROUP_PAIRS):
        held = min(2 * GROUP_PAIRS, lanes - 2 * first)
        chain += _chain(held, bits)
        widths.append(_sum_bits(held, bits))
        registers += widths[-1]
        if pairs > STAGE_PAIRS:
            registers += _sum_bits(min(held, 2 * STAGE_PAIRS), bits)
    while len(widths) > 1:
        paired = len(widths) // 2 * 2
        sums = [max(widths[k : k + 2]) + 1 for k in range(0, paired, 2)]
        tree += sum(sums) - len(sums)
        widths = sums + widths[paired:]
        registers += sum(widths)
    return chain, tree, registers, widths[0]


def _sum_bits(lanes: int, bits: int) -> int:
    """Width of the sum of ``lanes`` activations."""
    return (lanes * ((1 << bits) - 1)).bit_length()


def _chain(lanes: int, bits: int) -> int:
    """LUTs that choose and add the pairs of one chain.

    One LUT a bit and pair; from the third pair on a choice does not fit into the adder's LUTs. A
    single lane needs none: its register is reset where the weight bit is 0.
    """
    if lanes == 1:
        return 0
    pairs = (lanes + 1) // 2
    luts = sum(_sum_bits(2 * k, bits) for k in range(1, pairs + 1))
    luts += max(pairs - 2, 0) * (bits - 1) - (pairs > 1)
    return luts - (1 if lanes % 2 else 0)


def _combine_bits(c: ConfigTable, plane_bits: Ints) -> tuple[Ints, Ints]:
    """LUTs and FFs of the adders that combine a digit's planes, per cell."""
    digit = c.weight_digit_bits
    levels = np.log2(digit).astype(np.int64)
    single = digit == 1
    luts = np.where(single, plane_bits, (digit - 1) * plane_bits - levels + 1)
    more = np.array([0, 2, 3, 0, 7, 0, 0, 0, 18])[digit]
    return luts, np.where(single, plane_bits, (digit - 1) * plane_bits) + more


def memory_counts(c: ConfigTable) -> MemoryCount:
    """All memories of the NPU."""
    word = c.weight_word_bits
    units, code = c.post_units, c.post_units * c.activation_bits
    indices = 1 << (_bits(c.columns // units) + _bits(c.pixels))
    full = np.full_like(word, 32)
    parts = (
        memories.automatic(c.activation_word_bits, c.activation_depth).times(c.pixels),
        memories.automatic(full, c.weight_depth).times(word // 32),
        memories.automatic(np.maximum(word % 32, 1), c.weight_depth).times((word % 32 > 0) * 1),
        memories.automatic(c.accumulator_bits, c.channel_depth).times(units),
        memories.automatic(c.scale_bits + SHIFT_BITS, c.channel_depth).times(units),
        memories.automatic(full, c.program_depth).times(np.full_like(word, BUS_WORDS)),
        memories.distributed(units * c.accumulator_bits, c.result_depth),
        memories.distributed(code, indices),
        memories.distributed(full, np.full_like(word, LOG_DEPTH)),
        memories.distributed(
            _bits(c.activation_depth) + 1 + 2 * COLUMN_BITS + STRIP_BITS,
            np.full_like(word, 1 << RECORD_BITS),
        ),
    )
    return functools.reduce(MemoryCount.__add__, parts)


def _array(c: ConfigTable) -> dict[str, Floats]:
    """LUTs and FFs of the cells, per kind of adder."""
    cells = c.pixels * c.columns
    lut = cells * c.lut * c.weight_digit_bits
    dsp, narrow = cells * c.dsp * wide(c), cells * c.dsp * (1 - wide(c))
    plane = _plane_table()[c.slots, c.activation_bits]
    combine, combine_registers = _combine_bits(c, plane[:, 3].astype(np.int64))
    product = product_bits(c)
    sums = sum_tree(c.slots, product)
    found = {
        "chains": lut * plane[:, 0],
        "trees": lut * plane[:, 1],
        "plane_registers": lut * plane[:, 2],
        "combine": cells * c.lut * combine,
        "combine_registers": cells * c.lut * combine_registers,
        # A product that a DSP slice takes leaves its register and a part of the tree there, too.
        "dsp_trees": dsp * sums,
        "dsp_products": dsp * c.slots * product,
        "narrow_trees": narrow * sums,
        "narrow_products": narrow * c.slots * c.activation_bits * c.weight_digit_bits,
        "narrow_registers": narrow * c.slots * product,
        "accumulators": cells * c.accumulator_bits,
    }
    return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}


def _selection(c: ConfigTable) -> tuple[Ints, Ints]:
    """Of all cells: bits of the selected activations, and pairs that are added (N:M only)."""
    cells = c.pixels * c.columns * (c.sparsity > 0)
    return cells * c.slots * c.activation_bits, cells * (c.slots // 2) * c.lut


_LUT_KINDS = ("chains", "trees", "combine", "dsp_trees", "narrow_trees", "narrow_products")
_FF_KINDS = (
    "plane_registers", "combine_registers", "dsp_trees", "dsp_products", "narrow_trees",
    "narrow_registers",
)  # fmt: skip


def lut_blocks(c: ConfigTable) -> Mapping[str, Floats]:
    """LUTs by block; distributed RAM included."""
    array = _array(c)
    operands = c.pixels * c.activation_word_bits
    biased, product = c.accumulator_bits + 1, c.accumulator_bits + 1 + c.scale_bits
    memory = memory_counts(c)
    addresses = _bits(c.activation_depth)
    dense, choices = c.sparsity == 0, c.group - c.kept + 1
    selected, pairs = _selection(c)
    unpacked = Packed.of(c).fields == 0  # else DSP slices multiply there, too
    blocks = {name: array[name] for name in _LUT_KINDS} | {
        # The accumulator's adder, and its share of the multiplexer to the post units.
        "accumulators": 1.33 * array["accumulators"],
        "pair_sums": c.pixels * (c.lanes / 2) * (c.activation_bits + 1) * c.lut * dense,
        # One LUT6 chooses one of four, a second one the fifth; then the cell's own pair sums.
        "selection": selected * np.where(choices > 4, 2, 1) + pairs * c.activation_bits,
        "rotator": operands * np.maximum(0.85 * c.pixels, 1.0),
        "post_multiply": 1.4 * c.post_units * biased * c.scale_bits * unpacked,
        "post_shift": 4.0 * c.post_units * product * np.where(unpacked, 1, SHIFT_SHARE),
        "post_code": c.post_units * (5.0 * c.activation_bits + 12),
        "memories": memory.lutrams + memory.luts,
        "transfer": 2.0 * c.activation_word_bits + c.post_units * c.accumulator_bits,
        "addresses": 10.0 * addresses,
        "columns": -(-c.weight_word_bits // 32) * 1.0,
        "control": np.full(len(c), 830.0),
        **packed_blocks(c)[0],
    }
    return {name: np.asarray(value, dtype=np.float64) for name, value in blocks.items()}


def ff_blocks(c: ConfigTable) -> Mapping[str, Floats]:
    """FFs by block."""
    array = _array(c)
    biased, product = c.accumulator_bits + 1, c.accumulator_bits + 1 + c.scale_bits
    selected, pairs = _selection(c)
    unpacked = Packed.of(c).fields == 0  # else DSP slices multiply there, too
    blocks = {name: array[name] for name in _FF_KINDS} | {
        "selection": selected + pairs * (c.activation_bits + 1),
        # Accumulator and snapshot.
        "accumulators": 2.0 * array["accumulators"],
        "cells": c.pixels * c.columns * 3.0,
        "operands": 2.0 * c.pixels * c.activation_word_bits,
        "digits": 1.5 * c.weight_word_bits,
        "post_multiply": c.post_units * biased * c.scale_bits * 0.75 * unpacked,
        "post_shift": 3.0 * c.post_units * product * np.where(unpacked, 1, SHIFT_SHARE),
        "post_code": c.post_units * (3.0 * c.activation_bits + 2 * c.accumulator_bits + 13),
        "addresses": 20.0 * _bits(c.activation_depth),
        "transfer": 2.0 * c.activation_word_bits + c.post_units * c.accumulator_bits,
        "control": np.full(len(c), 800.0),
        **packed_blocks(c)[1],
    }
    return {name: np.asarray(value, dtype=np.float64) for name, value in blocks.items()}


def delay_blocks(c: ConfigTable) -> Mapping[str, Floats]:
    """LUTs that shift registers take: control bits that travel beside the data."""
    cells = (c.pixels * c.columns).astype(np.float64)
    return {
        "cells": cells * (c.weight_digit_bits > 2),
        "units": 8.0 * c.post_units,
        "control": np.full(len(c), 30.0),
    }


def analytic_luts(c: ConfigTable) -> Floats:
    """The sum of the block counts: an estimate without data."""
    return np.sum(list(lut_blocks(c).values()), axis=0)
