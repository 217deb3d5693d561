"""Proof: FETCH requests each AXI4 burst once, and every beat lands once in the weight memory.

Of rtl_gen.blocks.fetch: bursts come in order, within a page and with the right length.
"""

from __future__ import annotations

import pytest
from amaranth import Elaboratable, Module, Mux, Signal, Value

from rtl_gen.blocks.fetch import MOST_BURSTS, Fetch
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS, MEMORY_PAGE_BITS
from rtl_gen.isa.fields import SLOT_BITS
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, constant, given, implies, past, place, reached

CONFIG = NpuConfig(
    lanes=8, columns=24, weight_digit_bits=1, weight_depth=16, memory_port_bits=64
)  # fmt: skip
"""Weight words of six 32-bit columns: three beats of the 64-bit port."""
WIDE = NpuConfig(lanes=8, columns=8, weight_digit_bits=1, weight_depth=16, memory_port_bits=128)
"""A beat of the 128-bit port holds more than a weight word."""


class FetchProof(Elaboratable):
    """Memory answers the bursts in order, with BURST_BEATS beats each, after any time.

    RLAST marks the last beat. A start comes only when the block is idle.
    """

    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.fetch
        self.inner = place(m, dut, driven=("f_first", "f_bursts", "f_weight_base", "base"))
        self.fields = {n: constant(m, len(getattr(dut, n)), n)
                       for n in ("f_first", "f_bursts", "f_weight_base", "base")}  # fmt: skip
        m.d.comb += [getattr(dut, n).eq(value) for n, value in self.fields.items()]
        given(m, implies(dut.start, dut.idle & ~dut.abort))
        self.asked, self.answered = Signal(SLOT_BITS + 1), Signal(SLOT_BITS + 1)
        self.beat = Signal(range(BURST_BEATS))
        self.ever = Signal()
        m.d.sync += self.ever.eq(self.ever | dut.start)
        self._memory(m)
        self._requests(m)
        self._landing(m)
        return m

    def _memory(self, m: Module) -> None:
        """Count the bursts ``asked`` (address taken) and ``answered`` (last beat came)."""
        dut = self.fetch
        taken = dut.arvalid & dut.arready
        given(m, implies(dut.rvalid, self.answered != self.asked))
        given(m, dut.rlast == (self.beat == BURST_BEATS - 1))
        with m.If(dut.rvalid):
            m.d.sync += self.beat.eq(self.beat + 1)
        with m.If(dut.start):
            m.d.sync += [self.asked.eq(0), self.answered.eq(0)]
        with m.Else():
            m.d.sync += self.asked.eq(self.asked + taken)
            m.d.sync += self.answered.eq(self.answered + (dut.rvalid & dut.rlast))
        always(m, dut.rready == 1, "beats are always taken")
        always(m, implies(dut.idle, self.asked == self.answered), "idle: nothing under way")
        always(m, implies(dut.idle, self.beat == 0), "invariant: no burst is half answered")
        always(m, self.answered <= self.asked, "invariant: no answer without a question")

    def _requests(self, m: Module) -> None:
        dut, asked = self.fetch, self.asked
        beat_bytes = dut.config.memory_port_bits // 8
        number = self.fields["f_first"] + asked
        where = (self.fields["base"] << MEMORY_PAGE_BITS) + number[:SLOT_BITS] * (
            BURST_BEATS * beat_bytes
        )
        waits = past(m, dut.arvalid & ~dut.arready, "waits")
        always(m, implies(dut.arvalid, dut.araddr == where[:32]), "bursts in order, each once")
        always(m, implies(waits, dut.arvalid), "ARVALID stays until ARREADY")
        in_page = dut.araddr[:MEMORY_PAGE_BITS] + (BURST_BEATS * beat_bytes)
        page_ends = in_page <= 1 << MEMORY_PAGE_BITS
        always(m, implies(dut.arvalid, page_ends), "no burst crosses a page")
        always(m, dut.arlen == BURST_BEATS - 1, "the burst's length")
        always(m, (1 << dut.arsize) == beat_bytes, "the beat's size")
        wanted, under_way = self.inner["wanted"], self.inner["under_way"]
        always(m, under_way == asked - self.answered + dut.arvalid, "invariant: under way")
        always(m, under_way <= MOST_BURSTS, "not too many under way")
        aborted = Signal()
        m.d.sync += aborted.eq(Mux(dut.start, 0, aborted | dut.abort))
        left = asked + dut.arvalid + wanted == self.fields["f_bursts"]
        always(m, implies(self.ever & ~aborted, left), "all bursts, and no more")
        fewer = asked + dut.arvalid <= self.fields["f_bursts"]
        always(m, implies(self.ever, fewer), "never more bursts than wanted")
        always(m, implies(aborted, wanted == 0), "aborted: no further bursts")
        always(
            m, implies(~self.ever, (under_way == 0) & (wanted == 0)), "invariant: before the start"
        )
        always(m, implies(~self.ever, ~dut.write_columns.any()), "invariant: no write before it")
        always(m, implies(wanted.any(), self.inner["burst"] == (number + dut.arvalid)[:SLOT_BITS]),
               "invariant: burst")  # fmt: skip
        done = self.ever & ~aborted & dut.idle & past(m, dut.write_columns.any(), "wrote")
        always(m, implies(done, self.answered == self.fields["f_bursts"]), "idle when all is there")
        reached(m, done & (self.answered == 1), "one burst is fetched")

    def _landing(self, m: Module) -> None:
        """State that a beat is written one cycle after it came, to the next columns."""
        dut = self.fetch
        beats, columns = dut.config.fetched_word_beats, dut.config.memory_port_bits // 32
        word, part = Signal(len(dut.write_address)), Signal(range(beats + 1))
        with m.If(dut.start):
            m.d.sync += [word.eq(self.fields["f_weight_base"]), part.eq(0)]
        with m.Elif(dut.rvalid):
            m.d.sync += [
                part.eq(Mux(part == beats - 1, 0, part + 1)),
                word.eq(word + (part == beats - 1)),
            ]
        always(m, part < beats, "invariant: part")
        here: Value = (self.inner["word"] == word) & (self.inner["beat"] == part)
        always(m, implies(self.ever, here), "invariant: place")
        came = past(m, dut.rvalid, "came")
        for column in range(len(dut.write_columns)):
            mine = past(m, dut.rvalid & (part == column // columns), f"mine{column}")
            always(m, dut.write_columns[column] == mine, f"column {column}: written with its beat")
        same = (dut.write_address == past(m, word, "word")) & (
            dut.write_data == past(m, dut.rdata, "data")
        )
        always(m, implies(came, same), "the beat's data at its word")
        reached(m, came & (word == 2), "a third word is reached")


@pytest.mark.parametrize("config", [CONFIG, WIDE])
def test_every_burst_is_fetched_once(config: NpuConfig) -> None:
    prove(FetchProof(Fetch(config)), depth=3, reach=42)


class TooLong(Fetch):
    """A broken block that asks for one beat more than a burst holds."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.arlen.eq(BURST_BEATS)
        return m


class Slips(Fetch):
    """A broken block that writes a beat to the first column, whatever its own."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.rvalid & ~self.rlast):
            m.d.sync += self.write_columns.eq(1)
        return m


@pytest.mark.parametrize(
    "broken, why", [(TooLong, "the burst's length"), (Slips, "column 0|column 1")]
)
def test_a_broken_fetch_is_refuted(broken: type[Fetch], why: str) -> None:
    with pytest.raises(Disproof, match=why):
        prove(FetchProof(broken(CONFIG)), depth=6)
