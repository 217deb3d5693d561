"""The NPU's top module: its hardware blocks wired together between the AXI ports.

``rtl_gen.emit.verilog`` writes it as Verilog, with NpuTop's docstring at the module's head.

>>> top = NpuTop(NpuConfig())
>>> [name for name in top.signature.members if name.startswith("m_axis")]
['m_axis_tdata', 'm_axis_tvalid', 'm_axis_tready', 'm_axis_tlast']
"""

from __future__ import annotations

from amaranth import Cat, ClockDomain, ClockSignal, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.addressing import ActivationMemory, WeightMemory
from rtl_gen.blocks.control import CONTROL_PORTS, Control
from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.fetch import memory_ports
from rtl_gen.blocks.fields import field_view
from rtl_gen.blocks.fill import Fill
from rtl_gen.blocks.hierarchy import Emission, instantiate
from rtl_gen.blocks.history import HISTORY_FLAGS, TapHistory, history_cycles
from rtl_gen.blocks.memory_port import MemoryPort
from rtl_gen.blocks.packed_array import array
from rtl_gen.blocks.post_process import PostProcess
from rtl_gen.blocks.sequencer import Sequencer
from rtl_gen.blocks.transfer import Transfer
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import STREAMED, ErrorCode, Opcode, opcodes
from rtl_gen.parameters import STREAM_BITS
from rtl_gen.timing import OPERAND_DELAY_CYCLES, step_delay_cycles


class NpuTop(wiring.Component):
    """Function: runs layer programs (rtl_gen.isa) on images that come and go by AXI4-Stream.

    Ports: ``s_axi_control_*`` (AXI4-Lite: registers, program, weights, channel table), ``s_axis_*``
    (images in), ``m_axis_*`` (results out), with ``memory_port_bits`` also ``m_axi_*`` (AXI4 to
    external memory); ``irq`` is high from a run's end on, if enabled. Clock ``aclk``, synchronous
    active-low reset ``aresetn``. Latency and throughput: rtl_gen.timing. Overflow: accumulators
    wrap, which the compiler excludes; codes saturate.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "irq": Out(1),
                **{f"s_axi_control_{name}": port for name, port in CONTROL_PORTS.items()},
                "s_axis_tdata": In(STREAM_BITS),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(STREAM_BITS),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                **{f"m_axi_{name}": port for name, port in memory_ports(config).items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if isinstance(platform, Emission):  # otherwise Amaranth's simulator owns the clock domain
            m.domains.sync = ClockDomain()
            m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        config = self.config
        self.control, self.sequencer = Control(config), Sequencer(config)
        self.transfer, self.array = Transfer(config), array(config)
        self.activations, self.weights = ActivationMemory(config), WeightMemory(config)
        self.post = PostProcess(config)
        self.memory = MemoryPort(config) if config.memory_port_bits else None
        for name in ("control", "sequencer", "transfer", "activations", "weights", "array", "post"):
            instantiate(m, platform, name, getattr(self, name))
        if config.reuses_columns:
            self.history = TapHistory(config)
            instantiate(m, platform, "history", self.history)
        slots = [
            getattr(self.sequencer, f"slot_{k}")
            for k in range(
                len([n for n in self.sequencer.signature.members if n.startswith("slot_")])
            )
        ]
        self.fields = {opcode: field_view(config, opcode, slots) for opcode in opcodes(config)}
        self._connect_control(m)
        self._connect_transfer(m)
        self._connect_operands(m)
        self._connect_post(m)
        if self.memory:
            self.memory.connect(m, platform, self)
        return m

    def _connect_control(self, m: Module) -> None:
        control, sequencer = self.control, self.sequencer
        for name, port in CONTROL_PORTS.items():
            outside, inside = getattr(self, f"s_axi_control_{name}"), getattr(control, name)
            m.d.comb += inside.eq(outside) if port.flow is In else outside.eq(inside)
        for name in ("busy", "done", "error", "error_instruction", "cycles", "stalls", "log"):
            m.d.comb += getattr(control, name).eq(getattr(sequencer, name))
        for name in (
            "start",
            "stop",
            "images",
            "watchdog",
            "program_write",
            "program_address",
            "log_address",
        ):
            m.d.comb += getattr(sequencer, name).eq(getattr(control, name))
        fault = Mux(
            self.activations.outside | self.weights.outside
            | self.post.outside | self.transfer.outside,
            ErrorCode.ADDRESS,
            Mux(self.transfer.short, ErrorCode.STREAM_SHORT,
                Mux(self.transfer.long, ErrorCode.STREAM_LONG, 0)),
        )  # fmt: skip
        if self.memory:
            fault = self.memory.fault(fault)
        m.d.comb += [
            self.irq.eq(control.irq),
            control.discarding.eq(self.transfer.discarding),
            sequencer.program_data.eq(control.data),
            sequencer.fault.eq(fault),
            self.post.table_write.eq(control.table_write),
            self.post.table_address.eq(control.table_address),
            self.post.table_data.eq(control.data),
            self.weights.write_columns.eq(control.weight_columns),
            self.weights.write_address.eq(control.weight_address),
            self.weights.write_data.eq(control.data),
        ]

    def _connect_transfer(self, m: Module) -> None:
        transfer, sequencer = self.transfer, self.sequencer
        for name in ("tdata", "tvalid", "tlast"):
            m.d.comb += getattr(transfer, f"s_axis_{name}").eq(getattr(self, f"s_axis_{name}"))
            m.d.comb += getattr(self, f"m_axis_{name}").eq(getattr(transfer, f"m_axis_{name}"))
        for opcode in STREAMED:
            name = f"start_{opcode.name.lower()}"
            m.d.comb += getattr(transfer, name).eq(getattr(sequencer, name))
        for name, value in self.fields[Opcode.STORE].items():  # a LOAD has the same slots
            m.d.comb += getattr(transfer, f"f_{name}").eq(value)
        m.d.comb += [
            self.s_axis_tready.eq(transfer.s_axis_tready),
            transfer.m_axis_tready.eq(self.m_axis_tready),
            transfer.f_chunks.eq(self.fields[Opcode.EMIT]["chunks"]),
            transfer.abort.eq(sequencer.transfer_abort),
            transfer.flush.eq(self.control.stop),
            sequencer.transfer_idle.eq(transfer.idle),
            sequencer.transfer_done.eq(transfer.done),
            sequencer.transfer_stalled.eq(transfer.stalled),
            transfer.result.eq(self.post.result),
            self.post.result_address.eq(transfer.result_address),
        ]

    def _waiting_writes(self, m: Module, posting: Value) -> tuple[Value, dict[str, Value]]:
        """Arbitrate writes to activation memory: post-processing first, then FILL, then LOAD.

        posting: high in a cycle in which post-processing writes. Returns the condition that a LOAD
        must not write in this cycle, and the write port for cycles without ``posting`` (that of
        FILL if it writes, else that of LOAD) as write_bank, write_address and write_word.
        """
        transfer, fill = self.transfer, self.memory.fetch if self.memory else None
        ports = {n: getattr(transfer, n) for n in ("write_bank", "write_address", "write_word")}
        if not isinstance(fill, Fill):
            return posting, ports
        filling = Signal()
        m.d.comb += filling.eq(fill.write_bank.any())
        filled = (fill.write_bank, fill.bank_address, fill.write_word)
        pairs = zip(ports.items(), filled, strict=True)
        return posting | filling, {name: Mux(filling, own, port) for (name, port), own in pairs}

    def _connect_operands(self, m: Module) -> None:
        """Connect taps (or a STORE's reads) to the memories, and their operands to the array.

        Also the writes to activation memory. Flags of a tap are delayed to come with its operands.
        """
        sequencer, transfer, memory = self.sequencer, self.transfer, self.activations
        layer = self.fields[Opcode.LAYER]
        storing, posting = Signal(), Signal()
        blocked, ports = self._waiting_writes(m, posting)
        m.d.comb += [
            storing.eq(transfer.read_valid),
            posting.eq(self.post.write_bank.any()),
            transfer.blocked.eq(blocked),
            memory.valid.eq(sequencer.tap_valid | storing),
            memory.direct.eq(storing),
            memory.pointer.eq(
                Mux(
                    delay(m, storing, 1, "storing"),
                    delay(m, transfer.read_pointer, 1, "read_pointer"),
                    sequencer.tap_pointer,
                )
            ),
            memory.strip.eq(Mux(storing, transfer.read_strip, sequencer.tap_strip)),
            memory.last_strip.eq(layer["last_strip"]),  # a STORE has it in the same slot
            memory.column.eq(sequencer.tap_column),
            memory.row.eq(sequencer.tap_row),
            memory.col_limit.eq(layer["col_limit"]),
            memory.last_rows.eq(layer["last_rows"]),
            memory.pad_code.eq(layer["pad_code"]),
            *(
                getattr(memory, name).eq(Mux(posting, getattr(self.post, name), port))
                for name, port in ports.items()
            ),
            transfer.read_word.eq(memory.activations),
            self.weights.valid.eq(sequencer.tap_valid),
            self.weights.pointer.eq(sequencer.tap_weight_pointer),
            self.array.activations.eq(self._words(m)),
            self.array.digits.eq(self.weights.digits),
        ]
        aligned: dict[str, Value] = {
            "clear": sequencer.tap_tile_first,
            "shift": sequencer.tap_pass_first,
            "digit_signed": sequencer.tap_top_pass,
        }
        if self.config.wide_input_passes:  # both at once: the next activation digit
            aligned["clear"] |= sequencer.tap_digit_first
            aligned["shift"] |= sequencer.tap_digit_first
        cycles = OPERAND_DELAY_CYCLES + history_cycles(self.config)
        valid: Value = sequencer.tap_valid
        if self.config.reuses_columns:
            valid = valid & ~sequencer.tap_fill
        valid = delay(m, valid, cycles, "tap_valid", resettable=True)
        m.d.comb += self.array.valid.eq(valid)
        for name, value in aligned.items():
            m.d.comb += getattr(self.array, name).eq(delay(m, value, cycles, name))

    def _words(self, m: Module) -> Value:
        """Return the activation words of all pixels for the array, pixel 0 lowest.

        As read, or with column reuse one cycle later, through the history, which is connected here.
        """
        if not self.config.reuses_columns:
            return self.activations.activations
        history, sequencer = self.history, self.sequencer
        cycles = OPERAND_DELAY_CYCLES
        valid = delay(m, sequencer.tap_valid, cycles, "history_valid", resettable=True)
        m.d.comb += [
            history.activations.eq(self.activations.activations),
            history.valid.eq(valid),
            history.pad_code.eq(self.fields[Opcode.LAYER]["pad_code"]),
            self.array.older.eq(history.older),
            self.array.reuse.eq(history.reuse_now),
        ]
        for name in HISTORY_FLAGS:
            flag = getattr(sequencer, f"tap_{name}")
            m.d.comb += getattr(history, name).eq(delay(m, flag, cycles, f"history_{name}"))
        return history.words

    def _connect_post(self, m: Module) -> None:
        sequencer, post = self.sequencer, self.post
        cycles = step_delay_cycles(self.config)
        m.d.comb += [
            post.accumulators.eq(self.array.accumulators),
            *(
                [post.activation_sums.eq(self.array.activation_sums)]
                if self.config.binary_weights
                else []
            ),
            post.snapshot.eq(delay(m, sequencer.tile, cycles, "snapshot", resettable=True)),
            post.start.eq(sequencer.layer_start),
        ]
        valid = delay(m, sequencer.step_valid, cycles, "step_valid", resettable=True)
        names = [n for n in sequencer.step_names if n != "valid"]
        late = delay(m, Cat(getattr(sequencer, f"step_{n}") for n in names), cycles, "step")
        m.d.comb += [
            post.step_valid.eq(valid),
            Cat(getattr(post, n) for n in names).eq(late),
        ]
        for name, value in self.fields[Opcode.LAYER].items():
            port = f"f_{name}"
            if port in post.signature.members:
                m.d.comb += getattr(post, port).eq(value)
