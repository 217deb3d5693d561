"""Instruction register of the sequencer: program memory, opcode, field slots and loop counts."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value

from rtl_gen.blocks.fields import field_view, layer_layout, record_view, unused_bits
from rtl_gen.blocks.hierarchy import instantiate
from rtl_gen.blocks.memories import Ram
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS, WORD_BITS, field_words, slot_words
from rtl_gen.isa.fields import SLOT_BITS, counted_levels, records
from rtl_gen.isa.opcodes import STREAMED, Opcode, opcodes


class InstructionRegister:
    """Registers of the current instruction, part of the sequencer, which drives their control.

    The sequencer advances ``pc`` and the read pointer ``ahead`` (both in program words), and sets
    ``taking`` while it latches a field word; ``word`` is that word's number, 0 for the one after
    the opcode, and ``coming`` that of the word fetched in the next cycle. In DECODE and FIELDS,
    ``fetched`` is the word before ``pc``. Block RAM and the register behind it take two cycles, so
    ``ahead`` runs two words ahead. ``kinds`` has one flag per opcode but END, ``counts`` the
    repetitions - 1 of each loop level of a LAYER that has a record (PHASES is a slot).
    """

    def __init__(self, config: NpuConfig, slots: list[Signal]) -> None:
        self.config = config
        self.slots = slots
        self.opcode = Signal(range(max(opcodes(config)) + 1), reset_less=True)
        self.kinds: dict[Opcode, Signal] = {
            code: Signal(name=f"is_{code.name.lower()}", reset_less=True)
            for code in (*STREAMED, *sorted(set(opcodes(config)) - {Opcode.END, *STREAMED}))
        }
        layout = layer_layout(config)
        self.counts: dict[str, Value] = {
            level: Signal(layout[level], name=f"{level}_count", reset_less=True)
            for level in counted_levels(config)
        }
        self.taking = Signal()
        self.word = Signal(4, reset_less=True)
        self.coming = Signal(4, reset_less=True)
        self.pc = Signal(config.program_depth.bit_length(), reset_less=True)
        self.ahead = Signal(config.program_depth.bit_length() - 1, reset_less=True)
        self.fetched = Signal(WORD_BITS, reset_less=True)

    def fields(self, opcode: Opcode) -> dict[str, Value]:
        """Return the slot fields by name, which hold only while the instruction has that opcode."""
        return field_view(self.config, opcode, self.slots)

    def read(
        self, m: Module, platform: object, *, write: Value, address: Value, data: Value
    ) -> None:
        """Instantiate program memory; ``fetched`` is the word at ``ahead``, 2 cycles later.

        write: enable of each 32-bit half of the word at ``address``, bit 0 for the low one; data:
        32 bits.
        """
        for half in range(BUS_WORDS):
            ram = Ram(32, self.config.program_depth)
            instantiate(m, platform, f"program{half}", ram)
            m.d.comb += [
                ram.write_enable.eq(write[half]),
                ram.write_address.eq(address),
                ram.write_data.eq(data),
                ram.read_address.eq(self.ahead),
            ]
            m.d.sync += self.fetched.word_select(half, 32).eq(ram.read_data)

    def last_word(self) -> Value:
        """Return the condition that ``word`` numbers the current instruction's last field word."""
        return Cat(
            (self.opcode == opcode) & (self.word == field_words(self.config, opcode) - 1)
            for opcode in self.kinds
        ).any()

    def illegal_field(self, m: Module, decoding: Value) -> Value:
        """Return the condition that the field word in ``fetched`` has bits which no field uses.

        It has a meaning only while ``taking``. decoding: high in DECODE, when the opcode is still
        in ``fetched``. The mask of unused bits is selected one cycle before the word arrives.
        """
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

    def latch(self, m: Module) -> None:
        """Latch the fetched field word while ``taking``: its slots, or a record's repetitions.

        The rest of a record is not kept here, but in the loop nest.
        """
        per_word = WORD_BITS // SLOT_BITS
        first, levels = slot_words(self.config, Opcode.LAYER), records(self.config)
        with m.If(self.taking):
            for word in range(first + len(levels)):
                with m.If(self.word == word):
                    for k, slot in enumerate(self.slots[per_word * word : per_word * (word + 1)]):
                        m.d.sync += slot.eq(self.fetched.word_select(k, SLOT_BITS))
                    if word > first:
                        level = levels[word - first]
                        count = record_view(self.config, level, self.fetched)[level]
                        m.d.sync += self.counts[level].eq(count)
