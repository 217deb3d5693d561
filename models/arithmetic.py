"""Requantisation arithmetic: the one definition used by integer reference, compiler and RTL.

This module imports numpy only: it is the contract that ``rtl_gen`` may share with ``models``.
docs/explanation/arithmetic.md derives the formulas and the rounding bound.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_SHIFT = 31
"""Largest right shift of a requantisation, in bits."""


def requantise(
    accumulators: ArrayLike,
    multipliers: ArrayLike,
    shifts: ArrayLike,
    zero_point: int,
    bits: int,
) -> NDArray[np.int64]:
    """Convert accumulators to activation codes: multiply, shift right, round half up, saturate.

    The code of an accumulator is::

        clamp(floor((accumulator * multiplier + 2**(shift - 1)) / 2**shift) + zero_point,
              0, 2**bits - 1)

    ReLU is the clamp at code 0 of an unsigned tensor (zero_point 0); a signed tensor has zero_point
    2**(bits - 1).

    accumulators: integers of any shape, bias included. multipliers (>= 0) and shifts (1..MAX_SHIFT)
    broadcast against them. Returns int64 codes of the broadcast shape. Ranges are not checked, nor
    that products fit in int64.
    """
    acc = np.asarray(accumulators, dtype=np.int64)
    mult = np.asarray(multipliers, dtype=np.int64)
    shift = np.asarray(shifts, dtype=np.int64)
    half = np.left_shift(np.int64(1), shift - 1)
    scaled = np.right_shift(acc * mult + half, shift)
    return np.clip(scaled + zero_point, 0, (1 << bits) - 1)


MOST_THRESHOLD_BITS = 3
"""Most bits of codes with thresholds of their own: the comparisons double with each."""
LEAST, MOST = -(1 << 62), 1 << 62
"""Thresholds that every accumulator reaches, and that none does."""


def thresholds(
    multipliers: ArrayLike, shifts: ArrayLike, zero_point: int, bits: int
) -> NDArray[np.int64]:
    """Return the least accumulators that ``requantise`` gives the codes 1..2**bits - 1, or more.

    As codes never fall where accumulators rise, ``requantise`` counts how many of these thresholds
    an accumulator, bias included, reaches. multipliers and shifts as there, of one shape. Returns
    int64 of that shape and (2**bits - 1,) behind it, ascending; where the multiplier is 0, and so
    the code the same for all accumulators, LEAST up to it and MOST above.
    """
    mult = np.asarray(multipliers, dtype=np.int64)[..., None]
    shift = np.asarray(shifts, dtype=np.int64)[..., None]
    steps = np.arange(1, 1 << bits) - zero_point
    half = np.left_shift(np.int64(1), shift - 1)
    least = -((half - np.left_shift(steps, shift)) // np.maximum(mult, 1))  # rounded up
    found: NDArray[np.int64] = np.where(mult > 0, least, np.where(steps > 0, MOST, LEAST))
    return found


def nearest_scale(value: float, scale_bits: int) -> tuple[int, int]:
    """Return the (multiplier, shift) whose ratio multiplier / 2**shift is nearest to ``value``.

    The multiplier is an integer in 0..2**scale_bits - 1 (a tie rounds to the even one), the shift
    in 1..MAX_SHIFT. The multiplier's top bit is set while shift < MAX_SHIFT, so the relative error
    is at most 2**-scale_bits. A value too small for MAX_SHIFT loses precision, down to multiplier
    0; 0 itself gives (0, 1).

    Raises ValueError when ``value`` is negative, not finite, or too large for shift 1.
    """
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"scale must be finite and >= 0, not {value!r}")
    if value == 0:
        return 0, 1
    exponent = math.frexp(value)[1]
    shift = min(scale_bits - exponent, MAX_SHIFT)
    multiplier = round(value * 2.0**shift)
    if multiplier == 1 << scale_bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 1:
        raise ValueError(f"scale {value!r} is too large for a {scale_bits}-bit multiplier")
    return multiplier, shift


def zero_point(bits: int, signed: bool) -> int:
    """Return the code of the real value 0: 0 if unsigned, 2**(bits - 1) if signed."""
    return 1 << (bits - 1) if signed else 0


def weight_range(bits: int) -> tuple[int, int]:
    """Return the smallest and largest weight code: +-(2**(bits - 1) - 1), and -1, +1 for 1 bit."""
    top = max((1 << (bits - 1)) - 1, 1)
    return -top, top
