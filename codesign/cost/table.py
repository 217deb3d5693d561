"""ConfigTable: many NpuConfigs as columns, so that estimates run on whole batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ConfigTable:
    """One int64 array [n] per numeric NpuConfig field, and ``dsp`` for the multiplier style.

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
    dsp: Ints
    """1 where ``multiplier`` is "dsp"."""

    @classmethod
    def of(cls, configs: Sequence[NpuConfig]) -> ConfigTable:
        numeric = [field.name for field in dataclasses.fields(cls) if field.name != "dsp"]
        columns = {
            name: np.array([getattr(config, name) for config in configs], dtype=np.int64)
            for name in numeric
        }
        dsp = np.array([config.multiplier == "dsp" for config in configs], dtype=np.int64)
        return cls(**columns, dsp=dsp)

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
            if f.name != "dsp"
        }
        return NpuConfig(**values, multiplier="dsp" if self.dsp[row] else "lut")

    @property
    def macs(self) -> Ints:
        """Products per cycle."""
        return self.pixels * self.lanes * self.columns

    @property
    def activation_word_bits(self) -> Ints:
        return self.lanes * self.activation_bits

    @property
    def weight_word_bits(self) -> Ints:
        return self.lanes * self.columns * self.weight_digit_bits
