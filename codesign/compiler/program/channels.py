"""Image of the channel table: bias and requantisation multiplier and shift per output channel.

Entries stand in the order in which post-processing drains the channels. Zero points of the inputs
are folded into the bias, so the array multiplies unsigned codes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.schedule import Schedule
from codesign.compiler.program import lookups
from models.integer.network import Ints, MacLayer, TensorSpec

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
    """Return the channel table, uint32 of shape (channel_words, 2 * post_units).

    A row is one chunk of one tile, in order of layers, tiles and chunks. Post unit u has its words
    2u and 2u + 1: the bias (the low ``accumulator_bits`` of its two's complement), and
    multiplier | shift << 16. Columns without an output channel get bias 0 and multiplier 0 (shift
    1). Activation tables lie in the words' highest bytes (``lookups``). Layers that share the table
    of an earlier one (``schedule.origins``) add nothing.
    """
    units = schedule.config.post_units
    parts = [np.zeros((0, 2 * units), np.uint32)]
    for index in schedule.distinct:
        shape, tile = schedule.shapes[index], schedule.tiles[index]
        layer, channels = shape.layer, shape.out_shape[0]
        entries = np.zeros((tile.tiles * tile.channels, 2), np.int64)
        entries[:, 1] = 1 << SHIFT_POSITION
        offset = schedule.config.activation_offset
        entries[:channels, 0] = folded_bias(layer, schedule.network.tensors, offset)
        entries[:channels, 1] = layer.requant_multiplier | layer.requant_shift << SHIFT_POSITION
        mask = (1 << schedule.config.accumulator_bits) - 1
        entries[:, 0] &= mask
        parts.append(entries.reshape(-1, 2 * units).astype(np.uint32))
    image = np.concatenate(parts)
    if lookups.tables(schedule.network):
        image = np.pad(image, ((0, schedule.channel_words - len(image)), (0, 0)))
        lookups.add(schedule.network, schedule.config, image)
    return image
