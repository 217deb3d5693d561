"""Space-filling samples of NPU configurations for synthesis, over all parameters.

The points of a scrambled Sobol sequence are mapped to configurations; a subset is taken whose
analytic LUT counts are spaced evenly in logarithm, as errors are relative and large designs take
minutes to synthesise. The sample is deterministic, and each prefix of it spans all sizes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from scipy.stats import qmc

from codesign.cost.area.composed import analytic
from codesign.cost.area.model import AreaModel
from codesign.cost.table import ConfigTable
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import (
    BINARY_NEEDS,
    CHOICES,
    DEPTHWISE_TAPS,
    LEAST_REUSE_LANES,
    MEMORY_PORT_BITS,
    SPARSITIES,
    ConfigError,
)

LANES = (2, 3, 4, 6, 8, 8, 12, 16, 16, 24, 32)
PIXELS = (1, 1, 2, 2, 3, 4, 4, 5, 6, 7, 8, 8, 12, 16)
COLUMN_WORDS = (1, 1, 2, 2, 3, 4, 5, 6, 8)
WEIGHT_DIGIT_BITS = (1, 2, 2, 4, 4, 8)
ACTIVATION_BITS = (1, 2, 3, 4, 4, 5, 6, 7, 8)
MULTIPLIER_SHARES = {"lut": 0.7, "dsp": 0.1, "dsp2": 0.1, "dsp4": 0.1}
SPARSE_SHARE, TAPS_SHARE, PORT_SHARE, BINARY_SHARE = 0.4, 0.25, 0.25, 0.6
"""Fractions of points drawn with N:M sparsity (SPARSE_SHARE), a memory port (PORT_) and, where the
other parameters allow them, column reuse (TAPS_) and binary weights (BINARY_). Points whose options
exclude each other are dropped, so fractions of the sample are smaller."""
NEAR = 0.1
"""Relative distance to a budget within which ``near`` samples."""
DIMENSIONS = 18
"""Dimensions of the Sobol sequence."""
POOL = 16384
"""Sobol points drawn; only a power of two of them is balanced."""
SMALLEST_LUTS = 1000.0
"""Analytic LUT count of the smallest configurations sampled."""
BANK_BITS = (10, 18)
"""Range of log2 of the bits of one activation bank, integers, both ends included."""
WEIGHT_BITS = (12, 19)
"""Range of log2 of the bits of weight memory, integers, both ends included."""

Choice = TypeVar("Choice")


def sample(count: int, max_luts: float, seed: int = 0) -> list[NpuConfig]:
    """Return ``count`` configurations between SMALLEST_LUTS and ``max_luts`` analytic LUTs.

    They come in an order in which each prefix spans all sizes; ``seed`` scrambles the sequence that
    they are drawn from. Raises ValueError when the pool holds fewer than ``count``.
    """
    pool = _pool(seed)
    luts = analytic(ConfigTable.of(pool), "luts")
    inside = np.flatnonzero((luts >= SMALLEST_LUTS) & (luts <= max_luts))
    if len(inside) < count:
        raise ValueError(
            f"only {len(inside)} of the sampled configurations have <= {max_luts} LUTs"
        )
    ordered = inside[np.argsort(luts[inside], kind="stable")]
    targets = np.geomspace(SMALLEST_LUTS, max_luts, count)
    places = np.searchsorted(luts[ordered], targets)
    # Several targets may find the same point: later ones take the next free points, and those
    # pushed past the end move back.
    places = np.maximum.accumulate(places - np.arange(count)) + np.arange(count)
    places = np.minimum(places, len(ordered) - count + np.arange(count))
    return [pool[index] for index in ordered[places][_spread_order(count)]]


def near(model: AreaModel, budget_luts: float, count: int, seed: int = 0) -> list[NpuConfig]:
    """Return up to ``count`` configurations near a LUT budget, widest prediction interval first.

    Their LUTs, as ``model`` estimates them, differ from ``budget_luts`` by the fraction NEAR at
    most. Width is that of the 90 % interval relative to its lower end. seed: of the Sobol sequence
    that they are drawn from.
    """
    pool = _pool(seed)
    found = model.estimate(ConfigTable.of(pool))
    inside = np.flatnonzero(np.abs(found.luts / budget_luts - 1) <= NEAR)
    width = found.high["luts"][inside] / found.low["luts"][inside]
    return [pool[index] for index in inside[np.argsort(-width, kind="stable")][:count]]


def _pool(seed: int) -> list[NpuConfig]:
    """Return the different valid configurations of POOL Sobol points, scrambled by ``seed``."""
    units = qmc.Sobol(DIMENSIONS, scramble=True, rng=np.random.default_rng(seed)).random(POOL)
    return list(dict.fromkeys(config for config in map(_config, units) if config))


def _spread_order(count: int) -> np.ndarray:
    """Return 0..count-1 in bit-reversed order, of which every prefix spans the range evenly.

    A characterisation that is cut short then still covers all sizes.
    """
    width = (count - 1).bit_length()
    reversed_bits = [int(f"{index:0{width}b}"[::-1], 2) for index in range(count)]
    return np.argsort(reversed_bits)


def _config(unit: np.ndarray) -> NpuConfig | None:
    """Return the configuration of a point of DIMENSIONS coordinates in [0, 1).

    None if its array has too many columns or its options exclude each other.
    """
    coordinates = iter(unit)

    def pick(choices: Sequence[Choice]) -> Choice:
        return choices[int(next(coordinates) * len(choices))]

    def between(low: int, high: int) -> int:
        return low + int(next(coordinates) * (high - low + 1))

    def option(share: float, choices: Sequence[Choice]) -> Choice:
        """Return the first choice, or with probability ``share`` one of the others."""
        place = next(coordinates) / share
        return choices[0] if place >= 1 else choices[1 + int(place * (len(choices) - 1))]

    lanes, digit, activation = pick(LANES), pick(WEIGHT_DIGIT_BITS), pick(ACTIVATION_BITS)
    pixels, columns = pick(PIXELS), lanes * pick(COLUMN_WORDS)
    divisors = tuple(u for u in range(1, lanes + 1) if lanes % u == 0)
    bank_bits, weight_bits = between(*BANK_BITS), between(*WEIGHT_BITS)
    if columns > 128:
        return None
    word, weight_word = lanes * activation, lanes * columns * digit
    try:
        config = NpuConfig(
            pixels=pixels,
            lanes=lanes,
            columns=columns,
            weight_digit_bits=digit,
            activation_bits=activation,
            accumulator_bits=between(max(10, activation + digit + 4), 26),
            scale_bits=between(4, 12),
            post_units=pick(divisors),
            activation_depth=_depth(1 << bank_bits, word, 16, 8192),
            weight_depth=_depth(1 << weight_bits, weight_word, 16, 8192),
            channel_depth=1 << between(2, 9),
            result_depth=1 << between(1, 6),
            program_depth=1 << between(5, 10),
            multiplier=_multiplier(next(coordinates)),
            sparsity=option(SPARSE_SHARE, tuple(SPARSITIES)),
            memory_port_bits=option(PORT_SHARE, MEMORY_PORT_BITS),
            depthwise_taps=option(TAPS_SHARE, DEPTHWISE_TAPS) if lanes >= LEAST_REUSE_LANES else 1,
        )
        if all(getattr(config, name) == needed for name, needed in BINARY_NEEDS.items()):
            binary = bool(option(BINARY_SHARE, CHOICES["binary_weights"]))
            config = dataclasses.replace(config, binary_weights=binary)
        return config
    except ConfigError:
        return None


def _multiplier(unit: float) -> str:
    """Return the multiplier form at the quantile ``unit``, in [0, 1), of MULTIPLIER_SHARES."""
    ends = np.cumsum(list(MULTIPLIER_SHARES.values()))
    return list(MULTIPLIER_SHARES)[int(np.searchsorted(ends[:-1], unit, side="right"))]


def _depth(bits: int, word_bits: int, low: int, high: int) -> int:
    """Return the number of words of ``word_bits`` bits, a power of two, nearest to ``bits`` in all.

    Nearest in logarithm, then limited to low..high, themselves powers of two.
    """
    return int(np.clip(2 ** round(np.log2(bits / word_bits)), low, high))
