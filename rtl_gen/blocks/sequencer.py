"""Sequencer: fetches instructions, executes them, counts cycles and stops on errors."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.fields import slot_widths
from rtl_gen.blocks.halt import ERROR_BITS, Halt
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.instruction import InstructionRegister
from rtl_gen.blocks.layer_issue import LayerIssue
from rtl_gen.blocks.memories import Ram
from rtl_gen.blocks.sequencer_states import Course, States
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.isa.opcodes import MOVES, STREAMED, Opcode, opcodes
from rtl_gen.isa.registers import IMAGE_COUNT_BITS, LOG_DEPTH


class Sequencer(Block):
    """Function: runs the program from word 0 after ``start`` until END or an error.

    Every field of every opcode comes out as ``slot_<k>`` (rtl_gen.blocks.fields names them), but
    for those of LAYER's records, which only the loop nest needs.
    LAYER: taps (ports ``tap_*``) and drain steps (``step_*``) as LoopNest and DrainSteps issue
    them. LOAD / STORE / EMIT: ``start_*`` until ``transfer_idle``, then ``transfer_done`` is
    awaited, but for those that go on ``ahead``; a LOAD ``ahead`` of the last image does not start.
    REPEAT: back to its target ``images`` - 1 times (0 is as 1).
    FETCH, with a memory port, and FILL and SPILL: ``start_*`` when what moves it is idle.
    ``layer_start``: high for one cycle before a LAYER's taps; ``tile``: high in the cycle in which
    the last tap of a tile that is drained is issued. ``log``: entry ``log_address``, at once.
    Latency: timing.instruction_cycles, exactly, besides STALLS. Overflow: CYCLES and STALLS wrap at
    2**32. Errors: the first one stops the run after the pipelines have run empty; ``error`` and
    ``error_instruction`` keep it until ``stop`` or the next start. ``stop`` ends a run without an
    error. A ``start`` while ``busy`` does nothing; ``done`` is high from END to the next start or
    stop.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_sequencer"
        layer = LayerIssue(config)
        self.moves = tuple(opcode for opcode in MOVES if opcode in opcodes(config))
        self.tap_names, self.step_names = layer.tap_names, layer.step_names
        program = config.program_depth.bit_length() - 1
        super().__init__(
            {
                "start": In(1),
                "stop": In(1),
                "images": In(IMAGE_COUNT_BITS),
                "watchdog": In(32),
                "program_write": In(BUS_WORDS),
                "program_address": In(program),
                "program_data": In(32),
                "log_address": In(LOG_DEPTH.bit_length() - 1),
                "log": Out(32),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(8),
                "error_instruction": Out(16),
                "cycles": Out(32),
                "stalls": Out(32),
                **{f"slot_{k}": Out(width) for k, width in enumerate(slot_widths(config))},
                "layer_start": Out(1),
                "tile": Out(1),
                **layer.ports(),
                **{f"start_{opcode.name.lower()}": Out(1) for opcode in STREAMED},
                "transfer_idle": In(1),
                "transfer_done": In(1),
                "transfer_stalled": In(1),
                "transfer_abort": Out(1),
                "fault": In(ERROR_BITS),
                **{f"start_{opcode.name.lower()}": Out(1) for opcode in self.moves},
                **({"fetch_idle": In(1)} if config.memory_port_bits else {}),
                **({"spill_idle": In(1)} if config.memory_tiles else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        slots = [getattr(self, f"slot_{k}") for k in range(len(slot_widths(config)))]
        self.instruction, self.layer = InstructionRegister(config, slots), LayerIssue(config)
        self.states = States(config, self, self.instruction, self.layer)
        self.instruction.read(
            m,
            platform,
            write=self.program_write,
            address=self.program_address,
            data=self.program_data,
        )
        self._layer(m, platform)
        course = self._course(m)
        halt = self._halt(m, platform)
        self.states.machine(m, course, halt)
        self._counters(m, platform)
        return m

    def _layer(self, m: Module, platform: object) -> None:
        layer = self.layer
        layer.instantiate(m, platform, self.instruction, start=self.layer_start, tile=self.tile)
        m.d.comb += [getattr(self, f"tap_{n}").eq(getattr(layer.loops, n)) for n in self.tap_names]
        m.d.comb += [
            getattr(self, f"step_{n}").eq(getattr(layer.steps, n)) for n in self.step_names
        ]

    def _course(self, m: Module) -> Course:
        """Count the images of the run and decide what follows for ``ahead`` and REPEAT.

        0 images count as 1.
        """
        images_left = Signal(IMAGE_COUNT_BITS, reset_less=True)
        last = Signal(reset_less=True)
        m.d.sync += last.eq(~images_left[1:].any())
        kinds = self.instruction.kinds

        def ahead(code: Opcode) -> Value:
            return kinds[code] & self.instruction.fields(code)["ahead"]

        skipped, again = ahead(Opcode.LOAD) & last, kinds[Opcode.REPEAT] & ~last
        issued = kinds[Opcode.REPEAT] | ahead(Opcode.LOAD) | (ahead(Opcode.EMIT) & ~last)
        free: Value = self.transfer_idle
        for opcode in self.moves:
            moves = kinds[opcode]
            issued |= moves
            free = Mux(moves, self.spill_idle if opcode is Opcode.SPILL else self.fetch_idle, free)
        with m.If(self.start & ~self.busy):
            m.d.sync += images_left.eq(self.images)
        with m.Elif(self.states.finishing & again):
            m.d.sync += images_left.eq(images_left - 1)
        return Course(skipped, again, issued, free)

    def _halt(self, m: Module, platform: object) -> Value:
        """Instantiate Halt, build ``done``'s reset, and return the condition to end the run now."""
        halt, states = Halt(), self.states
        instantiate(m, platform, "halting", halt)
        begin = self.start & ~self.busy
        m.d.comb += [
            halt.begin.eq(begin),
            halt.active.eq(states.active),
            halt.index.eq(states.index),
            halt.fail.eq(states.fail),
            self.transfer_abort.eq(halt.halt),
            *(getattr(halt, n).eq(getattr(self, n)) for n in ("stop", "watchdog", "fault")),
            *(getattr(self, n).eq(getattr(halt, n)) for n in ("error", "error_instruction")),
        ]
        with m.If(self.stop | begin):
            m.d.sync += self.done.eq(0)
        return halt.halt

    def _counters(self, m: Module, platform: object) -> None:
        """Build CYCLES, STALLS and the cycle log (CYCLES at the end of each instruction).

        A cycle of a run counts in CYCLES or, if it waits, in STALLS; both are 0 at a start. The log
        entry is the instruction's index modulo LOG_DEPTH.
        """
        log = Ram(32, LOG_DEPTH, distributed=True)
        instantiate(m, platform, "log", log)
        states = self.states
        stalled = states.stalled | states.waiting
        m.d.comb += [
            log.write_enable.eq(states.finishing),
            log.write_address.eq(states.index),
            log.write_data.eq(self.cycles + 1),
            log.read_address.eq(self.log_address),
            self.log.eq(log.read_data),
        ]
        with m.If(self.start & ~self.busy):
            m.d.sync += [self.cycles.eq(0), self.stalls.eq(0)]
        with m.Elif(states.active & stalled):
            m.d.sync += self.stalls.eq(self.stalls + 1)
        with m.Elif(states.active):
            m.d.sync += self.cycles.eq(self.cycles + 1)
