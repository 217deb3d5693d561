"""Weights from memory (codesign.compiler.mapping.parts and program.memory), on records.

Where weights do not fit weight memory and the NPU has a memory port, each layer is cut into parts
of at most half of that memory. A FETCH of the next part runs beside the LAYER of each part, and
waits for the FETCH before it.
"""

from __future__ import annotations

from typing import NamedTuple

from codesign.cost.cycles.compiled import Records, part
from codesign.cost.cycles.records import ceil
from codesign.cost.cycles.strips import strip_cycles


class PortTiming(NamedTuple):
    """Cycles of what a memory port does, the same for all NPUs."""

    fetch_cycles: int
    """Of a FETCH from its fetch to that of the next instruction, stalls not counted."""
    start_cycles: int
    """From the fetch of a FETCH to its start."""
    first_cycles: int
    """From a FETCH's start to the next one's without those of its beats."""
    burst_beats: int
    """Beats of a burst, one each cycle."""
    load_cycles: int
    """Of a LOAD that only starts a transfer."""


class Fetches(NamedTuple):
    """Changes of a program whose weights come from memory. Made by ``fetches``.

    All but the depth are 0 where the host loads the weights.
    """

    weight_depth: int
    """Words of weight memory that are needed."""
    last_first: int
    """First tile of the last part of the last layer."""
    layers: int
    """LAYER instructions beyond one for each layer."""
    moves: int
    """FETCH instructions."""
    cycles: int
    """Cycles more of all instructions, stalls not counted."""
    beside: int
    """Those behind the last layer that reads the image."""
    waits: int
    """Stall cycles of one image alone."""
    stream_waits: int
    """Stall cycles of each of many images back to back."""


@part
def _part_tiles(layer: Records, half: int) -> int:
    """Return the tiles of the parts that a layer is cut into; its last one may have fewer."""
    words = layer.taps // layer.digits
    count = ceil(layer.tiles, max(half // words, 1))
    return ceil(layer.tiles, count)


@part
def _depth(chain: Records, count: int, npu: Records, port: PortTiming) -> tuple[int, int]:
    """Return the words of weight memory that are needed, and those by which the parts are cut.

    A tile larger than half of the memory takes a deeper one, in which other parts are larger, too.
    """
    limit = npu.weight_depth
    while True:
        most = 0
        for slot in range(count):
            layer = chain[slot]
            most = max(most, _part_tiles(layer, limit // 2) * (layer.taps // layer.digits))
        beats = ceil(most * npu.word_beats, port.burst_beats) * port.burst_beats
        need = 2 * max(most, ceil(beats, npu.word_beats))
        if need <= limit:
            return need, limit
        while limit < need:
            limit *= 2


@part
def fetches(
    chain: Records, count: int, last: int, npu: Records, weights: int, port: PortTiming
) -> Fetches:
    """Return what weights from memory change of the program of a chain of ``count`` layers.

    Its tiles and strips are written. last: the last layer that reads the image; weights: words of
    all layers. A deeper memory than the NPU's may hold them all.
    """
    if npu.memory_port_bits == 0 or weights <= npu.weight_depth:
        return Fetches(weights, 0, 0, 0, 0, 0, 0, 0)
    need, limit = _depth(chain, count, npu, port)
    if weights <= limit:
        return Fetches(weights, 0, 0, 0, 0, 0, 0, 0)
    parts = cycles = beside = before = first = 0
    now = free = stream_now = stream_free = waits = stream_waits = 0
    for slot in range(count):
        layer = chain[slot]
        tiles, words, behind = layer.tiles, layer.taps // layer.digits, slot > last
        size, alone = _part_tiles(layer, limit // 2), strip_cycles(chain, slot) + npu.layer_cycles
        for first in range(0, tiles, size):
            layer.tiles = min(size, tiles - first)
            # The FETCH of this part, then the LAYER of the one before it.
            beats = ceil(layer.tiles * words * npu.word_beats, port.burst_beats) * port.burst_beats
            wait = max(free - now - port.start_cycles, 0)
            free = now + port.start_cycles + wait + port.first_cycles + beats
            now += port.fetch_cycles + wait + before
            waits += wait
            wait = max(stream_free - stream_now - port.start_cycles, 0)
            stream_free = stream_now + port.start_cycles + wait + port.first_cycles + beats
            stream_now += port.fetch_cycles + wait + before
            stream_waits += wait
            if first == 0 and slot == last + 1:
                stream_now += port.load_cycles  # the next image's LOAD
            before = strip_cycles(chain, slot) + npu.layer_cycles
            cycles += before
            parts += 1
            if behind:
                beside += before + port.fetch_cycles
        layer.tiles = tiles
        cycles -= alone
        if behind:
            beside -= alone
    # A FETCH of nothing waits for the last part's.
    waits += max(free - now - port.start_cycles, 0)
    stream_waits += max(stream_free - stream_now - port.start_cycles, 0)
    moves = parts + 1
    cycles += moves * port.fetch_cycles
    return Fetches(need, first, parts - count, moves, cycles, beside, waits, stream_waits)
