"""On-chip memories: hand-written Verilog modules (rtl_gen/verilog) that synthesisers map to block
or distributed RAM; Amaranth's own memory stands in for them in the Amaranth simulator."""

from __future__ import annotations

from amaranth import ClockSignal, Instance, Module, Shape, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.hierarchy import Emission


class Ram(wiring.Component):
    """``depth`` words of ``width`` bits, one write port, one read port.

    Read latency: 1 cycle (block RAM), or 0 when ``distributed``. A word must not be read in the
    cycle in which it is written.
    """

    def __init__(self, width: int, depth: int, *, distributed: bool = False) -> None:
        self.width, self.depth, self.distributed = width, depth, distributed
        address_bits = max((depth - 1).bit_length(), 1)
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(address_bits),
                "write_data": In(width),
                "read_address": In(address_bits),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if isinstance(platform, Emission):
            name = "npu_lutram" if self.distributed else "npu_ram"
            platform.static.add(name)
            m.submodules.ram = Instance(
                name,
                p_WIDTH=self.width,
                p_DEPTH=self.depth,
                p_ADDRESS_BITS=len(self.write_address),
                i_clk=ClockSignal(),
                i_write_enable=self.write_enable,
                i_write_address=self.write_address,
                i_write_data=self.write_data,
                i_read_address=self.read_address,
                o_read_data=self.read_data,
            )
            return m
        shape: Shape = unsigned(self.width)
        m.submodules.ram = ram = memory.Memory(shape=shape, depth=self.depth, init=[])
        write = ram.write_port()
        read = ram.read_port(domain="comb" if self.distributed else "sync")
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
        ]
        return m
