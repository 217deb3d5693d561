"""Several products in one multiplication: where the fields of operands and product lie.

The digits of two columns that multiply the same activation stand in one wide operand, far enough
apart that the products of both are fields of one number, and so are their sums over a group of
lanes. With two pixels packed the other operand holds the activations of both, and a product has
four fields. Field ``column * pixels + pixel`` starts at its number times ``field_bits``.

All fields but the top one must stay positive, or they would borrow from the next: the digits of
the first column are made unsigned by adding half their range, and a group's sum starts at half a
field less what that adds. (J. Fu et al., "Deep Learning with INT8 Optimization on Xilinx Devices",
WP486, packs two products; T. Han et al., "Convolutional Neural Network with INT4 Optimization on
Xilinx Devices", WP521, four.)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = 2
"""Columns of the array that share a multiplier."""
STAGE_LANES = 2
"""Lanes that one register stage adds."""
CHAIN_LANES = 2 * STAGE_LANES
"""Lanes of one chain of multipliers: those of its second stage come one cycle late."""
MULT18_BITS = 18
"""Of an ECP5 MULT18X18D; a wider operand takes two of them."""
WIDE_BITS = 25
NARROW_BITS = 18
"""The operands of a DSP48E1, with their signs."""
LEAST_PRODUCT_BITS = 9
"""Yosys leaves narrower products in LUTs, whatever is asked for (DSP_Y_MINWIDTH)."""
WHOLE_WEIGHT_BITS = 8
"""A digit of so many bits is a whole weight, and always signed."""


@dataclass(frozen=True)
class Packing:
    """Operands and fields of one multiplier; ``packing`` finds the one that fits."""

    activation_bits: int
    digit_bits: int
    pixels: int
    """Pixels whose activations stand in the narrow operand: 1 or 2."""
    group_lanes: int
    """Lanes whose products a field can add: STAGE_LANES or CHAIN_LANES."""
    centred: bool = False
    """Whether half their range is taken from the activations, which halves the sums. The digits are
    whole weights then; that of -128, which no symmetric weight has, is left out."""

    @property
    def fields(self) -> int:
        """Products of one multiplication."""
        return COLUMNS * self.pixels

    @property
    def always_signed(self) -> bool:
        return self.digit_bits == WHOLE_WEIGHT_BITS

    @property
    def top_bits(self) -> int:
        """Of the second column's digit, signed or not, as a signed number."""
        return self.digit_bits + (0 if self.always_signed else 1)

    @property
    def activation_offset(self) -> int:
        """What the array takes from each activation code."""
        return 1 << (self.activation_bits - 1) if self.centred else 0

    @property
    def field_bits(self) -> int:
        return self.sum_bits(self.group_lanes)

    @property
    def wide_bits(self) -> int:
        """Of the operand with the digits; signed."""
        return self.pixels * self.field_bits + self.top_bits

    @property
    def narrow_bits(self) -> int:
        """Of the operand with the activations; unsigned unless they are centred."""
        return (self.pixels - 1) * self.field_bits + self.activation_bits

    @property
    def largest(self) -> int:
        """The largest product, its sign left out."""
        half, codes = 1 << (self.digit_bits - 1), 1 << self.activation_bits
        digit = half if self.always_signed else 2 * half - 1
        return codes // 2 * (half - 1) if self.centred else (codes - 1) * digit

    def sum_bits(self, lanes: int) -> int:
        """Signed width that no sum of ``lanes`` products overflows."""
        return (lanes * self.largest).bit_length() + 1

    @property
    def start_bits(self) -> int:
        """Of ``start``: a centred group starts with what may exceed its field."""
        return self.field_bits + self.centred

    # Golden model of the operands ------------------------------------------------------------

    def wide(self, digits: Sequence[int], digit_signed: bool) -> int:
        """The operand of a digit of each column, raw patterns."""
        half = 1 << (self.digit_bits - 1)
        low, top = digits
        negative = digit_signed or self.always_signed
        if negative:
            low, top = low ^ half, top - (2 * half if top >= half else 0)
        return low + (top << (self.pixels * self.field_bits))

    def narrow(self, activations: Sequence[int]) -> int:
        """The operand of an activation of each pixel."""
        moved = [a - self.activation_offset for a in activations]
        return sum(a << (p * self.field_bits) for p, a in enumerate(moved))

    def start(self, activations: Sequence[int], digit_signed: bool) -> int:
        """Where a pixel's first field starts for a group with these codes."""
        total = sum(activations) if digit_signed or self.always_signed else 0
        return (self.start_units(len(activations)) - total) << (self.digit_bits - 1)

    def start_units(self, lanes: int) -> int:
        """``start`` of so many lanes of code 0, in halves of a digit's range."""
        return (1 << (self.field_bits - self.digit_bits)) + lanes * self.activation_offset


@functools.cache
def packing(activation_bits: int, digit_bits: int, pixels: int) -> Packing | None:
    """The packing within an ECP5 multiplier if any is, else within a DSP48E1, with most lanes in a
    group; None where none is, or where the product is too narrow for one."""
    plain = [
        Packing(activation_bits, digit_bits, pixels, lanes) for lanes in (CHAIN_LANES, STAGE_LANES)
    ]
    wider = plain[:1]
    if digit_bits == WHOLE_WEIGHT_BITS and pixels == 1:
        wider.append(dataclasses.replace(plain[0], centred=True))
    for limit, choices in ((MULT18_BITS, plain), (WIDE_BITS, [*wider, plain[1]])):
        for found in choices:
            narrow_bits = found.narrow_bits + (not found.centred)
            if found.wide_bits <= limit and narrow_bits <= NARROW_BITS:
                return found if found.wide_bits + narrow_bits >= LEAST_PRODUCT_BITS else None
    return None
