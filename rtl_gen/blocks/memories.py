"""On-chip memories, which synthesis maps to block RAM or distributed RAM.

In Verilog they are the hand-written modules of rtl_gen/verilog; in Amaranth's own simulator
Amaranth's memory replaces them.
"""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import ClockSignal, Instance, Module, Shape, Value, unsigned
from amaranth.lib import memory
from amaranth.lib.wiring import In, Member, Out

from rtl_gen.blocks.hierarchy import Block, Emission


class Ram(Block):
    """``depth`` words of ``width`` bits, one write port, one read port.

    Read latency: 1 cycle (block RAM), or 0 when ``distributed``. A read in the cycle in which the
    same word is written gives the old word when ``distributed``, an undefined one otherwise. The
    initial content is undefined. more: further ports, of a subclass.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        *,
        distributed: bool = False,
        more: Mapping[str, Member] | None = None,
    ) -> None:
        self.width, self.depth, self.distributed = width, depth, distributed
        self.module_name = "npu_lutram" if distributed else "npu_ram"
        address_bits = max((depth - 1).bit_length(), 1)
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(address_bits),
                "write_data": In(width),
                "read_address": In(address_bits),
                "read_data": Out(width),
                **(more or {}),
            }
        )

    def instance(self, emission: Emission, inputs: Mapping[str, Value]) -> Instance:
        emission.static.add(self.module_name)
        return Instance(
            self.module_name,
            ("p", "WIDTH", self.width),
            ("p", "DEPTH", self.depth),
            ("p", "ADDRESS_BITS", len(self.write_address)),
            ("i", "clk", ClockSignal()),
            *self.ports(inputs),
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._elaborated(m)
        return m

    def _elaborated(self, m: Module) -> memory.Memory:
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
        return ram


class SharedRam(Ram):
    """A block Ram whose write port reads in cycles in which it does not write.

    ``other_data`` is the word at ``write_address``, 1 cycle later, and stays in the cycle after a
    write. It takes both ports of a block RAM."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__(width, depth, more={"other_data": Out(width)})
        self.module_name = "npu_ram_shared"

    def _elaborated(self, m: Module) -> memory.Memory:
        ram = super()._elaborated(m)
        other = ram.read_port()
        m.d.comb += [
            other.en.eq(~self.write_enable),
            other.addr.eq(self.write_address),
            self.other_data.eq(other.data),
        ]
        return ram
