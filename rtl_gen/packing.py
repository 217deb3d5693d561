"""Packing of several narrow products into one wide multiplication of a DSP slice: field layout.

The digits of two array columns that multiply the same activation are placed in one wide operand,
far enough apart that both products, and their sums over a group of lanes, are separate bit fields
of one number. With two pixels packed, the other operand holds the activations of both, and a
product has four fields. Field k = column * pixels + pixel starts at bit k * ``field_bits``.

All fields except the top one must stay positive, or they would borrow from the field above. So the
digits of the first column are made unsigned by adding half their range, and a group's sum starts
at half a field, less what that addition contributes. docs/explanation/arithmetic.md
derives it. Sources: J. Fu et al., "Deep Learning with INT8 Optimization on Xilinx Devices", WP486
(two products); T. Han et al., "Convolutional Neural Network with INT4 Optimization on Xilinx
Devices", WP521 (four).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = 2
"""Array columns that share a multiplier."""
STAGE_LANES = 2
"""Lanes whose products one register stage of a chain of multipliers adds."""
CHAIN_LANES = 2 * STAGE_LANES
"""Lanes of one chain of multipliers, which has two register stages; the operands of the second
stage's lanes arrive one cycle after those of the first."""
MULT18_BITS = 18
"""Signed operand width of an ECP5 MULT18X18D; a wider operand takes two of them."""
WIDE_BITS = 25
NARROW_BITS = 18
"""Signed operand widths of a Xilinx DSP48E1: 25 x 18 bits."""
LEAST_PRODUCT_BITS = 9
"""Narrowest product, in bits (sum of both operand widths), that Yosys maps to a DSP slice
(DSP_Y_MINWIDTH)."""
WHOLE_WEIGHT_BITS = 8
"""Digit width at which a digit is a whole weight, and therefore always signed."""


@dataclass(frozen=True)
class Packing:
    """Operand and field layout of one shared multiplier; ``packing`` finds the one that fits.

    >>> found = packing(activation_bits=4, digit_bits=4, pixels=2)
    >>> found.fields, found.group_lanes, found.field_bits, found.wide_bits
    (4, 2, 10, 25)
    """

    activation_bits: int
    digit_bits: int
    pixels: int
    """Pixels whose activations share the narrow operand: 1 or 2."""
    group_lanes: int
    """Lanes whose products a field can accumulate (a group): STAGE_LANES or CHAIN_LANES."""
    centred: bool = False
    """True if half the range of a code is subtracted from each activation, which halves the sums.
    Digits are whole weights then, and must not be -128, which symmetric quantisation excludes."""

    @property
    def fields(self) -> int:
        """Number of products per multiplication: COLUMNS * pixels."""
        return COLUMNS * self.pixels

    @property
    def always_signed(self) -> bool:
        """True if a digit is a whole weight, which is signed in every pass."""
        return self.digit_bits == WHOLE_WEIGHT_BITS

    @property
    def top_bits(self) -> int:
        """Width in bits of the second column's digit as a signed number.

        One more than ``digit_bits``, as a digit may be unsigned, unless it is always signed.
        """
        return self.digit_bits + (0 if self.always_signed else 1)

    @property
    def activation_offset(self) -> int:
        """Constant subtracted from each activation code: half the range if centred, else 0."""
        return 1 << (self.activation_bits - 1) if self.centred else 0

    @property
    def field_bits(self) -> int:
        """Width of a field in bits: it holds every signed sum of a group's products."""
        return self.sum_bits(self.group_lanes)

    @property
    def wide_bits(self) -> int:
        """Width in bits of the signed operand that holds the digits of both columns."""
        return self.pixels * self.field_bits + self.top_bits

    @property
    def narrow_bits(self) -> int:
        """Width in bits of the operand that holds the activations of all ``pixels``.

        It is unsigned, without a sign bit, unless ``centred``.
        """
        return (self.pixels - 1) * self.field_bits + self.activation_bits

    @property
    def largest(self) -> int:
        """Largest magnitude of one product of an activation and a digit, signed or unsigned."""
        half, codes = 1 << (self.digit_bits - 1), 1 << self.activation_bits
        digit = half if self.always_signed else 2 * half - 1
        return codes // 2 * (half - 1) if self.centred else (codes - 1) * digit

    def sum_bits(self, lanes: int) -> int:
        """Return the width in bits, sign included, that holds every sum of ``lanes`` products."""
        return (lanes * self.largest).bit_length() + 1

    @property
    def start_bits(self) -> int:
        """Width of ``start`` in bits: ``field_bits``, one more if centred, where it may need it."""
        return self.field_bits + self.centred

    # Golden model of the operands ------------------------------------------------------------

    def wide(self, digits: Sequence[int], digit_signed: bool) -> int:
        """Return the wide operand, a signed integer, that packs one digit of each column.

        digits: COLUMNS raw ``digit_bits``-bit patterns, that of the first column, which goes to
        the low bits, first. digit_signed: True in the first pass, whose digits are two's
        complement. If they are (or are always), half their range is added to the first one.
        """
        half = 1 << (self.digit_bits - 1)
        low, top = digits
        negative = digit_signed or self.always_signed
        if negative:
            low, top = low ^ half, top - (2 * half if top >= half else 0)
        return low + (top << (self.pixels * self.field_bits))

    def narrow(self, activations: Sequence[int]) -> int:
        """Return the narrow operand that packs one activation code of each pixel.

        activations: one code per pixel, that of the low bits first; ``activation_offset`` is
        subtracted from each, so the operand may be negative if ``centred``.
        """
        moved = [a - self.activation_offset for a in activations]
        return sum(a << (p * self.field_bits) for p, a in enumerate(moved))

    def start(self, activations: Sequence[int], digit_signed: bool) -> int:
        """Return the initial value of a pixel's first-column field for a group with these codes.

        activations: the group's codes of that pixel, one per lane; digit_signed: True in the first
        pass. It cancels what adding half their range to signed digits contributes, and adds half a
        field, so that the field stays positive.
        """
        total = sum(activations) if digit_signed or self.always_signed else 0
        return (self.start_units(len(activations)) - total) << (self.digit_bits - 1)

    def start_units(self, lanes: int) -> int:
        """Return ``start`` for ``lanes`` codes of 0, in units of 2**(digit_bits - 1)."""
        return (1 << (self.field_bits - self.digit_bits)) + lanes * self.activation_offset


@functools.cache
def packing(activation_bits: int, digit_bits: int, pixels: int) -> Packing | None:
    """Return the packing of products of these widths that fits a DSP slice, or None.

    pixels: pixels that share a multiplier, 1 or 2. One that fits an ECP5 multiplier (18 bits) is
    preferred to one that needs a DSP48E1 (25 x 18), then one with more lanes in a group. None if
    nothing fits, or if the product is so narrow that Yosys would leave it in LUTs.
    """
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
