"""Area features of dot products: bit planes in LUTs as Yosys maps them, trees over DSP slices."""

from __future__ import annotations

import functools

import numpy as np

from codesign.cost.area.blocks.block import AreaBlock, Floats, Ints, Sizes
from codesign.cost.area.dsps import (
    MAX_BITS,
    MAX_LANES,
    product_bits,
    sum_tree,
    tree_registers,
    wide,
)
from codesign.cost.table import ConfigTable
from rtl_gen.blocks.dot_product import DotProductSpec

COUNTED_LANES = (
    *range(1, 33), 36, 40, 44, 48, 52, 56, 60, 64,
)  # fmt: skip
COUNTED_LUTS = (
    1, 2, 2, 4, 5, 6, 7, 9, 11, 12, 14, 15, 16, 17, 19, 21, 22, 24, 25, 26, 27, 30, 32, 33, 35, 36,
    37, 38, 40, 42, 43, 45, 51, 57, 64, 69, 76, 81, 88, 94,
)  # fmt: skip
COUNTED_REGISTERS = (
    1, 2, 2, 6, 6, 5, 5, 11, 13, 13, 15, 15, 14, 14, 19, 19, 19, 28, 28, 27, 27, 30, 32, 32, 34, 34,
    33, 33, 39, 39, 39, 51, 54, 58, 58, 66, 71, 72, 85, 86,
)  # fmt: skip
COUNTED_SHIFTS = (
    *(0,) * 14, 1, 2, 2, *(0,) * 11, 1, 2, 2, 0, 0, 0, 2, 0, 0, 0, 3, 4,
)  # fmt: skip
"""COUNTED_LUTS, _REGISTERS and _SHIFTS: LUTs, flip-flops and shift registers of one bit plane over
COUNTED_LANES 1-bit activations, each synthesised alone with Yosys; other lane counts are
interpolated linearly."""


@functools.cache
def _plane_table() -> Floats:
    """Return the area of one bit plane of a dot product, shape (MAX_LANES + 1, MAX_BITS + 1, 4).

    By lanes and activation bits; the last axis holds LUTs of the adder chains, LUTs of the tree
    over the chains, flip-flops, and result bits. A bit plane sums the activations whose weight
    digit has that bit set; a chain adds them by lane pairs (rtl_gen.blocks.dot_product). 1-bit
    activations have no chains: all their LUTs are the first number (COUNTED_LUTS). The LUTs equal
    those that Yosys maps in the shipped data, except for one lane of 1-bit activations.
    """
    table = np.zeros((MAX_LANES + 1, MAX_BITS + 1, 4))
    for lanes in range(1, MAX_LANES + 1):
        for bits in range(1, MAX_BITS + 1):
            table[lanes, bits] = _plane(DotProductSpec(lanes, bits, 1))
    return table


def _plane(spec: DotProductSpec) -> tuple[float, float, float, int]:
    if spec.activation_bits == 1:
        luts, registers = (
            float(np.interp(spec.lanes, COUNTED_LANES, found))
            for found in (COUNTED_LUTS, COUNTED_REGISTERS)
        )
        return luts, 0.0, registers, spec.lanes.bit_length()
    chain = tree = registers = 0
    widths = []
    for lanes in spec.chains:
        chain += _chain(spec, len(lanes))
        widths.append((len(lanes) * ((1 << spec.activation_bits) - 1)).bit_length())
        registers += spec.stages * widths[-1] - (len(lanes) == 2 * spec.stage_lanes)
    while len(widths) > 1:
        paired = len(widths) // 2 * 2
        sums = [max(widths[k : k + 2]) + 1 for k in range(0, paired, 2)]
        # Where two operands differ in width, the top bit of the wider one only takes the carry.
        tree += sum(total - 1 for total in sums)
        tree -= sum(widths[k] != widths[k + 1] for k in range(0, paired, 2))
        widths = sums + widths[paired:]
        registers += sum(widths)
    return chain, tree, registers, widths[0]


def _chain(spec: DotProductSpec, lanes: int) -> int:
    """Return the LUTs that select and add the lanes of one chain of activations.

    A pair of lanes takes one LUT more than the activation has bits, a lane left over one per bit. A
    single lane takes none: its register is reset where the weight bit is 0.
    """
    bits = spec.activation_bits
    return lanes // 2 * (bits + 1) + lanes % 2 * bits * (lanes > 1)


def _planes(c: ConfigTable) -> Floats:
    found: Floats = _plane_table()[c.slots, c.activation_bits]
    return found


def _single_chain(c: ConfigTable) -> Ints:
    """Return 1 where a bit plane is a single chain, else 0, shape (n,).

    Also 0 for the shortest chains: 1 to 3 slots of 1-bit activations, 2 slots of wider ones.
    """
    counted = c.activation_bits == 1
    chain = c.slots <= np.where(counted, 7, 8)
    short = np.where(counted, c.slots <= 3, c.slots == 2)
    found: Ints = (chain & ~short).astype(np.int64)
    return found


def _combine_bits(c: ConfigTable, plane_bits: Ints) -> tuple[Ints, Ints]:
    """Return (LUTs, flip-flops) per cell of the adders that combine the bit planes of a digit.

    plane_bits: bits of a plane's result. All arrays of shape (n,). LUTs are 0 for 1-bit digits,
    which have one plane.
    """
    digit = c.weight_digit_bits
    levels = np.log2(digit).astype(np.int64)
    several = digit > 1
    luts = several * ((digit - 1) * plane_bits - levels + 1)
    more = np.array([0, 0, 3, 0, 7, 0, 0, 0, 18])[digit]
    # With a single chain more low-order bits wait in registers for the sums of the higher ones.
    more += _single_chain(c) * np.array([0, 0, 0, 0, 3, 0, 0, 0, 4])[digit]
    more += (c.slots >= 8) * (c.activation_bits > 1)
    return luts, several * (digit - 1) * plane_bits + more


def _narrow_table() -> Ints:
    """Return the LUTs of one product that is too narrow for a DSP slice, as Yosys maps it.

    Shape (MAX_BITS + 1, MAX_BITS + 1), by activation bits and weight digit bits; 0 for products
    that take a DSP slice.
    """
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
    # A single 1-bit lane: the bit planes are the bits of the digit, which wait in registers (those
    # of the longest digit in shift registers).
    alone = c.lut * ((c.slots == 1) & (c.activation_bits == 1))
    added = c.lut - alone
    waits = added * np.array([0, 0, 0, 0, 1, 0, 0, 0, 3])[c.weight_digit_bits]
    waits -= added * _single_chain(c) * (c.weight_digit_bits > 2)
    waits += alone * np.array([0, 0, 0, 0, 0, 0, 0, 0, 10])[c.weight_digit_bits]
    counted = np.interp(c.slots, COUNTED_LANES, COUNTED_SHIFTS) * (c.activation_bits == 1)
    waits = waits + c.lut * c.weight_digit_bits * counted
    waiting = alone * np.array([0, 3, 4, 0, 12, 0, 0, 0, 0])[c.weight_digit_bits]
    beside = (c.activation_bits == 1) & (c.slots == 3) & (c.weight_digit_bits > 1)
    product = product_bits(c)
    # DSP slices also add their products in pairs: the tree in LUTs has half as many terms.
    left, sums = -(-c.slots // 2), product + 1
    return {
        # Three 1-bit lanes take one more LUT per plane where a digit has several planes.
        "chains": lut * (plane[:, 0] + beside),
        "trees": lut * plane[:, 1],
        "plane_registers": lut * plane[:, 2],
        "combine": cells * added * combine,
        "combine_registers": cells * (added * combine_registers + waiting),
        # The digit's sign waits for the sums of the planes; longer delays are shift registers.
        "sign_delays": cells * waits,
        "dsp_trees": dsp * sum_tree(left, sums),
        "dsp_registers": dsp * tree_registers(left, sums),
        "dsp_signs": dsp * (c.slots // 2 + 1),
        "narrow_trees": narrow * (sum_tree(c.slots, product) + 1),
        "narrow_products": narrow * c.slots * _NARROW[c.activation_bits, c.weight_digit_bits],
        "narrow_registers": narrow * (tree_registers(c.slots, product) + c.slots * product - 1),
    }


DOTS = AreaBlock(
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
