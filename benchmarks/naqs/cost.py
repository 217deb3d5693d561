"""LUTs and cycles of one convolution engine, by the model of the ICCAD 2019 joint search.

Source: Lu, Jiang, Xu, Shi, Hu, "On Neural Architecture Search for Resource-Constrained Hardware
Platforms" (ICCAD 2019, arXiv 1911.00105), with the program that its authors published. An engine
multiplies Tn input maps by Tm output maps a cycle. Registers, memories and control are not counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_TABLE = Path(__file__).parents[1] / "data" / "iccad2019_multipliers.json"
_MULTIPLIERS: dict[str, int] = json.loads(_TABLE.read_text())["luts"]
_MISTYPED = {(8, 13): 42}
"""Entries of the published table that our copy has corrected."""
_UNCOUNTED_BITS = 14
"""Widest operand in the table."""


class Form(Enum):
    """Which model: as its authors' program computes it, or as the paper describes it."""

    PUBLISHED = "published"
    """Multipliers are looked up by the integer bits of the activation alone (and cost nothing where
    these are none, or more than the weight's bits); rows of a map are taken to be its channels."""
    CORRECTED = "corrected"
    """Multipliers are looked up by all bits of both operands; rows and columns are the output's."""


@dataclass(frozen=True)
class Fixed:
    """Fixed-point format: integer bits (the sign is one of them) and bits of the fraction."""

    integer: int
    fraction: int

    @property
    def bits(self) -> int:
        return self.integer + self.fraction


@dataclass(frozen=True)
class Convolution:
    """Convolution as the model sees it; 'same' padding, stride 1.

    maps: (rows, columns) of the input, which are those of the output before pooling.
    """

    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    maps: tuple[int, int]
    input: Fixed
    weights: Fixed
    output: Fixed


def multiplier_luts(activation: Fixed, weights: Fixed, form: Form) -> int:
    """Return the LUTs of one multiplier. Raises KeyError if an operand is wider than the table."""
    if form is Form.PUBLISHED:
        pair = (activation.integer, weights.bits)
        if not 0 < pair[0] <= pair[1]:
            return 0
        return _MISTYPED.get(pair) or _MULTIPLIERS["{}x{}".format(*pair)]
    low, high = sorted((activation.bits, weights.bits))
    return _MULTIPLIERS[f"{low}x{high}"] if low else 0


def cycles(layer: Convolution, form: Form) -> Ints:
    """Return the cycles of a layer for every tile, int64 (in_channels, out_channels).

    Element (n - 1, m - 1) is that of Tn = n and Tm = m.
    """
    rows, cols = layer.maps
    if form is Form.PUBLISHED:
        rows, cols = layer.in_channels, cols + layer.kernel[1] - 1
    tn, tm = _tiles(layer)
    passes = -(-layer.in_channels // tn) * -(-layer.out_channels // tm)
    return passes * (rows * cols * layer.kernel[0] * layer.kernel[1])


def luts(layer: Convolution, form: Form) -> Ints:
    """Return the LUTs of an engine for every tile, as ``cycles`` does."""
    tn, tm = _tiles(layer)
    multiplier = multiplier_luts(layer.input, layer.weights, form)
    per_output = [_per_output(layer, n) for n in range(1, layer.in_channels + 1)]
    return tn * tm * multiplier + tm * np.array(per_output)[:, None]


def _tiles(layer: Convolution) -> tuple[Ints, Ints]:
    tn, tm = np.indices((layer.in_channels, layer.out_channels), dtype=np.int64) + 1
    return tn, tm


def _per_output(layer: Convolution, tn: int) -> int:
    """LUTs of adder tree, accumulator, truncation of one output map; n bits are added by n LUTs."""
    integer = layer.input.integer + layer.weights.integer
    fraction = layer.input.fraction + layer.weights.fraction
    total = 0
    while tn > 1:
        total += tn // 2 * (integer + fraction)
        tn, integer = -(-tn // 2), integer + 1
    integer, fraction = max(integer, layer.output.integer), max(fraction, layer.output.fraction)
    return total + integer + fraction + _truncation(Fixed(integer + 1, fraction), layer.output)


def _truncation(value: Fixed, output: Fixed) -> int:
    """LUTs that bring a sum to the format of the output."""
    if value.integer < 3 or value.fraction < 2:
        return 0
    integers, fractions = value.integer - output.integer, value.fraction - output.fraction
    only_signs = integers == value.integer - 1 and fractions == value.fraction - 1
    return value.integer + value.fraction - 2 - (integers > 1) - fractions - only_signs
