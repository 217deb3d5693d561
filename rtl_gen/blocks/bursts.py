"""Burst address generator for one direction of the AXI4 memory port."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.fetch import MOST_BURSTS
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BEAT_BITS, BURST_BEATS, MEMORY_PAGE_BITS
from rtl_gen.isa.fields import SLOT_BITS


class Bursts(Block):
    """Function: after ``start`` (in a cycle in which it is ``idle``) asks for ``f_bursts`` bursts
    from burst ``f_first`` on: all of BURST_BEATS beats, but that the first begins with its beat
    ``f_first_beat`` and the last ends with its beat ``f_last_beat`` (included; ignored in a single
    burst that begins later). ``length`` is beats - 1. ``asks``: one goes out in the next cycle.
    ``over``, an input: the answer to one is complete in this cycle. ``idle``: none is left to ask
    for, and all are over. ``base``: bits 31:12 of burst 0's byte address.

    Latency: the first address is out 2 cycles after ``start``. Throughput: one address per cycle,
    at most MOST_BURSTS asked and not over. Overflow: burst numbers wrap. ``abort``: from the next
    cycle on none is asked for; an address that is out stays until it is taken.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_bursts"
        super().__init__(
            {
                "base": In(32 - MEMORY_PAGE_BITS),
                "start": In(1),
                "f_first": In(SLOT_BITS),
                "f_bursts": In(SLOT_BITS),
                "f_first_beat": In(BEAT_BITS),
                "f_last_beat": In(BEAT_BITS),
                "abort": In(1),
                "over": In(1),
                "asks": Out(1),
                "idle": Out(1),
                "address": Out(32),
                "length": Out(8),
                "valid": Out(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat_bytes = self.config.memory_port_bits // 8
        burst = Signal(SLOT_BITS, reset_less=True)
        beat = Signal(BEAT_BITS, reset_less=True)
        last_beat = Signal(BEAT_BITS, reset_less=True)
        wanted = Signal(SLOT_BITS)
        under_way = Signal(range(MOST_BURSTS + 1))
        m.d.comb += [
            self.asks.eq(wanted.any() & (under_way != MOST_BURSTS) & (~self.valid | self.ready)),
            self.idle.eq(~wanted.any() & ~under_way.any()),
        ]
        m.d.sync += under_way.eq(under_way + self.asks - self.over)
        with m.If(self.asks):
            place = Cat(Const(0, (beat_bytes - 1).bit_length()), beat, burst)
            # For any field values, a burst ends within its aligned block.
            end = Mux((wanted == 1) & (last_beat >= beat), last_beat, BURST_BEATS - 1)
            m.d.sync += [
                self.address.eq(Cat(Const(0, MEMORY_PAGE_BITS), self.base) + place),
                self.length.eq((end - beat)[:BEAT_BITS]),
                self.valid.eq(1),
                burst.eq(burst + 1),
                wanted.eq(wanted - 1),
                beat.eq(0),
            ]
        with m.Elif(self.ready):
            m.d.sync += self.valid.eq(0)
        with m.If(self.start):
            m.d.sync += [
                burst.eq(self.f_first),
                wanted.eq(self.f_bursts),
                beat.eq(self.f_first_beat),
                last_beat.eq(self.f_last_beat),
            ]
        with m.If(self.abort):
            m.d.sync += wanted.eq(0)
        return m
