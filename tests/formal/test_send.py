"""Proof: STORE and EMIT send every word exactly once, in order, and hold it until it is taken.

Of rtl_gen.blocks.transfer: also TLAST, the cycles per word, and what an abort still sends.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value

from rtl_gen.blocks.transfer import Transfer
from rtl_gen.parameters import STREAM_BITS
from rtl_gen.timing import READ_CYCLES
from tests.formal.prove import Disproof, prove
from tests.formal.transfers import CONFIG, Surroundings, Walk
from tests.formal.wrapper import always, constant, given, implies, past, reached

DEPTH = 3


@dataclass
class Word:
    """The word that a transfer is sending, as its source describes it."""

    fetch_cycles: int
    """Cycles that the word takes to fetch."""
    beats: Value
    """Stream beats of a word, minus 1."""
    last: Value
    """1 in the last word of the transfer."""
    followed: Value
    """1 in the arbitrary word that the proof follows."""
    data: Value
    """Contents of the followed word."""


class Send(Elaboratable):
    """Properties common to STORE and EMIT; subclasses say where words come from."""

    start: str
    emitting: int

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.around = Surroundings(m, self.transfer, self.start)
        self.words = Signal(16)
        self.phase = Signal(6)
        self.word = word = self._source(m)
        self._order(m, word)
        self._stream(m, word)
        self._end(m, word)
        return m

    def _source(self, m: Module) -> Word:
        """Describe the word that is fetched or sent, and state how it is read."""
        raise NotImplementedError

    def _order(self, m: Module, word: Word) -> None:
        """State that each word is fetched once and its beats are sent once, in order.

        ``phase`` counts the cycles of a word that are not stalled: its fetch, then its beats.
        """
        dut, active = self.transfer, self.around.active
        ends = self.phase == word.fetch_cycles + word.beats
        with m.If(self.around.resting):
            m.d.sync += [self.words.eq(0), self.phase.eq(0)]
        with m.Elif(~dut.stalled):
            m.d.sync += self.phase.eq(Mux(ends, 0, self.phase + 1))
            with m.If(ends):
                m.d.sync += self.words.eq(self.words + 1)
        self.sending = active & (self.phase >= word.fetch_cycles)
        self.part = (self.phase - word.fetch_cycles)[:6]
        self.ends = self.sending & ends & dut.m_axis_tready
        always(m, implies(active, dut.m_axis_tvalid == self.sending), "a beat in its cycle")
        always(m, implies(active, self.phase <= word.fetch_cycles + word.beats), "invariant: phase")
        stalled = self.sending & ~dut.m_axis_tready
        always(m, implies(active, dut.stalled == stalled), "only TREADY stalls")
        always(m, implies(dut.m_axis_tvalid, ~dut.idle), "an idle block offers nothing")

    def _stream(self, m: Module, word: Word) -> None:
        dut = self.transfer
        followed = self.sending & word.followed
        data = dut.m_axis_tdata
        for k in range(len(word.data) // STREAM_BITS):
            here = followed & (self.part == k)
            rest = word.data[k * STREAM_BITS :]
            always(m, implies(here, data == rest[:STREAM_BITS]), f"beat {k} of an arbitrary word")
            kept = dut.word[: len(rest)] == rest
            always(m, implies(here, kept), f"invariant: word {k}")
            reached(m, here & dut.m_axis_tready & (self.words == 1), f"beat {k} of word 1")
        last = word.last & (self.part == word.beats)
        always(m, implies(self.sending, dut.m_axis_tlast == last), "TLAST on the last beat")
        waits = dut.m_axis_tvalid & ~dut.m_axis_tready
        held = past(m, waits, "held")
        payload = Cat(dut.m_axis_tdata, dut.m_axis_tlast)
        always(m, implies(held, dut.m_axis_tvalid), "TVALID stays until TREADY")
        same = payload == past(m, payload, "payload")
        always(m, implies(held, same), "the payload stays until TREADY")
        reached(m, held & waits & dut.m_axis_tlast, "the last beat waits")

    def _end(self, m: Module, word: Word) -> None:
        """State that ``done`` follows the last beat, and an abort sends the beat on offer only."""
        dut, active = self.transfer, self.around.active
        inner = self.around.inner
        aborted = Signal()
        m.d.sync += aborted.eq(~self.around.resting & (aborted | dut.abort))
        stopped = active & (aborted | dut.abort)
        final = self.ends & word.last & ~stopped
        ended = past(m, final, "ended")
        sent = past(m, active, "sent")
        always(m, implies(sent, dut.done == ended), "done after the last beat")
        always(m, implies(active & aborted, dut.m_axis_tvalid), "aborted: nothing is fetched")
        taken = past(m, stopped & dut.m_axis_tready & dut.m_axis_tvalid, "taken")
        ends_at_once = dut.outside | (dut.abort & ~dut.m_axis_tvalid)
        fetching = past(m, active & ends_at_once, "fetching")
        resting = self.around.resting
        always(m, implies(taken | fetching, resting), "aborted: at rest after the beat on offer")
        always(m, implies(ended, resting), "at rest with done")
        goes_on = past(m, active & ~final & ~stopped & ~dut.outside, "goes_on")
        always(m, implies(goes_on, ~resting), "not at rest before done")
        reached(m, ended & (self.words == 2), "two words are sent")
        reached(m, taken & past(m, aborted, "long_aborted"), "an aborted beat waits and is taken")
        for name, condition in {
            "sending": inner["sending"] == self.sending,
            "emitting": inner["emitting"] == self.emitting,
            "dropped": inner["dropped"] == (aborted & active),
            "final": implies(self.sending, inner["final_word"] == word.last),
            "beats": implies(self.sending, inner["beats_left"] + self.part == word.beats),
        }.items():
            always(m, implies(active, condition), f"invariant: {name}")


class Store(Send):
    """STORE: words come from the activation memory."""

    start, emitting = "start_store", 0

    def _source(self, m: Module) -> Word:
        dut = self.transfer
        walk = Walk(self.around)
        walk.describe(m)
        m.d.comb += walk.words.eq(self.words)
        bank, address = (
            constant(m, 1, "bank"),
            constant(m, len(self.around.fields.f_base), "address"),
        )
        data = constant(m, dut.config.activation_word_bits, "data")
        followed = walk.holds(bank, address) & (walk.words == walk.number(bank, address))
        asked = dut.read_valid & (dut.read_strip == bank) & (dut.read_pointer == address)
        active = self.around.active
        fetch = 1 + READ_CYCLES
        fetching = active & (self.phase < fetch)
        always(m, implies(active, dut.read_valid == (self.phase == 1)), "a read starts each word")
        read = active & dut.read_valid
        always(m, implies(read, asked == followed), "words are read in order")
        walk.registers_stand_at(m, fetching, self.words)
        arrives: Value = asked
        for k in range(2, fetch):
            arrives = past(m, arrives, f"asked_{k}")
            here = active & followed & (self.phase == k)
            always(m, implies(here, arrives), f"invariant: asked {k}")
        given(m, implies(arrives, dut.read_word == data))
        wait = Mux(fetching, self.phase, 0)
        always(m, implies(active, self.around.inner["wait"] == wait), "invariant: wait")
        between = active & (self.phase >= fetch) & ~self.around.inner["final_word"]
        walk.registers_stand_at(m, between, self.words + 1)
        outside = (self.around.inner["pointer"] >= dut.config.activation_depth) | (
            self.around.inner["strip"] >= dut.config.pixels
        )
        always(m, implies(read, dut.outside == outside), "a word beyond the memory is reported")
        later = fetching & (self.phase > 1)
        always(m, implies(later, ~outside), "invariant: a word beyond is not waited for")
        reached(m, read & bank & asked, "a second bank is read")
        return Word(fetch, self.around.fields.f_beats, walk.last, followed, data)


class Emit(Send):
    """EMIT: words come from the result buffer."""

    start, emitting = "start_emit", 1

    def _source(self, m: Module) -> Word:
        dut, config = self.transfer, self.transfer.config
        index = constant(m, len(self.around.fields.f_chunks), "index")
        data = constant(m, len(dut.result), "data")
        given(m, implies(dut.result_address == index, dut.result == data))
        followed = self.words == index
        active = self.around.active
        fetching, sending = active & (self.phase == 0), active & (self.phase > 0)
        pointer = self.around.inner["pointer"]
        read = dut.result_address == self.words
        always(m, implies(fetching, read & (pointer == self.words)), "results are read in order")
        following = sending & (self.words != self.around.fields.f_chunks)
        always(m, implies(following, pointer == self.words + 1), "invariant: pointer")
        always(m, implies(active, self.words <= self.around.fields.f_chunks), "invariant: words")
        values = [data.word_select(u, config.accumulator_bits) for u in range(config.post_units)]
        extended = Cat(Cat(v, v[-1].replicate(STREAM_BITS - len(v))) for v in values)
        last = self.words == self.around.fields.f_chunks
        return Word(1, Value.cast(config.post_units - 1), last, followed, extended)


@pytest.mark.parametrize("properties", [Store, Emit])
def test_every_word_is_sent_once(properties: type[Send]) -> None:
    prove(properties(Transfer(CONFIG)), depth=DEPTH, reach=20)


class Restless(Transfer):
    """A broken block that shifts to the next beat in a stalled cycle."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.stalled & self.sending):
            m.d.sync += self.word.eq(self.word >> STREAM_BITS)
        return m


class EarlyLast(Transfer):
    """A broken block with TLAST on all beats of the last word."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.m_axis_tlast.eq(self.final_word)
        return m


class Repeats(Transfer):
    """A broken block that reads words of the second strip from the first."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.read_strip.eq(0)
        return m


@pytest.mark.parametrize(
    "properties, broken, why",
    [
        (Store, Restless, "beat 0 of an arbitrary word|invariant: word|the payload stays"),
        (Emit, EarlyLast, "TLAST on the last beat"),
        (Store, Repeats, "words are read in order"),
    ],
)
def test_a_broken_send_is_refuted(properties: type[Send], broken: type[Transfer], why: str) -> None:
    with pytest.raises(Disproof, match=why):
        prove(properties(broken(CONFIG)), depth=12)
