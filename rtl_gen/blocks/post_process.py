"""Post-processing of accumulators: snapshot, requantisation, max pooling, write-back, results.

A tile, here the accumulators of one output position of all pixels and columns, is drained in steps:
a step takes one chunk of ``post_units`` accumulators of one pixel.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.activation_tables import TABLE_CYCLES, looked_up
from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.memories import Ram
from rtl_gen.blocks.post_operands import accumulators, channel_words, operand_cycles, unit_spec
from rtl_gen.blocks.post_unit import PostUnit
from rtl_gen.blocks.threshold_unit import ThresholdUnit
from rtl_gen.config import NpuConfig


def pixel_bits(config: NpuConfig) -> int:
    """Return the width in bits of a pixel lane's number 0..pixels - 1, at least 1."""
    return max((config.pixels - 1).bit_length(), 1)


def chunk_bits(config: NpuConfig) -> int:
    """Return the width in bits of a chunk's number, among the chunks of one pixel, at least 1."""
    return max((config.chunks - 1).bit_length(), 1)


def code_cycles(config: NpuConfig) -> int:
    """Return the cycles from a step to its codes: operands, post unit, activation tables if any."""
    table = TABLE_CYCLES if config.activation_tables else 0
    return operand_cycles(config) + unit_spec(config).latency_cycles + table


class PostProcess(Block):
    """Function: a snapshot of the array's accumulators is drained, ``post_units`` results a step.

    ``start``: a layer begins, before its first step. ``snapshot``: the accumulators are sampled,
    for steps from the next cycle on; a tile is what one snapshot holds: the accumulators of one
    position before pooling. A step
    (``step_valid`` with pixel and chunk) takes its results through the post units, keeps the
    maximum since the step with ``window_first`` of the same pixel and chunk, and on ``window_last``
    shifts it into the output word; a full word goes to bank ``pixel``. ``chunk_last`` /
    ``tile_last`` mark the last step of a pixel / of the tile; window_first, window_last and
    ``group_end`` (last position of a group of output channels) hold in all steps of their tile. In
    a layer with ``f_raw`` accumulator + bias go into the result buffer instead. In a layer of
    binary weights (``f_binary``) a result is twice its accumulator, less the pixel's sum of
    activations. Fields (``f_*``) are constant until the layer's last write.

    Latency: step to memory write port: ``latency_cycles``. Throughput: one step per
    cycle. Overflow: codes saturate; ``outside`` is high for one cycle when a write or a channel
    word leaves its memory (the write is dropped): 1 cycle after the step, for the result buffer 1
    after its write.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_post_process"
        activation = config.activation_depth.bit_length()
        channel = config.channel_depth.bit_length() - 1
        units = config.post_units
        super().__init__(
            {
                "accumulators": In(config.pixels * config.columns * config.accumulator_bits),
                **(
                    {
                        "activation_sums": In(config.pixels * config.accumulator_bits),
                        "f_binary": In(1),
                    }
                    if config.binary_weights
                    else {}
                ),
                # which table replaces the codes; see ``looked_up``
                **(
                    {"f_table": In(config.activation_tables.bit_length())}
                    if config.activation_tables
                    else {}
                ),
                "snapshot": In(1),  # accumulators are sampled; steps drain them from the next cycle
                "start": In(1),  # a layer begins: pointers load its bases, before its first step
                "f_channel_base": In(channel),
                "f_out_base": In(activation - 1),
                "f_out_pixel_words": In(activation),
                "f_out_group_words": In(activation),
                "f_raw": In(1),
                **(
                    {}
                    if config.has_thresholds
                    else {
                        "f_out_zero": In(config.activation_bits),
                        "f_out_max": In(config.activation_bits),
                    }
                ),
                "step_valid": In(1),
                "pixel": In(pixel_bits(config)),
                "chunk": In(chunk_bits(config)),
                "chunk_last": In(1),
                "tile_last": In(1),
                "window_first": In(1),
                "window_last": In(1),
                "group_end": In(1),
                "table_write": In(config.channel_columns),  # for each unit its columns
                "table_address": In(channel),
                "table_data": In(32),
                "result_address": In(max((config.result_depth - 1).bit_length(), 1)),
                "result": Out(units * config.accumulator_bits),  # of the address in this cycle
                "write_bank": Out(config.pixels),
                "write_address": Out(activation - 1),
                "write_word": Out(config.activation_word_bits),
                "outside": Out(1),
            }
        )

    @staticmethod
    def latency_cycles(config: NpuConfig) -> int:
        """Return the cycles from a step to the write port: operands, post unit, write register."""
        return code_cycles(config) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        selected = accumulators(m, self.config, self)
        table, beyond_table = channel_words(m, platform, self.config, self)
        self.errors: list[Value] = [beyond_table]
        units = self._units(m, platform, selected, table)
        self._results(m, platform, units)
        codes = [unit.code for unit in units]
        if self.config.activation_tables:
            codes = looked_up(m, platform, self.config, self, codes)
        self._assemble(m, platform, Cat(codes))
        outside = Signal()
        m.d.sync += outside.eq(Cat(self.errors).any())
        m.d.comb += self.outside.eq(outside)
        return m

    def _units(
        self, m: Module, platform: object, selected: list[Value], table: list[Value]
    ) -> list[PostUnit | ThresholdUnit]:
        units, columns = [], self.config.unit_columns
        for u, accumulator in enumerate(selected):
            unit = unit_spec(self.config).create()
            instantiate(m, platform, f"unit{u}", unit)
            m.d.comb += unit.accumulator.eq(accumulator)
            unit.connect(m, table[u * columns : (u + 1) * columns], self)
            units.append(unit)
        return units

    def _results(self, m: Module, platform: object, units: list[PostUnit | ThresholdUnit]) -> None:
        """Build the result buffer, to which raw steps write biased accumulators in step order.

        units: the post units, unit 0's accumulator lowest in a word. Words go from word 0 on, with
        a memory port from ``f_out_base`` on; those beyond its end are dropped and are an error.
        """
        config = self.config
        ram = Ram(len(self.result), config.result_depth, distributed=True)
        instantiate(m, platform, "results", ram)
        pointer = Signal(len(self.result_address) + 1, reset_less=True)
        # Only with a memory port may the logits' layer be split; later parts append their results.
        first = self.f_out_base[: len(pointer)] if config.memory_port_bits else 0
        write = delay(
            m, self.step_valid & self.f_raw, operand_cycles(config) + 1, "raw_valid",
            resettable=True,
        )  # fmt: skip
        with m.If(self.start):
            m.d.sync += pointer.eq(first)
        with m.Elif(write):
            m.d.sync += pointer.eq(pointer + 1)
        full = pointer >= config.result_depth
        self.errors.append(write & full)
        m.d.comb += [
            ram.write_enable.eq(write & ~full),
            ram.write_address.eq(pointer),
            ram.write_data.eq(Cat(unit.biased[: config.accumulator_bits] for unit in units)),
            ram.read_address.eq(self.result_address),
            self.result.eq(ram.read_data),
        ]

    def _assemble(self, m: Module, platform: object, codes: Value) -> None:
        """Build the running maximum per (pixel, chunk) and the assembly of activation words.

        codes: those of one step's post units, unit 0 lowest, at the end of their latency; a full
        word is at the write port one cycle later.
        """
        config = self.config
        cycles = code_cycles(config)
        valid = delay(m, self.step_valid & ~self.f_raw, cycles, "code_valid", resettable=True)
        index = delay(m, Cat(self.chunk, self.pixel), cycles, "code_index")
        first = delay(m, self.window_first, cycles, "code_first")
        full, address, error = self._write_address(m)
        full = delay(m, full, cycles, "word_full")
        address = delay(m, address, cycles, "word_address")

        maxima = Ram(len(codes), 1 << len(index), distributed=True)
        instantiate(m, platform, "maxima", maxima)
        best = []
        for u in range(config.post_units):
            code = codes.word_select(u, config.activation_bits)
            kept = maxima.read_data.word_select(u, config.activation_bits)
            best.append(Mux(first | (code > kept), code, kept))
        m.d.comb += [
            maxima.read_address.eq(index),
            maxima.write_address.eq(index),
            maxima.write_enable.eq(valid),
            maxima.write_data.eq(Cat(best)),
        ]
        word = Signal(config.activation_word_bits, reset_less=True)
        with m.If(valid):
            m.d.sync += word.eq(Cat(word, Cat(best))[len(codes) :])
        pixel = index[len(self.chunk) :]
        bank = Signal(config.pixels)
        target = Signal(len(self.write_address), reset_less=True)
        m.d.sync += [
            bank.eq(Mux(valid & full, 1 << pixel, 0)),
            target.eq(address),
        ]
        m.d.comb += [
            self.write_bank.eq(bank),
            self.write_address.eq(target),
            self.write_word.eq(word),
        ]
        self.errors.append(error)

    def _write_address(self, m: Module) -> tuple[Value, Value, Value]:
        """Build the output address, at the time of the step.

        Returns, in the cycle of the step, the condition that it completes an output word inside the
        memory (without regard to ``f_raw``), the word's address, and the condition that it
        completes one outside (never in a raw layer).
        """
        config = self.config
        position = Signal(len(self.write_address) + 1, reset_less=True)
        group = Signal(len(position), reset_less=True)
        word_start = Signal(len(position), reset_less=True)
        next_position = position + self.f_out_pixel_words
        next_group = group + self.f_out_group_words
        per_word = config.chunks_per_word
        fills = Signal()
        if per_word == 1:
            m.d.comb += fills.eq(1)
        else:
            count = Signal(range(per_word))
            m.d.comb += fills.eq(count == per_word - 1)
            with m.If(self.start):
                m.d.sync += count.eq(0)
            with m.Elif(self.step_valid):
                m.d.sync += count.eq(Mux(fills, 0, count + 1))
        done = self.tile_last & self.window_last
        following = Signal(len(position))
        m.d.comb += following.eq(
            Mux(done, Mux(self.group_end, next_group, next_position), position)
        )
        with m.If(self.start):
            m.d.sync += [s.eq(self.f_out_base) for s in (position, group, word_start)]
        with m.Elif(self.step_valid):
            with m.If(self.chunk_last):
                m.d.sync += [position.eq(following), word_start.eq(following)]
                with m.If(done & self.group_end):
                    m.d.sync += group.eq(next_group)
            with m.Elif(fills):
                m.d.sync += word_start.eq(word_start + 1)
        full = self.step_valid & fills & self.window_last & ~word_start[-1]
        error = self.step_valid & fills & self.window_last & word_start[-1] & ~self.f_raw
        return full, word_start[:-1], error
