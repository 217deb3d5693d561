"""Search for the fastest schedule of each design over the input layouts, in compiled loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codesign.cost.cycles.compiled import Records, Scratch, compiled, part
from codesign.cost.cycles.fetches import PortTiming, fetches
from codesign.cost.cycles.records import ceil
from codesign.cost.cycles.strips import fastest_cycles, join, most_words, strip_cycles
from codesign.cost.cycles.tiles import input_digits, tile

Ints = NDArray[np.int64]


class InputPlan(NamedTuple):
    """Cost of a design with one input layout: cycles and words of each memory but the program's.

    Layouts are the image as is or unfolded (im2col on the host). All cycles leave out what is the
    same for all layouts.
    """

    cycles: int
    activation_depth: int
    weight_depth: int
    channel_depth: int
    result_depth: int
    stream_depth: int
    """Words of activation memory with room for the next image beside the layers."""
    load_cycles: int
    emit_cycles: int
    beside_cycles: int
    """Of the layers behind the last one that reads the image."""
    layers: int
    """LAYER instructions beyond one for each layer, as weights come from memory."""
    moves: int
    """FETCH instructions, for weights from memory."""
    wait_cycles: int
    """Stalls of one image alone for weights from memory, not in ``cycles``."""
    stream_wait_cycles: int
    """Those of each of many images back to back."""


@part
def _unfold(image: Records, rows: bool) -> None:
    """Turn the kernel columns of the first layer into input channels, in its record ``image``.

    The record is changed in place. With ``rows`` its kernel rows are turned instead, once the
    columns are unfolded. Unfolding columns gives up an N:M pattern; weights that had one count as 2
    bits or more.
    """
    if rows:
        image.in_channels *= image.kernel_rows
        image.in_rows, image.kernel_rows = image.conv_rows, 1
        image.step //= image.stride
        image.stride = 1
    else:
        image.in_channels *= image.kernel_cols
        image.in_cols, image.kernel_cols = image.conv_cols, 1
        if image.group > 0:
            image.weight_bits = max(image.weight_bits, 2)  # the pattern's zeros stay
        image.kept = image.group = 0


@part
def _last_reader(chain: Records, count: int) -> int:
    """Return the index of the last layer that reads the image. count: layers of the chain."""
    last = 0
    for slot in range(1, count):
        if chain[slot].skip == slot:
            last = slot
    return last


@part
def _unfolds(chain: Records, count: int) -> bool:
    """Return True if the image has a single reader, neither depthwise nor an addition.

    count: layers of the chain.
    """
    alone = _last_reader(chain, count) == 0
    return alone and chain[0].diagonal == 0 and chain[0].sources == 1


@part
def _plan(
    chain: Records, count: int, npu: Records, tiled: int, stream_bits: int, port: PortTiming
) -> InputPlan:
    """Return the plan with one input layout, that of the first layer's record.

    Layers below number ``tiled`` are tiled anew, those from it on keep the tiles of the previous
    layout. Tiles and strips are written into ``chain``. count: layers; stream_bits: width of the
    stream that loads the image; port: of the memory port, if the NPU has one.
    """
    image = chain[0]
    image.height, image.cols = image.in_rows, image.in_cols
    digits = input_digits(image.in_bits, npu)
    image.pixel_words = digits * ceil(image.in_channels, npu.lanes)
    for slot in range(tiled):
        layer, made = chain[slot], chain[slot + 1]
        made.height, made.cols = layer.out_rows, layer.out_cols
        made.pixel_words = tile(chain, slot, npu)
    cycles = fastest_cycles(chain, count, npu.pixels)
    last, weights, channels, results, beside = _last_reader(chain, count), 0, 0, 0, 0
    for slot in range(count):
        layer = chain[slot]
        weights += layer.tiles * layer.taps // layer.digits
        channels += layer.tiles * layer.chunks
        results += layer.tiles * layer.chunks * layer.raw * layer.out_rows * layer.out_cols
        if slot > last:
            beside += strip_cycles(chain, slot)
    bits = min(image.in_channels, npu.lanes) * npu.activation_bits
    load = image.in_rows * image.in_cols * image.pixel_words * ceil(bits, stream_bits)
    emit = results * (1 + npu.post_units)
    words, kept = most_words(chain, count, count), most_words(chain, count, last + 1)
    fetched = fetches(chain, count, last, npu, weights, port)
    end = chain[count - 1]
    if fetched.last_first > 0 and end.raw:  # a part's first result is in a field of addresses
        words = max(words, fetched.last_first * end.chunks * end.out_rows * end.out_cols + 1)
    return InputPlan(
        cycles + load + emit + fetched.cycles, words, fetched.weight_depth, channels, results,
        kept, load, emit, beside + fetched.beside, fetched.layers, fetched.moves, fetched.waits,
        fetched.stream_waits,
    )  # fmt: skip


@part
def _fits(plan: InputPlan, most: InputPlan) -> bool:
    """Return True if no memory of ``plan`` exceeds ``most``; the rest is not compared."""
    return (
        plan.activation_depth <= most.activation_depth
        and plan.weight_depth <= most.weight_depth
        and plan.channel_depth <= most.channel_depth
        and plan.result_depth <= most.result_depth
    )


@part
def _best(
    chain: Records, count: int, npu: Records, most: InputPlan, stream_bits: int, port: PortTiming
) -> InputPlan:
    """Return the fastest plan within ``most`` over the layouts, or that of the image as is.

    It leaves the record of the first layer unfolded, and the tiles and strips of the last plan.
    """
    image, unfolds = chain[0], _unfolds(chain, count)
    join(chain, count)
    best, tiled, possible = InputPlan(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), count, True
    for way in range(3):  # the image as is, its columns unfolded, its rows and columns
        if way > 0:
            tiled = 1
            possible = unfolds and (image.kernel_cols if way == 1 else image.kernel_rows) > 1
            _unfold(image, rows=way == 2)
        if possible:
            plan = _plan(chain, count, npu, tiled, stream_bits, port)
            faster = plan.cycles < best.cycles or not _fits(best, most)
            if way == 0 or (faster and _fits(plan, most)):
                best = plan
    return best


@compiled
def plans(
    layers: Ints, counts: Ints, npus: Records, chain: Scratch, most: InputPlan, stream_bits: int,
    port: PortTiming,
) -> Ints:  # fmt: skip
    """Return the fields of each design's fastest InputPlan within ``most``, shape (fields, n).

    Where no layout is within ``most``, they are those of the image as is. layers: shape
    (len(COLUMNS), n, slots); counts: layers per network, shape (n,); npus: n records of type NPU;
    chain: slots + 1 records of type LAYER as working memory; most: largest depth of each memory;
    stream_bits: width of the stream that loads the image; port: timing of memory ports.
    """
    found = np.empty((len(most), len(counts)), np.int64)
    records, numbers = chain
    for i in range(len(counts)):
        for slot in range(counts[i]):
            for column in range(len(layers)):
                numbers[slot, column] = layers[column, i, slot]
        best = _best(records, counts[i], npus[i], most, stream_bits, port)
        for field in range(len(found)):
            found[field, i] = best[field]
    return found
