"""Instruction fields in hardware: one register per slot, shared by all opcodes."""

from __future__ import annotations

from amaranth import Signal, Value

from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import WORD_BITS, bit_ranges, field_words, slot_words
from rtl_gen.isa.fields import fields, record_fields, records, slots
from rtl_gen.isa.opcodes import Opcode, opcodes


def slot_widths(config: NpuConfig) -> list[int]:
    """Return the width in bits of each slot register, by slot number.

    It is that of the widest field that any opcode of this NPU has there.
    """
    known = [slots(config, opcode) for opcode in opcodes(config)]
    widths = [0] * max(map(len, known))
    for held in known:
        for k, field in enumerate(held):
            widths[k] = max(widths[k], field.width(config))
    return widths


def layer_layout(config: NpuConfig) -> dict[str, int]:
    """Return name -> width in bits of all LAYER fields of this NPU, records included."""
    return {field.name: field.width(config) for field in fields(config, Opcode.LAYER)}


def field_view(config: NpuConfig, opcode: Opcode, registers: list[Signal]) -> dict[str, Value]:
    """Return the slot fields of ``opcode`` by name, as the low bits of the slot registers.

    registers: one per slot, of ``slot_widths``.
    """
    known = slots(config, opcode)
    return {field.name: registers[k][: field.width(config)] for k, field in enumerate(known)}


def record_view(config: NpuConfig, level: str, word: Value) -> dict[str, Value]:
    """Return the fields of a level's record as slices of its program word.

    word: 64 bits. Names lack the level, as in ``pointer``; the repetitions, minus 1, have the
    level's name (START's record has none).
    """
    found = bit_ranges(config, Opcode.LAYER)
    first = WORD_BITS * (slot_words(config, Opcode.LAYER) + records(config).index(level))
    view = {}
    for field in record_fields(level):
        bits = found[field.name]
        view[field.name.removeprefix(f"{level}_")] = word[bits.start - first : bits.stop - first]
    return view


def unused_bits(config: NpuConfig, opcode: Opcode) -> list[int]:
    """Return a 64-bit mask of the bits that must be zero for each field word of ``opcode``."""
    used = 0
    for bits in bit_ranges(config, opcode).values():
        used |= (1 << len(bits)) - 1 << bits.start
    whole = (1 << WORD_BITS) - 1
    return [~(used >> WORD_BITS * word) & whole for word in range(field_words(config, opcode))]
