"""Space-filling samples of NpuConfigs for synthesis: every knob the search may turn.

A scrambled Sobol sequence covers the knobs; of its points those are kept whose analytic LUT
counts spread evenly by their logarithm between the limits: errors are relative, and large
designs take minutes to synthesise. Same arguments, same list; every part of it from the front
spans all sizes.
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
"""Shares of samples with N:M sparsity, column reuse, a memory port, and of those that may with
binary weights; fewer where one option rules out another."""
NEAR = 0.1
"""Of a budget: how far from it designs are decided by it."""
KNOBS = 18
POOL = 16384
"""Sobol points drawn; a power of two keeps the sequence balanced."""
SMALLEST_LUTS = 1000.0
BANK_BITS = (10, 18)
"""log2 of the bits of one activation bank."""
WEIGHT_BITS = (12, 19)
"""log2 of the bits of the weight buffer."""

Choice = TypeVar("Choice")


def sample(count: int, max_luts: float, seed: int = 0) -> list[NpuConfig]:
    """``count`` different configurations between SMALLEST_LUTS and ``max_luts`` analytic LUTs.

    Raises ValueError when the pool holds fewer than ``count``.
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
    # Two targets may meet the same point: the later one takes the next free point, and those
    # pushed past the end move back down.
    places = np.maximum.accumulate(places - np.arange(count)) + np.arange(count)
    places = np.minimum(places, len(ordered) - count + np.arange(count))
    return [pool[index] for index in ordered[places][_spread_order(count)]]


def near(model: AreaModel, budget_luts: float, count: int, seed: int = 0) -> list[NpuConfig]:
    """Up to ``count`` configurations estimated within NEAR of a budget, widest interval first."""
    pool = _pool(seed)
    found = model.estimate(ConfigTable.of(pool))
    inside = np.flatnonzero(np.abs(found.luts / budget_luts - 1) <= NEAR)
    width = found.high["luts"][inside] / found.low["luts"][inside]
    return [pool[index] for index in inside[np.argsort(-width, kind="stable")][:count]]


def _pool(seed: int) -> list[NpuConfig]:
    units = qmc.Sobol(KNOBS, scramble=True, rng=np.random.default_rng(seed)).random(POOL)
    return list(dict.fromkeys(config for config in map(_config, units) if config))


def _spread_order(count: int) -> np.ndarray:
    """0..count-1 so that every prefix spans the range: a run cut short is still of use."""
    width = (count - 1).bit_length()
    reversed_bits = [int(f"{index:0{width}b}"[::-1], 2) for index in range(count)]
    return np.argsort(reversed_bits)


def _config(unit: np.ndarray) -> NpuConfig | None:
    """One point of the unit cube as a configuration; None when its array is absurdly large or its
    options do not go together."""
    knobs = iter(unit)

    def pick(choices: Sequence[Choice]) -> Choice:
        return choices[int(next(knobs) * len(choices))]

    def between(low: int, high: int) -> int:
        return low + int(next(knobs) * (high - low + 1))

    def option(share: float, choices: Sequence[Choice]) -> Choice:
        """The first choice is the default; the others have their share together."""
        place = next(knobs) / share
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
            multiplier=_multiplier(next(knobs)),
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
    """By MULTIPLIER_SHARES."""
    ends = np.cumsum(list(MULTIPLIER_SHARES.values()))
    return list(MULTIPLIER_SHARES)[int(np.searchsorted(ends[:-1], unit, side="right"))]


def _depth(bits: int, word_bits: int, low: int, high: int) -> int:
    """The power of two of words nearest to ``bits``, within low..high."""
    return int(np.clip(2 ** round(np.log2(bits / word_bits)), low, high))
