"""The loop nest of a LAYER: which tap comes next, and where its operands are."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.fields import layer_layout
from rtl_gen.blocks.history import TAP_FLAGS as REUSE_FLAGS
from rtl_gen.blocks.history import ReusePlace
from rtl_gen.blocks.loop_counters import PHASES, PLACE, TAP_FLAGS, LoopCounters, levels
from rtl_gen.config import NpuConfig
from rtl_gen.hierarchy import Block, place
from rtl_gen.isa import COLUMN_BITS, STRIP_BITS

TAP_CYCLES = 2
"""From the place in the nest to the tap's addresses."""

_USED = (
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
        self.levels = levels(config)
        members = {f"f_{name}": In(layout[name]) for name in (*self.levels, *_USED)}
        if config.reuses_columns:  # and tile_last then leaves out positions that are not drained
            members["f_reuse"] = In(layout["reuse"])
            members |= {name: Out(width) for name, width in REUSE_FLAGS.items()}
        super().__init__(
            {
                **members,
                "start": In(1),
                "advance": In(1),
                **{flag: Out(1) for flag in PLACE},
                "valid": Out(1),
                **{flag: Out(1) for flag in TAP_FLAGS},
                "group_pointer": Out(pointer),
                "column_pointer": Out(pointer),
                "row_pointer": Out(pointer),
                "weight_pointer": Out(layout["weight_base"] + 1),
                "column": Out(COLUMN_BITS),
                "strip": Out(STRIP_BITS),
                "row": Out(COLUMN_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        moves = self._counters(m, platform)
        chosen = {level: delay(m, flag, 1, f"chosen_{level}") for level, flag in moves.items()}
        step = {level: delay(m, flag, 1, f"step_{level}") for level, flag in chosen.items()}
        advance = delay(m, self.advance, TAP_CYCLES, "advance", resettable=True)
        m.d.comb += self.valid.eq(advance)
        self._rows(m, chosen, step)
        self._columns(m, chosen, step)
        self._groups(m, step, advance & ~step[PHASES] if PHASES in step else advance)
        self._weights(m, step, advance)
        return m

    def _counters(self, m: Module, platform: object) -> dict[str, Value]:
        """Which level this cycle's ``advance`` moves; ``start`` as the outermost one."""
        counters = LoopCounters(self.config)
        place(m, platform, "counters", counters)
        m.d.comb += [counters.start.eq(self.start), counters.advance.eq(self.advance)]
        for level in self.levels:
            m.d.comb += getattr(counters, f"f_{level}").eq(getattr(self, f"f_{level}"))
        here: dict[str, Value] = {flag: getattr(counters, flag) for flag in PLACE}
        if self.config.reuses_columns:
            here["tile_last"] &= ~self._reuse(m, platform, counters)
        m.d.comb += [getattr(self, flag).eq(value) for flag, value in here.items()]
        for flag in TAP_FLAGS:
            late = delay(m, getattr(counters, flag), TAP_CYCLES, flag)
            m.d.comb += getattr(self, flag).eq(late)
        return {"start": self.start, **{n: getattr(counters, f"step_{n}") for n in self.levels}}

    def _reuse(self, m: Module, platform: object, counters: LoopCounters) -> Value:
        """Whether the position only fills the history; its flags and the others go to the tap."""
        reuse = ReusePlace()
        place(m, platform, "reuse_place", reuse)
        names = [n for n in reuse.signature.members if n.startswith("step_")]
        m.d.comb += [getattr(reuse, n).eq(getattr(counters, n)) for n in (*names, "last_pass")]
        m.d.comb += [
            getattr(reuse, n).eq(getattr(self, n)) for n in ("f_reuse", "start", "advance")
        ]
        for flag in REUSE_FLAGS:
            late = delay(m, getattr(reuse, flag), TAP_CYCLES, flag)
            m.d.comb += getattr(self, flag).eq(late)
        return reuse.fill

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
            Mux(wraps, strip + 1, strip),
            Mux(wraps, wrapped_row, next_row),
            Mux(wraps, pointer + wrapped_words, pointer + words),
        )
        first = (self.f_strip_first, self.f_row_first, self.f_row_first_words)
        restart = _either(m, chosen, "rows_restart", "start", "out_groups")
        _update(m, out, (by_out, moved), (restart, first))
        _update(
            m, window,
            (_either(m, chosen, "window_row_moves", "out_rows", "pool_rows"), moved),
            (restart, first),
            (step["out_cols"], out),
        )  # fmt: skip
        _update(
            m, kernel,
            (_either(m, chosen, "row_moves", "out_rows", "pool_rows", "kernel_rows"), moved),
            (restart, first),
            (step["out_cols"], out),
            (_either(m, chosen, "row_back", "passes", "pool_cols"), window),
        )  # fmt: skip
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

    def _columns(self, m: Module, chosen: dict[str, Value], step: dict[str, Value]) -> None:
        def state(name: str) -> tuple[Signal, Signal]:
            return (
                Signal(COLUMN_BITS, name=f"{name}_column", reset_less=True),
                Signal(len(self.column_pointer), name=f"{name}_column_words", reset_less=True),
            )

        kernel, window, out = state("kernel"), state("window"), state("out")
        by_out, by_window = step["out_cols"], step["pool_cols"]
        source = [Mux(by_out, o, Mux(by_window, w, k))
                  for o, w, k in zip(out, window, kernel, strict=True)]  # fmt: skip
        out_now, window_now = chosen["out_cols"], chosen["pool_cols"]
        columns = Mux(out_now, self.f_out_col_step, Mux(window_now, self.f_pool_col_step, 1))
        words = Mux(
            out_now, self.f_out_col_words, Mux(window_now, self.f_pool_col_words, self.f_col_words)
        )
        moved = (
            source[0] + delay(m, columns, 1, "columns"),
            source[1] + delay(m, words, 1, "column_words"),
        )
        first = (self.f_col_first, Const(0))
        restart = _either(m, chosen, "columns_restart", "start", "out_groups", "out_rows")
        _update(m, out, (by_out, moved), (restart, first))
        _update(
            m, window,
            (_either(m, chosen, "window_column_moves", "out_cols", "pool_cols"), moved),
            (restart, first),
            (step["pool_rows"], out),
        )  # fmt: skip
        _update(
            m, kernel,
            (_either(m, chosen, "column_moves", "out_cols", "pool_cols", "kernel_cols"), moved),
            (restart, first),
            (step["pool_rows"], out),
            (_either(m, chosen, "column_back", "kernel_rows", "passes"), window),
        )  # fmt: skip
        m.d.comb += [self.column.eq(kernel[0]), self.column_pointer.eq(kernel[1])]

    def _groups(self, m: Module, step: dict[str, Value], advance: Value) -> None:
        """``advance``: to another activation word."""
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


def _either(m: Module, chosen: dict[str, Value], name: str, *levels: str) -> Value:
    """Whether one of ``levels`` steps, one cycle after ``chosen``."""
    return delay(m, Cat(chosen[level] for level in levels).any(), 1, name)


def _update(m: Module, target: Sequence[Signal], *choices: tuple[Value, Sequence[Value]]) -> None:
    """``target`` takes the values of the first condition that holds. The slowest comes first: it
    passes the fewest multiplexers."""
    for k, (condition, values) in enumerate(choices):
        with m.If(condition) if k == 0 else m.Elif(condition):
            m.d.sync += [t.eq(v) for t, v in zip(target, values, strict=True)]
