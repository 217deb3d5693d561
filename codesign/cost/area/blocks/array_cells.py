"""Area features of the MAC array except its dot products: cells, N:M selection, shared operands."""

from __future__ import annotations

import functools

import numpy as np

from codesign.cost.area.blocks.block import AreaBlock, Ints, Sizes, ones
from codesign.cost.area.blocks.packed import shared_sizes
from codesign.cost.area.dsps import MAX_LANES, Packed
from codesign.cost.table import ConfigTable
from rtl_gen.blocks.dot_product import DotProductSpec
from rtl_gen.blocks.history import OLDER_COLUMNS, older_lanes
from rtl_gen.parameters import LEAST_REUSE_LANES


@functools.cache
def _late_table() -> Ints:
    """Return how many lanes of a LUT dot product take their operands one cycle late.

    Shape (MAX_LANES + 1, 2), int64: row by the slots of the dot product (multiplier inputs of a
    cell), column 0 for 1-bit activations, 1 for wider ones.
    """
    table = np.zeros((MAX_LANES + 1, 2), dtype=np.int64)
    for lanes in range(MAX_LANES + 1):
        for more in range(2):
            spec = DotProductSpec(lanes, 1 + more, 1)
            table[lanes, more] = sum(map(spec.late, range(lanes)))
    return table


@functools.cache
def _late_older_table() -> Ints:
    """Return how many lanes that column reuse feeds take their operands one cycle late.

    Summed over all channels of an activation word (each feeds two lanes from the history). Shape as
    ``_late_table``, rows by lanes; 0 for fewer than LEAST_REUSE_LANES lanes.
    """
    table = np.zeros((MAX_LANES + 1, 2), dtype=np.int64)
    for lanes in range(LEAST_REUSE_LANES, MAX_LANES + 1):
        for more in range(2):
            late = DotProductSpec(lanes, 1 + more, 1).late
            older = [n for channel in range(lanes) for n in older_lanes(lanes, channel)]
            table[lanes, more] = sum(map(late, older))
    return table


def _late_lanes(c: ConfigTable) -> Ints:
    found: Ints = _late_table()[c.slots, (c.activation_bits > 1).astype(np.int64)] * c.lut
    return found


def result_bits(c: ConfigTable) -> Ints:
    """Return the width of a dot product in bits, sign included, shape (n,)."""
    lanes = np.ceil(np.log2(c.slots)).astype(np.int64)
    return c.activation_bits + c.weight_digit_bits + 1 + lanes


def _negates(c: ConfigTable) -> Ints:
    """Return 1 where accumulators apply the sign of 1-bit digits, else 0."""
    found: Ints = c.lut * (c.weight_digit_bits == 1)
    return found


def _cells(c: ConfigTable) -> Sizes:
    cells = c.pixels * c.weight_columns
    accumulators = cells * c.accumulator_bits
    packed = np.maximum(Packed.of(c).fields, 1)
    return {
        "accumulators": accumulators,
        # The multiplexer of the accumulator (clear, shift or hold) merges into the LUTs of its
        # adder only if the dot product is narrower than the accumulator.
        "full": accumulators * (result_bits(c) >= c.accumulator_bits),
        # One more distance to move up fits into those LUTs unless they negate, too.
        "moves": accumulators
        * _negates(c)
        * ((c.wide_input_passes > 0) & (c.activation_shift_bits != 1)),
        "controls": cells // packed,
        "negations": cells * _negates(c),
        "late_slots": cells * _late_lanes(c) * (c.sparsity > 0) * (c.activation_bits == 1),
    }


CELLS = AreaBlock(
    "cells",
    ("npu_mac_cell", "npu_packed_cell"),
    _cells,
    luts={"accumulators": 1.0, "full": 1.0, "moves": 0.85},
    ffs={"accumulators": 1.0, "controls": 3.0, "negations": 1.0, "late_slots": 1.0},
    lutrams={},
)


def _selection(c: ConfigTable) -> Sizes:
    """Return the area features (sizes) of N:M operand selection; all 0 for dense arrays."""
    cells = c.pixels * c.columns * (c.sparsity > 0)
    selected = cells * c.slots * c.activation_bits
    pairs = cells * (c.slots // 2)
    # A LUT6 is a 4:1 multiplexer of one bit; a fifth input takes a second LUT.
    return {
        "choices": selected * np.where(c.group - c.kept + 1 > 4, 2, 1),
        "selected": selected,
        "pair_bits": pairs * c.activation_bits * (c.activation_bits > 1),
        "pairs": pairs * (c.activation_bits > 1),
    }


SELECTION = AreaBlock(
    "selection",
    ("npu_selection",),
    _selection,
    luts={"choices": 1.0, "pair_bits": 1.0},
    ffs={"selected": 1.0, "pair_bits": 1.0, "pairs": 1.0},
    lutrams={},
)


def _shared(c: ConfigTable) -> Sizes:
    sparse = c.sparsity > 0
    plain = (Packed.of(c).fields == 0).astype(np.int64)
    several = c.activation_bits > 1
    late = _late_lanes(c)
    # 1-bit lanes need no pair sums; with N:M sparsity they are delayed behind the selection, in
    # the cells ("late_slots").
    pairs = c.pixels * (c.lanes // 2) * ~sparse * plain * several
    groups_late = late * several
    late_lanes = np.where(sparse, groups_late // c.kept * c.group, late)
    reused = (c.depthwise_taps > 1).astype(np.int64)
    paired = c.lanes == 4
    late_older = _late_older_table()[c.lanes, several.astype(np.int64)]
    lanes = c.lanes * (
        OLDER_COLUMNS * c.activation_bits + np.where(paired & several, c.activation_bits + 1, 0)
    )
    return {
        "pair_sums": pairs * c.activation_bits,
        "pair_registers": pairs * (c.activation_bits + 1),
        "late_pairs": c.pixels * (late // 2) * ~sparse * several * (c.activation_bits + 1),
        "operands": c.pixels * c.activation_bits * (c.lanes * ~sparse * plain + late_lanes),
        "digits": c.weight_columns * c.weight_digit_bits * (c.slots + late) * plain,
        "late_indices": c.columns * c.index_bits * groups_late,
        "reused": c.pixels * lanes * reused,
        "late_reused": c.pixels * c.activation_bits * late_older * reused * c.lut,
        "control": ones(c),
        **shared_sizes(c),
    }


SHARED = AreaBlock(
    "shared_operands",
    ("npu_mac_array",),
    _shared,
    luts={
        "pair_sums": 1.0, "reused": 1.0, "control": 3.0, "packed_signs": 1.0, "packed_sums": 1.0,
        "packed_starts": 1.0,
    },
    ffs={
        "pair_registers": 1.0, "late_pairs": 1.0, "operands": 1.0, "digits": 1.0,
        "late_indices": 1.0, "reused": 1.0, "late_reused": 1.0, "control": 10.0,
        "packed_sums": 1.0, "packed_starts": 1.0, "late_starts": 1.0, "packed_operands": 1.0,
        "packed_digits": 1.0, "packed_top_signs": 1.0,
    },
    lutrams={"control": 1.0},
)  # fmt: skip
