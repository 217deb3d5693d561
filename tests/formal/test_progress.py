"""Proof of progress: with streams that answer within a bound, a transfer ends within a bound.

Bounded, for the smallest transfers of LOAD, STORE and EMIT; the bound is reached.
"""

from __future__ import annotations

import pytest
from amaranth import Elaboratable, Module, Mux, Signal

from rtl_gen.blocks.transfer import Transfer
from rtl_gen.blocks.word_walk import WordWalk
from rtl_gen.timing import READ_CYCLES
from tests.formal.prove import Disproof, prove_bounded
from tests.formal.transfers import CONFIG, STARTS, Astray, Surroundings
from tests.formal.wrapper import always, given, implies, past, reached

WORDS, BEATS, PATIENCE_CYCLES = 2, 2, 2
"""Words and beats per word of the largest transfer; longest pause of a stream, in cycles."""
FETCH_CYCLES = {"start_load": 0, "start_store": 1 + READ_CYCLES, "start_emit": 1}
"""Cycles that a word takes before its first beat."""


def bound_cycles(start: str) -> int:
    return WORDS * (FETCH_CYCLES[start] + BEATS * PATIENCE_CYCLES)


class Progress(Elaboratable):
    """One transfer follows another, with faults of the stream and aborts at any time."""

    def __init__(self, transfer: Transfer, start: str) -> None:
        self.transfer, self.start = transfer, start

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.transfer
        around = Surroundings(m, dut, self.start)
        given(m, around.started == (dut.idle & around.settled & around.fields.f_base[0]))
        given(
            m,
            (around.fields.f_last_strip == 0)
            & (around.fields.f_last_words <= WORDS)
            & (around.fields.f_beats < BEATS),
        )
        given(m, around.fields.f_chunks < WORDS)
        # The rest of a stream that ran on is the host's to end.
        given(m, implies(around.active, ~dut.discarding))
        waiting, cycles = Signal(4), Signal(8)
        m.d.sync += [
            waiting.eq(Mux(around.active & dut.stalled, waiting + 1, 0)),
            cycles.eq(Mux(around.resting, 0, cycles + 1)),
        ]
        given(m, ~(around.active & dut.stalled & (waiting == PATIENCE_CYCLES - 1)))
        bound = bound_cycles(self.start)
        always(m, implies(around.active, cycles < bound), "over within the bound")
        slowest = past(m, around.active & ~dut.abort & (cycles == bound - 1), "slowest")
        reached(m, slowest & dut.done, "the bound is reached")
        return m


@pytest.mark.parametrize("start", STARTS)
def test_a_transfer_is_over_within_a_bound(start: str) -> None:
    prove_bounded(Progress(Transfer(CONFIG), start), cycles=bound_cycles(start) + 4)


class NeverCounts(WordWalk):
    """A broken walk that goes from word to word but does not count them."""

    def next_word(self, m: Module) -> None:
        m.d.sync += self.pointer.eq(self.pointer + 1)


class Endless(Astray):
    """A broken block whose transfers never end."""

    broken = NeverCounts


def test_an_endless_transfer_is_refuted() -> None:
    with pytest.raises(Disproof, match="over within the bound"):
        prove_bounded(Progress(Endless(CONFIG), "start_load"), cycles=16)
