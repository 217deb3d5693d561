"""NPUs with DSP slices: how many they take, and what their arrays leave to LUTs and flip-flops.

Of products that share slices (rtl_gen.packing) no row of the synthesis data knows: they are counted
from their structure, and tests hold the counts against NPUs synthesised with them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.table import ConfigTable
from codesign.families import ECP5
from rtl_gen.config import DIGIT_BITS, MULTIPLIERS, PACKED_PIXELS
from rtl_gen.packing import (
    CHAIN_LANES,
    COLUMNS,
    LEAST_PRODUCT_BITS,
    MULT18_BITS,
    STAGE_LANES,
    WHOLE_WEIGHT_BITS,
    WIDE_BITS,
    packing,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MAX_LANES = 64
MAX_BITS = 8


def product_bits(c: ConfigTable) -> Ints:
    """Width of a product in the form with one slice each (rtl_gen.blocks.dot_product)."""
    return c.activation_bits + c.weight_digit_bits + 2


def wide(c: ConfigTable) -> Ints:
    """1 where that is wide enough for a slice."""
    return (product_bits(c) >= LEAST_PRODUCT_BITS).astype(np.int64)


def sum_tree(terms: Ints, width: Ints) -> Floats:
    """Adder bits of a binary tree over ``terms`` of ``width`` bits."""
    total = np.zeros(len(terms))
    terms, bits = terms.copy(), width.copy()
    for _ in range(MAX_LANES.bit_length() - 1):
        total += (terms // 2) * (bits + 1)
        terms, bits = -(-terms // 2), bits + 1
    return total


def dsp_count(c: ConfigTable, family: str = "xc7") -> Floats:
    """One slice a product, or a packed one for several; with these, the post units' (of theirs
    a wide one takes two slices). An ECP5 multiplier takes 18 bits, a DSP48E1 25."""
    found = Packed.of(c)
    cells = c.pixels * c.slots * c.columns
    units = c.post_units * np.where(c.accumulator_bits + 1 > WIDE_BITS, 2, 1)
    halves = np.ones(len(c), dtype=np.int64)
    if family == ECP5.name:
        units = c.post_units * np.where(c.accumulator_bits + 1 > MULT18_BITS, 2, 1)
        halves += found.wide_bits > MULT18_BITS
    shared = cells // np.maximum(found.fields, 1) * halves + units
    return np.where(found.fields > 0, shared, c.dsp * cells * wide(c)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Packed:
    """rtl_gen.packing in columns: int64 [n], zeros where products share nothing."""

    pixels: Ints
    group_lanes: Ints
    field_bits: Ints
    wide_bits: Ints
    largest: Ints

    @classmethod
    def of(cls, c: ConfigTable) -> Packed:
        return cls(*_packings()[c.multiplier, c.activation_bits, c.weight_digit_bits].T)

    @property
    def fields(self) -> Ints:
        """Products of a slice."""
        return COLUMNS * self.pixels


@functools.cache
def _packings() -> Ints:
    """[multipliers, activation_bits, digit_bits, fields of Packed]; zeros where none is packed."""
    names = [field.name for field in dataclasses.fields(Packed)]
    shape = (len(MULTIPLIERS), MAX_BITS + 1, MAX_BITS + 1, len(names))
    table = np.zeros(shape, dtype=np.int64)
    for name, pixels in PACKED_PIXELS.items():
        for bits in range(1, MAX_BITS + 1):
            for digit in DIGIT_BITS:
                if found := packing(bits, digit, pixels):
                    sizes = [getattr(found, size) for size in names]
                    table[MULTIPLIERS.index(name), bits, digit] = sizes
    return table


def packed_blocks(c: ConfigTable) -> tuple[Mapping[str, Floats], Mapping[str, Floats]]:
    """LUTs and FFs of packed arrays by block (rtl_gen.blocks.packed_dot, packed_array)."""
    found = Packed.of(c)
    fields, digit = found.fields, c.weight_digit_bits
    top_bits = np.floor(np.log2(np.maximum(c.lanes * found.largest, 1))).astype(np.int64) + 2
    chains = -(-c.lanes // CHAIN_LANES)
    groups = -(-c.lanes // np.maximum(found.group_lanes, 1))
    low, top = sum_tree(groups, found.field_bits), sum_tree(chains, top_bits)
    dots = np.where(fields > 0, c.pixels * c.columns // np.maximum(fields, 1), 0)
    # Of two groups in a chain, the first one's fields wait for the second.
    waiting = np.where(groups > chains, chains * found.field_bits, 0)
    behind = np.where(groups > chains, top_bits, 0)
    starts = c.lanes * (c.activation_bits + 1) / STAGE_LANES + groups * (
        found.field_bits - digit + 1
    )
    shared = (fields > 0) * c.pixels * starts
    flips = np.where(digit < WHOLE_WEIGHT_BITS, c.lanes * c.columns, 0) * (fields > 0)
    luts = {
        "packed_trees": dots * ((fields - 1) * (low - groups + 1) + top - chains + 1),
        "packed_operands": flips + shared,
    }
    ffs = {
        "packed_registers": dots * ((fields - 1) * (low + waiting) + top + behind),
        "packed_operands": shared,
    }
    return luts, ffs
