"""Proof: every beat that LOAD accepts lands exactly once, in order, in its word of its bank.

Of rtl_gen.blocks.transfer, with streams that are too short or too long, aborts, and a layer that
writes to the same memory.
"""

from __future__ import annotations

import pytest
from amaranth import Elaboratable, Module, Mux, Signal

from rtl_gen.blocks.transfer import Transfer
from rtl_gen.blocks.word_walk import WordWalk
from rtl_gen.parameters import STREAM_BITS
from tests.formal.prove import Disproof, prove
from tests.formal.transfers import CONFIG, Astray, Surroundings, Walk
from tests.formal.wrapper import always, constant, given, implies, past, reached

DEPTH = 3


class Load(Elaboratable):
    """LOAD on any stream, for an arbitrary word of the memory."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.around = Surroundings(m, self.transfer, "start_load")
        self.walk = Walk(self.around)
        self.walk.describe(m)
        self.accept, self.completes = Signal(), Signal()
        self.part = Signal(5)
        self._count(m)
        self._landing(m)
        self._end(m)
        self._discard(m)
        self._progress(m)
        return m

    def _count(self, m: Module) -> None:
        """Count beats and words as the host sees them."""
        dut, walk, part = self.transfer, self.walk, self.part
        m.d.comb += [
            self.accept.eq(dut.s_axis_tvalid & dut.s_axis_tready & ~dut.discarding),
            self.completes.eq(self.accept & (part == self.around.fields.f_beats)),
        ]
        with m.If(self.around.resting):
            m.d.sync += [walk.words.eq(0), part.eq(0)]
        with m.Elif(self.completes):
            m.d.sync += [walk.words.eq(walk.words + 1), part.eq(0)]
        with m.Elif(self.accept):
            m.d.sync += part.eq(part + 1)
        active = self.around.active
        always(m, active == self.around.inner["loading"], "invariant: loading")
        always(m, implies(active, part == self.around.inner["beat"]), "invariant: beat")
        always(m, implies(active, part <= self.around.fields.f_beats), "invariant: beats")
        last_beat = self.around.inner["last_beat"] == (part == self.around.fields.f_beats)
        always(m, implies(active, last_beat), "invariant: last beat")
        walk.registers_stand_at(m, active, walk.words)

    def _landing(self, m: Module) -> None:
        """State how an arbitrary beat of an arbitrary word of the memory is written."""
        dut, walk = self.transfer, self.walk
        cell_bank = constant(m, 1, "cell_bank")
        cell = constant(m, len(dut.write_address), "cell")
        slot = constant(m, 1, "slot")
        given(m, cell_bank < CONFIG.pixels)
        aimed = walk.holds(cell_bank, cell) & (walk.words == walk.number(cell_bank, cell))
        expected = Signal(STREAM_BITS)
        with m.If(self.accept & aimed):
            with m.If(self.part == slot):
                m.d.sync += expected.eq(dut.s_axis_tdata)
            with m.Elif(self.part == 0):
                m.d.sync += expected.eq(0)
        hit = dut.write_bank.bit_select(cell_bank, 1) & (dut.write_address == cell)
        offers = dut.write_bank.any()
        due = past(m, Mux(dut.blocked & offers, hit, self.completes & aimed), "due")
        data = dut.write_word.word_select(slot, STREAM_BITS)
        # On offer until the first cycle that is not blocked, which is the write.
        always(m, hit == due, "a cell is written when its word is complete, and only then")
        always(m, implies(offers & dut.blocked, ~self.accept), "no beat while a word waits")
        reached(m, hit & past(m, hit & dut.blocked, "waited"), "a word waits for a layer's write")
        always(m, implies(hit, data == expected), "the beat is in its place of the word")
        begun = self.around.active & aimed & (self.part != 0)
        always(m, implies(begun, data == expected), "invariant: word")
        reached(
            m,
            hit & cell_bank & slot & (cell > self.around.fields.f_base),
            "a second strip is written",
        )
        outside = (self.around.inner["pointer"] >= CONFIG.activation_depth) | (
            self.around.inner["strip"] >= CONFIG.pixels
        )
        reported = dut.outside == outside
        always(m, implies(self.completes, reported), "a word beyond the memory is reported")
        reached(m, self.completes & dut.outside & self.part, "a word leaves the memory")

    def _end(self, m: Module) -> None:
        dut, active = self.transfer, self.around.active
        final = Signal()
        m.d.comb += final.eq(self.completes & self.walk.last)
        over = final | dut.short | (self.completes & dut.outside)
        due = past(m, over, "over")
        loaded = past(m, active, "loaded")
        always(m, implies(loaded, dut.done == due), "done after the last beat, or a faulty one")
        always(m, dut.short == (self.accept & dut.s_axis_tlast & ~final), "short: TLAST early")
        always(m, dut.long == (final & ~dut.s_axis_tlast), "long: no TLAST on the last beat")
        ended = past(m, active & (over | dut.abort), "ended")
        always(m, implies(ended, self.around.resting), "at rest with done or after an abort")
        goes_on = past(m, active & ~over & ~dut.abort, "goes_on")
        always(m, implies(goes_on, ~self.around.resting), "not at rest before")
        offers = dut.write_bank.any()
        offered = past(m, self.completes | (offers & dut.blocked), "offered")
        always(m, implies(offers, offered), "a block at rest writes nothing new")
        reached(m, final & dut.s_axis_tlast & (self.walk.words == 2), "three words are loaded")
        reached(m, dut.short & self.part, "a stream ends within a word")

    def _discard(self, m: Module) -> None:
        """State that beats after ``long``, up to TLAST, are taken and land nowhere.

        ``accept`` excludes them, and every write follows an accept.
        """
        dut = self.transfer
        ends = dut.s_axis_tvalid & dut.s_axis_tlast
        rest = past(m, ~dut.flush & (dut.long | (dut.discarding & ~ends)), "rest")
        always(m, dut.discarding == rest, "discarding from long to TLAST or flush")
        always(m, implies(dut.discarding, dut.s_axis_tready), "the rest of a stream is taken")
        reached(m, self.around.active & dut.discarding & ends, "a LOAD waits for the rest to end")

    def _progress(self, m: Module) -> None:
        """State that each cycle of a LOAD takes a beat or counts as stalled.

        So the number of beats and the stream's longest pause bound its length.
        """
        dut, active = self.transfer, self.around.active
        waits = dut.blocked & dut.write_bank.any()
        always(
            m,
            implies(active & ~waits, dut.s_axis_tready),
            "a LOAD makes the stream wait for a word only",
        )
        always(m, implies(active, self.accept ^ dut.stalled), "a beat or a stall in every cycle")


def test_every_beat_lands_once() -> None:
    prove(Load(Transfer(CONFIG)), depth=DEPTH, reach=12)


class SkipsAStrip(Transfer):
    """A broken block that writes words of the second strip into the first."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.walk.strip == 1):
            m.d.comb += self.write_bank.eq(1)
        return m


class LosesABeat(Transfer):
    """A broken block that accepts a beat in the cycle before it is ready."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.start_load):
            m.d.comb += self.s_axis_tready.eq(1)
        return m


class NeverLeaves(WordWalk):
    """A broken walk that visits the same strip again."""

    def next_word(self, m: Module) -> None:
        with m.If(self.last_in_strip):
            self.enter_strip(m, self.strip)
        with m.Else():
            super().next_word(m)


class Endless(Astray):
    """A broken block that never leaves the first strip."""

    broken = NeverLeaves


@pytest.mark.parametrize(
    "broken, why",
    [
        (SkipsAStrip, "a cell is written|a block at rest writes nothing new"),
        (LosesABeat, "a cell is written|invariant: beat|short|long"),
        (Endless, "a cell is written|invariant of the walk|done"),
    ],
)
def test_a_broken_load_is_refuted(broken: type[Transfer], why: str) -> None:
    with pytest.raises(Disproof, match=why):
        prove(Load(broken(CONFIG)), depth=8)
