"""Tiles of layers that read several tensors side by side (concat), on records.

Each tensor begins in an activation word of its own (compiler.mapping.slots), so that channels do
not lie in the lanes of their numbers, and tiles of depthwise layers read windows of words.
"""

from __future__ import annotations

from codesign.cost.cycles.compiled import Records, part
from codesign.cost.cycles.records import ceil


@part
def source(chain: Records, slot: int) -> int:
    """Return the last tensor of what a layer reads; of an addition, of the later operand."""
    return slot if chain[slot].sources > 1 else slot - chain[slot].skip


@part
def word(chain: Records, last: int, stacked: int, channel: int, lanes: int) -> int:
    """Return the word of a pixel that holds a channel of ``stacked`` tensors, the last ``last``."""
    before = 0
    for tensor in range(last - stacked + 1, last):
        own = chain[tensor - 1].out_channels
        if channel < own:
            return before + channel // lanes
        channel -= own
        before += chain[tensor].pixel_words
    return before + channel // lanes


@part
def stacked_phases(chain: Records, slot: int, npu: Records) -> int:
    """Return the weight words per tap on an N:M array of a layer that is not depthwise.

    Of the most weights that a group of lanes may have: groups of an N:M pattern count channels from
    the first tensor on, groups of lanes from the first of each tensor.
    """
    layer, last, most, first = chain[slot], source(chain, slot), 1, 0
    kept, group = max(layer.kept, 1), max(layer.group, 1)
    for tensor in range(last - layer.stacked + 1, last + 1):
        own = chain[tensor - 1].out_channels
        for begin in range(0, own, npu.group):
            weights, at, end = 0, first + begin, first + min(begin + npu.group, own)
            while at < end:
                upto = min((at // group + 1) * group, end)
                weights += min(upto - at, kept)
                at = upto
            most = max(most, weights)
        first += own
    return ceil(most, npu.kept)


@part
def one_word_tiles(chain: Records, slot: int, npu: Records) -> bool:
    """Return True if all channels lie in the lanes of their numbers, in successive words."""
    layer, last = chain[slot], source(chain, slot)
    for channel in range(0, layer.in_channels, npu.lanes):
        if word(chain, last, layer.stacked, channel, npu.lanes) != channel // npu.lanes:
            return False
    for tensor in range(last - layer.stacked + 1, last):
        if chain[tensor - 1].out_channels % npu.lanes:
            return False
    return True


@part
def stacked_window(chain: Records, slot: int, taps: int, npu: Records) -> tuple[int, int]:
    """Return the output words of a depthwise layer's tiles, and the input words that each reads.

    taps: cycles of a tile per input word and output. Every number of words is tried, as in
    compiler.mapping.tiles: the fewest cycles win, then fewest output words, then fewest tiles.
    """
    layer, out_words = chain[slot], ceil(chain[slot].out_channels, npu.lanes)
    best_size, best_words, best = 0, 0, (0, 0, 0)
    for size in range(1, min(npu.columns // npu.lanes, out_words) + 1):
        tiles = ceil(out_words, size)
        words = _window(chain, slot, tiles, size * npu.lanes, npu.lanes)
        drain = npu.pixels * size * (npu.lanes // npu.post_units)
        longer = max(taps * words, drain)
        cost = (tiles * longer * layer.out_cols * layer.pool_area, tiles * size, tiles)
        if best_size == 0 or cost < best:
            best_size, best_words, best = size, words, cost
    return best_size, best_words


@part
def _window(chain: Records, slot: int, tiles: int, channels: int, lanes: int) -> int:
    """Return the words of the smallest window that moves evenly from tile to tile.

    channels: output channels of a tile. Steps are those of compiler.mapping.tiles.
    """
    layer, last = chain[slot], source(chain, slot)
    other = slot - layer.skip
    pace = 0
    if tiles > 1:
        begin = word(chain, last, layer.stacked, 0, lanes)
        if layer.sources > 1:  # the first operand is the earlier tensor
            begin = word(chain, other, layer.other_stacked, 0, lanes)
        at = (tiles - 1) * channels
        end = word(chain, last, layer.stacked, at, lanes)
        if layer.sources > 1:
            end = word(chain, other, layer.other_stacked, at, lanes)
        pace = (end - begin) // (tiles - 1)
    best = 0
    for step in (0, pace, pace + 1):
        widest = _reach(chain, last, layer.stacked, tiles, channels, lanes, step, slot)
        if layer.sources > 1:
            more = _reach(chain, other, layer.other_stacked, tiles, channels, lanes, step, slot)
            widest = max(widest, more) if min(widest, more) > 0 else 0
        if widest > 0 and (best == 0 or widest < best):
            best = widest
        if tiles == 1:
            break
    return best


@part
def _reach(
    chain: Records, last: int, stacked: int, tiles: int, channels: int, lanes: int, step: int,
    slot: int,
) -> int:  # fmt: skip
    """Return the words of a window of one operand that moves by ``step`` words a tile.

    0 where it would begin before the pixel's first word.
    """
    total = chain[slot].out_channels
    least = word(chain, last, stacked, 0, lanes)
    most = least
    for tile in range(tiles):
        low = word(chain, last, stacked, tile * channels, lanes) - tile * step
        end = min((tile + 1) * channels, total) - 1
        high = word(chain, last, stacked, end, lanes) - tile * step
        least, most = min(least, low), max(most, high)
    return most - least + 1 if least >= 0 else 0
