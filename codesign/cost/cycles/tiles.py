"""Tiles of codesign.compiler.mapping (tiles, phases, reuse) and their cycles, on records.

A tile is a group of output channels computed together. Chains are as
codesign.cost.cycles.records has them.
"""

from __future__ import annotations

from codesign.cost.cycles.compiled import Records, part
from codesign.cost.cycles.records import ceil
from codesign.cost.cycles.stacks import (
    one_word_tiles,
    source,
    stacked_phases,
    stacked_window,
    word,
)


@part
def _phases(channels: int, layer: Records, npu: Records) -> int:
    """Return the weight words per tap (phases) of an N:M array, for channels in adjacent lanes.

    channels: input channels that an output channel reads. At least 1, which a dense array has.
    """
    width, kept, group = min(channels, npu.group), max(layer.kept, 1), max(layer.group, 1)
    most = width // group * kept + min(width % group, kept)
    return max(ceil(most, npu.kept), 1)


@part
def input_digits(bits: int, npu: Records) -> int:
    """Return the digits in which codes of ``bits`` bits are stored (activation_digits)."""
    return ceil(bits, npu.activation_bits) if npu.wide_input_passes else 1


@part
def tile(chain: Records, slot: int, npu: Records) -> int:
    """Write the fastest tiling of layer ``slot``, as the compiler chooses it, into its record.

    These are tiles, chunks, digits, taps and fills. Returns the words per pixel of its output, 0
    for a raw layer. The layers before are tiled.
    """
    layer = chain[slot]
    channels, out_words = layer.in_channels, max(ceil(layer.out_channels, npu.lanes), 1)
    size = npu.columns // npu.lanes
    beside = layer.stacked > 1 or layer.other_stacked > 1
    if layer.diagonal:
        # A tile reads only its own channels: the largest tile without padding is the fastest.
        size = min(size, out_words)
        while out_words % size:
            size -= 1
        channels, in_words = 1, size
    else:
        size = ceil(out_words, ceil(out_words, size))
        in_words = ceil(channels, npu.lanes)
        if beside:
            in_words = word(chain, source(chain, slot), layer.stacked, channels - 1, npu.lanes) + 1
    passes = _passes(layer, npu)
    phases = _phases(channels, layer, npu)
    if beside and not layer.diagonal:
        phases = stacked_phases(chain, slot, npu)
    inputs = layer.kernel_rows * layer.kernel_cols * layer.sources
    layer.taps, layer.fills = layer.digits * passes * inputs * phases * in_words, 0
    if layer.raw and not layer.diagonal:
        layer.tiles = max(ceil(layer.out_channels, npu.columns), 1)
        layer.chunks = ceil(layer.out_channels, layer.tiles * npu.post_units)
        return 0
    per_word = npu.lanes // npu.post_units
    in_place = True
    if layer.diagonal and beside:
        size, in_words = stacked_window(chain, slot, layer.digits * passes * inputs, npu)
        layer.taps = layer.digits * passes * inputs * in_words
        in_place = one_word_tiles(chain, slot, npu)
    layer.tiles, layer.chunks = ceil(layer.out_channels, size * npu.lanes), size * per_word
    if layer.raw:
        return 0
    if npu.depthwise_taps > 1 and layer.reuse_cols > 0 and layer.digits == 1 and in_place:
        plain = _row_cycles(layer, npu, layer.tiles, layer.chunks, layer.taps, 0)
        taps = passes * layer.kernel_rows * layer.reuse_cols
        fills = taps * layer.reuse_fills
        if _row_cycles(layer, npu, out_words, per_word, taps, fills) < plain:
            layer.tiles, layer.chunks, layer.taps, layer.fills = out_words, per_word, taps, fills
            return out_words
    return layer.tiles * size


@part
def _passes(layer: Records, npu: Records) -> int:
    """Return the weight digits of a layer; write the digits of its activations into its record."""
    binary = npu.binary_weights and layer.weight_bits == 1 and not layer.diagonal
    passes = ceil(max(layer.weight_bits, 2), npu.weight_digit_bits)
    if binary and layer.group == 0:
        passes = 1
    layer.digits = input_digits(layer.in_bits, npu)
    return npu.wide_input_passes if layer.digits > 1 else passes


@part
def _row_cycles(
    layer: Records, npu: Records, tiles: int, chunks: int, taps: int, fills: int
) -> int:
    """Return the cycles of one output row of a layer without pooling, all pixel lanes in use.

    chunks: cycles that draining one pixel lane of a tile takes; taps: cycles of a tile per output;
    fills: further cycles of a tile at the row's start.
    """
    drain = npu.pixels * chunks
    return tiles * (max(taps + fills, drain) + (layer.out_cols - 1) * max(taps, drain))


@part
def layer_cycles(layer: Records, rows: int, lanes: int) -> int:
    """Return the cycles of a tiled layer, without its issue and the pipeline flush.

    rows: output rows, after pooling, that each pixel lane computes; lanes: number of pixel lanes in
    use, which drain one after the other.
    """
    drain, first = lanes * layer.chunks, layer.taps + layer.fills
    starts = layer.tiles * rows
    others = starts * (layer.out_cols * layer.pool_area - 1)
    return first + (starts - 1) * max(first, drain) + others * max(layer.taps, drain) + drain
