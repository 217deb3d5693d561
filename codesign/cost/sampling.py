"""Space-filling samples of NpuConfigs for synthesis: every knob the search may turn.

A scrambled Sobol sequence covers the knobs; of its points those are kept whose analytic LUT
counts spread evenly (by square root: small designs are cheap, large ones near the usual budgets
must not be rare) between the limits. Same arguments, same list; every part of it from the front
spans all sizes.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from codesign.cost.features import analytic_luts
from codesign.cost.table import ConfigTable
from rtl_gen.config import NpuConfig

LANES = (2, 3, 4, 6, 8, 8, 12, 16, 16, 32)
PIXELS = (1, 1, 2, 2, 3, 4, 4, 5, 6, 7, 8, 8, 12, 16)
COLUMN_WORDS = (1, 1, 2, 2, 3, 4, 5, 6, 8)
WEIGHT_DIGIT_BITS = (1, 2, 2, 4, 4, 8)
ACTIVATION_BITS = (1, 2, 3, 4, 4, 5, 6, 7, 8)
DSP_SHARE = 0.1
"""Share of samples whose products sit in DSP slices."""
POOL = 8192
"""Sobol points drawn; a power of two keeps the sequence balanced."""
SMALLEST_LUTS = 1000.0
BANK_BITS = (10, 18)
"""log2 of the bits of one activation bank."""
WEIGHT_BITS = (12, 19)
"""log2 of the bits of the weight buffer."""


def sample(count: int, max_luts: float, seed: int = 0) -> list[NpuConfig]:
    """``count`` different configurations between SMALLEST_LUTS and ``max_luts`` analytic LUTs.

    Raises ValueError when the pool holds fewer than ``count``.
    """
    units = qmc.Sobol(14, scramble=True, rng=np.random.default_rng(seed)).random(POOL)
    pool = list(dict.fromkeys(config for config in map(_config, units) if config))
    luts = analytic_luts(ConfigTable.of(pool))
    inside = np.flatnonzero((luts >= SMALLEST_LUTS) & (luts <= max_luts))
    if len(inside) < count:
        raise ValueError(
            f"only {len(inside)} of the sampled configurations have <= {max_luts} LUTs"
        )
    ordered = inside[np.argsort(luts[inside], kind="stable")]
    targets = np.linspace(SMALLEST_LUTS**0.5, max_luts**0.5, count) ** 2
    places = np.searchsorted(luts[ordered], targets)
    # Two targets may meet the same point: the later one takes the next free point, and those
    # pushed past the end move back down.
    places = np.maximum.accumulate(places - np.arange(count)) + np.arange(count)
    places = np.minimum(places, len(ordered) - count + np.arange(count))
    return [pool[index] for index in ordered[places][_spread_order(count)]]


def _spread_order(count: int) -> np.ndarray:
    """0..count-1 so that every prefix spans the range: a run cut short is still of use."""
    width = (count - 1).bit_length()
    reversed_bits = [int(f"{index:0{width}b}"[::-1], 2) for index in range(count)]
    return np.argsort(reversed_bits)


def _config(unit: np.ndarray) -> NpuConfig | None:
    """One point of the unit cube as a configuration; None when its array is absurdly large."""
    knobs = iter(unit)

    def pick(choices: tuple[int, ...]) -> int:
        return choices[int(next(knobs) * len(choices))]

    def between(low: int, high: int) -> int:
        return low + int(next(knobs) * (high - low + 1))

    lanes, digit, activation = pick(LANES), pick(WEIGHT_DIGIT_BITS), pick(ACTIVATION_BITS)
    pixels, columns = pick(PIXELS), lanes * pick(COLUMN_WORDS)
    divisors = tuple(u for u in range(1, lanes + 1) if lanes % u == 0)
    bank_bits, weight_bits = between(*BANK_BITS), between(*WEIGHT_BITS)
    if columns > 128:
        return None
    word, weight_word = lanes * activation, lanes * columns * digit
    return NpuConfig(
        pixels=pixels,
        lanes=lanes,
        columns=columns,
        weight_digit_bits=digit,
        activation_bits=activation,
        accumulator_bits=between(max(10, activation + digit + 4), 26),
        scale_bits=between(4, 12),
        post_units=pick(divisors),
        activation_depth=_depth(1 << bank_bits, word, 32, 8192),
        weight_depth=_depth(1 << weight_bits, weight_word, 32, 8192),
        channel_depth=1 << between(4, 9),
        result_depth=1 << between(2, 6),
        program_depth=1 << between(7, 10),
        multiplier="dsp" if next(knobs) < DSP_SHARE else "lut",
    )


def _depth(bits: int, word_bits: int, low: int, high: int) -> int:
    """The power of two of words nearest to ``bits``, within low..high."""
    return int(np.clip(2 ** round(np.log2(bits / word_bits)), low, high))
