"""The loop nest of a LAYER: which tap comes next, and where its operands are."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.fields import layer_layout
from rtl_gen.config import NpuConfig
from rtl_gen.hierarchy import Block
from rtl_gen.isa import COLUMN_BITS, STRIP_BITS

LEVELS = (
    "groups",
    "kernel_cols",
    "kernel_rows",
    "passes",
    "pool_cols",
    "pool_rows",
    "out_cols",
    "out_rows",
    "out_groups",
)
"""Innermost first."""

_USED = (
    *LEVELS,
    *("in_base", "col_first", "strip_first", "row_first", "row_first_words", "strip_rows"),
    *("strip_words", "group_words", "col_words", "row_words", "pool_col_step", "pool_col_words"),
    *("pool_row_step", "pool_row_words", "out_col_step", "out_col_words", "out_row_step"),
    *("out_row_words", "in_group_step", "weight_base"),
)


class LoopNest(Block):
    """Function: after ``start``, shows the first tap of the layer; each ``advance`` moves on.

    The tap: word address parts (``group_pointer`` + ``column_pointer`` + ``row_pointer``, modulo
    2 * activation_depth), ``column`` (signed), ``strip`` (signed) and ``row`` for masking,
    ``weight_pointer``, and its place in the nest: ``tile_first`` / ``tile_last`` tap of a
    convolution position, ``pass_first`` tap of a later digit pass, ``top_pass`` (signed digit),
    ``window_first`` / ``window_last`` position of a pooling window, ``group_end``: last position
    of an output tile group, ``layer_last``: last tap of all.

    Latency: 1 cycle from start or advance to the tap. Throughput: one tap per cycle.
    Overflow: pointers wrap modulo 2 * depth; their top bit means 'outside'.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_loop_nest"
        layout = layer_layout(config)
        pointer = layout["in_base"]
        members = {f"f_{name}": In(layout[name]) for name in _USED}
        flags = ("tile_first", "tile_last", "pass_first", "top_pass", "window_first",
                 "window_last", "group_end", "layer_last")  # fmt: skip
        super().__init__(
            {
                **members,
                "start": In(1),
                "advance": In(1),
                "group_pointer": Out(pointer),
                "column_pointer": Out(pointer),
                "row_pointer": Out(pointer),
                "weight_pointer": Out(layout["weight_base"] + 1),
                "column": Out(COLUMN_BITS),
                "strip": Out(STRIP_BITS),
                "row": Out(COLUMN_BITS),
                **{flag: Out(1) for flag in flags},
            }
        )

    def field(self, name: str) -> Signal:
        signal: Signal = getattr(self, f"f_{name}")
        return signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step = self._counters(m)
        self._rows(m, step)
        self._columns(m, step)
        self._groups(m, step)
        self._weights(m, step)
        self._place(m, step)
        return m

    def _counters(self, m: Module) -> dict[str, Signal]:
        """``step[level]``: this advance moves ``level`` forward and restarts those inside it."""
        step: dict[str, Signal] = {}
        self.last: dict[str, Value] = {}
        inner_last: Value = self.advance
        for level in LEVELS:
            count = Signal(len(self.field(level)), name=f"{level}_count", reset_less=True)
            last = Signal(name=f"{level}_last")
            step[level] = Signal(name=f"step_{level}")
            m.d.comb += [
                last.eq(count == self.field(level)),
                step[level].eq(inner_last & ~last),
            ]
            with m.If(self.start | (inner_last & last)):
                m.d.sync += count.eq(0)
            with m.Elif(inner_last):
                m.d.sync += count.eq(count + 1)
            self.last[level] = last
            inner_last = inner_last & last
        return step

    def _rows(self, m: Module, step: dict[str, Signal]) -> None:
        """Row state at three levels; one stepper serves whichever level moves."""

        def state(name: str) -> tuple[Signal, Signal, Signal]:
            return (
                Signal(STRIP_BITS, name=f"{name}_strip", reset_less=True),
                Signal(COLUMN_BITS, name=f"{name}_row", reset_less=True),
                Signal(len(self.row_pointer), name=f"{name}_row_words", reset_less=True),
            )

        kernel, window, out = state("kernel"), state("window"), state("out")
        by_out, by_window = step["out_rows"], step["pool_rows"]
        source = [Mux(by_out, o, Mux(by_window, w, k))
                  for o, w, k in zip(out, window, kernel, strict=True)]  # fmt: skip
        rows = Mux(by_out, self.f_out_row_step, Mux(by_window, self.f_pool_row_step, 1))
        words = Mux(
            by_out, self.f_out_row_words, Mux(by_window, self.f_pool_row_words, self.f_row_words)
        )
        moved_row, moved_words = source[1] + rows, source[2] + words
        wraps = Signal()
        m.d.comb += wraps.eq(moved_row >= self.f_strip_rows)
        moved = (
            source[0] + wraps,
            moved_row - Mux(wraps, self.f_strip_rows, 0),
            moved_words - Mux(wraps, self.f_strip_words, 0),
        )
        first = (self.f_strip_first, self.f_row_first, self.f_row_first_words)

        def assign(target: tuple[Signal, ...], values: tuple[Value, ...]) -> None:
            m.d.sync += [t.eq(v) for t, v in zip(target, values, strict=True)]

        restart = self.start | step["out_groups"]
        with m.If(restart):
            assign(out, first)
        with m.Elif(by_out):
            assign(out, moved)
        with m.If(restart):
            assign(window, first)
        with m.Elif(by_out | by_window):
            assign(window, moved)
        with m.Elif(step["out_cols"]):
            assign(window, out)
        with m.If(restart):
            assign(kernel, first)
        with m.Elif(by_out | by_window | step["kernel_rows"]):
            assign(kernel, moved)
        with m.Elif(step["out_cols"]):
            assign(kernel, out)
        with m.Elif(step["passes"] | step["pool_cols"]):
            assign(kernel, window)
        m.d.comb += [
            self.strip.eq(kernel[0]),
            self.row.eq(kernel[1]),
            self.row_pointer.eq(kernel[2]),
        ]

    def _columns(self, m: Module, step: dict[str, Signal]) -> None:
        def state(name: str) -> tuple[Signal, Signal]:
            return (
                Signal(COLUMN_BITS, name=f"{name}_column", reset_less=True),
                Signal(len(self.column_pointer), name=f"{name}_column_words", reset_less=True),
            )

        kernel, window, out = state("kernel"), state("window"), state("out")
        by_out, by_window = step["out_cols"], step["pool_cols"]
        source = [Mux(by_out, o, Mux(by_window, w, k))
                  for o, w, k in zip(out, window, kernel, strict=True)]  # fmt: skip
        columns = Mux(by_out, self.f_out_col_step, Mux(by_window, self.f_pool_col_step, 1))
        words = Mux(
            by_out, self.f_out_col_words, Mux(by_window, self.f_pool_col_words, self.f_col_words)
        )
        moved = (source[0] + columns, source[1] + words)
        restart = self.start | step["out_groups"] | step["out_rows"]
        for target, fresh, back in (
            (out, by_out, None),
            (window, by_out | by_window, (step["pool_rows"], out)),
            (kernel, by_out | by_window | step["kernel_cols"], (step["pool_rows"], out)),
        ):
            with m.If(restart):
                m.d.sync += [target[0].eq(self.f_col_first), target[1].eq(0)]
            with m.Elif(fresh):
                m.d.sync += [t.eq(v) for t, v in zip(target, moved, strict=True)]
            if back is not None:
                with m.Elif(back[0]):
                    m.d.sync += [t.eq(v) for t, v in zip(target, back[1], strict=True)]
            if target is kernel:
                with m.Elif(step["kernel_rows"] | step["passes"]):
                    m.d.sync += [t.eq(v) for t, v in zip(target, window, strict=True)]
        m.d.comb += [self.column.eq(kernel[0]), self.column_pointer.eq(kernel[1])]

    def _groups(self, m: Module, step: dict[str, Signal]) -> None:
        base = Signal(len(self.group_pointer), reset_less=True)
        pointer = Signal(len(self.group_pointer), reset_less=True)
        next_base = base + self.f_in_group_step
        with m.If(self.start):
            m.d.sync += [base.eq(self.f_in_base), pointer.eq(self.f_in_base)]
        with m.Elif(step["groups"]):
            m.d.sync += pointer.eq(pointer + self.f_group_words)
        with m.Elif(step["out_groups"]):
            m.d.sync += [base.eq(next_base), pointer.eq(next_base)]
        with m.Elif(self.advance):
            m.d.sync += pointer.eq(base)
        m.d.comb += self.group_pointer.eq(pointer)

    def _weights(self, m: Module, step: dict[str, Signal]) -> None:
        """Sequential within an output tile; every new position reads the tile's block again."""
        base = Signal(len(self.weight_pointer), reset_less=True)
        pointer = Signal(len(self.weight_pointer), reset_less=True)
        again = step["pool_cols"] | step["pool_rows"] | step["out_cols"] | step["out_rows"]
        following = pointer + 1
        with m.If(self.start):
            m.d.sync += [base.eq(self.f_weight_base), pointer.eq(self.f_weight_base)]
        with m.Elif(again):
            m.d.sync += pointer.eq(base)
        with m.Elif(self.advance):
            m.d.sync += pointer.eq(following)
            with m.If(step["out_groups"]):
                m.d.sync += base.eq(following)
        m.d.comb += self.weight_pointer.eq(pointer)

    def _place(self, m: Module, step: dict[str, Signal]) -> None:
        last = self.last
        new_tile = Signal()
        m.d.comb += [
            self.tile_last.eq(
                last["groups"] & last["kernel_cols"] & last["kernel_rows"] & last["passes"]
            ),
            self.window_last.eq(last["pool_cols"] & last["pool_rows"]),
            self.group_end.eq(self.window_last & last["out_cols"] & last["out_rows"]),
            self.layer_last.eq(self.tile_last & self.group_end & last["out_groups"]),
            new_tile.eq(self.advance & self.tile_last),
        ]
        tile_first, pass_first = Signal(reset_less=True), Signal(reset_less=True)
        top_pass, window_first = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(self.start | self.advance):
            m.d.sync += [
                tile_first.eq(self.start | self.tile_last),
                pass_first.eq(step["passes"]),
            ]
        with m.If(self.start | new_tile):
            m.d.sync += top_pass.eq(1)
        with m.Elif(step["passes"]):
            m.d.sync += top_pass.eq(0)
        with m.If(self.start | step["out_cols"] | step["out_rows"] | step["out_groups"]):
            m.d.sync += window_first.eq(1)
        with m.Elif(step["pool_cols"] | step["pool_rows"]):
            m.d.sync += window_first.eq(0)
        m.d.comb += [
            self.tile_first.eq(tile_first),
            self.pass_first.eq(pass_first),
            self.top_pass.eq(top_pass),
            self.window_first.eq(window_first),
        ]
