"""AXI4-Lite control port: registers, cycle log and write windows of the memories."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import MEMORY_PAGE_BITS
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.isa.registers import (
    ADDRESS_BITS,
    CHANNEL_BASE,
    IMAGE_COUNT_BITS,
    ISA_VERSION,
    LOG_BASE,
    LOG_DEPTH,
    NPU_ID,
    PROGRAM_BASE,
    WEIGHT_BASE,
    Register,
)

SLVERR = 2
REGISTER_BITS = max(Register).bit_length()
"""Number of low byte-address bits that select a register; all higher ones are 0."""

CONTROL_PORTS = {
    "awaddr": In(ADDRESS_BITS),
    "awvalid": In(1),
    "awready": Out(1),
    "wdata": In(32),
    "wstrb": In(4),
    "wvalid": In(1),
    "wready": Out(1),
    "bresp": Out(2),
    "bvalid": Out(1),
    "bready": In(1),
    "araddr": In(ADDRESS_BITS),
    "arvalid": In(1),
    "arready": Out(1),
    "rdata": Out(32),
    "rresp": Out(2),
    "rvalid": Out(1),
    "rready": In(1),
}
"""Signals of the AXI4-Lite port by name without prefix, with their direction at the NPU."""


class Control(Block):
    """Function: the address map of rtl_gen.isa on AXI4-Lite (32-bit data).

    Latency: a write is answered 2 cycles after the one in which address and data are both taken, a
    read 2 cycles after its address is. ``start`` and ``stop`` are high for one cycle, with the
    answer to the write of CONTROL. Throughput: one transfer at a time each way. SLVERR answers an
    access to an unmapped address, a write to a read-only register or the cycle log, with partial
    strobes, or to a memory window while the NPU is busy, and a read of a memory window.
    Overflow: none.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_control"
        channel = config.channel_depth.bit_length() - 1
        weight = config.weight_address_bits
        super().__init__(
            {
                **CONTROL_PORTS,
                "irq": Out(1),
                "start": Out(1),
                "stop": Out(1),
                "images": Out(IMAGE_COUNT_BITS, init=1),
                "watchdog": Out(32),
                "busy": In(1),
                "done": In(1),
                "error": In(8),
                "error_instruction": In(16),
                "discarding": In(1),
                "cycles": In(32),
                "stalls": In(32),
                "log_address": Out(LOG_DEPTH.bit_length() - 1),
                "log": In(32),
                "data": Out(32),
                "program_write": Out(BUS_WORDS),
                "program_address": Out(config.program_depth.bit_length() - 1),
                "table_write": Out(config.channel_columns),
                "table_address": Out(channel),
                "weight_columns": Out(config.weight_word_columns),
                "weight_address": Out(weight),
                **({"memory_base": Out(32 - MEMORY_PAGE_BITS)} if config.memory_port_bits else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.irq_enable = Signal()
        self._write(m)
        self._read(m)
        # A start is answered in the cycle of its pulse: the last run's end must no longer show.
        ended = (self.done | self.error.any()) & ~self.start & ~self.stop
        m.d.comb += self.irq.eq(self.irq_enable & ended)
        return m

    def _write(self, m: Module) -> None:
        """Build the write channel: accept address and data together, decode in the next cycle.

        The effect of a write follows one cycle after decoding; the registers of address and data
        hold until then. A write takes longer than the register of ``busy``, so no write to a memory
        can slip in behind a start.
        """
        self.locked = delay(m, self.busy, 1, "locked", resettable=True)
        taken, pending = Signal(), Signal()
        address, full = Signal(ADDRESS_BITS, reset_less=True), Signal(reset_less=True)
        m.d.comb += [
            taken.eq(self.awvalid & self.wvalid & ~self.bvalid & ~pending),
            self.awready.eq(taken),
            self.wready.eq(taken),
        ]
        m.d.sync += pending.eq(taken)
        with m.If(taken):
            m.d.sync += [
                address.eq(self.awaddr),
                full.eq(self.wstrb.all()),
                self.data.eq(self.wdata),
            ]
        m.d.sync += [self.start.eq(0), self.stop.eq(0)]
        good = Signal()
        with m.If(pending & full):
            self._write_register(m, address, good)
        for base, enables, target in (
            (PROGRAM_BASE, self.program_write, self.program_address),
            (CHANNEL_BASE, self.table_write, self.table_address),
            (WEIGHT_BASE, self.weight_columns, self.weight_address),
        ):
            write = pending & full
            if base == WEIGHT_BASE and self.config.weight_depth != 1 << len(target):
                write &= target < self.config.weight_depth
            hit = self._write_window(m, base, address, write, enables, target)
            with m.If(hit):
                m.d.comb += good.eq(1)
        with m.If(pending):
            m.d.sync += [self.bvalid.eq(1), self.bresp.eq(Mux(good, 0, SLVERR))]
        with m.Elif(self.bready):
            m.d.sync += self.bvalid.eq(0)

    def _write_register(self, m: Module, address: Signal, good: Signal) -> None:
        with m.If(address == Register.CONTROL):
            m.d.comb += good.eq(1)
            m.d.sync += [
                self.start.eq(self.data[0] & ~self.data[1]),
                self.stop.eq(self.data[1]),
                self.irq_enable.eq(self.data[2]),
            ]
        with m.Elif(address == Register.WATCHDOG):
            m.d.comb += good.eq(1)
            m.d.sync += self.watchdog.eq(self.data)
        with m.Elif(address == Register.IMAGES):
            m.d.comb += good.eq(1)
            m.d.sync += self.images.eq(self.data)
        if self.config.memory_port_bits:
            with m.If(address == Register.MEMORY_BASE):
                m.d.comb += good.eq(1)
                m.d.sync += self.memory_base.eq(self.data[MEMORY_PAGE_BITS:])

    def _write_window(
        self, m: Module, base: int, address: Signal, write: Value, enables: Signal, target: Signal
    ) -> Value:
        """Build the write window of a memory of 32-bit columns at byte address ``base``.

        Byte address bits from 2 on select the column, those above it the word. address: of the
        write that ``write`` says is decoded in this cycle. target: driven with the word's number;
        enables: driven with a one-hot write enable of the column, one cycle later. Returns the
        condition that the window is written, in the cycle of decoding; not while the NPU is busy.
        """
        word = address[2:]
        column_bits = (len(enables) - 1).bit_length()
        bits = column_bits + len(target)
        column = word[:column_bits]
        inside = (word[bits:] == base >> (2 + bits)) & (column < len(enables))
        hit = write & inside & ~self.locked
        m.d.comb += target.eq(word[column_bits:])
        m.d.sync += enables.eq(Mux(hit, 1 << column, 0))
        return hit

    def _read(self, m: Module) -> None:
        registers = {
            Register.ID: Const(NPU_ID, 32),
            Register.VERSION: Const(ISA_VERSION, 32),
            Register.CONFIG_HASH: Const(int(self.config.hash[:8], 16), 32),
            Register.CONTROL: self.irq_enable << 2,
            Register.STATUS: self.busy
            | self.done << 1
            | self.error.any() << 2
            | self.discarding << 3,
            Register.ERROR: self.error | self.error_instruction << 16,
            Register.CYCLES: self.cycles,
            Register.STALLS: self.stalls,
            Register.WATCHDOG: self.watchdog,
            Register.IMAGES: self.images,
        }
        if self.config.memory_port_bits:
            registers[Register.MEMORY_BASE] = Cat(Const(0, MEMORY_PAGE_BITS), self.memory_base)
        pending = Signal()
        address = Signal(ADDRESS_BITS, reset_less=True)
        m.d.comb += self.arready.eq(~pending & ~self.rvalid)
        m.d.sync += pending.eq(self.arvalid & self.arready)
        with m.If(self.arvalid & self.arready):
            m.d.sync += address.eq(self.araddr)
        log_bits = len(self.log_address)
        m.d.comb += self.log_address.eq(address[2:])
        with m.If(pending):
            m.d.sync += [self.rvalid.eq(1), self.rdata.eq(0), self.rresp.eq(SLVERR)]
            with m.If(~address[REGISTER_BITS:].any()):
                with m.Switch(address[:REGISTER_BITS]):
                    for register, value in registers.items():
                        with m.Case(register):
                            m.d.sync += [self.rdata.eq(value), self.rresp.eq(0)]
            with m.If(address[2 + log_bits :] == LOG_BASE >> (2 + log_bits)):
                m.d.sync += [self.rdata.eq(self.log), self.rresp.eq(0)]
        with m.Elif(self.rready):
            m.d.sync += self.rvalid.eq(0)
