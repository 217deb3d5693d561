"""Post units of the twin: biases and codes of one tile's accumulators, activation tables.

In all functions ``channels`` is uint32 (n_columns, unit_columns): what the channel table has for
each of a tile's drained columns, in column order. Accumulators and codes are int64,
(..., n_columns).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models import arithmetic
from rtl_gen.blocks.threshold_unit import ThresholdUnitSpec
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import SHIFT_BITS, TABLE_POSITION
from rtl_gen.twin.memories import Memories
from rtl_gen.twin.taps import Ints, signed

Words = NDArray[np.uint32]


def biases(config: NpuConfig, channels: Words) -> Ints:
    """Return what raw results add to their accumulators, int64 (n_columns,)."""
    column = ThresholdUnitSpec.of(config).bias_column if config.has_thresholds else 0
    return signed(channels[:, column].astype(np.int64), config.accumulator_bits)


def codes(config: NpuConfig, channels: Words, accumulators: Ints, f: Mapping[str, int]) -> Ints:
    """Return the codes of accumulators without bias; f: the LAYER's fields."""
    if config.has_thresholds:
        return _reached(config, channels, accumulators)
    scales = channels[:, 1].astype(np.int64)
    found = arithmetic.requantise(
        accumulators + biases(config, channels),
        scales & ((1 << config.scale_bits) - 1),
        scales >> 16 & ((1 << SHIFT_BITS) - 1),
        f["out_zero"],
        config.activation_bits,
    )
    return np.minimum(found, f["out_max"])


def _reached(config: NpuConfig, channels: Words, accumulators: Ints) -> Ints:
    """Return the codes that a binary search over each column's thresholds finds."""
    offsets = signed(channels.astype(np.int64), config.accumulator_bits)
    place, found = np.arange(len(offsets)), np.zeros_like(accumulators)
    for bit in reversed(range(config.activation_bits)):
        higher = found | 1 << bit
        found = np.where(accumulators + offsets[place, higher - 1] >= 0, higher, found)
    return found


def looked_up(memories: Memories, codes: Ints, f: Mapping[str, int]) -> Ints:
    """Return codes (..., columns) as the activation tables replace them; none with ``table`` 0.

    Column c is post unit c modulo post_units, which has tables of its own.
    """
    c = memories.config
    if not f.get("table"):
        return codes
    first = f["table"] % c.activation_tables << c.activation_bits
    words = memories.channels[first : first + (1 << c.activation_bits), 1::2]
    entries = words >> TABLE_POSITION & ((1 << c.activation_bits) - 1)
    found: Ints = entries[codes, np.arange(codes.shape[-1]) % c.post_units].astype(np.int64)
    return found
