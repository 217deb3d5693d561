"""The sizes that follow from an NPU's parameters by arithmetic alone, for one NPU or for a batch.

``NpuConfig`` holds one NPU in integers, ``codesign.cost.table.ConfigTable`` many in int64 arrays
[n]; both take their derived sizes from here, so that no formula stands twice.
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
    """Formulas over the parameters, elementwise where those are arrays."""

    pixels: Number
    lanes: Number
    columns: Number
    weight_digit_bits: Number
    activation_bits: Number
    binary_weights: Number

    @property
    @abstractmethod
    def kept(self) -> Number:
        """N of N:M: lanes of a group that one cycle multiplies; 1 when dense."""

    @property
    @abstractmethod
    def group(self) -> Number:
        """M of N:M: lanes that share ``kept`` products; 1 when dense."""

    @property
    @abstractmethod
    def index_bits(self) -> Number:
        """Bits beside each weight digit that choose its lane, one of group - kept + 1; 0 when
        dense."""

    @cached_property
    def macs(self) -> Number:
        """Products per clock cycle (activation x weight digit); with N:M weights, those of a dense
        layer of the same size."""
        return self.pixels * self.lanes * self.columns

    @cached_property
    def slots(self) -> Number:
        """Products per array cell and cycle: ``kept`` for each group of lanes."""
        return self.lanes // self.group * self.kept

    @cached_property
    def activation_word_bits(self) -> Number:
        """Width of an activation word: one code per lane."""
        return self.lanes * self.activation_bits

    @cached_property
    def weight_columns(self) -> Number:
        """Columns of the array: ``columns``, and the one that ``binary_weights`` adds."""
        return self.columns + self.binary_weights

    @cached_property
    def weight_word_bits(self) -> Number:
        """Width of a weight word: a digit and its lane index for each slot of each column."""
        return self.slots * self.weight_columns * (self.weight_digit_bits + self.index_bits)

    @cached_property
    def weight_word_columns(self) -> Number:
        """Bus words of STREAM_BITS bits that hold one weight word."""
        return -(-self.weight_word_bits // STREAM_BITS)
