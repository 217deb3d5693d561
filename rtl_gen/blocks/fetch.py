"""FETCH: asynchronous DMA of weights from external memory over AXI4, while layers run."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Member, Out

from rtl_gen.blocks.hierarchy import Block
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS, MEMORY_PAGE_BITS
from rtl_gen.isa.fields import SLOT_BITS
from rtl_gen.parameters import STREAM_BITS

MOST_BURSTS = 4
"""Most bursts in flight; their beats hide a memory latency of some 90 cycles."""
INCREMENTING, BUFFERABLE = 1, 0b0011
"""Constant values of ARBURST / AWBURST and of ARCACHE / AWCACHE."""


def memory_ports(config: NpuConfig) -> dict[str, Member]:
    """Return the AXI4 port's signals by name without prefix, empty if the NPU has no port.

    Directions are those at the NPU. The write channels are there only with ``memory_tiles``. There
    are no ID signals, so all data come in order.
    """
    if not config.memory_port_bits:
        return {}
    writes = {
        "awaddr": Out(32),
        "awlen": Out(8),
        "awsize": Out(3),
        "awburst": Out(2),
        "awcache": Out(4),
        "awprot": Out(3),
        "awvalid": Out(1),
        "awready": In(1),
        "wdata": Out(config.memory_port_bits),
        "wstrb": Out(config.memory_port_bits // 8),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }
    reads = {
        "araddr": Out(32),
        "arlen": Out(8),
        "arsize": Out(3),
        "arburst": Out(2),
        "arcache": Out(4),
        "arprot": Out(3),
        "arvalid": Out(1),
        "arready": In(1),
        "rdata": In(config.memory_port_bits),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }
    return reads | (writes if config.memory_tiles else {})


class Fetch(Block):
    """Function: after ``start`` (in a cycle in which it is ``idle``) reads ``f_bursts`` bursts from
    burst ``f_first`` on and writes their beats to weight words ``f_weight_base``..., each word in
    ``fetched_word_beats`` beats, its low columns first. What a last word lacks is not written.
    ``base``: bits 31:12 of burst 0's byte address. ``write_columns``: one enable per 32-bit column.

    Latency: the first address is out 2 cycles after ``start``, the last beat is written 1 cycle
    after it came; ``idle`` from the cycle after that on. Throughput: one beat per cycle, at most
    MOST_BURSTS bursts under way. Overflow: word addresses and burst numbers wrap. ``failed``: a
    beat that comes in this cycle is an error; it is written all the same. ``abort``: from the next
    cycle on no bursts are asked for; ``idle`` when those under way are over, whose beats are
    written.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_fetch"
        address = config.weight_address_bits
        super().__init__(
            {
                **memory_ports(config),
                "base": In(32 - MEMORY_PAGE_BITS),
                "start": In(1),
                "f_first": In(SLOT_BITS),
                "f_bursts": In(SLOT_BITS),
                "f_weight_base": In(address),
                "abort": In(1),
                "idle": Out(1),
                "failed": Out(1),
                "write_columns": Out(config.weight_word_columns),
                "write_address": Out(address),
                "write_data": Out(config.memory_port_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._ask(m)
        self._take(m)
        return m

    def _ask(self, m: Module) -> None:
        """Issue read addresses while bursts are left and fewer than MOST_BURSTS are in flight.

        A burst is in flight from the cycle after it is asked for through that of its last beat.
        """
        beat_bytes = self.config.memory_port_bits // 8
        burst = Signal(SLOT_BITS, reset_less=True)
        wanted = Signal(SLOT_BITS)
        under_way = Signal(range(MOST_BURSTS + 1))
        asks = Signal()
        ends = Signal()
        m.d.comb += [
            self.arlen.eq(BURST_BEATS - 1),
            self.arsize.eq(beat_bytes.bit_length() - 1),
            self.arburst.eq(INCREMENTING),
            self.arcache.eq(BUFFERABLE),
            self.rready.eq(1),
            asks.eq(wanted.any() & (under_way != MOST_BURSTS) & (~self.arvalid | self.arready)),
            ends.eq(self.rvalid & self.rlast),
            self.idle.eq(~wanted.any() & ~under_way.any() & ~self.write_columns.any()),
        ]
        m.d.sync += under_way.eq(under_way + asks - ends)
        with m.If(asks):
            where = Cat(Const(0, MEMORY_PAGE_BITS), self.base) + burst * (BURST_BEATS * beat_bytes)
            m.d.sync += [self.araddr.eq(where), self.arvalid.eq(1)]
            m.d.sync += [burst.eq(burst + 1), wanted.eq(wanted - 1)]
        with m.Elif(self.arready):
            m.d.sync += self.arvalid.eq(0)
        with m.If(self.start):
            m.d.sync += [burst.eq(self.f_first), wanted.eq(self.f_bursts)]
        with m.If(self.abort):
            m.d.sync += wanted.eq(0)

    def _take(self, m: Module) -> None:
        """Write each beat, one cycle after it came, to the next 32-bit columns of the weight word.

        The lowest columns come first; the word's last beat moves on to the next word.
        """
        beats = self.config.fetched_word_beats
        columns = self.config.memory_port_bits // STREAM_BITS
        word = Signal(len(self.write_address), reset_less=True)
        beat = Signal(range(beats), reset_less=True)
        last = beat == beats - 1
        m.d.comb += self.failed.eq(self.rvalid & self.rresp[1])
        enables = Mux(self.rvalid, ((1 << columns) - 1) << (beat * columns), 0)
        m.d.sync += [
            self.write_columns.eq(enables),
            self.write_address.eq(word),
            self.write_data.eq(self.rdata),
        ]
        with m.If(self.start):
            m.d.sync += [word.eq(self.f_weight_base), beat.eq(0)]
        with m.Elif(self.rvalid):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
            with m.If(last):
                m.d.sync += word.eq(word + 1)
