"""Proof: FILL writes every beat once and SPILL sends every word once, in order.

Of rtl_gen.blocks.fill and spill, which move rows of feature maps in from and out to external
memory; their requests for bursts are proven in test_bursts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from amaranth import Elaboratable, Module, Mux, Signal, Value
from amaranth.asserts import AnySeq

from rtl_gen.blocks.fetch import MOST_BURSTS
from rtl_gen.blocks.fill import Fill
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.blocks.spill import READ_CYCLES, SPILL_WORDS, Spill
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from tests.formal.prove import Disproof, prove, prove_bounded
from tests.formal.wrapper import always, constant, given, implies, past, place, reached

CONFIG = NpuConfig(
    pixels=2, lanes=6, columns=12, weight_digit_bits=1, activation_bits=8, post_units=6,
    activation_depth=16, weight_depth=16, memory_port_bits=32, memory_tiles=True,
)  # fmt: skip
"""Activation words of two beats (the second half full), weight words of three beats."""
SMALL = dataclasses.replace(CONFIG, lanes=2, columns=2, post_units=2, activation_bits=1)
"""Words of two bits, for proofs that include the memory."""
WALK = ("f_base", "f_strip_words")


def any_bursts(block: Block) -> Module:
    """Return a stand-in for Bursts, which has its own proof: it requests bursts at any time."""
    m = Module()
    for name in ("asks", "idle", "address", "length", "valid"):
        port = getattr(block, name)
        m.d.comb += port.eq(AnySeq(len(port)))
    return m


STAND_INS: dict[str, Callable[[Block], Module]] = {"bursts": any_bursts}


def walked(
    m: Module, start: Value, moves: Value, base: Value, strip_words: Value
) -> tuple[Signal, Signal]:
    """Return a model of the walk, bank and word that move next: ``strip_words`` words per bank."""
    bank, word = Signal(6, name="model_bank"), Signal(len(strip_words), name="model_word")
    with m.If(start):
        m.d.sync += [bank.eq(0), word.eq(0)]
    with m.Elif(moves):
        ends = (word + 1)[: len(word)] == strip_words
        m.d.sync += [word.eq(Mux(ends, 0, word + 1)), bank.eq(bank + (ends & (bank != 63)))]
    return bank, word


def at_place(
    inner: dict[str, Signal], f: dict[str, Signal], bank: Value, word: Value, pixels: int
) -> Value:
    """Return a condition: the registers of the walk agree with the model."""
    at = (f["f_base"] + word)[: len(f["f_strip_words"])]
    top = Mux(bank < pixels, bank, pixels)
    same = inner["bank"] == (1 << top[:2])[: pixels + 1]
    same &= inner["pointer"] == at
    same &= inner["left"] == (f["f_strip_words"] - word)[: len(inner["left"])]
    return same & (inner["held_base"] == f["f_base"]) & (inner["held_words"] == f["f_strip_words"])


class FillProof(Elaboratable):
    """Memory answers with any beats; the banks' write port may be taken in any cycle.

    A start comes only when the block is idle, with stable fields.
    """

    def __init__(self, fill: Fill) -> None:
        self.fill = fill

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, config = self.fill, self.fill.config
        fields = (*WALK, "f_weight_base")
        inner = place(m, dut, driven=fields, stand_ins=STAND_INS)
        f = {n: constant(m, len(getattr(dut, n)), n) for n in fields}
        m.d.comb += [getattr(dut, n).eq(value) for n, value in f.items()]
        starts = dut.start | dut.start_fill
        given(m, implies(starts, dut.idle & ~dut.abort & ~dut.rvalid))
        given(m, ~(dut.start & dut.start_fill))
        ever, filling, dropped = Signal(), Signal(), Signal()
        self.ever = ever
        given(m, implies(dut.rvalid, ever))
        with m.If(starts):
            m.d.sync += [ever.eq(1), filling.eq(dut.start_fill), dropped.eq(0)]
        with m.Elif(dut.abort):
            m.d.sync += dropped.eq(1)
        accepted = dut.rvalid & dut.rready
        part, word = Signal(4), Signal(len(dut.write_address))
        beats = Mux(filling, config.tile_word_beats, config.fetched_word_beats)
        with m.If(starts):
            m.d.sync += [part.eq(0), word.eq(f["f_weight_base"])]
        with m.Elif(accepted):
            ends = part == beats - 1
            m.d.sync += [part.eq(Mux(ends, 0, part + 1)), word.eq(word + ends)]
        state = (inner["filling"] == filling) & (inner["dropped"] == dropped)
        state &= inner["beat"] == part
        always(m, implies(ever, state & (part < beats)), "invariant: state")
        always(m, implies(ever & ~filling, inner["word"] == word), "invariant: weight word")
        always(m, implies(~ever, ~dut.write_columns.any() & ~inner["complete"]),
               "nothing before the start")  # fmt: skip
        self._weights(m, accepted & ~filling & ~dropped, part, word)
        self._activations(m, inner, accepted & filling & ~dropped, part, f)
        always(m, implies(inner["complete"], filling), "invariant: only FILL has words")
        return m

    def _weights(self, m: Module, taken: Value, part: Value, word: Value) -> None:
        dut = self.fill
        for column in range(len(dut.write_columns)):
            mine = past(m, taken & (part == column), f"mine{column}")
            always(m, dut.write_columns[column] == mine, "a weight's beat is written once")
        same = (dut.write_address == past(m, word, "at")) & (
            dut.write_data == past(m, dut.rdata, "data")
        )
        always(m, implies(past(m, taken, "taken"), same), "a weight's beat at its word")

    def _activations(
        self, m: Module, inner: dict[str, Signal], taken: Value, part: Value, f: dict[str, Signal]
    ) -> None:
        dut, config = self.fill, self.fill.config
        port_bits, beats = config.memory_port_bits, config.tile_word_beats
        shadow = Signal(beats * port_bits, reset_less=True)
        for k in range(beats):
            with m.If(taken & (part == k)):
                m.d.sync += shadow.word_select(k, port_bits).eq(dut.rdata)
        owed = Signal()  # a word came and is not written
        writes = dut.write_bank.any() | dut.outside
        m.d.sync += owed.eq((taken & (part == beats - 1)) | (owed & ~writes))
        always(m, owed == inner["complete"], "invariant: owed")
        always(m, writes == (owed & ~dut.blocked), "a word is written once, when the port is free")
        always(m, implies(owed & dut.blocked, ~dut.rready), "no beat comes over a word that waits")
        always(m, implies(owed, ~dut.idle), "idle when all is written")
        always(m, dut.write_word == shadow[: len(dut.write_word)], "the word's beats, in order")
        bank, word = walked(m, dut.start_fill, writes, f["f_base"], f["f_strip_words"])
        at = (f["f_base"] + word)[: len(f["f_strip_words"])]
        inside = (bank < config.pixels) & ~at[-1]
        always(m, implies(writes & inside, dut.write_bank == 1 << bank[:1]), "the word's bank")
        always(m, implies(writes & inside, dut.bank_address == at[:-1]), "the word's address")
        always(m, implies(writes, dut.outside == ~inside), "outside is told and not written")
        ever = Signal()
        m.d.sync += ever.eq(ever | dut.start_fill)
        always(m, implies(ever, at_place(inner, f, bank, word, config.pixels)), "invariant: place")
        always(m, implies(owed, ever), "invariant: no word before the start")
        always(m, implies(~ever, ~inner["filling"] | ~self.ever), "invariant: filling")
        reached(m, writes & (bank == 1) & (word == 1), "the second bank is reached")


class SpillProof(Elaboratable):
    """Memory accepts beats at any time, the banks grant reads at any time."""

    def __init__(self, spill: Spill, data: bool) -> None:
        self.spill, self.data = spill, data

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.spill
        fields = (*WALK, "f_bursts", "f_first_beat", "f_last_beat")
        inner = place(m, dut, driven=fields, stand_ins=STAND_INS)
        f = {n: constant(m, len(getattr(dut, n)), n) for n in fields}
        m.d.comb += [getattr(dut, n).eq(value) for n, value in f.items()]
        given(m, implies(dut.start, dut.idle & ~dut.abort))
        given(m, f["f_bursts"] != 0)
        asks = inner["bursts.asks"]
        ever, aborted, asked, sent = Signal(), Signal(), Signal(17), Signal(17)
        taken = dut.wvalid & dut.wready
        with m.If(dut.start):
            m.d.sync += [ever.eq(1), aborted.eq(0), asked.eq(0), sent.eq(0)]
        with m.Else():
            m.d.sync += [
                aborted.eq(aborted | dut.abort),
                asked.eq(asked + asks),
                sent.eq(sent + (taken & dut.wlast)),
            ]
        # What the proof of Bursts says of it.
        given(m, implies(asks, ever & ~dut.idle & ~aborted & (asked < f["f_bursts"])))
        given(m, implies(asks, asked - sent < MOST_BURSTS))
        beat = Signal(5)
        with m.If(dut.start):
            m.d.sync += beat.eq(f["f_first_beat"])
        with m.Elif(taken):
            m.d.sync += beat.eq(Mux(dut.wlast, 0, beat + 1))
        final = sent + 1 == f["f_bursts"]
        ends = (beat == BURST_BEATS - 1) | (final & (beat == f["f_last_beat"]))
        always(m, implies(dut.wvalid, asked != sent), "no beat of a burst that is not asked for")
        always(m, implies(dut.wvalid, dut.wlast == ends), "the last beat of each burst is marked")
        state = (inner["last_beat"] == f["f_last_beat"]) & (inner["aborted"] == aborted)
        state &= (inner["left_2"] == (f["f_bursts"] - sent)[:16]) & (asked <= f["f_bursts"])
        always(m, implies(ever, state), "invariant: state")
        always(m, implies(ever & (sent < f["f_bursts"]), inner["beat"] == beat), "invariant: beat")
        always(m, inner["asked"] == asked - sent, "invariant: asked")
        always(m, (sent <= asked) & (asked - sent <= MOST_BURSTS), "invariant: sent")
        left = ever & ~inner["active"]
        always(m, implies(left, asked == sent), "invariant: what was asked for is sent")
        always(m, implies(left & ~aborted, sent == f["f_bursts"]), "all bursts are sent")
        always(m, implies(~ever, ~inner["active"] & (asked == 0)), "invariant: before the start")
        self._room(m, inner)
        self._words(m, inner, f, taken)
        return m

    def _room(self, m: Module, inner: dict[str, Signal]) -> None:
        """State that words on their way from the banks find room in the buffer."""
        coming = [inner[f"coming{k}_1"] for k in range(READ_CYCLES)]
        filled, held = inner["filled"], inner["held"]
        always(m, held == filled + sum(coming), "invariant: held")
        always(m, held <= SPILL_WORDS, "never more words than there is room for")
        ends = (inner["end"] - inner["first"])[: len(inner["end"])]
        always(m, ends == filled[: len(ends)], "invariant: filled")

    def _words(
        self, m: Module, inner: dict[str, Signal], f: dict[str, Signal], taken: Value
    ) -> None:
        dut, config = self.spill, self.spill.config
        moves = dut.reads & dut.granted
        bank, word = walked(m, dut.start, moves, f["f_base"], f["f_strip_words"])
        at = (f["f_base"] + word)[: len(f["f_strip_words"])]
        inside = (bank < config.pixels) & ~at[-1]
        always(m, implies(moves & inside, dut.read_bank == 1 << bank[:1]), "the word's bank")
        always(m, implies(moves & inside, dut.read_address == at[:-1]), "the word's address")
        ever = Signal()
        m.d.sync += ever.eq(ever | dut.start)
        always(m, implies(ever, at_place(inner, f, bank, word, config.pixels)), "invariant: place")
        always(m, implies(inner["active"], ever), "invariant: active")
        if self.data:
            self._beats(m, moves, inside, taken)

    def _beats(self, m: Module, moves: Value, inside: Value, taken: Value) -> None:
        """Follow an arbitrary word by its number, from the bank to its beats."""
        dut, config = self.spill, self.spill.config
        mine, count, part = constant(m, 4, "mine"), Signal(8), Signal(8)
        sent_words = Signal(8)
        with m.If(dut.start):
            m.d.sync += [count.eq(0), sent_words.eq(0), part.eq(0)]
        with m.Else():
            m.d.sync += count.eq(count + moves)
            with m.If(taken):
                ends = part == config.tile_word_beats - 1
                m.d.sync += [part.eq(Mux(ends, 0, part + 1)), sent_words.eq(sent_words + ends)]
        chosen: Value = moves & (count == mine)
        for k in range(READ_CYCLES):
            chosen = past(m, chosen, f"chosen{k}")
        was_inside = past(m, past(m, inside, "inside0"), "inside1")
        given_word, known_inside = Signal(config.activation_word_bits), Signal()
        with m.If(chosen):
            m.d.sync += [given_word.eq(dut.read_word), known_inside.eq(was_inside)]
        here = taken & (sent_words == mine)
        beats = [given_word[k * 32 : (k + 1) * 32] for k in range(config.tile_word_beats)]
        for k, value in enumerate(beats):
            same = dut.wdata[: len(value)] == value
            always(m, implies(here & (part == k), same), "the word's beats, in order")
        always(m, implies(here, dut.outside == ~known_inside), "outside is told of what is sent")
        always(m, sent_words <= count, "no word is sent that was not read")
        reached(m, here & (mine == 1), "a second word is sent")


def test_every_beat_lands_once() -> None:
    prove(FillProof(Fill(CONFIG)), depth=3, reach=14)


def test_every_burst_is_sent_whole() -> None:
    prove(SpillProof(Spill(CONFIG), data=False), depth=3, reach=4)


def test_every_word_is_sent_once() -> None:
    prove_bounded(SpillProof(Spill(SMALL), data=True), cycles=8)


class Hasty(Fill):
    """A broken FILL that accepts the next beat while a word waits to be written."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.rready.eq(1)
        return m


class Endless(Spill):
    """A broken SPILL that marks a last beat only in bursts of one beat."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.wlast.eq(self.wvalid & (self.awlen == 0))
        return m


def test_broken_moves_are_refuted() -> None:
    with pytest.raises(Disproof, match="no beat comes over a word that waits"):
        prove(FillProof(Hasty(CONFIG)), depth=8)
    with pytest.raises(Disproof, match="the last beat of each burst is marked"):
        prove(SpillProof(Endless(SMALL), data=False), depth=8)
