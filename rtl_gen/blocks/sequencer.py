"""The sequencer: fetches instructions, runs them, counts cycles, stops on errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.drain_steps import DrainSteps
from rtl_gen.blocks.fields import (
    field_view,
    layer_layout,
    record_view,
    slot_widths,
    unused_bits,
)
from rtl_gen.blocks.halt import ERROR_BITS, Halt
from rtl_gen.blocks.loop_counters import PLACE
from rtl_gen.blocks.loops import LoopNest
from rtl_gen.blocks.memories import Ram
from rtl_gen.config import NpuConfig
from rtl_gen.hierarchy import Block, place
from rtl_gen.isa.encoding import BUS_WORDS, WORD_BITS, field_words, slot_words
from rtl_gen.isa.fields import COUNT_BITS, MOVE, RECORDS, SLOT_BITS, START
from rtl_gen.isa.opcodes import MOVES, STREAMED, ErrorCode, Opcode, opcodes
from rtl_gen.isa.registers import IMAGE_COUNT_BITS, LOG_DEPTH
from rtl_gen.timing import flush_cycles


class Sequencer(Block):
    """Function: runs the program from word 0 after ``start`` until END or an error.

    Every field of every opcode comes out as ``slot_<k>`` (rtl_gen.blocks.fields names them), but
    for those of LAYER's records, which only the loop nest needs.
    LAYER: taps (ports ``tap_*``) and drain steps (``step_*``) as LoopNest and DrainSteps issue
    them. LOAD / STORE / EMIT: ``start_*`` until ``transfer_idle``, then ``transfer_done`` is
    awaited, but for those that go on ``ahead``. REPEAT: back to its target ``images`` - 1 times.
    FETCH, with a memory port, and FILL and SPILL: ``start_*`` when what moves it is idle.
    Latency: timing.instruction_cycles, exactly. Overflow: CYCLES and STALLS wrap at 2**32.
    Errors: the first one stops the run after the pipelines have run empty; ``error`` and
    ``error_instruction`` keep it until the next start.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_sequencer"
        loops, steps = LoopNest(config), DrainSteps(config)
        self.moves = tuple(opcode for opcode in MOVES if opcode in opcodes(config))
        self.tap_names = [
            name
            for name in loops.signature.members
            if name not in ("start", "advance", *PLACE) and not name.startswith(("f_", "record_"))
        ]
        self.step_names = ["valid", "pixel", "chunk", "chunk_last", "tile_last", *steps.FLAGS]
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
                **{f"tap_{n}": Out(loops.signature.members[n].shape) for n in self.tap_names},
                **{f"step_{n}": Out(steps.signature.members[n].shape) for n in self.step_names},
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
        self.slots = [getattr(self, f"slot_{k}") for k in range(len(slot_widths(config)))]
        self.opcode = Signal(range(max(opcodes(config)) + 1), reset_less=True)
        self.kinds: dict[Opcode, Signal] = {
            code: Signal(name=f"is_{code.name.lower()}", reset_less=True)
            for code in (*STREAMED, *sorted(set(opcodes(config)) - {Opcode.END, *STREAMED}))
        }
        self.is_layer = self.kinds[Opcode.LAYER]
        layout = layer_layout(config)
        self.counts: dict[str, Value] = {
            level: Signal(layout[level], name=f"{level}_count", reset_less=True)
            for level in COUNT_BITS
        }
        self.taking = Signal()
        self.word = Signal(4, reset_less=True)
        self.coming = Signal(4, reset_less=True)
        self.index = Signal(16, reset_less=True)
        self.fail = Signal(ERROR_BITS)
        self.active = Signal()
        self.finishing = Signal()
        self.waiting = Signal()
        self.stalled = Signal()
        self.flush = Signal(range(flush_cycles(config) + 1), reset_less=True)
        self._program(m, platform)
        self._layer(m, platform)
        self._images(m)
        self._halt(m, platform)
        self._machine(m)
        self._counters(m, platform)
        return m

    def _program(self, m: Module, platform: object) -> None:
        """``fetched`` is the word before ``pc`` in DECODE and FIELDS: block RAM and a register, so
        that the read pointer ``ahead`` runs two words ahead."""
        depth = self.config.program_depth
        self.pc = Signal(depth.bit_length(), reset_less=True)
        self.ahead = Signal(depth.bit_length() - 1, reset_less=True)
        self.fetched = Signal(WORD_BITS, reset_less=True)
        for half in range(BUS_WORDS):
            ram = Ram(32, depth)
            place(m, platform, f"program{half}", ram)
            m.d.comb += [
                ram.write_enable.eq(self.program_write[half]),
                ram.write_address.eq(self.program_address),
                ram.write_data.eq(self.program_data),
                ram.read_address.eq(self.ahead),
            ]
            m.d.sync += self.fetched.word_select(half, 32).eq(ram.read_data)

    def _layer(self, m: Module, platform: object) -> None:
        loops, steps = LoopNest(self.config), DrainSteps(self.config)
        place(m, platform, "loops", loops)
        place(m, platform, "drain_steps", steps)
        fields = field_view(self.config, Opcode.LAYER, self.slots) | self.counts
        for block in (loops, steps):
            for name in block.signature.members:
                if name.startswith("f_"):
                    m.d.comb += getattr(block, name).eq(fields[name.removeprefix("f_")])
        record = record_view(self.config, START, self.fetched)
        m.d.comb += [getattr(loops, f"record_{f.name}").eq(record[f.name]) for f in MOVE]
        m.d.comb += [loops.record_word.eq(self.word), loops.record_write.eq(self.taking)]
        self.running = Signal()
        self.too_many = Signal(reset_less=True)
        too_many = (fields["drain_pixels"] >= self.config.pixels) | (
            fields["drain_chunks"] >= self.config.chunks
        )
        if self.config.reuses_columns:  # no position would be left to drain: the layer never ends
            too_many |= fields["reuse"] > fields["out_cols"] + 1
        m.d.sync += self.too_many.eq(too_many)
        m.d.comb += [
            loops.start.eq(self.layer_start),
            loops.advance.eq(self.running & ~(loops.tile_last & steps.blocking)),
            steps.tile.eq(loops.advance & loops.tile_last),
            self.tile.eq(steps.tile),
        ]
        m.d.comb += [getattr(steps, f"tile_{f}").eq(getattr(loops, f)) for f in steps.FLAGS]
        m.d.comb += [getattr(self, f"tap_{n}").eq(getattr(loops, n)) for n in self.tap_names]
        m.d.comb += [getattr(self, f"step_{n}").eq(getattr(steps, n)) for n in self.step_names]
        self.layer_issued = loops.advance & loops.layer_last
        self.drained = steps.valid & steps.tile_last

    def _images(self, m: Module) -> None:
        """Which image of the run this is, and what that makes of ``ahead`` and REPEAT."""
        self.images_left = Signal(IMAGE_COUNT_BITS, reset_less=True)
        last = Signal(reset_less=True)
        m.d.sync += last.eq(~self.images_left[1:].any())

        def ahead(code: Opcode) -> Value:
            return self.kinds[code] & field_view(self.config, code, self.slots)["ahead"]

        self.skipped, self.again = ahead(Opcode.LOAD) & last, self.kinds[Opcode.REPEAT] & ~last
        self.issued = self.kinds[Opcode.REPEAT] | ahead(Opcode.LOAD) | (ahead(Opcode.EMIT) & ~last)
        self.free: Value = self.transfer_idle
        for opcode in self.moves:
            moves = self.kinds[opcode]
            self.issued |= moves
            idle = self.spill_idle if opcode is Opcode.SPILL else self.fetch_idle
            self.free = Mux(moves, idle, self.free)
        with m.If(self.start & ~self.busy):
            m.d.sync += self.images_left.eq(self.images)
        with m.Elif(self.finishing & self.again):
            m.d.sync += self.images_left.eq(self.images_left - 1)

    def _illegal_field(self, m: Module, decoding: Value) -> Value:
        """Whether the fetched field word has bits that its fields do not use; the mask of these
        bits is chosen one cycle before the word comes."""
        opcode = Mux(decoding, self.fetched[: len(self.opcode)], self.opcode)
        mask = Signal(WORD_BITS, reset_less=True)
        with m.Switch(Cat(self.coming, opcode)):
            for code in self.kinds:
                for k, unused in enumerate(unused_bits(self.config, code)):
                    with m.Case(code << len(self.coming) | k):
                        m.d.sync += mask.eq(unused)
            with m.Default():
                m.d.sync += mask.eq(0)
        return (self.fetched & mask).any()

    def _halt(self, m: Module, platform: object) -> None:
        halt = Halt()
        place(m, platform, "halting", halt)
        self.halt = halt.halt
        begin = self.start & ~self.busy
        m.d.comb += [
            halt.begin.eq(begin),
            halt.active.eq(self.active),
            halt.index.eq(self.index),
            halt.fail.eq(self.fail),
            self.transfer_abort.eq(halt.halt),
            *(getattr(halt, n).eq(getattr(self, n)) for n in ("stop", "watchdog", "fault")),
            *(getattr(self, n).eq(getattr(halt, n)) for n in ("error", "error_instruction")),
        ]
        with m.If(self.stop | begin):
            m.d.sync += self.done.eq(0)

    def _machine(self, m: Module) -> None:
        config = self.config
        repeat = field_view(config, Opcode.REPEAT, self.slots)
        awaits = ~(self.is_layer | self.kinds[Opcode.REPEAT])
        past_end = self.pc[-1] & self.pc[:-1].any()
        last_word = Cat(
            (self.opcode == opcode) & (self.word == field_words(config, opcode) - 1)
            for opcode in self.kinds
        ).any()
        decoding = Signal()
        illegal = self._illegal_field(m, decoding)
        self._latch(m)
        m.d.sync += self.ahead.eq(self.pc)
        run_ahead = [self.ahead.eq(self.ahead + 1), self.coming.eq(self.coming + 1)]
        m.d.sync += [self.word.eq(self.coming), self.layer_start.eq(0)]

        @contextmanager
        def state(name: str) -> Iterator[None]:
            with m.State(name):
                m.d.comb += self.active.eq(1)
                yield
                with m.If(self.halt):
                    m.next = "ABORT"

        with m.FSM(name="sequencer") as fsm:
            with m.State("IDLE"):
                m.d.sync += [self.pc.eq(0), self.index.eq(0), self.ahead.eq(0)]
                with m.If(self.start):
                    m.d.sync += self.ahead.eq(1)
                    m.next = "FETCH"
            with state("FETCH"):
                m.d.sync += [
                    *run_ahead,
                    self.pc.eq(self.pc + 1),
                    self.coming.eq(0),
                    self.flush.eq(0),
                ]
                with m.If(self.pc[-1]):
                    m.d.comb += self.fail.eq(ErrorCode.PROGRAM)
                m.next = "DECODE"
            with state("DECODE"):
                m.d.comb += decoding.eq(1)
                opcode = self.fetched[: len(self.opcode)]
                m.d.sync += [*run_ahead, self.opcode.eq(opcode), self.pc.eq(self.pc + 1)]
                m.d.sync += [kind.eq(opcode == code) for code, kind in self.kinds.items()]
                with m.If(self.fetched[len(self.opcode) :].any() | (opcode > max(opcodes(config)))):
                    m.d.comb += self.fail.eq(ErrorCode.OPCODE)
                m.next = "FIELDS"
                with m.If(opcode == Opcode.END):
                    m.next = "FINISH"
            with state("FIELDS"):
                m.d.comb += self.taking.eq(1)
                m.d.sync += run_ahead
                with m.If(past_end):
                    m.d.comb += self.fail.eq(ErrorCode.PROGRAM)
                with m.Elif(illegal | (last_word & self.is_layer & self.too_many)):
                    m.d.comb += self.fail.eq(ErrorCode.FIELD)
                with m.If(last_word):
                    m.d.sync += self.layer_start.eq(self.is_layer)
                    m.next = "START"
                with m.Else():
                    m.d.sync += self.pc.eq(self.pc + 1)
            with state("START"):
                for opcode in STREAMED:  # the transfer takes no start before it is idle
                    pulse = getattr(self, f"start_{opcode.name.lower()}")
                    m.d.comb += pulse.eq(self.kinds[opcode] & ~self.skipped & ~self.halt)
                m.d.comb += self.waiting.eq(awaits & ~self.free)
                with m.If(~self.waiting & ~self.halt):
                    m.next = "TRANSFER"
                    with m.If(self.issued):
                        m.next = "FINISH"
                    with m.If(self.is_layer):
                        m.d.sync += self.running.eq(1)
                        m.next = "TAPS"
                with m.If(self.again):
                    target = repeat["target"]
                    m.d.sync += [self.pc.eq(target), self.ahead.eq(target)]
            with state("TAPS"):
                with m.If(self.layer_issued):
                    m.d.sync += self.running.eq(0)
                    m.next = "DRAIN"
                with m.If(self.halt):
                    m.d.sync += self.running.eq(0)
            with state("DRAIN"):
                with m.If(self.drained):
                    m.next = "FLUSH"
            with state("FLUSH"):
                m.d.sync += self.flush.eq(self.flush + 1)
                with m.If(self.flush == flush_cycles(self.config) - 1):
                    m.next = "FINISH"
            with state("TRANSFER"):
                m.d.comb += self.stalled.eq(self.transfer_stalled)
                with m.If(self.transfer_done):
                    m.next = "FINISH"
            with state("FINISH"):
                following = Mux(self.again, repeat["index"], self.index + 1)
                m.d.sync += [*run_ahead, self.index.eq(following)]
                m.d.comb += self.finishing.eq(~self.halt)
                m.next = "FETCH"
                with m.If(self.opcode == Opcode.END):
                    with m.If(~self.halt):
                        m.d.sync += self.done.eq(1)
                    m.next = "IDLE"
            with m.State("ABORT"):  # until the pipelines have run empty
                m.d.sync += [self.ahead.eq(0), self.flush.eq(self.flush + 1)]
                with m.If(self.flush == flush_cycles(self.config)):
                    m.next = "IDLE"
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            for opcode in self.moves:
                starts = fsm.ongoing("START") & self.kinds[opcode]
                pulse = getattr(self, f"start_{opcode.name.lower()}")
                m.d.comb += pulse.eq(starts & self.free & ~self.halt)

    def _latch(self, m: Module) -> None:
        """What is ``taking`` of the fetched field word: its slots, or a record's repetitions."""
        per_word = WORD_BITS // SLOT_BITS
        first = slot_words(self.config, Opcode.LAYER)
        with m.If(self.taking):
            for word in range(first + len(RECORDS)):
                with m.If(self.word == word):
                    for k, slot in enumerate(self.slots[per_word * word : per_word * (word + 1)]):
                        m.d.sync += slot.eq(self.fetched.word_select(k, SLOT_BITS))
                    if word > first:
                        level = RECORDS[word - first]
                        count = record_view(self.config, level, self.fetched)[level]
                        m.d.sync += self.counts[level].eq(count)

    def _counters(self, m: Module, platform: object) -> None:
        """CYCLES, STALLS and the cycle log (CYCLES at the end of each instruction)."""
        log = Ram(32, LOG_DEPTH, distributed=True)
        place(m, platform, "log", log)
        stalled = self.stalled | self.waiting
        m.d.comb += [
            log.write_enable.eq(self.finishing),
            log.write_address.eq(self.index),
            log.write_data.eq(self.cycles + 1),
            log.read_address.eq(self.log_address),
            self.log.eq(log.read_data),
        ]
        with m.If(self.start & ~self.busy):
            m.d.sync += [self.cycles.eq(0), self.stalls.eq(0)]
        with m.Elif(self.active & stalled):
            m.d.sync += self.stalls.eq(self.stalls + 1)
        with m.Elif(self.active):
            m.d.sync += self.cycles.eq(self.cycles + 1)
