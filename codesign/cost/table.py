"""ConfigTable: the parameters of many NPUs as columns, for estimates on whole batches."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.parameters import MULTIPLIERS, REQUANTISATIONS, SPARSITIES
from rtl_gen.sizes import DerivedSizes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


_PATTERNS = tuple(SPARSITIES)
_WORDS: Mapping[str, tuple[str, ...]] = {
    "multiplier": MULTIPLIERS,
    "sparsity": _PATTERNS,
    "requantisation": REQUANTISATIONS,
}
"""Parameters that are words, held as indices into these."""


@dataclass(frozen=True, eq=False)
class ConfigTable(DerivedSizes[Ints]):
    """Parameters of n NPUs: one int64 array of shape (n,) per field of NpuConfig.

    Values are not validated; ``config(i)`` does so by building the NpuConfig.

    >>> npus = ConfigTable.of([NpuConfig(pixels=pixels) for pixels in (1, 2, 4)])
    >>> npus.macs.tolist()
    [64, 128, 256]
    >>> npus.config(2) == NpuConfig(pixels=4)
    True
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
    wide_input_passes: Ints
    activation_tables: Ints
    multiplier: Ints
    """Index into rtl_gen.parameters.MULTIPLIERS."""
    sparsity: Ints
    """Index into the keys of rtl_gen.parameters.SPARSITIES; 0 is dense."""
    requantisation: Ints
    """Index into rtl_gen.parameters.REQUANTISATIONS."""

    @classmethod
    def of(cls, configs: Sequence[NpuConfig]) -> ConfigTable:
        """Return the table of the given configurations, in their order."""
        numeric = [f.name for f in dataclasses.fields(cls) if f.name not in _WORDS]
        columns = {
            name: np.array([getattr(config, name) for config in configs], dtype=np.int64)
            for name in numeric
        }
        for name, words in _WORDS.items():
            places = [words.index(getattr(config, name)) for config in configs]
            columns[name] = np.array(places, dtype=np.int64)
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> ConfigTable:
        """Return the table of the chosen rows: row numbers in their order, or a mask of (n,)."""
        return ConfigTable(
            **{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)}
        )

    def config(self, row: int) -> NpuConfig:
        """Return one row as an NpuConfig. Raises ConfigError for values that it does not allow."""
        values = {
            f.name: int(getattr(self, f.name)[row])
            for f in dataclasses.fields(self)
            if f.name not in _WORDS
        }
        words = {name: known[getattr(self, name)[row]] for name, known in _WORDS.items()}
        return NpuConfig.from_dict({**values, **words})

    @functools.cached_property
    def lut(self) -> Ints:
        """1 where products are computed in LUTs, else 0."""
        return (self.multiplier == MULTIPLIERS.index("lut")).astype(np.int64)

    @functools.cached_property
    def dsp(self) -> Ints:
        """1 where each product has a DSP slice of its own, else 0."""
        return (self.multiplier == MULTIPLIERS.index("dsp")).astype(np.int64)

    @property
    def has_thresholds(self) -> Ints:
        """1 where post units compare with thresholds, 0 where they multiply."""
        return self.requantisation

    @functools.cached_property
    def kept(self) -> Ints:
        """N of the N:M sparsity of the array; 1 when dense."""
        kept: Ints = np.array([kept for kept, _ in SPARSITIES.values()])[self.sparsity]
        return kept

    @functools.cached_property
    def group(self) -> Ints:
        """M of the N:M sparsity of the array; 1 when dense."""
        group: Ints = np.array([group for _, group in SPARSITIES.values()])[self.sparsity]
        return group

    @functools.cached_property
    def index_bits(self) -> Ints:
        """Bits of the index beside each weight digit that selects its lane: ceil(log2(M - N + 1)).

        0 when dense.
        """
        return np.ceil(np.log2(self.group - self.kept + 1)).astype(np.int64)
