"""Sizes derived from an NPU's parameters by arithmetic alone, for one NPU or for a batch.

``NpuConfig`` holds one NPU as integers, ``codesign.cost.table.ConfigTable`` n NPUs as int64 arrays
of shape (n,); both inherit these formulas, so that each is written once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rtl_gen.parameters import STREAM_BITS

Number = TypeVar("Number", int, NDArray[np.int64])


class DerivedSizes(ABC, Generic[Number]):
    """Base class of NPU parameters: derived sizes as formulas, elementwise where those are arrays.

    >>> from rtl_gen.config import NpuConfig
    >>> config = NpuConfig(lanes=8, columns=16, sparsity="2:4", weight_digit_bits=2)
    >>> config.slots, config.index_bits, config.weight_word_bits
    (4, 2, 256)
    """

    pixels: Number
    lanes: Number
    columns: Number
    weight_digit_bits: Number
    activation_bits: Number
    post_units: Number
    binary_weights: Number
    wide_input_passes: Number

    @property
    @abstractmethod
    def kept(self) -> Number:
        """N of N:M sparsity: lanes of a group that are multiplied in one cycle; 1 when dense."""

    @property
    @abstractmethod
    def group(self) -> Number:
        """M of N:M sparsity: lanes of a group, which shares ``kept`` multipliers; 1 when dense."""

    @property
    @abstractmethod
    def index_bits(self) -> Number:
        """Width in bits of the lane index beside each weight digit; 0 when dense.

        The index has group - kept + 1 values.
        """

    @property
    @abstractmethod
    def has_thresholds(self) -> Number:
        """1 if post units compare accumulators with thresholds, 0 if they multiply."""

    @cached_property
    def unit_columns(self) -> Number:
        """32-bit bus words per post unit in a word of the channel table.

        They are its thresholds, or the bias and the multiplier with its shift.
        """
        return 2 + self.has_thresholds * ((1 << self.activation_bits) - 3)

    @cached_property
    def channel_columns(self) -> Number:
        """32-bit bus words of a word of the channel table: ``unit_columns`` per post unit."""
        return self.post_units * self.unit_columns

    @cached_property
    def macs(self) -> Number:
        """Products (activation x weight digit) per clock cycle: pixels * lanes * columns.

        An array of N:M sparsity makes only N/M of them; the others, of weight 0 in layers with the
        pattern, are counted. The column that ``binary_weights`` adds is not.
        """
        return self.pixels * self.lanes * self.columns

    @cached_property
    def slots(self) -> Number:
        """Multipliers of one cell (of one pixel and column): ``kept`` per group of lanes.

        That is ``lanes`` when dense.
        """
        return self.lanes // self.group * self.kept

    @cached_property
    def activation_shift_bits(self) -> Number:
        """Bits by which accumulators move up from the last pass of an activation digit to the first
        of the next one (``wide_input_passes``): with the moves in between, ``activation_bits``."""
        return self.activation_bits - self.weight_digit_bits * (self.wide_input_passes - 1)

    @cached_property
    def activation_word_bits(self) -> Number:
        """Width of an activation word in bits: one code per lane."""
        return self.lanes * self.activation_bits

    @cached_property
    def weight_columns(self) -> Number:
        """Columns of the array: ``columns``, plus the one that ``binary_weights`` adds."""
        return self.columns + self.binary_weights

    @cached_property
    def weight_word_bits(self) -> Number:
        """Width of a weight word in bits: digit and lane index of each slot of each column."""
        return self.slots * self.weight_columns * (self.weight_digit_bits + self.index_bits)

    @cached_property
    def weight_word_columns(self) -> Number:
        """32-bit bus words that hold one weight word, rounded up."""
        return -(-self.weight_word_bits // STREAM_BITS)
