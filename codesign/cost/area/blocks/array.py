"""Sizes of the MAC array: dot products, cells, and what the cells of a row or column share."""

from __future__ import annotations

import functools

import numpy as np

from codesign.cost.area.blocks.block import Block, Floats, Ints, Sizes, ones
from codesign.cost.area.blocks.packed import shared_sizes
from codesign.cost.area.dsps import (
    MAX_BITS,
    MAX_LANES,
    Packed,
    product_bits,
    sum_tree,
    tree_registers,
    wide,
)
from codesign.cost.table import ConfigTable
from rtl_gen.blocks.dot_product import GROUP_PAIRS, STAGE_PAIRS, DotProductSpec
from rtl_gen.blocks.history import OLDER_COLUMNS


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
        # The top bit of the wider one of two is the carry's alone.
        tree += sum(total - 1 for total in sums)
        tree -= sum(widths[k] != widths[k + 1] for k in range(0, paired, 2))
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
    if bits == 1:
        return luts + (pairs > 2)
    return luts - lanes % 2


def _planes(c: ConfigTable) -> Floats:
    found: Floats = _plane_table()[c.slots, c.activation_bits]
    return found


def _combine_bits(c: ConfigTable, plane_bits: Ints) -> tuple[Ints, Ints]:
    """LUTs and FFs of the adders that combine a digit's planes, per cell."""
    digit = c.weight_digit_bits
    levels = np.log2(digit).astype(np.int64)
    single = digit == 1
    luts = np.where(single, plane_bits, (digit - 1) * plane_bits - levels + 1)
    more = np.array([0, 2, 3, 0, 7, 0, 0, 0, 18])[digit]
    return luts, np.where(single, plane_bits, (digit - 1) * plane_bits) + more


def _narrow_table() -> Ints:
    """[activation_bits, digit_bits] LUTs of one product too narrow for a DSP slice, as mapped."""
    table = np.zeros((MAX_BITS + 1, MAX_BITS + 1), dtype=np.int64)
    for digit, luts in {1: (1, 3, 4, 7, 9), 2: (2, 5, 6, 10), 4: (4, 8)}.items():
        table[1 : len(luts) + 1, digit] = luts
    return table


_NARROW = _narrow_table()


def _dots(c: ConfigTable) -> Sizes:
    cells = c.pixels * c.weight_columns
    lut = cells * c.lut * c.weight_digit_bits
    dsp, narrow = cells * c.dsp * wide(c), cells * c.dsp * (1 - wide(c))
    plane = _planes(c)
    combine, combine_registers = _combine_bits(c, plane[:, 3].astype(np.int64))
    # One lane of one bit: the planes are the digit itself, which waits in registers; the longest
    # digit in shift registers.
    alone = c.lut * ((c.slots == 1) & (c.activation_bits == 1))
    added = c.lut - alone
    waits = added * np.array([0, 0, 0, 0, 1, 0, 0, 0, 3])[c.weight_digit_bits]
    waits += alone * np.array([0, 0, 0, 0, 0, 0, 0, 0, 10])[c.weight_digit_bits]
    waiting = alone * np.array([0, 3, 4, 0, 12, 0, 0, 0, 0])[c.weight_digit_bits]
    product = product_bits(c)
    # DSP slices add their products by pairs, too.
    left, sums = -(-c.slots // 2), product + 1
    return {
        "chains": lut * plane[:, 0],
        "trees": lut * plane[:, 1],
        "plane_registers": lut * plane[:, 2],
        "combine": cells * (added * combine + alone),
        "combine_registers": cells * (added * combine_registers + waiting),
        # The digit's sign waits for the planes' sums in shift registers, where that is longer.
        "sign_delays": cells * waits,
        "dsp_trees": dsp * sum_tree(left, sums),
        "dsp_registers": dsp * tree_registers(left, sums),
        "dsp_signs": dsp * (c.slots // 2 + 1),
        "narrow_trees": narrow * (sum_tree(c.slots, product) + 1),
        "narrow_products": narrow * c.slots * _NARROW[c.activation_bits, c.weight_digit_bits],
        "narrow_registers": narrow * (tree_registers(c.slots, product) + c.slots * product - 1),
    }


DOTS = Block(
    "dot_products",
    ("npu_dot",),
    _dots,
    luts={
        "chains": 1.0, "trees": 1.0, "combine": 1.0, "sign_delays": 1.0, "dsp_trees": 1.0,
        "dsp_signs": 1.0, "narrow_trees": 1.0, "narrow_products": 1.0,
    },
    ffs={
        "plane_registers": 1.0, "combine_registers": 1.0, "dsp_registers": 1.0,
        "narrow_registers": 1.0,
    },
    lutrams={"sign_delays": 1.0},
)  # fmt: skip


def result_bits(c: ConfigTable) -> Ints:
    """Bits of a dot product, its sign included."""
    lanes = np.ceil(np.log2(c.slots)).astype(np.int64)
    return c.activation_bits + c.weight_digit_bits + 1 + lanes


def _cells(c: ConfigTable) -> Sizes:
    cells = c.pixels * c.weight_columns
    accumulators = cells * c.accumulator_bits
    packed = np.maximum(Packed.of(c).fields, 1)
    return {
        "accumulators": accumulators,
        # An addend as wide as its accumulator leaves no room for the choice in the adder's LUTs.
        "full": accumulators * (result_bits(c) >= c.accumulator_bits),
        "controls": cells // packed,
    }


CELLS = Block(
    "cells",
    ("npu_mac_cell", "npu_packed_cell"),
    _cells,
    luts={"accumulators": 1.0, "full": 1.0},
    ffs={"accumulators": 1.0, "controls": 3.0},
    lutrams={},
)


def _selection(c: ConfigTable) -> Sizes:
    """N:M only: bits of the selected activations, and pairs that are added."""
    cells = c.pixels * c.columns * (c.sparsity > 0)
    selected = cells * c.slots * c.activation_bits
    pairs = cells * (c.slots // 2)
    # One LUT6 chooses one of four, a second one the fifth.
    return {
        "choices": selected * np.where(c.group - c.kept + 1 > 4, 2, 1),
        "selected": selected,
        "pair_bits": pairs * c.activation_bits,
        "pairs": pairs,
    }


SELECTION = Block(
    "selection",
    ("npu_selection",),
    _selection,
    luts={"choices": 1.0, "pair_bits": 1.0},
    ffs={"selected": 1.0, "pair_bits": 1.0, "pairs": 1.0},
    lutrams={},
)


@functools.cache
def _late_lanes() -> Ints:
    """[slots] lanes whose operands a LUT dot product wants a cycle later than the others'."""
    spec = [DotProductSpec(n, 1, 1, "lut") for n in range(MAX_LANES + 1)]
    return np.array([sum(map(spec[n].late, range(n))) for n in range(MAX_LANES + 1)])


def _shared(c: ConfigTable) -> Sizes:
    sparse = c.sparsity > 0
    plain = (Packed.of(c).fields == 0).astype(np.int64)
    late = _late_lanes()[c.slots] * c.lut
    pairs = c.pixels * (c.lanes // 2) * ~sparse * plain
    # A single bit and its carry are two LUTs, further bits one each.
    sums = np.where(c.activation_bits > 1, c.activation_bits, 2)
    late_lanes = np.where(sparse, late // c.kept * c.group, late)
    reused = (c.depthwise_taps > 1).astype(np.int64)
    paired = c.lanes == 4
    lanes = c.lanes * (
        OLDER_COLUMNS * c.activation_bits + np.where(paired, c.activation_bits + 1, 0)
    )
    return {
        "pair_sums": pairs * sums,
        "pair_registers": pairs * (c.activation_bits + 1),
        "late_pairs": c.pixels * (late // 2) * ~sparse * (c.activation_bits + 1),
        "operands": c.pixels * c.activation_bits * (c.lanes * ~sparse * plain + late_lanes),
        "digits": c.weight_columns * c.weight_digit_bits * (c.slots + late) * plain,
        "late_indices": c.columns * c.index_bits * late,
        "reused": c.pixels * lanes * reused,
        "late_reused": c.pixels * lanes * reused * (late > 0),
        "control": ones(c),
        **shared_sizes(c),
    }


SHARED = Block(
    "shared_operands",
    ("npu_mac_array",),
    _shared,
    luts={
        "pair_sums": 1.0, "reused": 1.0, "control": 3.0, "packed_signs": 1.0, "packed_sums": 1.0,
        "packed_starts": 1.0,
    },
    ffs={
        "pair_registers": 1.0, "late_pairs": 1.0, "operands": 1.0, "digits": 1.0,
        "late_indices": 1.0, "reused": 1.0, "late_reused": 0.5, "control": 10.0,
        "packed_sums": 1.0, "packed_starts": 1.0, "late_starts": 1.0, "packed_operands": 1.0,
        "packed_digits": 1.0, "packed_top_signs": 1.0,
    },
    lutrams={"control": 1.0},
)  # fmt: skip
