"""Loop nest of a LAYER: the sequence of taps and the addresses of their operands.

A tap is one step of the reduction loop: a kernel position and an input-channel word, in one pass.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.fields import layer_layout
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.history import TAP_FLAGS as REUSE_FLAGS
from rtl_gen.blocks.history import ReusePlace
from rtl_gen.blocks.loop_counters import PLACE, LoopCounters, levels, tap_flags
from rtl_gen.blocks.memories import Ram
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import slot_words
from rtl_gen.isa.fields import COLUMN_BITS, DIGITS, MOVE, PHASES, START, STRIP_BITS, records
from rtl_gen.isa.opcodes import Opcode

TAP_CYCLES = 2
"""Cycles from the loop counters to the tap's position; its address follows one cycle later."""
RECORD_BITS = 4
"""Width in bits of a record's word number within its LAYER's field words, which count from 0."""


_USED = ("strip_rows", "strip_words", "weight_base")


class LoopNest(Block):
    """Function: after ``start``, stands at the first tap of the layer; each ``advance`` moves on.

    Its place in the nest, that of the tap which an ``advance`` in this cycle issues: ``tile_last``
    tap of a convolution position (with column reuse, of one that does more than fill the history),
    ``window_first`` / ``window_last`` position of a pooling window, ``group_end``: last position of
    a group of output channels, ``layer_last``: last tap of all. The tap itself, ``TAP_CYCLES``
    later: ``valid`` as ``advance`` was, ``column`` (signed), ``strip`` (signed) and ``row`` for
    masking, ``weight_pointer``, ``tile_first`` tap of a convolution position, ``pass_first`` tap of
    each digit pass but the first, ``top_pass``: a tap of the first pass, whose digits are signed;
    and one cycle after these ``pointer``, its word address modulo 2 * activation_depth.

    Records come by ``record_*`` before the start: MOVE of the word ``record_word``.

    Latency: 1 cycle from start or advance to the place in the nest, ``TAP_CYCLES`` more to the tap.
    Throughput: one tap per cycle. Overflow: pointers wrap modulo twice the depth (for weights: the
    next power of two); from the depth on they mean 'outside'.

    One position, to which each tap adds the record of the level that moves (``phases``, within a
    tap's activations, has none). The stages: the counters say which level that is; its record is
    read, and made ready for a wrap into the next strip; row, column and strip take it; so does the
    pointer, once the row's wrap is known.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_loop_nest"
        layout = layer_layout(config)
        self.levels = levels(config)
        members = {f"f_{n}": In(layout[n]) for n in (*self.levels, *_USED)}
        if config.reuses_columns:  # and tile_last then leaves out positions that are not drained
            members["f_reuse"] = In(layout["reuse"])
            members |= {name: Out(width) for name, width in REUSE_FLAGS.items()}
        super().__init__(
            {
                **members,
                "record_write": In(1),
                "record_word": In(RECORD_BITS),
                **{f"record_{field.name}": In(field.width(config)) for field in MOVE},
                "start": In(1),
                "advance": In(1),
                **{flag: Out(1) for flag in PLACE},
                "valid": Out(1),
                **{flag: Out(1) for flag in tap_flags(config)},
                "pointer": Out(layout["strip_words"]),
                "weight_pointer": Out(layout["weight_base"] + 1),
                "column": Out(COLUMN_BITS),
                "strip": Out(STRIP_BITS),
                "row": Out(COLUMN_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        moves = self._counters(m, platform)
        chosen = {level: delay(m, flag, 1, f"chosen_{level}") for level, flag in moves.items()}
        record = self._record(m, platform, chosen)
        advance = delay(m, self.advance, TAP_CYCLES, "advance", resettable=True)
        m.d.comb += self.valid.eq(advance)
        self._walk(m, delay(m, Cat(chosen.values()).any(), 1, "moves"), record)
        again = {START, DIGITS, "pool_cols", "pool_rows", "out_cols", "out_rows"}
        again_now = Cat(flag for level, flag in chosen.items() if level in again).any()
        self._weights(
            m,
            advance | delay(m, chosen[START], 1, "started"),
            delay(m, again_now, 1, "again"),
            delay(m, chosen["out_groups"], TAP_CYCLES, "next_block"),
        )
        return m

    def _counters(self, m: Module, platform: object) -> dict[str, Value]:
        """Instantiate the counters; return per record the condition that it is to be added.

        START's holds in the cycle of ``start``, a level's in that of an ``advance`` that moves it;
        at most one holds. Drives the place in the nest and the tap's flags, too.
        """
        counters = LoopCounters(self.config)
        instantiate(m, platform, "counters", counters)
        m.d.comb += [counters.start.eq(self.start), counters.advance.eq(self.advance)]
        for level in self.levels:
            m.d.comb += getattr(counters, f"f_{level}").eq(getattr(self, f"f_{level}"))
        here: dict[str, Value] = {flag: getattr(counters, flag) for flag in PLACE}
        if self.config.reuses_columns:
            here["tile_last"] &= ~self._reuse(m, platform, counters)
        m.d.comb += [getattr(self, flag).eq(value) for flag, value in here.items()]
        for flag in tap_flags(self.config):
            late = delay(m, getattr(counters, flag), TAP_CYCLES, flag)
            m.d.comb += getattr(self, flag).eq(late)
        steps = {level: getattr(counters, f"step_{level}") for level in self.levels}
        steps.pop(PHASES, None)  # a further weight word for the same tap
        return {START: self.start, **steps}

    def _reuse(self, m: Module, platform: object, counters: LoopCounters) -> Value:
        """Instantiate ReusePlace and pass its flags to the tap, TAP_CYCLES later.

        Returns the condition that the position in the nest only fills the history.
        """
        reuse = ReusePlace()
        instantiate(m, platform, "reuse_place", reuse)
        names = [n for n in reuse.signature.members if n.startswith("step_")]
        m.d.comb += [getattr(reuse, n).eq(getattr(counters, n)) for n in (*names, "last_pass")]
        m.d.comb += [
            getattr(reuse, n).eq(getattr(self, n)) for n in ("f_reuse", "start", "advance")
        ]
        for flag in REUSE_FLAGS:
            late = delay(m, getattr(reuse, flag), TAP_CYCLES, flag)
            m.d.comb += getattr(self, flag).eq(late)
        return reuse.fill

    def _record(self, m: Module, platform: object, chosen: dict[str, Value]) -> dict[str, Value]:
        """Return the chosen record's fields by name of MOVE, read from distributed RAM.

        chosen: a condition per record, one cycle after ``start`` or ``advance``; the fields come in
        the same cycle.
        """
        names = [field.name for field in MOVE]
        ports = [getattr(self, f"record_{name}") for name in names]
        ram = Ram(sum(map(len, ports)), 1 << RECORD_BITS, distributed=True)
        instantiate(m, platform, "records", ram)
        first = slot_words(self.config, Opcode.LAYER)
        order = records(self.config)
        words = {first + order.index(level): flag for level, flag in chosen.items()}
        word = Cat(
            Cat(flag for number, flag in words.items() if number >> k & 1).any()
            for k in range(RECORD_BITS)
        )
        m.d.comb += [
            ram.write_enable.eq(self.record_write),
            ram.write_address.eq(self.record_word),
            ram.write_data.eq(Cat(ports)),
            ram.read_address.eq(word),
        ]
        record, low = {}, 0
        for name, port in zip(names, ports, strict=True):
            record[name] = ram.read_data[low : low + len(port)]
            low += len(port)
        return record

    def _walk(self, m: Module, moves: Value, record: dict[str, Value]) -> None:
        """Build the position registers; ``moves`` adds the record that was read a cycle before.

        Row, column and strip change at the end of a cycle with ``moves``, the pointer one later.
        """
        now = {name: delay(m, value, 1, name) for name, value in record.items()}
        rows_back = delay(m, (record["rows"] - self.f_strip_rows)[:COLUMN_BITS], 1, "rows_back")
        words_back = record["pointer"] - self.f_strip_words
        words_back = delay(m, words_back[: len(self.pointer)], 2, "words_back")
        row, column = Signal(COLUMN_BITS, reset_less=True), Signal(COLUMN_BITS, reset_less=True)
        strip = Signal(STRIP_BITS, reset_less=True)
        pointer = Signal(len(self.pointer), reset_less=True)
        wraps, wrapped = Signal(), Signal(reset_less=True)
        m.d.comb += wraps.eq(~(row + rows_back)[COLUMN_BITS - 1])  # row + rows >= strip_rows
        m.d.sync += wrapped.eq(wraps)
        with m.If(self.start):
            m.d.sync += [position.eq(0) for position in (row, column, strip)]
        with m.Elif(moves):
            m.d.sync += [
                row.eq(row + Mux(wraps, rows_back, now["rows"])),
                column.eq(column + now["columns"]),
                strip.eq((Cat(Const(1, 1), strip) + Cat(wraps, now["strips"]))[1:]),  # one chain
            ]
        words = delay(m, now["pointer"], 1, "words")
        pointer_moves = delay(m, moves, 1, "pointer_moves")
        with m.If(self.start):
            m.d.sync += pointer.eq(0)
        with m.Elif(pointer_moves):
            m.d.sync += pointer.eq(pointer + Mux(wrapped, words_back, words))
        m.d.comb += [
            self.row.eq(row),
            self.column.eq(column),
            self.strip.eq(strip),
            self.pointer.eq(pointer),
        ]

    def _weights(self, m: Module, moves: Value, again: Value, next_block: Value) -> None:
        """Build the weight pointer: sequential within a block of weights.

        A block is that of a tile, here a group of output channels. moves: high in the cycle of a
        tap, whose word ``weight_pointer`` is then at, and once before the first tap. Every further
        position of the tile, and digit of its activations (``again``, in the cycle of the last tap
        of the one before, and before the first) reads the block from its start. The next tile's
        block begins where the pointer stands when ``next_block`` arrives. That overrides ``again``,
        which a position of a single tap raises in the same cycle, when the pointer already stands
        at the block's start.
        """
        base = Signal(len(self.weight_pointer), reset_less=True)
        pointer = Signal(len(self.weight_pointer), reset_less=True)
        with m.If(self.start):
            m.d.sync += base.eq(self.f_weight_base)
        with m.Elif(next_block):
            m.d.sync += base.eq(pointer)
        with m.If(moves):
            m.d.sync += pointer.eq(Mux(again & ~next_block, base, pointer) + ~again)
        m.d.comb += self.weight_pointer.eq(pointer)
