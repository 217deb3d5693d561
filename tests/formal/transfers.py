"""The environment of rtl_gen.blocks.transfer in its proofs, and a model of its walk over memory.

Shared by the proofs of LOAD, STORE and EMIT.
"""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import patch

from amaranth import Module, Mux, Signal, Value
from amaranth.asserts import AnySeq

from rtl_gen.blocks.transfer import Transfer
from rtl_gen.blocks.word_walk import WordWalk
from rtl_gen.config import NpuConfig
from tests.formal.wrapper import always, constant, given, implies, place

CONFIG = NpuConfig(
    lanes=8, columns=8, activation_bits=8, post_units=2, activation_depth=16, result_depth=64
)
"""Two banks of 16 words of two stream beats; more result words than a bank has addresses."""

FIELDS = ("f_base", "f_strip_words", "f_last_strip", "f_last_words", "f_beats", "f_chunks")
HELD = {"f_last_strip": "last_strip_index"}
"""Field -> register that holds it, where their names differ."""
STARTS = ("start_load", "start_store", "start_emit")


class Astray(Transfer):
    """A Transfer with another walk over the words of memory, for broken variants."""

    broken: type[WordWalk]

    def elaborate(self, platform: object) -> Module:
        with patch("rtl_gen.blocks.transfer.WordWalk", self.broken):
            return super().elaborate(platform)


class Surroundings:
    """A Transfer driven as the sequencer drives it; everything else is free.

    One start comes at a time. ``fields`` are stable while the block rests and may be anything once
    it runs; abort, both streams and the other writer of the memory may do anything. ``active``: a
    transfer of the kind of ``start`` runs; others may come before it.
    """

    def __init__(self, m: Module, transfer: Transfer, start: str) -> None:
        self.dut = dut = transfer
        self.inner = place(m, transfer, driven=FIELDS)
        self.resting, rested = self.inner["resting"], self.inner["rested"]
        self.fields = SimpleNamespace()
        for name in FIELDS:
            field = getattr(dut, name)
            stands = constant(m, len(field), name)
            setattr(self.fields, name, stands)
            m.d.comb += field.eq(Mux(self.resting, stands, AnySeq(len(field))))
        given(m, self.fields.f_strip_words >= 1)
        given(m, self.fields.f_last_words >= 1)
        for held, value in {
            **{HELD.get(name, name[2:]): getattr(self.fields, name) for name in FIELDS},
            "single_full": self.fields.f_strip_words == 1,
            "single_last": self.fields.f_last_words == 1,
        }.items():
            always(m, implies(~self.resting | rested, self.inner[held] == value), f"held: {held}")
        always(m, dut.idle == (self.resting & rested), "idle from the second cycle of rest on")
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
        self.active = self.mine & ~self.resting


class Walk:
    """Model of the walk over memory: strip by strip, address by address.

    ``words`` counts the words that are done; word c * strip_words + o is at address base + o of
    bank c.
    """

    def __init__(self, around: Surroundings) -> None:
        dut = around.dut
        self.dut, self.inner, self.fields = dut, around.inner, around.fields
        self.words = Signal(10)
        self.total = Signal(10)
        self.offset = self.inner["pointer"] - self.fields.f_base

    def describe(self, m: Module) -> None:
        fields = self.fields
        m.d.comb += self.total.eq(fields.f_last_strip * fields.f_strip_words + fields.f_last_words)

    @property
    def last(self) -> Value:
        return self.words == self.total - 1

    def number(self, bank: Value, address: Value) -> Value:
        """Return the number of the word at that place."""
        return bank * self.fields.f_strip_words + address - self.fields.f_base

    def holds(self, bank: Value, address: Value) -> Value:
        """Return a condition: the walk visits that place."""
        fields = self.fields
        limit = Mux(bank == fields.f_last_strip, fields.f_last_words, fields.f_strip_words)
        offset = address - fields.f_base
        return (bank <= fields.f_last_strip) & (offset >= 0) & (offset < limit)

    def registers_stand_at(self, m: Module, when: Value, word: Value) -> None:
        """State the invariant of the induction: strip, pointer and words_left belong to ``word``.

        The word is at most the first one outside the memory.
        """
        dut, fields = self.dut, self.fields
        strip, left = self.inner["strip"], self.inner["words_left"]
        limit = Mux(strip == fields.f_last_strip, fields.f_last_words, fields.f_strip_words)
        for name, condition in {
            "strip": strip <= fields.f_last_strip,
            "banks": strip <= dut.config.pixels,
            "depth": self.inner["pointer"] <= dut.config.activation_depth,
            "offset": (self.offset >= 0) & (self.offset < limit),
            "left": left == limit - self.offset,
            "last strip": self.inner["last_strip"] == (strip == fields.f_last_strip),
            "last in strip": self.inner["last_in_strip"] == (left == 1),
            "number": word == strip * fields.f_strip_words + self.offset,
        }.items():
            always(m, implies(when, condition), f"invariant of the walk: {name}")
