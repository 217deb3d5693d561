"""Definition of a hardware block of the area model: Verilog modules, features, prior factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.table import ConfigTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Sizes = Mapping[str, Floats | Ints]
"""Feature -> amount of one kind of hardware (adder bits, multiplexer bits, registers, ...), shape
(n,)."""
RESOURCES = ("luts", "lutrams", "ffs")
"""Resources estimated by regression; block RAMs and DSP slices are counted."""


@dataclass(frozen=True)
class AreaBlock:
    """A hardware block of the NPU whose Verilog modules synthesis reports separately.

    Its estimate is linear, ``sizes @ factors``: the features (sizes) follow from the configuration,
    the factors (LUTs or flip-flops per unit, >= 0) are fitted and the same for all NPUs.

    >>> from codesign.cost.area.blocks import BLOCKS
    >>> from rtl_gen.config import NpuConfig
    >>> cells = next(block for block in BLOCKS if block.name == "cells")
    >>> npus = ConfigTable.of([NpuConfig(pixels=2, columns=8, accumulator_bits=20)])
    >>> int(cells.sizes(npus)["accumulators"][0])  # bits
    320
    """

    name: str
    modules: tuple[str, ...]
    """Name prefixes of its Verilog modules; the longest prefix that matches owns a module."""
    sizes: Callable[[ConfigTable], Sizes]
    """Function that computes the features of n configurations."""
    luts: Mapping[str, float]
    """Feature -> LUTs per unit by analysis of the structure, LUTRAM included: the prior mean of the
    fitted factor, 0 for features that are not named."""
    ffs: Mapping[str, float]
    """Feature -> flip-flops per unit, likewise."""
    lutrams: Mapping[str, float]
    """Feature -> LUTs used as memory or shift register per unit, likewise."""

    def prior(self, resource: str) -> Mapping[str, float]:
        """Return the prior factors of one of RESOURCES by feature; features left out have 0."""
        found: Mapping[str, float] = getattr(self, resource)
        return found


def log_bits(values: Ints) -> Ints:
    """Return ceil(log2(values)), at least 1: the address bits of so many words (>= 1 each)."""
    return np.maximum(np.frexp(values - 1)[1], 1).astype(np.int64)


def ones(c: ConfigTable) -> Ints:
    """Return a constant feature of 1, shape (n,)."""
    return np.ones(len(c), dtype=np.int64)
