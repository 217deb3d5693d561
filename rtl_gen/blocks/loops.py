"""The loop nest of a LAYER: which tap comes next, and where its operands are."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
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

TAP_CYCLES = 2
"""From the place in the nest to the tap's addresses."""

PLACE = ("tile_last", "window_first", "window_last", "group_end", "layer_last")
"""Outputs that say where in the nest the next ``advance`` is."""

_USED = (
    *LEVELS,
    *("in_base", "col_first", "strip_first", "row_first", "row_first_words", "strip_rows"),
    *("strip_words", "group_words", "col_words", "row_words", "pool_col_step", "pool_col_words"),
    *("pool_row_step", "pool_row_words", "out_col_step", "out_col_words", "out_row_step"),
    *("out_row_words", "in_group_step", "weight_base"),
)


class LoopNest(Block):
    """Function: after ``start``, stands at the first tap of the layer; each ``advance`` moves on.

    Its place in the nest, at once: ``tile_last`` tap of a convolution position, ``window_first`` /
    ``window_last`` position of a pooling window, ``group_end``: last position of an output tile
    group, ``layer_last``: last tap of all. The tap itself, ``TAP_CYCLES`` later: ``valid`` as
    ``advance`` was, word address parts (``group_pointer`` + ``column_pointer`` + ``row_pointer``,
    modulo 2 * activation_depth), ``column`` (signed), ``strip`` (signed) and ``row`` for masking,
    ``weight_pointer``, ``tile_first`` tap of a convolution position, ``pass_first`` tap of a later
    digit pass, ``top_pass`` (signed digit).

    Latency: 1 cycle from start or advance to the place in the nest, ``TAP_CYCLES`` more to the tap.
    Throughput: one tap per cycle. Overflow: pointers wrap modulo 2 * depth; their top bit means
    'outside'.

    Three stages, so that neither the ripple through nine counters nor the row arithmetic limits the
    clock: the counters say which level moves; its steps are chosen, and made ready for a wrap into
    the next strip; the tap's state takes them.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_loop_nest"
        layout = layer_layout(config)
        pointer = layout["in_base"]
        members = {f"f_{name}": In(layout[name]) for name in _USED}
        super().__init__(
            {
                **members,
                "start": In(1),
                "advance": In(1),
                **{flag: Out(1) for flag in PLACE},
                "valid": Out(1),
                **{flag: Out(1) for flag in ("tile_first", "pass_first", "top_pass")},
                "group_pointer": Out(pointer),
                "column_pointer": Out(pointer),
                "row_pointer": Out(pointer),
                "weight_pointer": Out(layout["weight_base"] + 1),
                "column": Out(COLUMN_BITS),
                "strip": Out(STRIP_BITS),
                "row": Out(COLUMN_BITS),
            }
        )

    def field(self, name: str) -> Signal:
        signal: Signal = getattr(self, f"f_{name}")
        return signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now = self._counters(m)
        self._place(m, now)
        chosen = {level: delay(m, flag, 1, f"chosen_{level}") for level, flag in now.items()}
        step = {level: delay(m, flag, 1, f"step_{level}") for level, flag in chosen.items()}
        advance = delay(m, self.advance, TAP_CYCLES, "advance", resettable=True)
        m.d.comb += self.valid.eq(advance)
        self._rows(m, chosen, step)
        self._columns(m, step)
        self._groups(m, step, advance)
        self._weights(m, step, advance)
        return m

    def _counters(self, m: Module) -> dict[str, Value]:
        """``step[level]``: this advance moves ``level`` forward and restarts those inside it; with
        ``start`` as the outermost.

        Each level counts down the repetitions left; a register says whether there are none.
        """
        step: dict[str, Value] = {"start": self.start}
        self.last: dict[str, Value] = {}
        inner_last: Value = self.advance
        for level in LEVELS:
            repetitions = self.field(level)
            left = Signal(len(repetitions), name=f"{level}_left", reset_less=True)
            last = Signal(name=f"{level}_last", reset_less=True)
            with m.If(self.start | (inner_last & last)):
                m.d.sync += [left.eq(repetitions), last.eq(~repetitions.any())]
            with m.Elif(inner_last):
                m.d.sync += [left.eq(left - 1), last.eq(left == 1)]
            step[level] = inner_last & ~last
            self.last[level] = last
            inner_last = inner_last & last
        return step

    def _rows(self, m: Module, chosen: dict[str, Value], step: dict[str, Value]) -> None:
        """Row state at three levels; one stepper serves whichever level moves."""

        def state(name: str) -> tuple[Signal, Signal, Signal]:
            return (
                Signal(STRIP_BITS, name=f"{name}_strip", reset_less=True),
                Signal(COLUMN_BITS, name=f"{name}_row", reset_less=True),
                Signal(len(self.row_pointer), name=f"{name}_row_words", reset_less=True),
            )

        kernel, window, out = state("kernel"), state("window"), state("out")
        rows, wrapped_rows = self._row_step(
            m, chosen, "rows", self.f_strip_rows, (self.f_out_row_step, self.f_pool_row_step, 1)
        )
        words, wrapped_words = self._row_step(
            m, chosen, "row_words", self.f_strip_words,
            (self.f_out_row_words, self.f_pool_row_words, self.f_row_words),
        )  # fmt: skip
        by_out, by_window = step["out_rows"], step["pool_rows"]
        strip, row, pointer = (Mux(by_out, o, Mux(by_window, w, k))
                               for o, w, k in zip(out, window, kernel, strict=True))  # fmt: skip
        next_row, wrapped_row = row + rows, row + wrapped_rows
        wraps = Signal()
        m.d.comb += wraps.eq(~wrapped_row[-1])  # row + rows >= strip_rows
        moved = (
            strip + wraps,
            Mux(wraps, wrapped_row, next_row),
            Mux(wraps, pointer + wrapped_words, pointer + words),
        )
        first = (self.f_strip_first, self.f_row_first, self.f_row_first_words)

        def assign(target: tuple[Signal, ...], values: tuple[Value, ...]) -> None:
            m.d.sync += [t.eq(v) for t, v in zip(target, values, strict=True)]

        restart = delay(m, chosen["start"] | chosen["out_groups"], 1, "rows_restart")
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

    def _row_step(
        self,
        m: Module,
        chosen: dict[str, Value],
        name: str,
        strip: Value,
        steps: tuple[Value, Value, Value | int],
    ) -> tuple[Value, Value]:
        """The step of the moving level (out, window, kernel), as it is and with ``strip`` off."""
        out, window, kernel = steps
        step = Mux(chosen["out_rows"], out, Mux(chosen["pool_rows"], window, kernel))
        size = Value.cast(step)[: len(strip)]
        return delay(m, size, 1, name), delay(m, size - strip, 1, f"wrapped_{name}")

    def _columns(self, m: Module, step: dict[str, Value]) -> None:
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
        restart = step["start"] | step["out_groups"] | step["out_rows"]
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

    def _groups(self, m: Module, step: dict[str, Value], advance: Value) -> None:
        base = Signal(len(self.group_pointer), reset_less=True)
        pointer = Signal(len(self.group_pointer), reset_less=True)
        next_base = base + self.f_in_group_step
        with m.If(step["start"]):
            m.d.sync += [base.eq(self.f_in_base), pointer.eq(self.f_in_base)]
        with m.Elif(step["groups"]):
            m.d.sync += pointer.eq(pointer + self.f_group_words)
        with m.Elif(step["out_groups"]):
            m.d.sync += [base.eq(next_base), pointer.eq(next_base)]
        with m.Elif(advance):
            m.d.sync += pointer.eq(base)
        m.d.comb += self.group_pointer.eq(pointer)

    def _weights(self, m: Module, step: dict[str, Value], advance: Value) -> None:
        """Sequential within an output tile; every new position reads the tile's block again."""
        base = Signal(len(self.weight_pointer), reset_less=True)
        pointer = Signal(len(self.weight_pointer), reset_less=True)
        again = step["pool_cols"] | step["pool_rows"] | step["out_cols"] | step["out_rows"]
        following = pointer + 1
        with m.If(step["start"]):
            m.d.sync += [base.eq(self.f_weight_base), pointer.eq(self.f_weight_base)]
        with m.Elif(again):
            m.d.sync += pointer.eq(base)
        with m.Elif(advance):
            m.d.sync += pointer.eq(following)
            with m.If(step["out_groups"]):
                m.d.sync += base.eq(following)
        m.d.comb += self.weight_pointer.eq(pointer)

    def _place(self, m: Module, step: dict[str, Value]) -> None:
        last = self.last
        m.d.comb += [
            self.tile_last.eq(
                last["groups"] & last["kernel_cols"] & last["kernel_rows"] & last["passes"]
            ),
            self.window_last.eq(last["pool_cols"] & last["pool_rows"]),
            self.group_end.eq(self.window_last & last["out_cols"] & last["out_rows"]),
            self.layer_last.eq(self.tile_last & self.group_end & last["out_groups"]),
        ]
        tile_first, pass_first = Signal(reset_less=True), Signal(reset_less=True)
        top_pass, window_first = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(self.start | self.advance):
            m.d.sync += [
                tile_first.eq(self.start | self.tile_last),
                pass_first.eq(step["passes"]),
            ]
        with m.If(self.start | (self.advance & self.tile_last)):
            m.d.sync += top_pass.eq(1)
        with m.Elif(step["passes"]):
            m.d.sync += top_pass.eq(0)
        with m.If(self.start | step["out_cols"] | step["out_rows"] | step["out_groups"]):
            m.d.sync += window_first.eq(1)
        with m.Elif(step["pool_cols"] | step["pool_rows"]):
            m.d.sync += window_first.eq(0)
        m.d.comb += [
            self.tile_first.eq(delay(m, tile_first, TAP_CYCLES, "tile_first")),
            self.pass_first.eq(delay(m, pass_first, TAP_CYCLES, "pass_first")),
            self.top_pass.eq(delay(m, top_pass, TAP_CYCLES, "top_pass")),
            self.window_first.eq(window_first),
        ]
