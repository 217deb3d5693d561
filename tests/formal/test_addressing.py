"""Proof: the array reads what was written, and reports reads outside the activation memory.

Of rtl_gen.blocks.addressing: a tap that needs a word outside the memory raises ``outside``; words
that are masked as padding read the padding code. Likewise for the weight memory.
"""

from __future__ import annotations

import pytest
from amaranth import Cat, Elaboratable, Module, Signal, Value

from rtl_gen.blocks.addressing import ActivationMemory, WeightMemory
from rtl_gen.blocks.delay import delay
from rtl_gen.config import NpuConfig
from rtl_gen.isa.fields import COLUMN_BITS
from rtl_gen.timing import OPERAND_DELAY_CYCLES
from tests.formal.prove import Disproof, prove, prove_bounded
from tests.formal.wrapper import always, constant, given, implies, place, reached

LIMITS = ("col_limit", "last_strip", "last_rows", "pad_code")
TAP = {"valid": 0, "direct": 0, "pointer": 1, "column": 0, "strip": 0, "row": 0}
"""Signals of a tap -> how many cycles later than the others each comes."""


def config(pixels: int) -> NpuConfig:
    return NpuConfig(
        pixels=pixels, lanes=2, columns=2, post_units=1, activation_bits=1, activation_depth=16
    )


class Reads(Elaboratable):
    """Any tap may come in every cycle; the layer's limits are constant."""

    def __init__(self, memory: ActivationMemory) -> None:
        self.memory = memory

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.memory
        place(m, dut, driven=LIMITS)
        for name in LIMITS:
            limit = getattr(dut, name)
            m.d.comb += limit.eq(constant(m, len(limit), name))
        # Columns are signed: the largest image has 2**11 - 1 of them.
        given(m, dut.col_limit < 1 << (COLUMN_BITS - 1))
        self._outside(m)
        return m

    def tap(self, m: Module, cycles: int) -> dict[str, Value]:
        """Return the signals of the tap of ``cycles`` cycles before."""
        return {
            name: delay(m, getattr(self.memory, name), cycles - late, f"{name}_{cycles}_ago",
                        resettable=True)
            for name, late in TAP.items()
        }  # fmt: skip

    def place_of(self, tap: dict[str, Value], pixel: int) -> tuple[Value, Value, Value]:
        """Return (inside the image, bank, address) of the word that a pixel lane reads."""
        dut = self.memory
        bank = tap["strip"].as_signed() + pixel
        column = tap["column"].as_signed()
        beside = ~tap["direct"] & ((column < 0) | (column >= dut.col_limit))
        below = ~tap["direct"] & (bank == dut.last_strip) & (tap["row"] >= dut.last_rows)
        inside = ~beside & ~below & (bank >= 0) & (bank <= dut.last_strip)
        return inside, bank, tap["pointer"]

    def _outside(self, m: Module) -> None:
        dut = self.memory
        tap = self.tap(m, 3)
        wrong: list[Value] = []
        for p in range(dut.config.pixels):
            inside, bank, address = self.place_of(tap, p)
            leaves = (address >= dut.config.activation_depth) | (bank >= dut.config.pixels)
            wrong.append(inside & leaves)
        bad = tap["valid"] & Cat(wrong).any()
        always(m, dut.outside == bad, "outside: an unmasked word is not in memory")
        reached(m, dut.outside & ~tap["direct"], "a tap leaves the memory")
        reached(m, tap["valid"] & ~dut.outside & (tap["column"] == 0), "a tap stays inside")


class Contents(Reads):
    """An arbitrary word of the memory is followed from its write to the array's operands."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        dut = self.memory
        bank = constant(m, max((dut.config.pixels - 1).bit_length(), 1), "bank")
        cell = constant(m, len(dut.write_address), "cell")
        given(m, bank < dut.config.pixels)
        content, known = Signal(dut.config.activation_word_bits), Signal()
        written = dut.write_bank.bit_select(bank, 1) & (dut.write_address == cell)
        with m.If(written):
            m.d.sync += [content.eq(dut.write_word), known.eq(1)]
        # The memory is read two cycles after the tap; a word is not written while it is read.
        _, _, reading = self.place_of(self.tap(m, 2), 0)
        given(m, ~(written & (reading == cell)))
        rest = OPERAND_DELAY_CYCLES - 2
        read = delay(m, content, rest, "read", resettable=True)
        known_then = delay(m, known, rest, "known_then", resettable=True)
        tap = self.tap(m, OPERAND_DELAY_CYCLES)
        for p in range(dut.config.pixels):
            inside, there, address = self.place_of(tap, p)
            word = dut.activations.word_select(p, len(content))
            pad = dut.pad_code.replicate(dut.config.lanes)
            hit = tap["valid"] & inside & known_then & (there == bank) & (address == cell)
            always(m, implies(hit, word == read), f"pixel {p} reads what was written")
            begun = tap["valid"] & ~inside
            always(m, implies(begun, word == pad), f"pixel {p} is padded")
            reached(m, hit & read.all() & ~pad.any(), f"pixel {p} reads a written cell")
        return m


class WeightReads(Elaboratable):
    def __init__(self, memory: WeightMemory) -> None:
        self.memory = memory

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.memory
        place(m, dut)
        valid = delay(m, dut.valid, 4, "valid_then", resettable=True)
        pointer = delay(m, dut.pointer, 4, "pointer_then", resettable=True)
        beyond = pointer >= dut.config.weight_depth
        always(m, dut.outside == (valid & beyond), "outside: the weight is not in memory")
        reached(m, dut.outside, "a weight pointer leaves the memory")
        return m


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_no_tap_leaves_the_memory_unnoticed(pixels: int) -> None:
    prove(Reads(ActivationMemory(config(pixels))), depth=5, reach=6)


def test_operands_are_what_was_written() -> None:
    prove_bounded(Contents(ActivationMemory(config(2))), cycles=9)


@pytest.mark.parametrize("depth", [16, 1536])
def test_no_weight_read_leaves_the_memory_unnoticed(depth: int) -> None:
    memory = WeightMemory(NpuConfig(lanes=2, columns=2, post_units=1, weight_depth=depth))
    prove(WeightReads(memory), depth=6, reach=7)


class IgnoresTheLastBank(ActivationMemory):
    """A broken memory that takes bank ``pixels`` for one that exists."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.strip == self.config.pixels - 1):
            m.d.comb += self.outside.eq(0)
        return m


def test_a_broken_memory_is_refuted() -> None:
    with pytest.raises(Disproof, match="outside: an unmasked word"):
        prove(Reads(IgnoresTheLastBank(config(2))), depth=5)
