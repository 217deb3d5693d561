"""SPILL: asynchronous DMA of feature-map rows to external memory over AXI4, while layers run."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.bursts import Bursts
from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.fetch import BUFFERABLE, INCREMENTING, MOST_BURSTS, memory_ports
from rtl_gen.blocks.fill import next_strip
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.memories import Ram
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BEAT_BITS, BURST_BEATS, MEMORY_PAGE_BITS
from rtl_gen.isa.fields import SLOT_BITS

READ_CYCLES = 2
"""Cycles from a granted read of activation memory to the word: block RAM, selection of the bank."""
SPILL_WORDS = 16
"""Activation words that fit the FIFO that is filled ahead of the bus."""


class Spill(Block):
    """Function: after ``start`` (in a cycle in which it is ``idle``) writes the bursts ``f_first``,
    ``f_bursts``, ``f_first_beat``, ``f_last_beat`` (see Bursts), of activation words in
    ``tile_word_beats`` beats each, the low ones first: ``f_strip_words`` words from ``f_base`` on
    of bank 0, as many of bank 1, ... A word is asked for by ``reads`` with ``read_bank`` and
    ``read_address`` until a cycle in which it is ``granted``, and comes READ_CYCLES after that. Up
    to SPILL_WORDS words behind the last one may be read, and are not sent.

    Latency: the first word is asked for 1 cycle after ``start``; ``idle`` when memory has answered
    the last burst. Throughput: a beat per cycle, if reads are granted in time. Overflow: burst
    numbers wrap; ``outside``: a beat taken in this cycle is of a word beyond activation memory (of
    any content). ``failed``: an answer in this cycle is an error. ``abort``: bursts that were asked
    for are sent all the same, as memory waits for them, and no others.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_spill"
        pointer = config.activation_depth.bit_length()
        super().__init__(
            {
                **{n: p for n, p in memory_ports(config).items() if n.startswith(("aw", "w", "b"))},
                "base": In(32 - MEMORY_PAGE_BITS),
                "start": In(1),
                "f_first": In(SLOT_BITS),
                "f_bursts": In(SLOT_BITS),
                "f_base": In(pointer - 1),
                "f_strip_words": In(pointer),
                "f_first_beat": In(BEAT_BITS),
                "f_last_beat": In(BEAT_BITS),
                "abort": In(1),
                "idle": Out(1),
                "failed": Out(1),
                "outside": Out(1),
                "reads": Out(1),
                "granted": In(1),
                "read_bank": Out(config.pixels),
                "read_address": Out(pointer - 1),
                "read_word": In(config.activation_word_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.active = Signal()
        """High from the cycle after a start with bursts through that of the last beat sent.

        After an abort, until a cycle in which no burst is left to send."""
        self.popped = Signal()
        bursts = self._ask(m, platform)
        self._read(m, platform)
        self._send(m, bursts.asks)
        m.d.comb += self.idle.eq(bursts.idle & ~self.active & ~self.under_way)
        return m

    def _ask(self, m: Module, platform: object) -> Bursts:
        bursts = Bursts(self.config)
        instantiate(m, platform, "bursts", bursts)
        fields = ("f_first", "f_bursts", "f_first_beat", "f_last_beat")
        for name in ("base", "start", "abort", *fields):
            m.d.comb += getattr(bursts, name).eq(getattr(self, name))
        m.d.comb += [
            self.bready.eq(1),
            bursts.over.eq(self.bvalid),
            self.failed.eq(self.bvalid & self.bresp[1]),
            self.awaddr.eq(bursts.address),
            self.awlen.eq(bursts.length),
            self.awvalid.eq(bursts.valid),
            bursts.ready.eq(self.awready),
            self.awsize.eq((self.config.memory_port_bits // 8).bit_length() - 1),
            self.awburst.eq(INCREMENTING),
            self.awcache.eq(BUFFERABLE),
        ]
        return bursts

    def _read(self, m: Module, platform: object) -> None:
        """Build the FIFO of activation words that are read ahead of the memory port's writes.

        It reads while it has room for the words under way; ``self.word`` is the oldest word if
        ``self.there``, which leaves it on ``self.popped``.
        """
        config = self.config
        pointer = Signal(len(self.read_address) + 1, reset_less=True)
        left = Signal(len(pointer), reset_less=True)
        bank = Signal(config.pixels + 1, reset_less=True)  # one-hot; the top bit is beyond the last
        moves = Signal()
        held = Signal(range(SPILL_WORDS + 1))
        m.d.comb += [
            self.reads.eq(self.active & (held != SPILL_WORDS)),
            moves.eq(self.reads & self.granted),
            self.read_bank.eq(bank),
            self.read_address.eq(pointer),
        ]
        next_strip(m, self.start, moves, pointer, left, bank, self.f_base, self.f_strip_words)
        coming: Value = moves
        beyond: Value = pointer[-1] | bank[-1]
        stages = []
        for cycle in range(READ_CYCLES):
            stages.append(delay(m, coming, 1, f"coming{cycle}", resettable=True))
            coming, beyond = stages[-1], delay(m, beyond, 1, f"beyond{cycle}")
        fifo = Ram(config.activation_word_bits + 1, SPILL_WORDS, distributed=True)
        instantiate(m, platform, "words_ahead", fifo)
        first, end = (Signal(len(fifo.write_address), name=n) for n in ("first", "end"))
        filled = Signal(range(SPILL_WORDS + 1))
        m.d.comb += [
            fifo.write_enable.eq(coming),
            fifo.write_address.eq(end),
            fifo.write_data.eq(Cat(beyond, self.read_word)),
            fifo.read_address.eq(first),
        ]
        with m.If(self.start):
            m.d.sync += [held.eq(0), filled.eq(0), first.eq(0), end.eq(0)]
        with m.Else():
            m.d.sync += [
                held.eq(held + moves - self.popped),
                filled.eq(filled + coming - self.popped),
                end.eq(end + coming),
                first.eq(first + self.popped),
            ]
        self.under_way: Value = Cat(stages).any()
        self.there: Value = filled.any()
        self.word_beyond, self.word = fifo.read_data[0], fifo.read_data[1:]

    def _send(self, m: Module, asks: Value) -> None:
        """Build the data channel, which sends the beats of the bursts whose address was issued.

        asks: high in the cycle before a burst's address is out.
        """
        config = self.config
        beats, port_bits = config.tile_word_beats, config.memory_port_bits
        part = Signal(range(beats), reset_less=True)
        beat = Signal(BEAT_BITS, reset_less=True)
        last_beat = Signal(BEAT_BITS, reset_less=True)
        left = Signal(SLOT_BITS, reset_less=True)
        asked = Signal(range(MOST_BURSTS + 1))  # bursts whose beats are not all sent yet
        aborted = Signal()
        taken = Signal()
        ends = Signal()
        word = Cat(self.word, Const(0, beats * port_bits - len(self.word)))
        m.d.comb += [
            self.wdata.eq(Array(word.word_select(k, port_bits) for k in range(beats))[part]),
            self.wstrb.eq(~0),
            self.wvalid.eq(asked.any() & self.there),
            self.wlast.eq((beat == BURST_BEATS - 1) | ((left == 1) & (beat == last_beat))),
            taken.eq(self.wvalid & self.wready),
            ends.eq(taken & self.wlast),
            self.popped.eq(taken & (part == beats - 1)),
            self.outside.eq(taken & self.word_beyond),
        ]
        m.d.sync += asked.eq(asked + asks - ends)
        with m.If(self.start):
            m.d.sync += [
                part.eq(0),
                beat.eq(self.f_first_beat),
                last_beat.eq(self.f_last_beat),
                left.eq(self.f_bursts),
                aborted.eq(0),
                self.active.eq(self.f_bursts.any()),
            ]
        with m.Else():
            m.d.sync += aborted.eq(aborted | self.abort)
            with m.If(taken):
                m.d.sync += [beat.eq(beat + 1), part.eq(Mux(part == beats - 1, 0, part + 1))]
            with m.If(ends):
                m.d.sync += left.eq(left - 1)
            with m.If((ends & (left == 1)) | (aborted & ~asked.any())):
                m.d.sync += self.active.eq(0)
