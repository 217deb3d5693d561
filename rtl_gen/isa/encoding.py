"""Encoding of instructions as words of program memory, and decoding.

An instruction is a 64-bit opcode word, followed by the words of its fields: four 16-bit slots per
word, and in a LAYER one record word for its start and for each level of its loop nest. Bits that no
field uses must be zero, otherwise the NPU stops with ErrorCode.FIELD, or with ErrorCode.OPCODE if
they are in the opcode word.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtl_gen.config import NpuConfig
from rtl_gen.isa.fields import SLOT_BITS, record_fields, records, slots
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import STREAM_BITS

WORD_BITS = 64
"""Width of a program word in bits."""
BUS_WORDS = WORD_BITS // STREAM_BITS
"""32-bit bus words that make up one program word, the low one first."""


def slot_words(config: NpuConfig, opcode: Opcode) -> int:
    """Return the number of program words that hold the opcode's slots, four a word, rounded up."""
    return -(-len(slots(config, opcode)) * SLOT_BITS // WORD_BITS)


@functools.cache
def field_words(config: NpuConfig, opcode: Opcode) -> int:
    """Return the number of program words that follow the opcode word: slots and records."""
    return slot_words(config, opcode) + (len(records(config)) if opcode is Opcode.LAYER else 0)


def instruction_words(config: NpuConfig, opcode: Opcode) -> int:
    """Return the number of program words of an instruction, opcode word included."""
    return 1 + field_words(config, opcode)


def bit_ranges(config: NpuConfig, opcode: Opcode) -> dict[str, range]:
    """Return each field's bits by name, of slots and records; the end of a range is not included.

    Bit 0 is the lowest bit of the word after the opcode word; each further word adds WORD_BITS.
    """
    found = {
        field.name: range(SLOT_BITS * k, SLOT_BITS * k + field.width(config))
        for k, field in enumerate(slots(config, opcode))
    }
    if opcode is not Opcode.LAYER:
        return found
    for word, level in enumerate(records(config), slot_words(config, opcode)):
        low = WORD_BITS * word
        for field in record_fields(level):
            found[field.name] = range(low, low + field.width(config))
            pointer = field.name.endswith("_pointer")
            low += SLOT_BITS if pointer else field.width(config)
    return found


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``fields`` must hold a value for every field that the NPU's opcode has.

    >>> repeat = Instruction(Opcode.REPEAT, {"target": 4, "index": 1})
    >>> repeat.encode(NpuConfig())
    [5, 0, 65540, 0]
    >>> decode(NpuConfig(), [5, 0, 65540, 0], 0) == (repeat, 2)
    True
    """

    opcode: Opcode
    fields: Mapping[str, int]

    def encode(self, config: NpuConfig) -> list[int]:
        """Return the instruction as 32-bit bus words, the low half of each program word first.

        Raises ValueError for a missing or unknown field, or a value that is negative or exceeds its
        width.
        """
        known = bit_ranges(config, self.opcode)
        if set(self.fields) != set(known):
            wrong = sorted(set(self.fields) ^ set(known))
            raise ValueError(f"{self.opcode.name}: missing or unknown fields {', '.join(wrong)}")
        image = int(self.opcode)
        for name, bits in known.items():
            value = self.fields[name]
            if not 0 <= value < 1 << len(bits):
                most = (1 << len(bits)) - 1
                raise ValueError(f"{self.opcode.name}.{name} must be 0..{most}, not {value}")
            image |= value << WORD_BITS + bits.start
        count = BUS_WORDS * instruction_words(config, self.opcode)
        return [image >> STREAM_BITS * k & (1 << STREAM_BITS) - 1 for k in range(count)]


def decode(config: NpuConfig, words: Sequence[int], position: int) -> tuple[Instruction, int]:
    """Decode the instruction that begins at program word ``position`` of a program.

    words: the whole program as 32-bit bus words, the low half of each program word first. Returns
    the instruction and the program word at which the next one begins. An opcode that only other
    NPUs have is decoded, too. Raises ValueError for an unknown opcode, a truncated instruction or
    bits that no field uses.
    """
    image = 0
    for k, word in enumerate(words[BUS_WORDS * position : BUS_WORDS * (position + 1)]):
        image |= word << STREAM_BITS * k
    opcode = Opcode(image)
    end = position + instruction_words(config, opcode)
    if BUS_WORDS * end > len(words):
        raise ValueError(f"{opcode.name} at word {position} is cut off")
    image = 0
    for k, word in enumerate(words[BUS_WORDS * (position + 1) : BUS_WORDS * end]):
        image |= word << STREAM_BITS * k
    values = {}
    for name, bits in bit_ranges(config, opcode).items():
        values[name] = image >> bits.start & (1 << len(bits)) - 1
        image ^= values[name] << bits.start
    if image:
        raise ValueError(f"{opcode.name} at word {position} has bits that no field uses")
    return Instruction(opcode, values), end
