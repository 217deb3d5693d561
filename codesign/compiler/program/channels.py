"""Image of the channel table: bias, requantisation multiplier and shift per output channel, or
thresholds.

Entries stand in the order in which post-processing drains the channels. Zero points of the inputs
are folded into bias or thresholds, so the array multiplies unsigned codes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.schedule import Schedule
from codesign.compiler.program import lookups, thresholds
from models.integer.network import Ints, MacLayer, TensorSpec
from rtl_gen.blocks.threshold_unit import ThresholdUnitSpec
from rtl_gen.config import NpuConfig

SHIFT_POSITION = 16
"""Lowest bit of the shift in the second word of a table entry, above the multiplier
(rtl_gen.isa.registers.CHANNEL_BASE)."""


def folded_bias(layer: MacLayer, tensors: Mapping[str, TensorSpec], offset: int = 0) -> Ints:
    """Return the bias with zero points folded in, int64 of shape (out_channels,).

    The array multiplies ``code - offset`` (NpuConfig.activation_offset), and
    ``sum w * (code - zero) = sum w * (code - offset) - (zero - offset) * sum w``. Taps in the
    padding read pad_code in both forms, so they count like all others. tensors: those of the
    network, by name. The layer is not changed.
    """
    bias = layer.bias.astype(np.int64)
    for source in layer.sources:
        zero_point = tensors[source.tensor].zero_point
        bias = bias - (zero_point - offset) * source.weights.sum(axis=(1, 2, 3))
    return bias


def channel_image(schedule: Schedule) -> NDArray[np.uint32]:
    """Return the channel table, uint32 of shape (channel_words, channel_columns).

    A row is one chunk of one tile, in order of layers, tiles and chunks. A post unit has
    ``unit_columns`` words of it, those of one channel: the bias (the low ``accumulator_bits`` of
    its two's complement) and multiplier | shift << 16, or its negated thresholds. Columns without
    an output channel get bias 0 and multiplier 0 (shift 1), or thresholds out of reach. Activation
    tables lie in the words' highest bytes (``lookups``). Layers that share the table of an earlier
    one (``schedule.origins``) add nothing.
    """
    config = schedule.config
    parts = [np.zeros((0, config.channel_columns), np.uint32)]
    for index in schedule.distinct:
        shape, tile = schedule.shapes[index], schedule.tiles[index]
        own = _entries(shape.layer, schedule.network.tensors, config)
        unused = (1 << config.accumulator_bits - 1,) * config.unit_columns
        entries = np.empty((tile.tiles * tile.channels, config.unit_columns), np.uint32)
        entries[:] = unused if config.has_thresholds else (0, 1 << SHIFT_POSITION)
        entries[: len(own)] = own
        parts.append(entries.reshape(-1, config.channel_columns))
    image = np.concatenate(parts)
    if lookups.tables(schedule.network):
        image = np.pad(image, ((0, schedule.channel_words - len(image)), (0, 0)))
        lookups.add(schedule.network, schedule.config, image)
    return image


def _entries(layer: MacLayer, tensors: Mapping[str, TensorSpec], config: NpuConfig) -> Ints:
    """Return a layer's words of the channel table, int64 (out_channels, unit_columns)."""
    bias = folded_bias(layer, tensors, config.activation_offset)
    mask = (1 << config.accumulator_bits) - 1
    if config.has_thresholds:
        unit = ThresholdUnitSpec.of(config)
        return thresholds.offsets(layer, tensors[layer.output], bias, unit) & mask
    scale = layer.requant_multiplier | layer.requant_shift << SHIFT_POSITION
    return np.stack([bias & mask, scale], axis=1)
