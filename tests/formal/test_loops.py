"""The loop nest of a LAYER: every tap is where the sums of its levels' steps say, and rows and
weight addresses cannot jump over the end of a strip or of the memory."""

from __future__ import annotations

import dataclasses

import pytest
from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal, Value

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.loops import TAP_CYCLES, LoopNest
from rtl_gen.config import NpuConfig
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, constant, given, implies, own_signals, place, reached

CONFIG = NpuConfig(activation_depth=16, weight_depth=16)
REUSING = dataclasses.replace(CONFIG, depthwise_taps=3)
SPARSE = NpuConfig(activation_depth=16, weight_depth=16, sparsity="2:4")
"""Its nest has a level more: phases."""
STRIPS = ((1, 1), (3, 5), (4, 2))
"""Rows of a strip and words of a row: numbers, as products of two variables are hard to solve."""
ROW_BITS = 10
"""Wide enough for the rows of 32 such strips and a step."""
DEPTH = TAP_CYCLES + 2
"""Cycles in which a step passes the nest's stages."""


def field(nest: LoopNest, level: str) -> Signal:
    """Its repetitions, minus 1."""
    signal: Signal = getattr(nest, f"f_{level}")
    return signal


class Nest(Elaboratable):
    """Any fields, any pauses between the taps. ``count[level]`` is an odometer over its levels."""

    def __init__(self, nest: LoopNest) -> None:
        self.nest = nest
        self.tap_levels = nest.levels[: nest.levels.index("passes") + 1]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.nest
        names = [name for name in dut.signature.members if name.startswith("f_")]
        self.inner = place(m, dut, driven=names)
        for name in names:
            signal = getattr(dut, name)
            m.d.comb += signal.eq(constant(m, len(signal), name))
        self.running = Signal()
        with m.If(dut.start):
            m.d.sync += self.running.eq(1)
        with m.Elif(dut.advance & dut.layer_last):
            m.d.sync += self.running.eq(0)
        given(m, implies(dut.advance, self.running & ~dut.start))
        self._odometer(m)
        self._describe(m)
        return m

    def _describe(self, m: Module) -> None:
        raise NotImplementedError

    def claim(self, m: Module, condition: Value, message: str) -> None:
        """Of the place in the nest."""
        always(m, implies(self.running, condition), message)

    def claim_tap(self, m: Module, actual: Value, expected: Value, message: str) -> None:
        """``expected`` of the place is ``actual`` of the tap."""
        late = self.late(m, Cat(self.running, expected))
        always(m, implies(late[0], actual == late[1:]), message)

    def late(self, m: Module, value: Value) -> Value:
        return delay(m, value, TAP_CYCLES, "late", resettable=True)

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

    def sum_of(self, m: Module, level: str, step: Value, bits: int) -> Signal:
        """count[level] * step, by repeated addition."""
        total = Signal(bits, name=f"{level}_sum")
        with m.If(self.nest.start | self.restarts[level]):
            m.d.sync += total.eq(0)
        with m.Elif(self.moves[level]):
            m.d.sync += total.eq(total + step)
        return total


class Taps(Nest):
    def _describe(self, m: Module) -> None:
        self._place_in_nest(m)
        self._columns(m)
        self._memory(m)

    def _place_in_nest(self, m: Module) -> None:
        dut, count = self.nest, self.count

        def at_start(*levels: str) -> Value:
            return ~Cat(count[level] for level in levels).any()

        taps = self.tap_levels
        pool, whole = ("pool_cols", "pool_rows"), ("out_cols", "out_rows")
        for flag, expected in {
            "tile_first": at_start(*taps),
            "pass_first": at_start(*taps[:-1]) & (count["passes"] != 0),
            "top_pass": count["passes"] == 0,
        }.items():
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
        moved_out = self.count["out_cols"] & self.count["pool_cols"] & self.count["kernel_cols"]
        reached(m, self.running & moved_out.any(), "columns move on three levels")
        reached(m, dut.advance & dut.layer_last & self.count["out_groups"].any(), "a layer ends")

    def at_end(self, *levels: str) -> Value:
        return Cat(self.count[level] == field(self.nest, level) for level in levels).all()

    def drained(self) -> Value:
        """Whether the position's result leaves the array."""
        return Const(1, 1)

    def _columns(self, m: Module) -> None:
        """Column and address step alike: out, window and kernel position add up."""
        dut, inner = self.nest, self.inner
        for name, port, first, steps in (
            ("column", dut.column, dut.f_col_first, (dut.f_out_col_step, dut.f_pool_col_step, 1)),
            ("column_words", dut.column_pointer, 0,
             (dut.f_out_col_words, dut.f_pool_col_words, dut.f_col_words)),
        ):  # fmt: skip
            bits = len(port)
            total: Value = Value.cast(first)
            levels = ("out_cols", "pool_cols", "kernel_cols")
            for level, state, step in zip(levels, ("out", "window", "kernel"), steps, strict=True):
                total = (total + self.sum_of(m, level, Value.cast(step), bits))[:bits]
                self.claim_tap(m, inner[f"{state}_{name}"], total, f"invariant: {state} {name}")
            self.claim_tap(m, port, total, f"the tap's {name}")

    def _memory(self, m: Module) -> None:
        """Weight words in sequence, the tile's block again for every position: the pointer cannot
        step over the first address outside, which the weight memory reports."""
        dut = self.nest
        bits = len(dut.group_pointer)
        groups = self.sum_of(m, "groups", dut.f_group_words, bits)
        tiles = self.sum_of(m, "out_groups", dut.f_in_group_step, bits)
        expected = (dut.f_in_base + groups + tiles)[:bits]
        self.claim_tap(m, dut.group_pointer, expected, "the tap's group address")
        start = (dut.f_in_base + tiles)[:bits]
        self.claim_tap(m, self.inner["base"], start, "invariant: first group of the tile")
        block, tap = Signal(len(dut.weight_pointer)), Signal(len(dut.weight_pointer))
        with m.If(dut.start):
            m.d.sync += [block.eq(dut.f_weight_base), tap.eq(0)]
        with m.Elif(dut.advance):
            m.d.sync += tap.eq(Mux(self.at_end(*self.tap_levels), 0, tap + 1))
            with m.If(self.at_end(*self.tap_levels) & dut.group_end):
                m.d.sync += block.eq(block + tap + 1)
        self.claim_tap(m, self.inner["base_2"], block, "invariant: the tile's block of weights")
        weight = (block + tap)[: len(block)]
        self.claim_tap(m, dut.weight_pointer, weight, "the tap's weight address")


class ReusedTaps(Taps):
    """Column reuse: the history's flags, by the odometer. It has one group a tap."""

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


class Rows(Nest):
    """``strip * strip_rows + row`` counts the rows, and row stays inside its strip; so does
    the address of the row, when the fields are consistent."""

    def __init__(self, nest: LoopNest, strip_rows: int, row_words: int) -> None:
        super().__init__(nest)
        self.strip_rows, self.row_words = strip_rows, row_words

    def _describe(self, m: Module) -> None:
        dut, inner = self.nest, self.inner
        height, bits = self.strip_rows, len(dut.row_pointer)
        given(m, (dut.f_strip_rows == height) & (dut.f_row_words == self.row_words))
        given(m, dut.f_row_first < height)
        given(m, dut.f_out_row_step <= height)
        given(m, dut.f_pool_row_step <= height)
        for rows, words in (
            (dut.f_row_first, dut.f_row_first_words),
            (dut.f_strip_rows, dut.f_strip_words),
            (dut.f_out_row_step, dut.f_out_row_words),
            (dut.f_pool_row_step, dut.f_pool_row_words),
        ):
            given(m, words == (rows * self.row_words)[:bits])
        total: Value = dut.f_row_first
        for level, state, step in (
            ("out_rows", "out", dut.f_out_row_step),
            ("pool_rows", "window", dut.f_pool_row_step),
            ("kernel_rows", "kernel", Value.cast(1)),
        ):
            total = (total + self.sum_of(m, level, step, ROW_BITS))[:ROW_BITS]
            strip, row = inner[f"{state}_strip"], inner[f"{state}_row"]
            offset = (strip - dut.f_strip_first)[: len(strip)]
            running = self.late(m, self.running)
            always(m, implies(running, row < height), f"{state}: the row is inside its strip")
            rows = (offset * height + row)[:ROW_BITS]
            self.claim_tap(m, rows, total, f"{state}: strip and row")
            address = inner[f"{state}_row_words"] == (row * self.row_words)[:bits]
            always(m, implies(running, address), f"{state}: address of the row")
        # The strip offset fits into STRIP_BITS; the compiler has at most 16 strips.
        given(m, implies(self.running, total < height << (len(dut.strip) - 1)))
        same = (dut.strip == inner["kernel_strip"]) & (dut.row == inner["kernel_row"])
        always(m, same & (dut.row_pointer == inner["kernel_row_words"]), "the tap's row")
        reached(m, self.running & (dut.strip == 1) & (dut.f_strip_first == 0), "a strip is left")


@pytest.mark.parametrize("config", [CONFIG, SPARSE], ids=["dense", "phases"])
def test_every_tap_is_in_its_place(config: NpuConfig) -> None:
    prove(Taps(LoopNest(config)), depth=DEPTH, reach=10 + TAP_CYCLES)


def test_every_tap_of_a_layer_that_reuses_columns_is_in_its_place() -> None:
    prove(ReusedTaps(LoopNest(REUSING)), depth=DEPTH, reach=10 + TAP_CYCLES)


@pytest.mark.parametrize("strip_rows, row_words", STRIPS)
def test_rows_stay_in_their_strips(strip_rows: int, row_words: int) -> None:
    nest = LoopNest(CONFIG)
    prove(Rows(nest, strip_rows, row_words), depth=DEPTH, reach=10 + TAP_CYCLES)


class KeepsTheColumn(LoopNest):
    """Does not move the kernel's column."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        signals = own_signals(m)
        column = signals["kernel_column"]
        with m.If(signals["column_moves_1"]):
            m.d.sync += column.eq(column)
        return m


class LeavesItsStrip(LoopNest):
    """Enters the next strip a row late."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        signals = own_signals(m)
        m.d.comb += signals["wraps"].eq(signals["kernel_row"] == self.f_strip_rows)
        return m


class SkipsAWeight(LoopNest):
    """Steps over a weight word between tiles, and so possibly over the end of the memory."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.tile_last):
            m.d.comb += self.weight_pointer.eq(self.f_weight_base)
        return m


class NeverFresh(LoopNest):
    """Takes the column before a row's first one from the row before."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.fresh.eq(0)
        return m


class LeavesItsWord(LoopNest):
    """Goes back to the first group in every phase."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        signals = own_signals(m)
        with m.If(signals["step_phases_1"]):
            m.d.sync += signals["pointer"].eq(signals["base"])
        return m


@pytest.mark.parametrize(
    "properties, why",
    [
        (Taps(KeepsTheColumn(CONFIG)), "invariant: kernel column|the tap's column"),
        (Taps(SkipsAWeight(CONFIG)), "weight address"),
        (Rows(LeavesItsStrip(CONFIG), 3, 5), "inside its strip"),
        (Taps(LeavesItsWord(SPARSE)), "group address"),
        (ReusedTaps(NeverFresh(REUSING)), "the tap's fresh"),
    ],
    ids=["column", "weight", "strip", "word", "history"],
)
def test_a_broken_nest_is_refuted(properties: Nest, why: str) -> None:
    with pytest.raises(Disproof, match=why):
        prove(properties, depth=6)
