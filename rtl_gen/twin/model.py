"""Twin: behavioural model of the NPU at instruction level, exact in results, errors and cycles.

Like the hardware it knows no networks: it executes program words on stream beats, and keeps its
memories from run to run. It has no clock, so it is fast; network tests compare the RTL with it.

Asynchronous transfers (LOAD and EMIT ahead, FETCH, FILL, SPILL) complete at once here. A program
that reads what they write, or overwrites what they read, before the instruction that waits for
them, which no compiled program does, may see other data in the RTL; so may a LAYER that overwrites
what it has yet to read. An error of such a transfer may stop the RTL at a later instruction, and
any error leaves memories as written so far, which need not be as far here. Field values outside
the meaning that rtl_gen.isa.fields gives them are not modelled, unless they are an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rtl_gen import timing
from rtl_gen.isa.encoding import BUS_WORDS, Instruction, decode, instruction_words
from rtl_gen.isa.opcodes import ErrorCode, Opcode, opcodes
from rtl_gen.twin import layer, transfers
from rtl_gen.twin.memories import Memories, TwinError
from rtl_gen.twin.transfers import Beat, Streams

_MOVES = {
    Opcode.FETCH: transfers.fetch,
    Opcode.FILL: transfers.fill,
    Opcode.SPILL: transfers.spill,
}


@dataclass(frozen=True)
class TwinResult:
    """Outcome of one run: output stream, error and cycle counts. Made by ``Twin.run``."""

    output_beats: list[Beat]
    error: ErrorCode
    error_instruction: int
    """Index of the instruction that stopped the run; 0 if there was no error."""
    cycle_log: list[int]
    """CYCLES at the end of each finished instruction, in order of execution, once per execution;
    all of them, where the hardware's log keeps LOG_DEPTH entries."""
    beats_used: int
    """Input beats consumed, including those discarded after STREAM_LONG."""


class Twin(Memories):
    """Behavioural model of one NPU: load its memories, then ``run`` its program on stream beats.

    >>> from rtl_gen.config import NpuConfig
    >>> twin = Twin(NpuConfig())
    >>> twin.load_program(Instruction(Opcode.END, {}).encode(twin.config))
    >>> result = twin.run([])
    >>> result.error.name, result.cycle_log
    ('NONE', [3])
    """

    def run(self, stream_beats: Sequence[Beat], watchdog: int = 0, images: int = 1) -> TwinResult:
        """Execute the program from word 0 until END or an error.

        stream_beats: the input stream, (TDATA, TLAST) per beat. watchdog: value of CYCLES that
        stops the run, 0 for none (stalls, which the hardware counts too, do not occur here); an
        instruction that would reach it is not executed, so that an error that it would meet before
        is not found. images: content of the register IMAGES; 0
        counts as 1. Raises TwinInputError when a LOAD waits for beats that never come and no
        watchdog is set.
        """
        streams, log, images_left = Streams(stream_beats), list[int](), max(images, 1)
        cycles, position, index = timing.START_CYCLES, 0, 0
        error = ErrorCode.NONE
        try:
            while True:
                instruction, position = self._fetch(position)
                last = images_left == 1
                cycles += timing.instruction_cycles(self.config, instruction, last=last)
                if watchdog and cycles >= watchdog:
                    raise TwinError(ErrorCode.WATCHDOG)
                self._execute(instruction, streams, last=last, watched=bool(watchdog))
                log.append(cycles)
                if instruction.opcode is Opcode.END:
                    break
                index += 1
                if instruction.opcode is Opcode.REPEAT and not last:
                    images_left -= 1
                    position, index = instruction.fields["target"], instruction.fields["index"]
        except TwinError as stop:
            error = stop.code
        return TwinResult(streams.output, error, index if error else 0, log, streams.used)

    def _fetch(self, position: int) -> tuple[Instruction, int]:
        """Return the instruction at program word ``position``, and the position after it.

        Raises TwinError as the hardware would stop: PROGRAM if the instruction is not wholly inside
        program memory, OPCODE for one that does not exist or that this NPU lacks, or for further
        bits in its word, FIELD for bits that no field uses.
        """
        c, first = self.config, BUS_WORDS * position
        if first >= len(self.program):
            raise TwinError(ErrorCode.PROGRAM)
        try:
            opcode = Opcode(self.program[first])
        except ValueError:
            raise TwinError(ErrorCode.OPCODE) from None
        if opcode not in opcodes(c) or any(self.program[first + 1 : first + BUS_WORDS]):
            raise TwinError(ErrorCode.OPCODE)
        whole = BUS_WORDS * instruction_words(c, opcode)
        words = self.program[first : first + whole]
        try:  # words beyond the end of program memory read as 0
            instruction, _ = decode(c, words + [0] * (whole - len(words)), 0)
        except ValueError:
            raise TwinError(ErrorCode.FIELD) from None
        if len(words) < whole:
            raise TwinError(ErrorCode.PROGRAM)
        return instruction, position + whole // BUS_WORDS

    def _execute(
        self, instruction: Instruction, streams: Streams, *, last: bool, watched: bool
    ) -> None:
        opcode, f = instruction.opcode, instruction.fields
        if opcode is Opcode.LOAD:
            if not (f["ahead"] and last):
                transfers.load(self, f, streams, watched=watched)
        elif opcode is Opcode.LAYER:
            layer.run(self, f)
        elif opcode is Opcode.STORE:
            transfers.store(self, f, streams)
        elif opcode is Opcode.EMIT:
            transfers.emit(self, f, streams)
        elif f.get("bursts"):
            _MOVES[opcode](self, f)
