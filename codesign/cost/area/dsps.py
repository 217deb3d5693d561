"""NPUs with DSP slices: how many they take, and the trees that they leave to LUTs."""

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


def product_bits(c: ConfigTable) -> Ints:
    """Width of a product in the form with one slice each (rtl_gen.blocks.dot_product)."""
    return c.activation_bits + c.weight_digit_bits + 2


def wide(c: ConfigTable) -> Ints:
    """1 where that is wide enough for a slice."""
    return (product_bits(c) >= LEAST_PRODUCT_BITS).astype(np.int64)


def sum_tree(terms: Ints, width: Ints) -> Floats:
    """Adder bits of a binary tree over up to MAX_LANES ``terms`` of ``width`` bits."""
    adders, grown, _, _ = _trees()[:, terms]
    return adders * width + grown


def tree_registers(terms: Ints, width: Ints) -> Floats:
    """Register bits of such a tree with a register behind every level."""
    adders, grown, waiting, waiting_grown = _trees()[:, terms]
    return (adders + waiting) * width + (grown + waiting_grown)


@functools.cache
def _trees() -> Floats:
    """[4, terms] of the trees over ``terms`` values: adders, and the bits by which all of them are
    wider than a term; values that wait for the next level, and the bits by which they are wider."""
    table = np.zeros((4, MAX_LANES + 1))
    for count in range(MAX_LANES + 1):
        terms, level = count, 0
        while terms > 1:
            adders, waiting = divmod(terms, 2)
            table[:, count] += adders, adders * (level + 1), waiting, waiting * level
            terms, level = adders + waiting, level + 1
    return table


def dsp_count(c: ConfigTable, family: str = "xc7") -> Floats:
    """One slice a product, or a packed one for several; with these, the post units' (of theirs
    a wide one takes two slices). An ECP5 multiplier takes 18 bits, a DSP48E1 25 (and Yosys makes
    narrow products in LUTs beside that one alone)."""
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
    """rtl_gen.packing in columns: int64 [n], zeros where products share nothing."""

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
