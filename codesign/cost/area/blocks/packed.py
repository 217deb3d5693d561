"""Area features of arrays with several products per DSP slice (rtl_gen.blocks.packed_array)."""

from __future__ import annotations

import numpy as np

from codesign.cost.area.blocks.block import AreaBlock, Ints, Sizes
from codesign.cost.area.dsps import Packed, sum_tree, tree_registers
from codesign.cost.table import ConfigTable
from rtl_gen.packing import CHAIN_LANES, COLUMNS, STAGE_LANES, WHOLE_WEIGHT_BITS


def _dots(c: ConfigTable) -> Sizes:
    found = Packed.of(c)
    fields = found.fields
    top_bits = np.floor(np.log2(np.maximum(c.lanes * found.largest, 1))).astype(np.int64) + 2
    chains = -(-c.lanes // CHAIN_LANES)
    groups = -(-c.lanes // np.maximum(found.group_lanes, 1))
    dots = np.where(fields > 0, c.pixels * c.columns // np.maximum(fields, 1), 0)
    # A chain has two register stages; sums complete after the first one wait for the others.
    staged = c.lanes > STAGE_LANES
    short = staged & (c.lanes % CHAIN_LANES > 0) & (c.lanes % CHAIN_LANES <= STAGE_LANES)
    early = np.where(found.group_lanes < CHAIN_LANES, chains * staged, short)
    behind = _levels(groups) - _levels(chains)
    low, top = sum_tree(groups, found.field_bits), sum_tree(chains, top_bits)
    low_registers = tree_registers(groups, found.field_bits) + early * found.field_bits
    top_registers = tree_registers(chains, top_bits) + short * top_bits
    return {
        "field_trees": dots * (fields - 1) * (low - groups + 1),
        "top_trees": dots * (top - chains + 1),
        "field_registers": dots * (fields - 1) * low_registers,
        "top_registers": dots * (top_registers + behind * (top_bits + _levels(chains))),
        "dots": dots,
    }


def _levels(terms: Ints) -> Ints:
    """Return the levels of a binary adder tree, ceil(log2(terms)); 0 for one term or none."""
    return np.frexp(np.maximum(terms - 1, 0))[1].astype(np.int64)


PACKED_DOTS = AreaBlock(
    "packed_dots",
    ("npu_packed_dot",),
    _dots,
    luts={"field_trees": 1.0, "top_trees": 1.0},
    ffs={"field_registers": 1.0, "top_registers": 1.0},
    lutrams={},
)


def shared_sizes(c: ConfigTable) -> Sizes:
    """Return the area features (sizes) of the operands that the cells of a packed array share.

    These are activations, weight digits with their signs, and the values at which the field sums
    start (rtl_gen.packing.Packing.start); all 0 where products share no slice.
    """
    found = Packed.of(c)
    packed = (found.fields > 0).astype(np.int64)
    group = np.maximum(found.group_lanes, 1)
    groups = -(-c.lanes // group)
    late = c.lanes // CHAIN_LANES * (CHAIN_LANES - STAGE_LANES) + np.maximum(
        c.lanes % CHAIN_LANES - STAGE_LANES, 0
    )
    signs = (c.weight_digit_bits < WHOLE_WEIGHT_BITS).astype(np.int64)
    waiting = np.where(group < CHAIN_LANES, groups // 2, 0)
    start_bits = c.pixels * (found.field_bits - c.weight_digit_bits + 1)
    registered = packed * (c.lanes + late)
    return {
        "packed_signs": packed * signs * c.lanes * c.columns,
        "packed_operands": registered * c.pixels * c.activation_bits,
        "packed_digits": registered * c.columns * c.weight_digit_bits,
        "packed_top_signs": registered * c.columns // COLUMNS * signs,
        "packed_sums": packed * c.pixels * (c.lanes // STAGE_LANES) * (c.activation_bits + 1),
        "packed_starts": packed * groups * start_bits,
        "late_starts": packed * waiting * start_bits,
    }
