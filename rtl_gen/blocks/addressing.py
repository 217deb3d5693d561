"""Activation and weight memory: from a tap's position to its operands, with padding.

A strip is the contiguous rows of a feature map in one bank; all banks are read at the same address,
and a rotator gives pixel lane p the word of bank p + the tap's strip offset, which may be any.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Member, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.history import history_cycles
from rtl_gen.blocks.memories import Ram, SharedRam
from rtl_gen.config import NpuConfig
from rtl_gen.isa.fields import COLUMN_BITS, STRIP_BITS


class ActivationMemory(Block):
    """Function: reads one word per pixel for a tap, masked where the tap is outside the image.

    Pixel p gets bank p + ``strip`` (signed) at ``pointer``, which comes one cycle after the tap's
    other inputs; it gets ``pad_code`` in every lane when the column is outside 0..col_limit-1, the
    bank is outside 0..last_strip, or the bank is last_strip and ``row`` is not less than
    ``last_rows``. ``direct`` taps (STORE) skip the column and row tests. ``col_limit``, ``last_*``
    and ``pad_code`` are constant while taps are under way.

    Latency: 5 cycles from ``valid`` (timing.OPERAND_DELAY_CYCLES): masks, address, memory, its
    register, rotator. Throughput: one tap per cycle, and one word written per cycle to the bank
    that ``write_bank`` (one-hot, 0 for none) names. ``outside`` is high 3 cycles after a valid tap
    of which an unmasked pixel leaves the memory or names a bank that does not exist.

    With ``memory_tiles``: in a cycle in which nothing is written (``free``), the word at
    ``spill_address`` of bank ``spill_bank`` (one-hot) is read beside the taps; ``spill_word`` is it
    2 cycles later.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_activation_memory"
        pointer = config.activation_depth.bit_length()
        super().__init__(
            {
                "valid": In(1),
                "direct": In(1),
                "pointer": In(pointer),
                "column": In(COLUMN_BITS),
                "strip": In(STRIP_BITS),
                "row": In(COLUMN_BITS),
                "col_limit": In(COLUMN_BITS),
                "last_strip": In(4),
                "last_rows": In(COLUMN_BITS),
                "pad_code": In(config.activation_bits),
                "write_bank": In(config.pixels),
                "write_address": In(pointer - 1),
                "write_word": In(config.activation_word_bits),
                "activations": Out(config.pixels * config.activation_word_bits),
                "outside": Out(1),
                **(self._spill_ports(pointer - 1) if config.memory_tiles else {}),
            }
        )

    def _spill_ports(self, address_bits: int) -> dict[str, Member]:
        return {
            "free": Out(1),
            "spill_bank": In(self.config.pixels),
            "spill_address": In(address_bits),
            "spill_word": Out(self.config.activation_word_bits),
        }

    def _write_address(self) -> Value:
        """Return this cycle's address of the banks' write ports.

        With ``memory_tiles`` it is that of SPILL while nothing is written.
        """
        if not self.config.memory_tiles:
            return self.write_address
        return Mux(self.free, self.spill_address, self.write_address)

    def _spill(self, m: Module, words: list[Value]) -> None:
        """Build the outputs for SPILL: ``free``, and the word 2 cycles after its address.

        words: output of each bank's shared port, one cycle after its address.
        """
        chosen = delay(m, self.spill_bank, 1, "spilled_bank")
        word: Value = Const(0, self.config.activation_word_bits)
        for bank, read in zip(chosen, words, strict=True):
            word = word | (read & bank.replicate(len(read)))
        m.d.comb += [
            self.free.eq(~self.write_bank.any()),
            self.spill_word.eq(delay(m, word, 1, "spilled")),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        address, choices = self._address(m)
        words, others = list[Value](), list[Value]()
        size = (config.activation_word_bits, config.activation_depth)
        for p in range(config.pixels):
            ram = SharedRam(*size) if config.memory_tiles else Ram(*size)
            instantiate(m, platform, f"bank{p}", ram)
            m.d.comb += [
                ram.write_enable.eq(self.write_bank[p]),
                ram.write_address.eq(self._write_address()),
                ram.write_data.eq(self.write_word),
                ram.read_address.eq(address),
            ]
            words.append(delay(m, ram.read_data, 1, f"word{p}"))
            if isinstance(ram, SharedRam):
                others.append(ram.other_data)
        if config.memory_tiles:
            self._spill(m, others)
        pad = self.pad_code.replicate(config.lanes)
        for p, choice in enumerate(choices):
            word = Signal(config.activation_word_bits, name=f"operand{p}", reset_less=True)
            masked: Value = pad & choice[-1].replicate(len(pad))
            for k, read in enumerate(words):
                masked = masked | (read & choice[k].replicate(len(read)))
            m.d.sync += word.eq(masked)
            m.d.comb += self.activations.word_select(p, len(word)).eq(word)
        return m

    def _address(self, m: Module) -> tuple[Value, list[Value]]:
        """Build stages 1 and 2: the word address, and each pixel's choice of bank; and ``outside``.

        Returns the address, for the banks' read ports 2 cycles after the tap, and a choice per
        pixel, 4 cycles after it, when the banks' registered words are there. A choice is one-hot
        over the banks, with the top bit for padding, so that one LUT selects between two banks and
        the padding value.
        """
        config = self.config
        address = delay(m, self.pointer, 1, "address")
        column_inside, row_inside = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            column_inside.eq(self.direct | (self.column < self.col_limit)),
            row_inside.eq(self.direct | (self.row < self.last_rows)),
        ]
        strip = delay(m, self.strip, 1, "strip").as_signed()
        inside, choices, absent = [], [], []
        for p in range(config.pixels):
            index = Signal(signed(STRIP_BITS + 1), name=f"index{p}")
            ok = Signal(name=f"inside{p}", reset_less=True)
            m.d.comb += index.eq(strip + p)
            within = (index < self.last_strip) | ((index == self.last_strip) & row_inside)
            missing = Signal(name=f"missing{p}", reset_less=True)
            m.d.sync += [
                ok.eq(column_inside & (index >= 0) & within),
                missing.eq(index >= config.pixels),
            ]
            number = delay(m, index[: max((config.pixels - 1).bit_length(), 1)], 1, f"number{p}")
            one_hot = Mux(ok, 1 << number, 1 << config.pixels)[: config.pixels + 1]
            choices.append(delay(m, one_hot, 2, f"choice{p}"))
            absent.append(ok & missing)
            inside.append(ok)
        valid = delay(m, self.valid, 2, "valid", resettable=True)
        outside = Signal()  # 3 cycles after the tap
        m.d.sync += outside.eq(valid & (Cat(absent).any() | (address[-1] & Cat(inside).any())))
        m.d.comb += self.outside.eq(outside)
        return address[:-1], choices


class WeightMemory(Block):
    """Function: the weight word at ``pointer``; 32-bit columns are written over the bus, or by a
    FETCH: column c takes part c, modulo their number, of ``fetch_data``.

    Latency: 5 cycles from ``valid`` and ``pointer``, like ActivationMemory; 6 with column reuse, as
    TapHistory follows that one. Throughput: one word per cycle. ``outside`` is high 1 cycle before
    the word of a valid tap whose pointer is beyond the memory. Bus and FETCH must not write in the
    same cycle; the bus writes only while nothing runs.
    """

    keep_hierarchy = True  # else its delays and those behind it become shift registers in LUTs

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_weight_memory"
        pointer = config.weight_address_bits + 1
        super().__init__(
            {
                "valid": In(1),
                "pointer": In(pointer),
                "write_columns": In(config.weight_word_columns),
                "write_address": In(pointer - 1),
                "write_data": In(32),
                "digits": Out(config.weight_word_bits),
                "outside": Out(1),
                **self._fetch_ports(pointer - 1),
            }
        )

    def _fetch_ports(self, address_bits: int) -> dict[str, Member]:
        if not self.config.memory_port_bits:
            return {}
        return {
            "fetch_columns": In(self.config.weight_word_columns),
            "fetch_address": In(address_bits),
            "fetch_data": In(self.config.memory_port_bits),
        }

    def _write(self, column: int, width: int) -> dict[str, Value]:
        """Return the write-port inputs by name of the RAM of a 32-bit column of the weight word.

        They are those of a FETCH in a cycle in which it writes, else those of the bus. width: bits
        of the column that the weight word has, 1..32.
        """
        enable, address = self.write_columns[column], self.write_address
        data = self.write_data
        if self.config.memory_port_bits:
            fetching = self.fetch_columns.any()
            part = column % (self.config.memory_port_bits // 32)
            enable |= self.fetch_columns[column]
            address = Mux(fetching, self.fetch_address, address)
            data = Mux(fetching, self.fetch_data.word_select(part, 32), data)
        return {"write_enable": enable, "write_address": address, "write_data": data[:width]}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        early = 3 + history_cycles(config)  # aligned with TapHistory where there is one
        pointer = delay(m, self.pointer, early, "pointer")
        valid = delay(m, self.valid, early, "valid", resettable=True)
        outside = Signal()  # 1 cycle before the weights would arrive
        depth = config.weight_depth
        # The top bit of the pointer says it, except for a depth that is no power of two.
        beyond = pointer[-1] if depth == 1 << config.weight_address_bits else pointer >= depth
        m.d.sync += outside.eq(valid & beyond)
        m.d.comb += self.outside.eq(outside)
        digits = Signal(config.weight_word_bits, reset_less=True)
        words = []
        for column in range(config.weight_word_columns):
            width = min(32, config.weight_word_bits - 32 * column)
            ram = Ram(width, depth)
            write = self._write(column, width)
            instantiate(m, platform, f"column{column}", ram, read_address=pointer[:-1], **write)
            words.append(ram.read_data)
        m.d.sync += digits.eq(Cat(words))
        m.d.comb += self.digits.eq(digits)
        return m
