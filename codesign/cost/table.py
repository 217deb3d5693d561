"""ConfigTable: many NpuConfigs as columns, so that estimates run on whole batches."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.parameters import MULTIPLIERS, SPARSITIES
from rtl_gen.sizes import DerivedSizes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


_PATTERNS = tuple(SPARSITIES)
_WORDS = ("multiplier", "sparsity")
"""Columns for fields that are words."""


@dataclass(frozen=True, eq=False)
class ConfigTable(DerivedSizes[Ints]):
    """One int64 array [n] per NpuConfig field; words as numbers.

    The values are not checked: ``config(i)`` does that by building the NpuConfig.
    """

    pixels: Ints
    lanes: Ints
    columns: Ints
    weight_digit_bits: Ints
    activation_bits: Ints
    accumulator_bits: Ints
    scale_bits: Ints
    post_units: Ints
    activation_depth: Ints
    weight_depth: Ints
    channel_depth: Ints
    result_depth: Ints
    program_depth: Ints
    depthwise_taps: Ints
    memory_port_bits: Ints
    memory_tiles: Ints
    binary_weights: Ints
    multiplier: Ints
    """Position in rtl_gen.parameters.MULTIPLIERS."""
    sparsity: Ints
    """Position in rtl_gen.parameters.SPARSITIES; 0 is dense."""

    @classmethod
    def of(cls, configs: Sequence[NpuConfig]) -> ConfigTable:
        numeric = [f.name for f in dataclasses.fields(cls) if f.name not in _WORDS]
        columns = {
            name: np.array([getattr(config, name) for config in configs], dtype=np.int64)
            for name in numeric
        }
        for name, words in (("multiplier", MULTIPLIERS), ("sparsity", _PATTERNS)):
            places = [words.index(getattr(config, name)) for config in configs]
            columns[name] = np.array(places, dtype=np.int64)
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> ConfigTable:
        """The chosen rows."""
        return ConfigTable(
            **{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)}
        )

    def config(self, row: int) -> NpuConfig:
        """Row ``row`` as a checked NpuConfig. Raises ConfigError when a value is out of range."""
        values = {
            f.name: int(getattr(self, f.name)[row])
            for f in dataclasses.fields(self)
            if f.name not in _WORDS
        }
        words = {
            "multiplier": MULTIPLIERS[self.multiplier[row]],
            "sparsity": _PATTERNS[self.sparsity[row]],
        }
        return NpuConfig.from_dict({**values, **words})

    @functools.cached_property
    def lut(self) -> Ints:
        """1 where products are made in LUTs."""
        return (self.multiplier == MULTIPLIERS.index("lut")).astype(np.int64)

    @functools.cached_property
    def dsp(self) -> Ints:
        """1 where each product has a DSP slice of its own."""
        return (self.multiplier == MULTIPLIERS.index("dsp")).astype(np.int64)

    @functools.cached_property
    def kept(self) -> Ints:
        """N of N:M"""
        kept: Ints = np.array([kept for kept, _ in SPARSITIES.values()])[self.sparsity]
        return kept

    @functools.cached_property
    def group(self) -> Ints:
        """M of N:M"""
        group: Ints = np.array([group for _, group in SPARSITIES.values()])[self.sparsity]
        return group

    @functools.cached_property
    def index_bits(self) -> Ints:
        """Bits beside each digit that choose its lane."""
        return np.ceil(np.log2(self.group - self.kept + 1)).astype(np.int64)
