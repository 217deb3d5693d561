"""FETCH and FILL: asynchronous DMA of weights and feature-map rows from memory over AXI4."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.bursts import Bursts
from rtl_gen.blocks.fetch import BUFFERABLE, INCREMENTING, memory_ports
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BEAT_BITS, BURST_BEATS, MEMORY_PAGE_BITS
from rtl_gen.isa.fields import SLOT_BITS
from rtl_gen.parameters import STREAM_BITS


class Fill(Block):
    """Function: with ``start`` does what Fetch does. With ``start_fill`` reads the bursts
    ``f_first``, ``f_bursts``, ``f_first_beat``, ``f_last_beat`` (see Bursts) and writes their beats
    to activation words, each word in ``tile_word_beats`` beats, the low ones first:
    ``f_strip_words`` words from ``f_base`` on of bank 0, as many of bank 1, ...

    Either start comes in a cycle in which it is ``idle``. Latency: as Fetch. Throughput: a beat per
    cycle; but none is taken while a full word finds the memory's port in use (``blocked``).
    Overflow: weight addresses and burst numbers wrap; ``outside``: a word would in this cycle be
    written beyond activation memory (it is dropped). An incomplete last activation word is not
    written. ``failed``: a beat taken in this cycle is an error; it is written all the same.
    ``abort``: from the next cycle on no bursts are asked for, and beats that still come are
    dropped.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_fill"
        self.weight_address_bits = config.weight_address_bits
        self.pointer_bits = config.activation_depth.bit_length()
        super().__init__(
            {
                **{n: p for n, p in memory_ports(config).items() if n.startswith(("ar", "r"))},
                "base": In(32 - MEMORY_PAGE_BITS),
                "start": In(1),
                "start_fill": In(1),
                "f_first": In(SLOT_BITS),
                "f_bursts": In(SLOT_BITS),
                "f_weight_base": In(self.weight_address_bits),
                "f_base": In(self.pointer_bits - 1),
                "f_strip_words": In(self.pointer_bits),
                "f_first_beat": In(BEAT_BITS),
                "f_last_beat": In(BEAT_BITS),
                "abort": In(1),
                "idle": Out(1),
                "failed": Out(1),
                "write_columns": Out(config.weight_word_columns),
                "write_address": Out(self.weight_address_bits),
                "write_data": Out(config.memory_port_bits),
                "blocked": In(1),
                "write_bank": Out(config.pixels),
                "bank_address": Out(self.pointer_bits - 1),
                "write_word": Out(config.activation_word_bits),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.filling = Signal(reset_less=True)
        self.dropped = Signal()
        self.complete = Signal()
        self.accepted = Signal()
        self.last_part = Signal()
        with m.If(self.start | self.start_fill):
            m.d.sync += [self.filling.eq(self.start_fill), self.dropped.eq(0)]
        with m.Elif(self.abort):
            m.d.sync += self.dropped.eq(1)
        self._ask(m, platform)
        beat = self._parts(m)
        self._weights(m, beat)
        self._activations(m, beat)
        return m

    def _ask(self, m: Module, platform: object) -> None:
        bursts = Bursts(self.config)
        instantiate(m, platform, "bursts", bursts)
        for name in ("base", "f_first", "f_bursts", "abort"):
            m.d.comb += getattr(bursts, name).eq(getattr(self, name))
        m.d.comb += [
            bursts.start.eq(self.start | self.start_fill),
            bursts.f_first_beat.eq(Mux(self.start_fill, self.f_first_beat, 0)),
            bursts.f_last_beat.eq(Mux(self.start_fill, self.f_last_beat, BURST_BEATS - 1)),
            bursts.over.eq(self.accepted & self.rlast),
            self.araddr.eq(bursts.address),
            self.arlen.eq(bursts.length),
            self.arvalid.eq(bursts.valid),
            bursts.ready.eq(self.arready),
            self.arsize.eq((self.config.memory_port_bits // 8).bit_length() - 1),
            self.arburst.eq(INCREMENTING),
            self.arcache.eq(BUFFERABLE),
            self.rready.eq(~(self.complete & self.blocked)),
            self.accepted.eq(self.rvalid & self.rready),
            self.failed.eq(self.accepted & self.rresp[1]),
            self.idle.eq(bursts.idle & ~self.write_columns.any() & ~self.complete),
        ]

    def _parts(self, m: Module) -> Signal:
        """Return the number, from 0 on, of the next beat within its weight or activation word.

        Also drives ``last_part``: that beat is its word's last.
        """
        config = self.config
        most = max(config.fetched_word_beats, config.tile_word_beats)
        beat = Signal(range(most), reset_less=True)
        ends = Mux(self.filling, config.tile_word_beats - 1, config.fetched_word_beats - 1)
        m.d.comb += self.last_part.eq(beat == ends)
        with m.If(self.start | self.start_fill):
            m.d.sync += beat.eq(0)
        with m.Elif(self.accepted):
            m.d.sync += beat.eq(Mux(self.last_part, 0, beat + 1))
        return beat

    def _weights(self, m: Module, beat: Signal) -> None:
        """Write each beat of a FETCH, one cycle later, to the next columns of the weight word.

        Those after an ``abort`` are dropped. beat: number of the beat within its word.
        """
        columns = self.config.memory_port_bits // STREAM_BITS
        word = Signal(self.weight_address_bits, reset_less=True)
        taken = self.accepted & ~self.filling & ~self.dropped
        m.d.sync += [
            self.write_columns.eq(Mux(taken, ((1 << columns) - 1) << (beat * columns), 0)),
            self.write_address.eq(word),
            self.write_data.eq(self.rdata),
        ]
        with m.If(self.start):
            m.d.sync += word.eq(self.f_weight_base)
        with m.Elif(self.accepted & self.last_part):
            m.d.sync += word.eq(word + 1)

    def _activations(self, m: Module, beat: Signal) -> None:
        """Assemble the beats of a FILL into activation words and write those strip after strip.

        beat: number of the beat within its word. A word is written in the first cycle after its
        last beat that is not ``blocked``. Beats after an ``abort`` are dropped.
        """
        config = self.config
        port_bits, pixels = config.memory_port_bits, config.pixels
        word = Signal(config.activation_word_bits, reset_less=True)
        pointer = Signal(self.pointer_bits, reset_less=True)
        left = Signal(self.pointer_bits, reset_less=True)
        bank = Signal(pixels + 1, reset_less=True)  # one-hot; the top bit is beyond the last
        taken = self.accepted & self.filling & ~self.dropped
        writes = Signal()
        for part in range(config.tile_word_beats):
            held = word[part * port_bits : (part + 1) * port_bits]
            with m.If(taken & (beat == part)):
                m.d.sync += held.eq(self.rdata[: len(held)])
        beyond = pointer[-1] | bank[-1]
        m.d.comb += [
            writes.eq(self.complete & ~self.blocked),
            self.write_bank.eq(Mux(writes & ~beyond, bank[:-1], 0)),
            self.bank_address.eq(pointer),
            self.write_word.eq(word),
            self.outside.eq(writes & beyond),
        ]
        m.d.sync += self.complete.eq((taken & self.last_part) | (self.complete & self.blocked))
        next_strip(m, self.start_fill, writes, pointer, left, bank, self.f_base, self.f_strip_words)


def next_strip(
    m: Module,
    start: Value,
    moves: Value,
    pointer: Signal,
    left: Signal,
    bank: Signal,
    base: Value,
    strip_words: Value,
) -> None:
    """Build the address counter of FILL and SPILL, which advances on ``moves``, bank by bank.

    In each bank it covers ``strip_words`` words from ``base`` on. It drives ``pointer`` (word
    address), ``left`` (words left in the bank, this one included) and ``bank`` (one-hot from bank 0
    on; its top bit, beyond the last bank, stays once set), from the cycle after ``start`` or
    ``moves`` on. ``base`` and ``strip_words`` are sampled at ``start``; 0 strip words count as
    2**len(left).
    """
    held_base = Signal(len(base), name="held_base", reset_less=True)
    held_words = Signal(len(strip_words), name="held_words", reset_less=True)
    with m.If(start):
        m.d.sync += [held_base.eq(base), held_words.eq(strip_words)]
        m.d.sync += [pointer.eq(base), left.eq(strip_words), bank.eq(1)]
    with m.Elif(moves):
        with m.If(left == 1):
            m.d.sync += [pointer.eq(held_base), left.eq(held_words)]
            m.d.sync += bank.eq(Cat(0, bank[:-1]) | (bank & (1 << len(bank) - 1)))
        with m.Else():
            m.d.sync += [pointer.eq(pointer + 1), left.eq(left - 1)]
