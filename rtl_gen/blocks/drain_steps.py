"""Sequence of steps that drains a tile's accumulators through post-processing."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.blocks.post_process import chunk_bits, pixel_bits
from rtl_gen.config import NpuConfig


class DrainSteps(Block):
    """Function: after ``tile`` (the last tap of a tile is issued), one step per cycle for every
    pixel 0..f_drain_pixels and chunk 0..f_drain_chunks, both included, chunks innermost.

    The flags are those that came with ``tile``; ``chunk_last`` / ``tile_last`` mark the last step
    of a pixel / of the tile. Both, as pixel, chunk and flags, have a meaning only while ``valid``.
    The fields are constant during a layer. Latency: 1 cycle from ``tile`` to the first step.
    Throughput: one step per cycle; while ``blocking`` no further ``tile`` may come: it is low from
    the tile's last step on. Overflow: none.
    """

    FLAGS = ("window_first", "window_last", "group_end")

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_drain_steps"
        super().__init__(
            {
                "f_drain_pixels": In(4),
                "f_drain_chunks": In(7),
                "tile": In(1),
                **{f"tile_{flag}": In(1) for flag in self.FLAGS},
                "valid": Out(1),
                "pixel": Out(pixel_bits(config)),
                "chunk": Out(chunk_bits(config)),
                "chunk_last": Out(1),
                "tile_last": Out(1),
                **{flag: Out(1) for flag in self.FLAGS},
                "blocking": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active, blocking = Signal(), Signal()
        pixel, chunk = Signal(4, reset_less=True), Signal(7, reset_less=True)
        chunk_last, pixel_last = Signal(reset_less=True), Signal(reset_less=True)
        m.d.comb += [
            self.valid.eq(active),
            self.pixel.eq(pixel),
            self.chunk.eq(chunk),
            self.chunk_last.eq(chunk_last),
            self.tile_last.eq(chunk_last & pixel_last),
            self.blocking.eq(blocking),
        ]
        for flag in self.FLAGS:
            register = Signal(name=f"{flag}_now", reset_less=True)
            with m.If(self.tile):
                m.d.sync += register.eq(getattr(self, f"tile_{flag}"))
            m.d.comb += getattr(self, flag).eq(register)
        one_chunk, one_pixel = ~self.f_drain_chunks.any(), ~self.f_drain_pixels.any()
        # Compared before the increment, as ``tile`` arrives late in the cycle (critical path).
        more_chunks = chunk != delay(m, (self.f_drain_chunks - 1)[:7], 1, "last_but_one_chunk")
        more_pixels = pixel != delay(m, (self.f_drain_pixels - 1)[:4], 1, "last_but_one_pixel")
        with m.If(self.tile):
            m.d.sync += blocking.eq(~(one_chunk & one_pixel))
            m.d.sync += [active.eq(1), pixel.eq(0), chunk.eq(0)]
            m.d.sync += [chunk_last.eq(one_chunk), pixel_last.eq(one_pixel)]
        with m.Elif(active):
            with m.If(self.tile_last):
                m.d.sync += [active.eq(0), blocking.eq(0)]
            with m.If(self.chunk_last):
                m.d.sync += [chunk.eq(0), pixel.eq(pixel + 1)]
                m.d.sync += [chunk_last.eq(one_chunk), pixel_last.eq(~more_pixels)]
                with m.If(~pixel_last):
                    m.d.sync += blocking.eq(~one_chunk | more_pixels)
            with m.Else():
                m.d.sync += [
                    chunk.eq(chunk + 1),
                    chunk_last.eq(~more_chunks),
                    blocking.eq(more_chunks | ~pixel_last),
                ]
        return m
