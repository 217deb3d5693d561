"""LOAD, STORE and EMIT: transfer of activation words and results over the AXI4-Streams."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.hierarchy import Block
from rtl_gen.blocks.post_process import pixel_bits
from rtl_gen.blocks.word_walk import WordWalk
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import STREAM_BITS
from rtl_gen.timing import READ_CYCLES


class Transfer(Block):
    """Function: one LOAD (stream to memory), STORE (memory to stream) or EMIT (results to stream)
    after ``start_*`` in a cycle in which it is ``idle``; ``done`` in the cycle after its last beat.

    Latency and throughput: LOAD one beat per cycle; STORE beats + 7 cycles a word; EMIT
    post_units + 1 cycles a word; ``stalled`` cycles (waiting for TVALID or TREADY, ``blocked``, or
    ``discarding``) on top. A start while not ``idle`` is ignored.
    Overflow: ``outside`` in the cycle in which an address leaves the memory (the write is dropped);
    ``short`` in that of a TLAST before the LOAD's last beat; ``long`` in that of a last beat
    without TLAST: from the next cycle on beats are taken and dropped up to and including the next
    TLAST (``discarding``). Each of them ends the transfer. ``abort`` does so at once, but a beat on
    offer stays on offer until it is taken; ``flush`` ends discarding.

    The fields need not stand after the start (those of words and strips must in the cycle before
    it, too): a transfer may go on beside a LAYER. While that, or a FILL, writes to memory
    (``blocked``), a LOAD's word waits, and its stream with it.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_transfer"
        pointer = config.activation_depth.bit_length()
        result = max((config.result_depth - 1).bit_length(), 1)
        super().__init__(
            {
                "start_load": In(1),
                "start_store": In(1),
                "start_emit": In(1),
                "f_base": In(pointer - 1),
                "f_strip_words": In(pointer),
                "f_last_strip": In(4),
                "f_last_words": In(pointer),
                "f_beats": In(5),
                "f_chunks": In(result),
                "abort": In(1),
                "flush": In(1),
                "blocked": In(1),
                "s_axis_tdata": In(STREAM_BITS),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(STREAM_BITS),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "read_valid": Out(1),
                "read_pointer": Out(pointer),
                "read_strip": Out(4),
                "read_word": In(config.activation_word_bits),
                "result_address": Out(result),
                "result": In(config.post_units * config.accumulator_bits),
                "write_bank": Out(config.pixels),
                "write_address": Out(pointer - 1),
                "write_word": Out(config.activation_word_bits),
                "idle": Out(1),
                "done": Out(1),
                "stalled": Out(1),
                "outside": Out(1),
                "short": Out(1),
                "long": Out(1),
                "discarding": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.walk = WordWalk(m, self)
        accept = self._load(m)
        sent = self._send(m)
        self._control(m, accept, sent)
        return m

    # Stream in ----------------------------------------------------------------------------

    def _load(self, m: Module) -> Value:
        config, walk = self.config, self.walk
        self.loading = Signal()
        discarding = Signal()
        accept = Signal()
        word = Signal(config.activation_word_bits, reset_less=True)
        completes = Signal()
        beyond = Signal()
        bank = Signal(config.pixels)
        waits = Signal()
        above = walk.pointer[len(self.write_address) :]
        m.d.comb += [
            waits.eq(self.blocked & bank.any()),
            self.s_axis_tready.eq((self.loading & ~waits) | discarding),
            accept.eq(self.loading & ~waits & ~discarding & self.s_axis_tvalid),
            completes.eq(accept & walk.last_beat),
            beyond.eq((above if len(above) == 1 else above.any()) | (walk.strip >= config.pixels)),
            self.outside.eq((completes | self.read_valid) & beyond),
            self.short.eq(accept & self.s_axis_tlast & ~(completes & walk.last_word)),
            self.long.eq(completes & walk.last_word & ~self.s_axis_tlast),
            self.discarding.eq(discarding),
            self.write_bank.eq(bank),
            self.write_word.eq(word),
        ]
        address = Signal(len(self.write_address), reset_less=True)
        m.d.comb += self.write_address.eq(address)
        with m.If(~waits):
            m.d.sync += [
                bank.eq(Mux(completes & ~beyond, 1 << walk.strip[: pixel_bits(config)], 0)),
                address.eq(walk.pointer),
            ]
        with m.If(accept):
            for k in range(config.activation_word_beats):
                part = word[k * STREAM_BITS : (k + 1) * STREAM_BITS]
                with m.If(walk.beat == k):
                    m.d.sync += part.eq(self.s_axis_tdata)
                if k:
                    with m.Elif(walk.beat == 0):
                        m.d.sync += part.eq(0)
        with m.If(self.flush):
            m.d.sync += discarding.eq(0)
        with m.Elif(self.long):
            m.d.sync += discarding.eq(1)
        with m.Elif(self.s_axis_tvalid & self.s_axis_tlast):
            m.d.sync += discarding.eq(0)
        self.accept = accept
        return completes

    # Stream out ---------------------------------------------------------------------------

    def _send(self, m: Module) -> Value:
        config, walk = self.config, self.walk
        slots = max(config.activation_word_beats, config.post_units)
        self.word = Signal(slots * STREAM_BITS, reset_less=True)
        self.sending = Signal()
        self.beats_left = Signal(6, reset_less=True)
        self.final_word = Signal(reset_less=True)
        taken = Signal()
        m.d.comb += [
            self.m_axis_tdata.eq(self.word[:STREAM_BITS]),
            self.m_axis_tvalid.eq(self.sending),
            self.m_axis_tlast.eq(self.final_word & (self.beats_left == 0)),
            taken.eq(self.sending & self.m_axis_tready),
            self.read_pointer.eq(walk.pointer),
            self.read_strip.eq(walk.strip),
            self.result_address.eq(walk.pointer),
        ]
        with m.If(taken):
            m.d.sync += [
                self.word.eq(self.word >> STREAM_BITS),
                self.beats_left.eq(self.beats_left - 1),
            ]
        return taken & (self.beats_left == 0)

    def _results(self) -> Value:
        width = self.config.accumulator_bits
        values = []
        for u in range(self.config.post_units):
            value = self.result.word_select(u, width)
            values.append(Cat(value, value[-1].replicate(STREAM_BITS - width)))
        return Cat(values)

    # Control ------------------------------------------------------------------------------

    def _control(self, m: Module, completes: Value, sent: Value) -> None:
        walk = self.walk
        self.rested = Signal()
        self.wait = Signal(range(READ_CYCLES + 1), reset_less=True)
        self.emitting = Signal(reset_less=True)
        self.dropped = Signal()
        m.d.sync += [self.done.eq(0), self.read_valid.eq(0), self.rested.eq(0)]
        with m.FSM(name="transfer") as fsm:
            self._rest(m)
            self._loading(m, completes)
            self._sending(m, sent)
            m.d.comb += [
                walk.resting.eq(fsm.ongoing("IDLE")),
                self.idle.eq(walk.resting & self.rested),
                self.stalled.eq(
                    (fsm.ongoing("LOAD") & ~self.accept)
                    | (fsm.ongoing("SEND") & ~self.m_axis_tready)
                ),
            ]

    def _rest(self, m: Module) -> None:
        with m.State("IDLE"):
            m.d.sync += [
                self.walk.beat.eq(0),
                self.walk.last_beat.eq(~self.f_beats.any()),
                self.rested.eq(1),
                self.wait.eq(0),
                self.dropped.eq(0),
                self.emitting.eq(self.start_emit),
            ]
            self.walk.enter_strip(m, Value.cast(0)[:1])
            with m.If(self.start_load & self.rested):
                m.next = "LOAD"
            with m.If(self.start_store & self.rested):
                m.next = "FETCH"
            with m.If(self.start_emit & self.rested):
                m.d.sync += self.walk.pointer.eq(0)
                m.next = "FETCH_RESULT"

    def _loading(self, m: Module, completes: Value) -> None:
        walk = self.walk
        one_beat, next_beat = ~walk.beats.any(), walk.beat + 1
        with m.State("LOAD"):
            m.d.comb += self.loading.eq(1)
            with m.If(self.accept):
                m.d.sync += [
                    walk.beat.eq(Mux(completes, 0, next_beat)),
                    walk.last_beat.eq(Mux(completes, one_beat, next_beat == walk.beats)),
                ]
            with m.If(completes):
                walk.next_word(m)
            with m.If(self.short | self.outside | (completes & walk.last_word)):
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
            with m.If(self.abort):
                m.next = "IDLE"

    def _sending(self, m: Module, sent: Value) -> None:
        """Build the states of STORE and EMIT, which read a word, send its beats, and repeat."""
        walk = self.walk
        with m.State("FETCH"):
            m.d.sync += self.read_valid.eq(self.wait == 0)
            m.d.sync += [self.wait.eq(self.wait + 1), self.beats_left.eq(walk.beats)]
            with m.If(self.wait == READ_CYCLES):
                m.d.sync += [
                    self.wait.eq(0),
                    self.word.eq(self.read_word),
                    self.final_word.eq(walk.last_word),
                ]
                walk.next_word(m)
                m.next = "SEND"
            with m.If(self.abort | self.outside):
                m.next = "IDLE"
        with m.State("FETCH_RESULT"):
            m.d.sync += [
                self.word.eq(self._results()),
                self.final_word.eq(walk.pointer == walk.chunks),
                self.beats_left.eq(self.config.post_units - 1),
                walk.pointer.eq(walk.pointer + 1),
            ]
            m.next = "SEND"
            with m.If(self.abort):
                m.next = "IDLE"
        with m.State("SEND"):
            m.d.comb += self.sending.eq(1)
            m.d.sync += self.dropped.eq(self.dropped | self.abort)
            with m.If(self.m_axis_tready & (self.abort | self.dropped)):
                m.next = "IDLE"
            with m.Elif(sent):
                m.d.sync += self.done.eq(self.final_word)
                with m.If(self.final_word):
                    m.next = "IDLE"
                with m.Elif(self.emitting):
                    m.next = "FETCH_RESULT"
                with m.Else():
                    m.next = "FETCH"
