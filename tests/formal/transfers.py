"""What the proofs of LOAD, STORE and EMIT share: the surroundings of a Transfer, and its walk."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value

from rtl_gen.blocks.transfer import Transfer
from rtl_gen.config import NpuConfig
from tests.formal.wrapper import always, constant, given, implies, place

CONFIG = NpuConfig(
    lanes=8, columns=8, activation_bits=8, post_units=2, activation_depth=16, result_depth=64
)
"""Two banks of 16 words, two stream beats a word; more results than the walk has addresses."""

FIELDS = ("f_base", "f_strip_words", "f_last_strip", "f_last_words", "f_beats", "f_chunks")
STARTS = ("start_load", "start_store", "start_emit")


class Surroundings:
    """A Transfer as the sequencer uses it: one start at a time, fields that stand a cycle before it
    and stay; abort comes whenever it likes. ``active``: a transfer of ``start``'s kind runs;
    transfers of the other kinds may come before it. The streams may do anything."""

    def __init__(self, m: Module, transfer: Transfer, start: str) -> None:
        self.dut = dut = transfer
        self.inner = place(m, transfer, driven=FIELDS)
        for name in FIELDS:
            field = getattr(dut, name)
            m.d.comb += field.eq(constant(m, len(field), name))
        given(m, dut.f_strip_words >= 1)
        given(m, dut.f_last_words >= 1)
        self.settled = Signal()
        m.d.sync += self.settled.eq(1)
        starts = [getattr(dut, name) for name in STARTS]
        for k, one in enumerate(starts):
            others = starts[:k] + starts[k + 1 :]
            given(m, implies(one, self.settled & ~others[0] & ~others[1]))
        self.started = getattr(dut, start)
        self.mine = Signal()
        with m.If(dut.idle):
            m.d.sync += self.mine.eq(self.started)
        self.active = self.mine & ~dut.idle


class Walk:
    """Words in order: strip by strip, address by address. ``words`` of them are behind us; word
    ``c * strip_words + o`` is address ``base + o`` of bank c."""

    def __init__(self, around: Surroundings) -> None:
        dut = around.dut
        self.dut, self.inner = dut, around.inner
        self.words = Signal(10)
        self.total = Signal(10)
        self.offset = self.inner["pointer"] - dut.f_base

    def describe(self, m: Module) -> None:
        dut = self.dut
        m.d.comb += self.total.eq(dut.f_last_strip * dut.f_strip_words + dut.f_last_words)

    @property
    def last(self) -> Value:
        return self.words == self.total - 1

    def number(self, bank: Value, address: Value) -> Value:
        """Which word goes to (or comes from) that place."""
        return bank * self.dut.f_strip_words + address - self.dut.f_base

    def holds(self, bank: Value, address: Value) -> Value:
        """Whether the walk comes by that place at all."""
        dut = self.dut
        limit = Mux(bank == dut.f_last_strip, dut.f_last_words, dut.f_strip_words)
        offset = address - dut.f_base
        return (bank <= dut.f_last_strip) & (offset >= 0) & (offset < limit)

    def registers_stand_at(self, m: Module, when: Value, word: Value) -> None:
        """The invariant of the induction: strip, pointer and words_left stand at ``word``, which
        is at most the first one outside the memory."""
        dut, strip, left = self.dut, self.inner["strip"], self.inner["words_left"]
        limit = Mux(strip == dut.f_last_strip, dut.f_last_words, dut.f_strip_words)
        for name, condition in {
            "strip": strip <= dut.f_last_strip,
            "banks": strip <= dut.config.pixels,
            "depth": self.inner["pointer"] <= dut.config.activation_depth,
            "offset": (self.offset >= 0) & (self.offset < limit),
            "left": left == limit - self.offset,
            "last strip": self.inner["last_strip"] == (strip == dut.f_last_strip),
            "last in strip": self.inner["last_in_strip"] == (left == 1),
            "number": word == strip * dut.f_strip_words + self.offset,
        }.items():
            always(m, implies(when, condition), f"invariant of the walk: {name}")
