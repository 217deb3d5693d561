"""Limits of integers that keep the sums of a layer within accumulators of a given width.

Accumulator-aware quantisation (A2Q: Colbert et al., ICCV 2023, arXiv 2308.13504): as the codes of
activations are unsigned, the largest sum of an output channel takes every positive weight at the
largest code and every other one at code 0. So positive weights and negative ones are limited by
their sums, each for itself, as A2Q+ (arXiv 2401.10432) does. Formulas:
docs/explanation/arithmetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.errors import ModelError

BIAS_SHARE = 8
"""Weights of the output layer, whose biases are added within its accumulators, leave one part in so
many of them to the biases."""


@dataclass(frozen=True)
class Accumulator:
    """Accumulator that sums and biases of a network keep to, whatever its input.

    Raises ModelError for values out of range.

    >>> Accumulator(bits=12).largest
    2047
    """

    bits: int
    """Width in bits, sign included, 2..32."""
    offset: int = 0
    """What the hardware subtracts from each activation code, 0..255; biases make up for it."""

    def __post_init__(self) -> None:
        for name, low, high in (("bits", 2, 32), ("offset", 0, 255)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ModelError(f"accumulator {name} must be {low}..{high}, not {value!r}")

    @property
    def largest(self) -> int:
        """Largest magnitude of a sum; the least number of all is left out."""
        return (1 << (self.bits - 1)) - 1

    def limits(self, code_bits: int, zero_point: int, raw: bool) -> SumLimits:
        """Return the limits of a layer that reads codes of ``code_bits`` bits.

        zero_point: code of the real value 0. raw: True for the output layer.
        """
        return SumLimits(self, (1 << code_bits) - 1, zero_point, raw)


@dataclass(frozen=True)
class SumLimits:
    """Limits of the integers of one layer. Made by ``Accumulator.limits``.

    >>> Accumulator(bits=12).limits(code_bits=4, zero_point=0, raw=False).weights
    136
    """

    accumulator: Accumulator
    top: int
    """Largest code that the layer reads."""
    zero_point: int
    raw: bool
    """True if biases are added within the accumulators."""

    @property
    def weights(self) -> int:
        """Most that the positive weights of an output channel add up to, and its negative ones.

        It is below 1 where not even one product fits.
        """
        largest = self.accumulator.largest
        left = largest - largest // BIAS_SHARE if self.raw else largest
        return left // max(self.top, self.accumulator.offset)

    def biases(self, positive: Any, negative: Any) -> tuple[Any, Any]:
        """Return the least and the largest bias of each channel, zero point not folded in.

        positive, negative: sums of the magnitudes of a channel's positive and negative weights,
        within ``weights`` (not checked): tensors or arrays (out_channels,), as the results are. 0
        lies between them.
        """
        largest, offset = self.accumulator.largest, self.accumulator.offset
        sums = positive - negative
        folded = (self.zero_point - offset) * sums
        low, high = folded - largest, folded + largest
        if self.raw:
            low = low - (-self.top * negative - offset * sums).clip(None, 0)
            high = high - (self.top * positive - offset * sums).clip(0, None)
        return low, high
