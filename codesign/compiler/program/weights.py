"""Image of weight memory: digits of all weights in the order in which the array reads them.

Weights are bit serial: each is cut into two's complement digits of ``weight_digit_bits`` bits. The
array reads one weight word per cycle, so a tile's words stand in the order of its reduction loop:
all taps of the most significant digit, then those of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.parts import Part, stored
from codesign.compiler.mapping.phases import slot_weights
from codesign.compiler.mapping.reuse import ColumnWalk
from codesign.compiler.mapping.schedule import Schedule
from codesign.compiler.mapping.shapes import LayerShape
from codesign.compiler.mapping.slots import SlotMap
from codesign.compiler.mapping.tiles import TileMap
from models.integer.network import Ints
from rtl_gen.blocks.history import older_lanes
from rtl_gen.config import NpuConfig
from rtl_gen.isa import weight_words


def weight_image(schedule: Schedule) -> NDArray[np.uint32]:
    """Return the weights of all parts, uint32 of shape (weight words, weight_word_columns).

    Parts stand in order; weights that several parts share are stored once, at the first. A row is
    one weight word, its lowest 32 bits first.
    """
    config = schedule.config
    images = [np.zeros((0, config.weight_word_columns), np.uint32)]
    own = stored(schedule.parts, schedule.origins)
    for index, of_layer in groupby(own, key=lambda part: part.layer):
        every, tile = layer_taps(schedule, index), schedule.tiles[index]
        for part in of_layer:
            taps = _walked(every, part)
            if config.binary_weights:
                taps = _with_sum(taps, tile.binary)
            weights, indices = slot_weights(config, taps, tile.phases)
            images.append(_words(config, weights, indices, part.extent.passes))
    return np.concatenate(images)


def _walked(taps: Ints, part: Part) -> Ints:
    """Return the taps that a part walks, in order, of shape (tiles, taps, columns, lanes).

    taps: those of its layer, as ``layer_taps`` gives them.
    """
    extent = part.extent
    cut = (extent.rows, extent.cols, range(taps.shape[3]), extent.words)
    tiles = taps[part.first : part.first + part.tiles]
    chosen = tiles[:, *(slice(r.start, r.stop, r.step) for r in cut)]
    return chosen.reshape(part.tiles, -1, *taps.shape[-2:])


def layer_taps(schedule: Schedule, index: int) -> Ints:
    """Return the weights of MacLayer ``index`` at the places where the array multiplies them.

    int64 of shape (tiles, kernel rows, kernel columns, sources, words, columns, lanes), the kernel
    being ``tile.kernel`` (with column reuse only new columns) and words those of the tile's window.
    Lanes without a channel and columns without an output get 0. Layers of two sources have 1x1
    kernels.
    """
    config, shape, tile = schedule.config, schedule.shapes[index], schedule.tiles[index]
    slots = [schedule.storage.views[source.tensor].slots for source in shape.layer.sources]
    full = np.zeros(
        (tile.tiles, *tile.kernel, len(slots), tile.words, config.columns, config.lanes), np.int64
    )
    if tile.walk:
        _fill_reusing(full[:, :, :, 0, 0], shape, tile, tile.walk)
    else:
        _fill(full, shape, tile, slots)
    return full


def _fill(full: Ints, shape: LayerShape, tile: TileMap, slots: Sequence[SlotMap]) -> None:
    layer = shape.layer
    out = np.arange(shape.out_shape[0])
    at_tile, column = out // tile.channels, out % tile.channels
    per_group = shape.in_shape[0] // layer.groups
    group = out * layer.groups // shape.out_shape[0]
    channel = group[:, None] * per_group + np.arange(per_group)
    for i, (source, slot) in enumerate(zip(layer.sources, slots, strict=True)):
        words = np.array([slot.word(c) for c in range(slot.channels)])[channel]
        lanes = np.array([slot.lane(c) for c in range(slot.channels)])[channel]
        words -= tile.first_words[i] + tile.step_words * at_tile[:, None]
        # numpy puts the axes of separated indices first: (out, channel, kernel row, column).
        full[at_tile[:, None], :, :, i, words, column[:, None], lanes] = source.weights


def _fill_reusing(full: Ints, shape: LayerShape, tile: TileMap, walk: ColumnWalk) -> None:
    """Write the weights of a layer with column reuse into ``full``, which holds zeros.

    full: shape (tiles, kernel rows, new columns, columns, lanes). Array column m has its weights of
    the new columns in lane m; at the first new column two other lanes hold those of the older
    columns, whose activations come from the history.
    """
    lanes = full.shape[-1]
    weights = shape.layer.sources[0].weights[:, 0].astype(np.int64)
    for out, kernel in enumerate(weights):
        at_tile, column = divmod(out, tile.channels)
        full[at_tile, :, :, column, column] = kernel[:, walk.older :]
        ages = range(1, walk.older + 1)
        for age, lane in zip(ages, older_lanes(lanes, column), strict=False):
            full[at_tile, :, 0, column, lane] = kernel[:, walk.older - age]


def _with_sum(taps: Ints, binary: bool) -> Ints:
    """Return taps with the column that ``binary_weights`` adds: (tiles, taps, columns + 1, lanes).

    binary: True for a binary layer; there a weight of +1 becomes 1 and -1 becomes 0, and the last
    column, which sums the activations, is 1 in lanes where any column has a weight. In other layers
    weights stay as they are and the last column is 0. ``taps`` is not changed.
    """
    if not binary:
        return np.concatenate([taps, np.zeros_like(taps[:, :, :1])], axis=2)
    there = (taps != 0).any(axis=2, keepdims=True)
    return np.concatenate([np.maximum(taps, 0), there.astype(np.int64)], axis=2)


def _words(
    config: NpuConfig, weights: Ints, indices: NDArray[np.uint8], passes: int
) -> NDArray[np.uint32]:
    """Return the weight words of a part: for each tile all taps of the top digit, then the next.

    weights, indices: shape (tiles, taps, columns, slots); passes: number of digits. Result: shape
    (tiles * passes * taps, weight_word_columns); each digit has the indices of its weight.
    """
    digit_bits = config.weight_digit_bits
    shifts = digit_bits * np.arange(passes - 1, -1, -1)
    digits = (weights[:, None] >> shifts[:, None, None, None]) & ((1 << digit_bits) - 1)
    shape = (-1, config.weight_columns, config.slots)
    every = np.broadcast_to(indices[:, None], digits.shape)
    return weight_words.pack(config, digits.reshape(shape).astype(np.uint8), every.reshape(shape))
