"""A block of the NPU as the area model sees it: its modules, its sizes, what these should take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.table import ConfigTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Sizes = Mapping[str, Floats | Ints]
"""Name -> [n] counts of one kind of hardware: adder bits, multiplexer bits, registers, ..."""
RESOURCES = ("luts", "lutrams", "ffs")


@dataclass(frozen=True)
class AreaBlock:
    """A part of the NPU that synthesis reports apart.

    Every size grows with the configuration's knobs, and takes a number of LUTs and FFs that does
    not: the estimate of the block is ``sizes @ factors``, the factors learned and >= 0.
    """

    name: str
    modules: tuple[str, ...]
    """Beginnings of the names of its Verilog modules; the longest that fits owns a module."""
    sizes: Callable[[ConfigTable], Sizes]
    luts: Mapping[str, float]
    """Size -> LUTs that one of it takes by its structure (LUTRAM included): the factors' prior
    mean. A size that is not named takes none."""
    ffs: Mapping[str, float]
    lutrams: Mapping[str, float]
    """LUTs used as memory or shift register."""

    def prior(self, resource: str) -> Mapping[str, float]:
        found: Mapping[str, float] = getattr(self, resource)
        return found


def log_bits(values: Ints) -> Ints:
    """ceil(log2(values)), at least 1: address bits."""
    return np.maximum(np.frexp(values - 1)[1], 1).astype(np.int64)


def ones(c: ConfigTable) -> Ints:
    return np.ones(len(c), dtype=np.int64)
