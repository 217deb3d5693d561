"""DSP slices of an NPU, counted exactly, and the adder trees behind them that stay in LUTs."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.table import ConfigTable
from codesign.fpga.families import ECP5
from rtl_gen.packing import (
    COLUMNS,
    LEAST_PRODUCT_BITS,
    MULT18_BITS,
    WIDE_BITS,
    packing,
)
from rtl_gen.parameters import DIGIT_BITS, MULTIPLIERS, PACKED_PIXELS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MAX_LANES = 64
MAX_BITS = 8
"""MAX_LANES and MAX_BITS: most terms, and widest operand in bits, that the tables below hold."""


def product_bits(c: ConfigTable) -> Ints:
    """Return the bits of a product that has a DSP slice of its own, shape (n,).

    Activation bits + weight digit bits + 2, as both operands are taken as signed ones
    (rtl_gen.blocks.dot_product).
    """
    return c.activation_bits + c.weight_digit_bits + 2


def wide(c: ConfigTable) -> Ints:
    """Return 1 where ``product_bits`` are enough for Yosys to take a DSP slice, else 0; (n,)."""
    return (product_bits(c) >= LEAST_PRODUCT_BITS).astype(np.int64)


def sum_tree(terms: Ints, width: Ints) -> Floats:
    """Return the adder bits of a binary tree over ``terms`` terms of ``width`` bits each.

    terms: 0..MAX_LANES; a tree of 0 or 1 has none. An adder has as many bits as its sum, one more
    than its operands. Elementwise, in the shape of ``terms``.
    """
    adders, grown, _, _ = _trees()[:, terms]
    return adders * width + grown


def tree_registers(terms: Ints, width: Ints) -> Floats:
    """Return the register bits of the tree of ``sum_tree`` with registers behind every level.

    These hold the level's sums and a value that is left over for the next level.
    """
    adders, grown, waiting, waiting_grown = _trees()[:, terms]
    return (adders + waiting) * width + (grown + waiting_grown)


@functools.cache
def _trees() -> Floats:
    """Return the sizes of binary adder trees by the number of terms, shape (4, MAX_LANES + 1).

    Rows: number of adders; bits that all their sums have beyond the width of a term; number of
    values that a level passes on without adding; bits that all of these have beyond that width.
    """
    table = np.zeros((4, MAX_LANES + 1))
    for count in range(MAX_LANES + 1):
        terms, level = count, 0
        while terms > 1:
            adders, waiting = divmod(terms, 2)
            table[:, count] += adders, adders * (level + 1), waiting, waiting * level
            terms, level = adders + waiting, level + 1
    return table


def dsp_count(c: ConfigTable, family: str = "xc7") -> Floats:
    """Return the DSP slices of each NPU on an FPGA family, shape (n,).

    0 with LUT multipliers; else one slice per product, or one per group of products that share it
    (rtl_gen.packing). Where products share slices, each post-processing unit takes one, too, or
    two if its accumulator is too wide. A DSP48E1 has a 25-bit operand; an ECP5 multiplier has 18
    bits, and two make a wider one. Products too narrow for a slice (``wide``) stay in LUTs on xc7,
    not on ECP5. A family other than ecp5 counts as xc7.
    """
    found = Packed.of(c)
    cells = c.pixels * c.slots * c.columns
    units = c.post_units * np.where(c.accumulator_bits + 1 > WIDE_BITS, 2, 1)
    halves, single = np.ones(len(c), dtype=np.int64), wide(c)
    if family == ECP5.name:
        units = c.post_units * np.where(c.accumulator_bits + 1 > MULT18_BITS, 2, 1)
        halves += found.wide_bits > MULT18_BITS
        single = np.ones_like(single)
    shared = cells // np.maximum(found.fields, 1) * halves + units
    return np.where(found.fields > 0, shared, c.dsp * cells * single).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Packed:
    """Fields of rtl_gen.packing.Packing for n NPUs, int64 arrays of shape (n,).

    All are 0 for NPUs whose products do not share DSP slices.

    >>> from rtl_gen.config import NpuConfig
    >>> packed = Packed.of(ConfigTable.of([NpuConfig(), NpuConfig(multiplier="dsp2")]))
    >>> packed.fields.tolist()
    [0, 2]
    """

    pixels: Ints
    group_lanes: Ints
    field_bits: Ints
    wide_bits: Ints
    largest: Ints

    @classmethod
    @functools.lru_cache(maxsize=2)
    def of(cls, c: ConfigTable) -> Packed:
        return cls(*_packings()[c.multiplier, c.activation_bits, c.weight_digit_bits].T)

    @property
    def fields(self) -> Ints:
        """Products per DSP slice where several share one, else 0."""
        return COLUMNS * self.pixels


@functools.cache
def _packings() -> Ints:
    """Return the fields of Packed by multiplier form, activation bits and digit bits.

    Shape (multiplier forms, MAX_BITS + 1, MAX_BITS + 1, fields); a form is its position in
    MULTIPLIERS, fields are in the order of Packed. 0 where products cannot share a slice.
    """
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
