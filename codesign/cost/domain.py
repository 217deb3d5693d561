"""Domain of a model's training data: ranges of numeric parameters, values of options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.table import ConfigTable
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import FLAGS, MULTIPLIERS, SPARSITIES

NUMBERS = (
    "pixels", "lanes", "columns", "weight_digit_bits", "activation_bits", "accumulator_bits",
    "scale_bits", "post_units", "activation_depth", "weight_depth", "channel_depth",
    "result_depth", "program_depth",
)  # fmt: skip
"""Numeric parameters, which the domain holds as ranges."""
OPTIONS = {
    "multiplier": MULTIPLIERS, "sparsity": tuple(SPARSITIES), "depthwise_taps": None,
    "memory_port_bits": None, "memory_tiles": None, "binary_weights": None,
}  # fmt: skip
"""Option -> words that its column in a ConfigTable indexes; None if it holds the values."""
OUTSIDE = 3.0
"""Factor by which intervals widen for each option value that the data lacks, and for each factor of
two, or part of one, by which a number is outside its range (docs/explanation/cost-models.md)."""


@dataclass(frozen=True)
class Domain:
    """Range of each numeric parameter and values of each option in the training data.

    >>> domain = Domain.of([NpuConfig(lanes=4, columns=32), NpuConfig(lanes=16, columns=32)])
    >>> domain.outside(NpuConfig(lanes=32, columns=32))
    ['lanes 32 (has 4..16)']
    """

    ranges: dict[str, tuple[int, int]]
    """Parameter of NUMBERS -> (least, largest) value, both in the domain."""
    options: dict[str, tuple[int | str, ...]]
    """Parameter of OPTIONS -> values that occur, ascending; flags as 0 and 1."""

    @classmethod
    def of(cls, configs: Sequence[NpuConfig]) -> Domain:
        values = {n: [_plain(c, n) for c in configs] for n in (*NUMBERS, *OPTIONS)}
        return cls(
            {name: (min(values[name]), max(values[name])) for name in NUMBERS},
            {name: tuple(sorted(set(values[name]))) for name in OPTIONS},
        )

    def outside(self, config: NpuConfig) -> list[str]:
        """Return one line for each value of ``config`` outside the domain, [] if there is none."""
        found = []
        for name, (low, high) in self.ranges.items():
            value = _plain(config, name)
            if not low <= value <= high:
                found.append(f"{name} {value} (has {low}..{high})")
        for name, known in self.options.items():
            value = _plain(config, name)
            if value not in known:
                found.append(f"{name} {value} (has {', '.join(map(str, known))})")
        return found

    def widening(self, table: ConfigTable) -> NDArray[np.float64]:
        """Return the factors by which prediction intervals widen, shape (n,); 1 in the domain.

        Each is OUTSIDE to the power of missing option values plus started factors of two by which
        numbers lie outside their ranges.
        """
        found = np.ones(len(table))
        for name, (low, high) in self.ranges.items():
            value = getattr(table, name)
            if value.min() >= low and value.max() <= high:
                continue
            beyond = np.maximum(np.log2(value / high), np.log2(low / value))
            found *= OUTSIDE ** np.maximum(np.ceil(beyond), 0)
        for name, known in self.options.items():
            words = OPTIONS[name]
            numbers = [words.index(str(value)) if words else value for value in known]
            inside = (getattr(table, name)[:, None] == numbers).any(axis=1)
            found *= np.where(inside, 1.0, OUTSIDE)
        return found


def _plain(config: NpuConfig, name: str) -> Any:
    """Return the value of the parameter ``name``, flags as 0 and 1 (as in the data files)."""
    value = getattr(config, name)
    return int(value) if name in FLAGS else value
