"""Instructions of the twin that move data, over the streams and over the memory port.

Those over the memory port have at least one burst here. Burst numbers do not wrap at 2**16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rtl_gen.isa.bursts import BURST_BEATS, burst_words
from rtl_gen.isa.lanes import pack_lanes, unpack_lanes
from rtl_gen.isa.opcodes import ErrorCode
from rtl_gen.parameters import STREAM_BITS
from rtl_gen.twin.memories import Memories, TwinError, TwinInputError

Beat = tuple[int, bool]
"""One stream beat: (TDATA, TLAST)."""


@dataclass
class Streams:
    """Input and output stream of one run.

    >>> streams = Streams([(7, False), (8, True), (9, True)])
    >>> streams.discard()
    >>> streams.used
    2
    """

    beats: Sequence[Beat]
    """The whole input stream."""
    used: int = 0
    """Input beats consumed so far."""
    output: list[Beat] = field(default_factory=list)
    """Output beats sent so far."""

    def discard(self) -> None:
        """Consume input beats up to and including the next TLAST, or all if there is none."""
        while self.used < len(self.beats):
            self.used += 1
            if self.beats[self.used - 1][1]:
                return


def load(memories: Memories, f: Mapping[str, int], streams: Streams, *, watched: bool) -> None:
    """Execute a LOAD with fields ``f``: input beats to activation memory.

    The beats that it takes are counted in ``streams``; bits beyond a word's ``lanes`` codes are
    ignored. watched: True if a watchdog ends the wait for beats that never come. Raises TwinError
    with STREAM_SHORT, STREAM_LONG, ADDRESS or WATCHDOG; without a watchdog TwinInputError for
    missing beats. Only STREAM_LONG is raised after the words were written; otherwise none is
    written, where the hardware writes those before the fault.
    """
    c, beats = memories.config, f["beats"] + 1
    bank, address = _walk(memories, f)
    first_outside = memories.first_outside(bank, address)
    total = len(bank) * beats if first_outside is None else (first_outside + 1) * beats
    taken = streams.beats[streams.used : streams.used + total]
    lasts = [i for i, (_, last) in enumerate(taken) if last]
    streams.used += lasts[0] + 1 if lasts else len(taken)
    final = len(bank) * beats - 1
    if lasts and lasts[0] < final and lasts[0] < total - 1:
        raise TwinError(ErrorCode.STREAM_SHORT)
    if len(taken) < total:
        if watched:
            raise TwinError(ErrorCode.WATCHDOG)
        raise TwinInputError(f"LOAD waits for {total} beats, the stream has {len(taken)}")
    if first_outside is not None:
        raise TwinError(ErrorCode.ADDRESS)
    data = np.array([value for value, _ in taken], np.uint32).reshape(len(bank), beats)
    memories.activations[bank, address] = unpack_lanes(data, c.lanes, c.activation_bits)
    if not lasts:
        streams.discard()
        raise TwinError(ErrorCode.STREAM_LONG)


def store(memories: Memories, f: Mapping[str, int], streams: Streams) -> None:
    """Execute a STORE with fields ``f``: activation memory to output beats, TLAST on the last.

    Raises TwinError(ADDRESS) at the first word outside the memory, after sending those before,
    without TLAST.
    """
    bank, address = _walk(memories, f)
    first_outside = memories.first_outside(bank, address)
    codes = memories.activations[bank[:first_outside], address[:first_outside]]
    data = pack_lanes(codes, memories.config.activation_bits, f["beats"] + 1).reshape(-1)
    streams.output += [(int(value), False) for value in data]
    if first_outside is not None:
        raise TwinError(ErrorCode.ADDRESS)
    streams.output[-1] = (streams.output[-1][0], True)


def emit(memories: Memories, f: Mapping[str, int], streams: Streams) -> None:
    """Execute an EMIT: result words 0..f["chunks"] to output beats, with TLAST on the last one.

    One beat per accumulator, sign-extended to 32 bits, post unit 0 of each word first.
    """
    values = memories.results[: f["chunks"] + 1].reshape(-1)
    words = (values & 0xFFFFFFFF).tolist()
    streams.output += [(value, i == len(words) - 1) for i, value in enumerate(words)]


def _walk(memories: Memories, f: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return bank and word address of each word of a LOAD or STORE, in stream order.

    Two int64 arrays (n_words,): strip by strip, strip s in bank s. They may leave the memory.
    """
    endless = 2 * memories.config.activation_depth  # a count of 0 wraps and leaves the memory
    sizes = [f["strip_words"] or endless] * f["last_strip"] + [f["last_words"] or endless]
    bank = np.repeat(np.arange(len(sizes)), sizes)
    address = np.concatenate([f["base"] + np.arange(size) for size in sizes])
    return bank, address


# Memory port -------------------------------------------------------------------------------------


def fetch(memories: Memories, f: Mapping[str, int]) -> None:
    """Execute a FETCH at once: external memory to weight memory, whose addresses wrap.

    They wrap at the next power of two; words beyond the memory are dropped. Of a last weight word
    that the bursts do not fill, only what they hold is written. Raises
    TwinError(ADDRESS) beyond the end of external memory, before anything is written.
    """
    c = memories.config
    first, end = (b * burst_words(c) for b in (f["first"], f["first"] + f["bursts"]))
    if end > len(memories.memory):
        raise TwinError(ErrorCode.ADDRESS)
    per_word = c.fetched_word_beats * c.memory_port_bits // STREAM_BITS
    place = np.arange(end - first)
    word, column = f["weight_base"] + place // per_word, place % per_word
    word %= 1 << c.weight_address_bits
    kept = (column < c.weight_word_columns) & (word < c.weight_depth)
    memories.weights[word[kept], column[kept]] = memories.memory[first:end][kept]


def fill(memories: Memories, f: Mapping[str, int]) -> None:
    """Execute a FILL at once: external memory to activation memory.

    An incomplete last word is not written. Raises TwinError(ADDRESS) beyond external memory, before
    anything is written, and beyond activation memory, after writing the words before.
    """
    c = memories.config
    moved, bank, address = _tile(memories, f)
    data = memories.memory[moved]
    words = c.tile_word_beats * c.memory_port_bits // STREAM_BITS
    whole = len(data) // words
    bank, address = bank[:whole], address[:whole]
    first_outside = memories.first_outside(bank, address)
    codes = unpack_lanes(data[: whole * words].reshape(whole, words), c.lanes, c.activation_bits)
    kept = slice(first_outside)
    memories.activations[bank[kept], address[kept]] = codes[kept]
    if first_outside is not None:
        raise TwinError(ErrorCode.ADDRESS)


def spill(memories: Memories, f: Mapping[str, int]) -> None:
    """Execute a SPILL at once: activation memory to external memory.

    Of the last activation word only the beats are written that the bursts have room for. Raises
    TwinError(ADDRESS) beyond either memory, before anything is written.
    """
    c = memories.config
    moved, bank, address = _tile(memories, f)
    if memories.first_outside(bank, address) is not None:
        raise TwinError(ErrorCode.ADDRESS)
    words = c.tile_word_beats * c.memory_port_bits // STREAM_BITS
    data = pack_lanes(memories.activations[bank, address], c.activation_bits, words).reshape(-1)
    memories.memory[moved] = data[: moved.stop - moved.start]


def _tile(
    memories: Memories, f: Mapping[str, int]
) -> tuple[slice, NDArray[np.int64], NDArray[np.int64]]:
    """Return what a FILL or SPILL moves: 32-bit words of memory, and each activation word's place.

    (slice of external memory, bank of each word, word address of each word); the latter two are
    int64 (n_words,), an incomplete last word included, and may leave activation memory. Raises
    TwinError(ADDRESS) beyond external memory.
    """
    c, end = memories.config, f["last_beat"]
    if f["bursts"] == 1 and end < f["first_beat"]:
        end = BURST_BEATS - 1
    beats = range(f["first_beat"], (f["bursts"] - 1) * BURST_BEATS + end + 1)
    per_beat = c.memory_port_bits // STREAM_BITS
    start = (f["first"] * BURST_BEATS + beats.start) * per_beat
    moved = slice(start, start + len(beats) * per_beat)
    if moved.stop > len(memories.memory):
        raise TwinError(ErrorCode.ADDRESS)
    index = np.arange(-(-len(beats) // c.tile_word_beats))
    strip_words = f["strip_words"] or 2 * c.activation_depth  # a count of 0 wraps
    return moved, index // strip_words, f["base"] + index % strip_words
