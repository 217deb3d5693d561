"""State machine of the sequencer, from the fetch of an instruction to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from amaranth import Module, Mux, Signal, Value

from rtl_gen.blocks.halt import ERROR_BITS
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.blocks.instruction import InstructionRegister
from rtl_gen.blocks.layer_issue import LayerIssue
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import STREAMED, ErrorCode, Opcode, opcodes
from rtl_gen.timing import flush_cycles


@dataclass(frozen=True)
class Course:
    """Conditions on the current instruction that decide, in START and FINISH, what follows."""

    skipped: Value
    """High for a LOAD ``ahead`` in the run's last image, which has no next image to load."""
    again: Value
    """High for a REPEAT that jumps back, as further images are left."""
    issued: Value
    """High if the sequencer goes on without waiting for its end: REPEAT, FETCH, FILL, SPILL, a LOAD
    ``ahead`` (also if skipped), an EMIT ``ahead`` but in the last image."""
    free: Value
    """High if the block that executes it is idle; of no meaning for LAYER and REPEAT."""


class States:
    """State machine of the sequencer, whose ports it reads and drives.

    ``index`` is the current instruction's number in the program, from 0 on, and ``fail`` the
    ErrorCode found in this cycle, 0 if none. ``active`` is high during a run (not in IDLE and
    ABORT), ``finishing`` in the last cycle of an instruction unless the run is halted, ``waiting``
    while it cannot start as the executing block is busy, ``stalled`` while the transfer that it
    awaits is (Transfer).
    """

    def __init__(
        self, config: NpuConfig, ports: Block, instruction: InstructionRegister, layer: LayerIssue
    ) -> None:
        self.config = config
        self.ports = ports
        self.instruction, self.layer = instruction, layer
        self.is_layer = instruction.kinds[Opcode.LAYER]
        self.index = Signal(16, reset_less=True)
        self.fail = Signal(ERROR_BITS)
        self.active = Signal()
        self.finishing = Signal()
        self.waiting = Signal()
        self.stalled = Signal()
        self.flush = Signal(range(flush_cycles(config) + 1), reset_less=True)
        self.decoding = Signal()

    def machine(self, m: Module, course: Course, halt: Value) -> None:
        """Build the state machine; after a cycle with ``halt`` a run is in ABORT, then in IDLE.

        course: conditions on the current instruction.
        """
        at = self.instruction
        self.halt = halt
        illegal = at.illegal_field(m, self.decoding)
        at.latch(m)
        m.d.sync += at.ahead.eq(at.pc)
        self.run_ahead = [at.ahead.eq(at.ahead + 1), at.coming.eq(at.coming + 1)]
        m.d.sync += [at.word.eq(at.coming), self.ports.layer_start.eq(0)]
        with m.FSM(name="sequencer") as fsm:
            with m.State("IDLE"):
                m.d.sync += [at.pc.eq(0), self.index.eq(0), at.ahead.eq(0)]
                with m.If(self.ports.start):
                    m.d.sync += at.ahead.eq(1)
                    m.next = "FETCH"
            self._reading(m, illegal)
            self._running(m, course)
            self._ending(m, course)
            m.d.comb += self.ports.busy.eq(~fsm.ongoing("IDLE"))
            for opcode in self.ports.moves:
                starts = fsm.ongoing("START") & at.kinds[opcode]
                pulse = getattr(self.ports, f"start_{opcode.name.lower()}")
                m.d.comb += pulse.eq(starts & course.free & ~self.halt)

    @contextmanager
    def _state(self, m: Module, name: str) -> Iterator[None]:
        """Open a state that belongs to a run: ``active`` is high, and ABORT follows on ``halt``."""
        with m.State(name):
            m.d.comb += self.active.eq(1)
            yield
            with m.If(self.halt):
                m.next = "ABORT"

    def _reading(self, m: Module, illegal: Value) -> None:
        """Build the states that read an instruction: FETCH, DECODE and, except for END, FIELDS.

        FIELDS takes a cycle per field word. illegal: high there if the word has bits that no field
        uses.
        """
        at = self.instruction
        past_end, last_word = at.pc[-1] & at.pc[:-1].any(), at.last_word()
        with self._state(m, "FETCH"):
            m.d.sync += [*self.run_ahead, at.pc.eq(at.pc + 1), at.coming.eq(0), self.flush.eq(0)]
            with m.If(at.pc[-1]):
                m.d.comb += self.fail.eq(ErrorCode.PROGRAM)
            m.next = "DECODE"
        with self._state(m, "DECODE"):
            m.d.comb += self.decoding.eq(1)
            opcode, rest = at.fetched[: len(at.opcode)], at.fetched[len(at.opcode) :]
            m.d.sync += [*self.run_ahead, at.opcode.eq(opcode), at.pc.eq(at.pc + 1)]
            m.d.sync += [kind.eq(opcode == code) for code, kind in at.kinds.items()]
            with m.If(rest.any() | (opcode > max(opcodes(self.config)))):
                m.d.comb += self.fail.eq(ErrorCode.OPCODE)
            m.next = "FIELDS"
            with m.If(opcode == Opcode.END):
                m.next = "FINISH"
        with self._state(m, "FIELDS"):
            m.d.comb += at.taking.eq(1)
            m.d.sync += self.run_ahead
            with m.If(past_end):
                m.d.comb += self.fail.eq(ErrorCode.PROGRAM)
            with m.Elif(illegal | (last_word & self.is_layer & self.layer.too_many)):
                m.d.comb += self.fail.eq(ErrorCode.FIELD)
            with m.If(last_word):
                m.d.sync += self.ports.layer_start.eq(self.is_layer)
                m.next = "START"
            with m.Else():
                m.d.sync += at.pc.eq(at.pc + 1)

    def _running(self, m: Module, course: Course) -> None:
        """Build the states that execute an instruction: START, then others by its opcode.

        A LAYER goes through TAPS, DRAIN and FLUSH, a LOAD, STORE or EMIT that is awaited through
        TRANSFER; all others go on to FINISH.
        """
        at, layer = self.instruction, self.layer
        awaits = ~(self.is_layer | at.kinds[Opcode.REPEAT])
        with self._state(m, "START"):
            for opcode in STREAMED:  # the transfer ignores a start until it is idle
                pulse = getattr(self.ports, f"start_{opcode.name.lower()}")
                m.d.comb += pulse.eq(at.kinds[opcode] & ~course.skipped & ~self.halt)
            m.d.comb += self.waiting.eq(awaits & ~course.free)
            with m.If(~self.waiting & ~self.halt):
                m.next = "TRANSFER"
                with m.If(course.issued):
                    m.next = "FINISH"
                with m.If(self.is_layer):
                    m.d.sync += layer.running.eq(1)
                    m.next = "TAPS"
            with m.If(course.again):
                target = at.fields(Opcode.REPEAT)["target"]
                m.d.sync += [at.pc.eq(target), at.ahead.eq(target)]
        with self._state(m, "TAPS"):
            with m.If(layer.issued):
                m.d.sync += layer.running.eq(0)
                m.next = "DRAIN"
            with m.If(self.halt):
                m.d.sync += layer.running.eq(0)
        with self._state(m, "DRAIN"):
            with m.If(layer.drained):
                m.next = "FLUSH"
        with self._state(m, "FLUSH"):
            m.d.sync += self.flush.eq(self.flush + 1)
            with m.If(self.flush == flush_cycles(self.config) - 1):
                m.next = "FINISH"
        with self._state(m, "TRANSFER"):
            m.d.comb += self.stalled.eq(self.ports.transfer_stalled)
            with m.If(self.ports.transfer_done):
                m.next = "FINISH"

    def _ending(self, m: Module, course: Course) -> None:
        """Build the states that end an instruction (FINISH, one cycle) and a halted run (ABORT).

        After FINISH comes the next FETCH, or IDLE if it was END; after ABORT, which lasts until the
        pipelines have run empty, IDLE.
        """
        at = self.instruction
        with self._state(m, "FINISH"):
            repeated = at.fields(Opcode.REPEAT)["index"]
            following = Mux(course.again, repeated, self.index + 1)
            m.d.sync += [*self.run_ahead, self.index.eq(following)]
            m.d.comb += self.finishing.eq(~self.halt)
            m.next = "FETCH"
            with m.If(at.opcode == Opcode.END):
                with m.If(~self.halt):
                    m.d.sync += self.ports.done.eq(1)
                m.next = "IDLE"
        with m.State("ABORT"):  # until the pipelines have run empty
            m.d.sync += [at.ahead.eq(0), self.flush.eq(self.flush + 1)]
            with m.If(self.flush == flush_cycles(self.config)):
                m.next = "IDLE"
