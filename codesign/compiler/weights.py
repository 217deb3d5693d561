"""The weight image: digits of all weights in the order in which the array reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.phases import slot_weights
from codesign.compiler.reuse import ColumnWalk
from codesign.compiler.schedule import Schedule
from codesign.compiler.shapes import LayerShape
from codesign.compiler.slots import SlotMap
from codesign.compiler.tiles import TileMap
from models.integer import Ints
from rtl_gen import weight_words
from rtl_gen.blocks.history import older_lanes
from rtl_gen.config import NpuConfig


def weight_image(schedule: Schedule) -> NDArray[np.uint32]:
    """uint32 [weight_words, weight_word_columns] of the whole network, layer after layer."""
    parts = [np.zeros((0, schedule.config.weight_word_columns), np.uint32)]
    for shape, tile in zip(schedule.shapes, schedule.tiles, strict=True):
        names = [source.tensor for source in shape.layer.sources]
        slots = [schedule.storage.views[name].slots for name in names]
        taps = (
            _reuse_taps(schedule.config, shape, tile, tile.walk)
            if tile.walk
            else _taps(schedule.config, shape, tile, slots)
        )
        weights, indices = slot_weights(schedule.config, taps, tile.phases)
        parts.append(_words(schedule.config, weights, indices, tile.passes))
    return np.concatenate(parts)


def _taps(config: NpuConfig, shape: LayerShape, tile: TileMap, slots: Sequence[SlotMap]) -> Ints:
    """Weights as the array meets them: int64 [tiles, taps of a pass, columns, lanes].

    Taps are ordered kernel row, kernel column, source, word; lanes without a channel and columns
    without an output get 0. (Layers of two sources have 1x1 kernels.)
    """
    layer = shape.layer
    full = np.zeros(
        (tile.tiles, *shape.kernel, len(slots), tile.words, config.columns, config.lanes), np.int64
    )
    out = np.arange(shape.out_shape[0])
    at_tile, column = out // tile.channels, out % tile.channels
    per_group = shape.in_shape[0] // layer.groups
    group = out * layer.groups // shape.out_shape[0]
    channel = group[:, None] * per_group + np.arange(per_group)
    for i, (source, slot) in enumerate(zip(layer.sources, slots, strict=True)):
        words = np.array([slot.word(c) for c in range(slot.channels)])[channel]
        lanes = np.array([slot.lane(c) for c in range(slot.channels)])[channel]
        words -= tile.first_words[i] + tile.step_words * at_tile[:, None]
        # Separated advanced indices put their axes first: [out, channel, kernel row, column].
        full[at_tile[:, None], :, :, i, words, column[:, None], lanes] = source.weights
    return full.reshape(tile.tiles, -1, config.columns, config.lanes)


def _reuse_taps(config: NpuConfig, shape: LayerShape, tile: TileMap, walk: ColumnWalk) -> Ints:
    """The same with column reuse: taps are ordered kernel row, new column; the lanes of the first
    one hold the weights of the older columns, too."""
    weights = shape.layer.sources[0].weights[:, 0].astype(np.int64)
    kernel_rows = weights.shape[1]
    full = np.zeros((tile.tiles, kernel_rows, walk.new, config.columns, config.lanes), np.int64)
    for out, kernel in enumerate(weights):
        at_tile, column = divmod(out, tile.channels)
        full[at_tile, :, :, column, column] = kernel[:, walk.older :]
        ages = range(1, walk.older + 1)
        for age, lane in zip(ages, older_lanes(config.lanes, column), strict=False):
            full[at_tile, :, 0, column, lane] = kernel[:, walk.older - age]
    return full.reshape(tile.tiles, -1, config.columns, config.lanes)


def _words(
    config: NpuConfig, weights: Ints, indices: NDArray[np.uint8], passes: int
) -> NDArray[np.uint32]:
    """Weight words of a layer: per tile all taps of the top digit, then of the next, ..."""
    digit_bits = config.weight_digit_bits
    shifts = digit_bits * np.arange(passes - 1, -1, -1)
    digits = (weights[:, None] >> shifts[:, None, None, None]) & ((1 << digit_bits) - 1)
    shape = (-1, config.columns, config.slots)
    every = np.broadcast_to(indices[:, None], digits.shape)
    return weight_words.pack(config, digits.reshape(shape).astype(np.uint8), every.reshape(shape))
