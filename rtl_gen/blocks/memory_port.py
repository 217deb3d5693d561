"""AXI4 memory port of the NPU: the DMA blocks behind it, wired to the other blocks."""

from __future__ import annotations

from amaranth import Module, Mux, Value
from amaranth.lib.wiring import Component, In

from rtl_gen.blocks.fetch import Fetch, memory_ports
from rtl_gen.blocks.fill import Fill
from rtl_gen.blocks.hierarchy import instantiate
from rtl_gen.blocks.spill import Spill
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import ErrorCode, Opcode


class MemoryPort:
    """DMA blocks of the memory port: ``fetch`` reads, ``spill`` writes (with ``memory_tiles``).

    ``fetch`` reads weights, with ``memory_tiles`` also activations (FILL). In all methods ``npu``
    is the NpuTop with its other blocks and the instructions' ``fields``.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.fetch = Fill(config) if config.memory_tiles else Fetch(config)
        self.spill = Spill(config) if config.memory_tiles else None

    def fault(self, fault: Value) -> Value:
        """Return ErrorCode.ADDRESS in a cycle in which one of these blocks fails, else ``fault``.

        fault: error code of the other blocks, 0 for none.
        """
        fault = Mux(self.fetch.failed, ErrorCode.ADDRESS, fault)
        if self.spill:
            moved = self.fetch.outside | self.spill.outside | self.spill.failed
            fault = Mux(moved, ErrorCode.ADDRESS, fault)
        return fault

    def connect(self, m: Module, platform: object, npu: Component) -> None:
        """Instantiate the DMA blocks and connect them to the NPU's port and its other blocks."""
        self._connect_fetch(m, platform, npu)
        if self.spill:
            self._connect_tiles(m, platform, npu, self.spill)

    def _connect_fetch(self, m: Module, platform: object, npu: Component) -> None:
        fetch, sequencer = self.fetch, npu.sequencer
        instantiate(m, platform, "fetch", fetch)
        self._connect_channels(m, npu, fetch)
        for name, value in npu.fields[Opcode.FETCH].items():
            m.d.comb += getattr(fetch, f"f_{name}").eq(value)
        m.d.comb += [
            fetch.base.eq(npu.control.memory_base),
            fetch.start.eq(sequencer.start_fetch),
            fetch.abort.eq(sequencer.transfer_abort),
            sequencer.fetch_idle.eq(fetch.idle),
            npu.weights.fetch_columns.eq(fetch.write_columns),
            npu.weights.fetch_address.eq(fetch.write_address),
            npu.weights.fetch_data.eq(fetch.write_data),
        ]

    def _connect_channels(self, m: Module, npu: Component, block: Fetch | Fill | Spill) -> None:
        """Connect the signals of the NPU's AXI4 port that ``block`` has."""
        for name, port in memory_ports(self.config).items():
            if name in block.signature.members:
                outside, inside = getattr(npu, f"m_axi_{name}"), getattr(block, name)
                m.d.comb += inside.eq(outside) if port.flow is In else outside.eq(inside)

    def _connect_tiles(self, m: Module, platform: object, npu: Component, spill: Spill) -> None:
        fill, sequencer, memory = self.fetch, npu.sequencer, npu.activations
        instantiate(m, platform, "spill", spill)
        self._connect_channels(m, npu, spill)
        for name, value in npu.fields[Opcode.SPILL].items():  # a FILL has the same slots
            m.d.comb += getattr(spill, f"f_{name}").eq(value)
            if name not in npu.fields[Opcode.FETCH]:
                m.d.comb += getattr(fill, f"f_{name}").eq(value)
        m.d.comb += [
            fill.start_fill.eq(sequencer.start_fill),
            fill.blocked.eq(npu.post.write_bank.any()),
            spill.base.eq(npu.control.memory_base),
            spill.start.eq(sequencer.start_spill),
            spill.abort.eq(sequencer.transfer_abort),
            sequencer.spill_idle.eq(spill.idle),
            memory.spill_bank.eq(spill.read_bank),
            memory.spill_address.eq(spill.read_address),
            spill.granted.eq(memory.free),
            spill.read_word.eq(memory.spill_word),
        ]
