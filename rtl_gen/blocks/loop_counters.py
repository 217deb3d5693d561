"""Counters of a LAYER's loop nest, which determine the level that advances next."""

from __future__ import annotations

import functools
import operator

from amaranth import Module, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.fields import layer_layout
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.config import NpuConfig
from rtl_gen.isa.fields import DIGITS, PHASES, counted_levels

PLACE = ("tile_last", "window_first", "window_last", "group_end", "layer_last")
"""Flags of the place in the nest: of the tap that an ``advance`` in this cycle issues."""
TAP_FLAGS = ("tile_first", "pass_first", "top_pass")
"""Flags that accompany a tap to the array, where they come with its operands."""


def tap_flags(config: NpuConfig) -> tuple[str, ...]:
    """Return TAP_FLAGS and, with the level DIGITS, ``digit_first``: the first tap of each digit of
    the activations but the first, in whose first pass the digits of the weights are signed again.
    """
    return (*TAP_FLAGS, "digit_first") if config.wide_input_passes else TAP_FLAGS


def levels(config: NpuConfig) -> tuple[str, ...]:
    """Return the names of this NPU's loop levels, innermost first; PHASES only if N:M sparse."""
    counted = counted_levels(config)
    return counted if config.most_phases == 1 else (PHASES, *counted)


class LoopCounters(Block):
    """Function: after ``start``, stands at the first tap of the layer; each ``advance`` moves on.

    ``step_<level>``, in the cycle of an advance: it moves the level forward and restarts those
    inside it (none at the layer's last tap). PLACE and TAP_FLAGS have the meaning that LoopNest
    gives them, and like ``last_pass`` (a tap of the last pass) are of the tap that an ``advance``
    in this cycle issues; but ``tile_last`` is here that of every position. ``f_<level>``:
    repetitions - 1, constant during the layer. Latency: 1 cycle from start or advance.
    Throughput: one advance per cycle. Overflow: none.

    Each level counts down the repetitions left; a register says whether there are none, so that
    the ripple from level to level is one wide AND.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.levels = levels(config)
        self.module_name = "npu_loop_counters"
        layout = layer_layout(config)
        super().__init__(
            {
                **{f"f_{level}": In(layout[level]) for level in self.levels},
                "start": In(1),
                "advance": In(1),
                **{f"step_{level}": Out(1) for level in self.levels},
                **{flag: Out(1) for flag in (*PLACE, *tap_flags(config))},
                **({"last_pass": Out(1)} if config.reuses_columns else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last: dict[str, Value] = {}
        inner_last: Value = self.advance
        for level in self.levels:
            repetitions = getattr(self, f"f_{level}")
            left = Signal(len(repetitions), name=f"{level}_left", reset_less=True)
            last[level] = Signal(name=f"{level}_last", reset_less=True)
            with m.If(self.start | (inner_last & last[level])):
                m.d.sync += [left.eq(repetitions), last[level].eq(~repetitions.any())]
            with m.Elif(inner_last):
                m.d.sync += [left.eq(left - 1), last[level].eq(left == 1)]
            m.d.comb += getattr(self, f"step_{level}").eq(inner_last & ~last[level])
            inner_last = inner_last & last[level]
        self._place(m, last)
        if self.config.reuses_columns:
            m.d.comb += self.last_pass.eq(last["passes"])
        return m

    def _place(self, m: Module, last: dict[str, Value]) -> None:
        taps = self.levels[: self.levels.index("pool_cols")]
        m.d.comb += [
            self.tile_last.eq(functools.reduce(operator.and_, [last[level] for level in taps])),
            self.window_last.eq(last["pool_cols"] & last["pool_rows"]),
            self.group_end.eq(self.window_last & last["out_cols"] & last["out_rows"]),
            self.layer_last.eq(self.tile_last & self.group_end & last["out_groups"]),
        ]
        tile_first, pass_first = Signal(reset_less=True), Signal(reset_less=True)
        top_pass, window_first = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(self.start | self.advance):
            m.d.sync += [
                tile_first.eq(self.start | self.tile_last),
                pass_first.eq(self.step_passes),
            ]
        again: Value = self.advance & self.tile_last
        if DIGITS in self.levels:
            digit_first = Signal(reset_less=True)
            with m.If(self.start | self.advance):
                m.d.sync += digit_first.eq(self.step_digits)
            m.d.comb += self.digit_first.eq(digit_first)
            again |= self.step_digits
        with m.If(self.start | again):
            m.d.sync += top_pass.eq(1)
        with m.Elif(self.step_passes):
            m.d.sync += top_pass.eq(0)
        with m.If(self.start | self.step_out_cols | self.step_out_rows | self.step_out_groups):
            m.d.sync += window_first.eq(1)
        with m.Elif(self.step_pool_cols | self.step_pool_rows):
            m.d.sync += window_first.eq(0)
        m.d.comb += [
            self.tile_first.eq(tile_first),
            self.pass_first.eq(pass_first),
            self.top_pass.eq(top_pass),
            self.window_first.eq(window_first),
        ]
