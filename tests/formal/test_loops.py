"""Proof: the loop nest of a LAYER visits every tap at the position that its records add up to.

Of rtl_gen.blocks.loops: the flags of each tap are those of an odometer over the loop levels;
column, row and address are the sums of the records taken; weight addresses cannot step over the
end of the memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from amaranth import Array, Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.asserts import AnySeq

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.blocks.loops import RECORD_BITS, TAP_CYCLES, LoopNest
from rtl_gen.blocks.memories import Ram
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import slot_words
from rtl_gen.isa.fields import DIGITS, MOVE, START, counted_levels, records
from rtl_gen.isa.opcodes import Opcode
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, constant, given, implies, own_signals, place, reached

CONFIG = NpuConfig(activation_depth=16, weight_depth=16)
REUSING = dataclasses.replace(CONFIG, depthwise_taps=3)
SPARSE = NpuConfig(activation_depth=16, weight_depth=16, sparsity="2:4")
"""An NPU whose nest has the level ``phases`` besides."""
WIDE = dataclasses.replace(CONFIG, wide_input_passes=2)
"""An NPU whose nest has the level ``digits`` besides."""
STRIP = (3, 5)
"""Rows of a strip and words of a row; constants, as products of variables are hard to solve."""
ROW_BITS = 10
"""Width that holds the rows of 32 such strips and one step."""
POINTER_CYCLES = TAP_CYCLES + 1
"""Cycles from a step of the nest to the tap's address."""
DEPTH = POINTER_CYCLES + 1
"""Cycles in which a step passes all stages of the nest."""


def field(nest: LoopNest, level: str) -> Signal:
    """Return the input with the level's repetitions, minus 1."""
    signal: Signal = getattr(nest, f"f_{level}")
    return signal


class Nest(Elaboratable):
    """A nest with any fields and any pauses between the taps.

    ``count`` holds an odometer over the loop levels, the model that the proofs compare with.
    """

    def __init__(self, nest: LoopNest) -> None:
        self.nest = nest
        self.pass_levels = nest.levels[: nest.levels.index("passes") + 1]
        self.tap_levels = nest.levels[: nest.levels.index("pool_cols")]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.nest
        names = [name for name in dut.signature.members if name.startswith("f_")]
        self.inner = place(m, dut, driven=names, stand_ins={"records": self._records})
        for name in names:
            signal = getattr(dut, name)
            m.d.comb += signal.eq(constant(m, len(signal), name))
        self.running = Signal()
        with m.If(dut.start):
            m.d.sync += self.running.eq(1)
        with m.Elif((dut.advance & dut.layer_last) | AnySeq(1)):  # or an error
            m.d.sync += self.running.eq(0)
        given(m, implies(dut.advance, self.running))
        # The sequencer lets the pipelines run empty before another layer.
        before: list[Value] = [self.running | dut.start]
        for _ in range(POINTER_CYCLES):
            before.append(delay(m, before[-1], 1, "ran"))
        given(m, implies(dut.start, ~Cat(self.running, before[1:]).any()))
        self._odometer(m)
        self._stages(m, before)
        self._describe(m)
        return m

    def _describe(self, m: Module) -> None:
        """State the properties of the proof."""
        raise NotImplementedError

    def _records(self, ram: Block) -> Module:
        """Return a stand-in for the memory of the records: any contents, which do not change."""
        assert isinstance(ram, Ram)
        m = Module()
        self.words = [constant(m, ram.width, f"record{k}") for k in range(1 << RECORD_BITS)]
        m.d.comb += ram.read_data.eq(Array(self.words)[ram.read_address])
        return m

    def record(self, level: str) -> dict[str, Value]:
        """Return what the record of ``level`` adds to pointer, columns, rows and strips."""
        first = slot_words(self.nest.config, Opcode.LAYER)
        word, low, found = self.words[first + records(self.nest.config).index(level)], 0, {}
        for move in MOVE:
            found[move.name] = word[low : low + move.width(self.nest.config)]
            low += move.width(self.nest.config)
        return found

    def moving(self) -> dict[str, Value]:
        """Return level -> condition: the position takes the record of that level."""
        return {
            START: self.nest.start,
            **{level: self.moves[level] for level in counted_levels(self.nest.config)},
        }

    def total(
        self, m: Module, name: str, bits: int, added: Callable[[str], Value], stage: int
    ) -> Signal:
        """Return the sum of what the records taken since the start add, ``stage`` cycles later."""
        total = Signal(bits, name=f"{name}_total")
        for level, moves in self.stages[stage].items():
            with m.If(moves):
                m.d.sync += total.eq((0 if level == START else total) + added(level))
        return total

    def _stages(self, m: Module, ran: list[Value]) -> None:
        """State that every stage holds what a tap of the running layer put there."""
        self.stages = [self.moving()]
        for stage in range(1, POINTER_CYCLES + 1):
            late = {n: delay(m, v, 1, f"{n}_{stage}") for n, v in self.stages[-1].items()}
            self.stages.append(late)
            moves = Cat(late.values())
            always(m, implies(moves.any(), ran[stage]), f"invariant: stage {stage} has run")
            found = {
                1: Cat(self.inner[f"chosen_{level}_1"] for level in late) == moves,
                2: self.inner["moves_1"] == moves.any(),
                3: self.inner["pointer_moves_1"] == moves.any(),
            }[stage]
            always(m, found, f"invariant: stage {stage}")

    def claim(self, m: Module, condition: Value, message: str) -> None:
        """State a property of the place in the nest while a layer runs."""
        always(m, implies(self.running, condition), message)

    def claim_tap(
        self, m: Module, actual: Value, expected: Value, message: str, cycles: int = TAP_CYCLES
    ) -> None:
        """State that ``actual`` of the tap is ``expected`` of the place, ``cycles`` later."""
        late = self.late(m, Cat(self.running, expected), cycles)
        always(m, implies(late[0], actual == late[1:]), message)

    def late(self, m: Module, value: Value, cycles: int = TAP_CYCLES) -> Value:
        return delay(m, value, cycles, "late", resettable=True)

    def _odometer(self, m: Module) -> None:
        self.count = {level: Signal(len(field(self.nest, level))) for level in self.nest.levels}
        self.moves: dict[str, Value] = {}
        self.restarts: dict[str, Value] = {}
        carry: Value = self.nest.advance
        for level, count in self.count.items():
            full = count == field(self.nest, level)
            self.moves[level], self.restarts[level] = carry & ~full, carry & full
            with m.If(self.nest.start | self.restarts[level]):
                m.d.sync += count.eq(0)
            with m.Elif(carry):
                m.d.sync += count.eq(count + 1)
            carry = carry & full
            self.claim(m, count <= field(self.nest, level), f"invariant: {level} in range")
            left, last = (self.inner[f"counters.{level}_{name}"] for name in ("left", "last"))
            self.claim(m, left == field(self.nest, level) - count, f"invariant: {level} left")
            self.claim(m, last == full, f"invariant: last of {level}")


class Taps(Nest):
    """Flags and weight addresses of every tap."""

    def _describe(self, m: Module) -> None:
        self._place_in_nest(m)
        self._weights(m)

    def _place_in_nest(self, m: Module) -> None:
        dut, count = self.nest, self.count

        def at_start(*levels: str) -> Value:
            return ~Cat(count[level] for level in levels).any()

        taps, passes = self.tap_levels, self.pass_levels
        pool, whole = ("pool_cols", "pool_rows"), ("out_cols", "out_rows")
        flags = {
            "tile_first": at_start(*taps),
            "pass_first": at_start(*passes[:-1]) & (count["passes"] != 0),
            "top_pass": count["passes"] == 0,
        }
        if DIGITS in dut.levels:
            flags["digit_first"] = at_start(*passes) & (count[DIGITS] != 0)
        for flag, expected in flags.items():
            self.claim(m, self.inner[f"counters.{flag}"] == expected, f"invariant: {flag}")
            self.claim_tap(m, getattr(dut, flag), expected, flag)
        for flag, expected in {
            "tile_last": self.at_end(*taps) & self.drained(),
            "window_first": at_start(*pool),
            "window_last": self.at_end(*pool),
            "group_end": self.at_end(*pool, *whole),
            "layer_last": self.at_end(*dut.levels),
        }.items():
            self.claim(m, getattr(dut, flag) == expected, flag)
        moved = self.count["out_cols"] & self.count["pool_cols"] & self.count["kernel_cols"]
        reached(m, self.running & moved.any(), "three levels move")
        reached(m, dut.advance & dut.layer_last & self.count["out_groups"].any(), "a layer ends")

    def at_end(self, *levels: str) -> Value:
        return Cat(self.count[level] == field(self.nest, level) for level in levels).all()

    def drained(self) -> Value:
        """Return a condition: the results of this output position leave the array."""
        return Const(1, 1)

    def _weights(self, m: Module) -> None:
        """State that a tile's weight words come in sequence, anew for every output position and
        every digit of the activations.

        So the pointer cannot step over the first address outside, which the weight memory reports.
        """
        dut = self.nest
        block, tap = Signal(len(dut.weight_pointer)), Signal(len(dut.weight_pointer))
        with m.If(dut.start):
            m.d.sync += [block.eq(dut.f_weight_base), tap.eq(0)]
        with m.Elif(dut.advance):
            m.d.sync += tap.eq(Mux(self.at_end(*self.pass_levels), 0, tap + 1))
            with m.If(self.at_end(*self.tap_levels) & dut.group_end):
                m.d.sync += block.eq(block + tap + 1)
        self.claim_tap(m, self.inner["base"], block, "invariant: block of weights", POINTER_CYCLES)
        weight = (block + tap)[: len(block)]
        self.claim_tap(m, dut.weight_pointer, weight, "the tap's weight address")


class ReusedTaps(Taps):
    """Flags of the column history, too, for layers that reuse columns (one word per tap)."""

    def _describe(self, m: Module) -> None:
        super()._describe(m)
        dut, count = self.nest, self.count
        on = dut.f_reuse.any()
        given(m, implies(on, ~dut.f_groups.any() & (dut.f_reuse <= dut.f_out_cols + 1)))
        first_column, first = ~count["kernel_cols"].any(), ~count["out_cols"].any()
        row = count["kernel_rows"][: len(dut.kernel_row)]
        left = Mux(self.drained(), 0, dut.f_reuse - 1 - count["out_cols"])[: len(dut.f_reuse)]
        self.claim(m, self.inner["reuse_place.fills_left"] == left, "invariant: fills_left")
        for register, expected in {
            "row_start": first,
            "first_column": first_column,
            "row": row,
        }.items():
            actual = self.inner[f"reuse_place.{register}"]
            self.claim(m, implies(on, actual == expected), f"invariant: {register}")
        for flag, expected in {
            "fill": ~self.drained(),
            "reuse": first_column & on,
            "fresh": first_column & first,
            "store": count["passes"] == dut.f_passes,
            "kernel_row": row,
        }.items():
            late = self.late(m, Cat(self.running & on, expected))
            always(m, implies(late[0], getattr(dut, flag) == late[1:]), f"the tap's {flag}")
        reached(m, dut.advance & dut.tile_last & (dut.f_reuse == 3), "a row is drained")

    def drained(self) -> Value:
        return self.count["out_cols"] + 1 >= self.nest.f_reuse


class Walk(Nest):
    """Column and row of every tap are the sums of the records taken.

    Strips and rows count as rows of the image; the row stays inside its strip.
    """

    def __init__(self, nest: LoopNest, strip_rows: int, row_words: int) -> None:
        super().__init__(nest)
        self.strip_rows, self.strip_words = strip_rows, strip_rows * row_words

    def _describe(self, m: Module) -> None:
        dut, height = self.nest, self.strip_rows
        given(m, dut.f_strip_rows == height)
        for level in records(dut.config):
            given(m, self.record(level)["rows"] < height)
        columns = self.total(
            m, "column", len(dut.column), lambda n: self.record(n)["columns"], TAP_CYCLES
        )
        running = self.late(m, self.running)
        always(m, implies(running, dut.column == columns), "the tap's column")

        def image_rows(level: str) -> Value:
            record = self.record(level)
            return record["strips"].as_signed() * height + record["rows"]

        rows = self.total(m, "row", ROW_BITS, image_rows, TAP_CYCLES).as_signed()
        # The strip offset fits into STRIP_BITS; the compiler has at most 16 strips.
        limit = height << (len(dut.strip) - 1)
        given(m, implies(running, (rows < limit) & (rows >= -limit)))
        found = dut.strip.as_signed() * height + dut.row
        always(m, implies(running, found == rows), "the tap's row")
        always(m, implies(running, dut.row < height), "the row is inside its strip")
        reached(m, running & (dut.strip == 1) & (dut.column == 3), "a strip is left")


class Addresses(Walk):
    """The address of every tap is the sum of the records taken, less the words of strips passed."""

    def _describe(self, m: Module) -> None:
        dut, words = self.nest, self.strip_words
        given(m, dut.f_strip_words == words)
        before = delay(m, dut.strip, 1, "strip_before")

        def address(level: str) -> Value:
            record = self.record(level)
            return record["pointer"] + record["strips"].as_signed() * words

        # Summed at once and compared late: solved sooner than a sum that comes late.
        total = self.total(m, "address", len(dut.pointer), address, stage=0)
        found = (dut.pointer + before * words)[: len(total)]
        self.claim_tap(m, found, total, "the tap's address", POINTER_CYCLES)
        running = self.late(m, self.running, POINTER_CYCLES)
        reached(m, running & (before == 1) & (dut.pointer != 0), "an address beyond a strip")


@pytest.mark.parametrize("config", [CONFIG, SPARSE, WIDE], ids=["dense", "phases", "digits"])
def test_every_tap_is_in_its_place(config: NpuConfig) -> None:
    prove(Taps(LoopNest(config)), depth=DEPTH, reach=10 + POINTER_CYCLES)


def test_every_tap_of_a_layer_that_reuses_columns_is_in_its_place() -> None:
    prove(ReusedTaps(LoopNest(REUSING)), depth=DEPTH, reach=10 + POINTER_CYCLES)


def test_the_position_adds_up() -> None:
    prove(Walk(LoopNest(SPARSE), *STRIP), depth=DEPTH, reach=10 + POINTER_CYCLES)


@pytest.mark.parametrize("config", [CONFIG, WIDE], ids=["dense", "digits"])
def test_the_address_adds_up(config: NpuConfig) -> None:
    prove(Addresses(LoopNest(config), *STRIP), depth=DEPTH, reach=10 + POINTER_CYCLES)


class KeepsTheColumn(LoopNest):
    """A broken nest that keeps the column from one pooling window position to the next."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        signals = own_signals(m)
        with m.If(delay(m, signals["chosen_pool_cols_1"], 1, "late")):
            m.d.sync += signals["column"].eq(signals["column"])
        return m


class LeavesItsStrip(LoopNest):
    """A broken nest that enters the next strip one row late."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        signals = own_signals(m)
        m.d.sync += signals["rows_back_1"].eq(signals["rows_1"] - self.f_strip_rows - 1)
        return m


class StaysInTheStripsWords(LoopNest):
    """A broken nest that does not subtract the strip's words when the row wraps."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.sync += own_signals(m)["wrapped"].eq(0)
        return m


class SkipsAWeight(LoopNest):
    """A broken nest with the wrong weight address at the last tap of a tile."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.tile_last):
            m.d.comb += self.weight_pointer.eq(self.f_weight_base)
        return m


class ReadsOnForTheNextDigit(LoopNest):
    """A broken nest that does not go back to a tile's first weight for another activation digit."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        signals = own_signals(m)
        m.d.sync += signals["again_1"].eq(0)
        return m


class NeverFresh(LoopNest):
    """A broken nest that takes the column left of a row's first one from the row before."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.fresh.eq(0)
        return m


class MovesInPhases(LoopNest):
    """A broken nest that takes a record for another phase of the same tap."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        signals = own_signals(m)
        with m.If(delay(m, self.advance, 1, "advanced")):
            m.d.sync += signals["moves_1"].eq(1)
        return m


@pytest.mark.parametrize(
    "properties, why",
    [
        (Walk(KeepsTheColumn(CONFIG), *STRIP), "the tap's column"),
        (Taps(SkipsAWeight(CONFIG)), "weight address"),
        (Taps(ReadsOnForTheNextDigit(WIDE)), "weight address"),
        (Walk(LeavesItsStrip(CONFIG), *STRIP), "inside its strip|the tap's row"),
        (Addresses(StaysInTheStripsWords(CONFIG), *STRIP), "the tap's address"),
        (Walk(MovesInPhases(SPARSE), *STRIP), "invariant: stage 2"),
        (ReusedTaps(NeverFresh(REUSING)), "the tap's fresh"),
    ],
    ids=["column", "weight", "digit", "strip", "words", "phases", "history"],
)
def test_a_broken_nest_is_refuted(properties: Nest, why: str) -> None:
    with pytest.raises(Disproof, match=why):
        prove(properties, depth=6)
