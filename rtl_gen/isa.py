"""Instruction set and register map: the one definition that RTL, compiler and driver share.

An instruction is an opcode word of 64 bits and the words of its fields: four 16-bit slots a word,
and in a LAYER a record a word for each level of its loop nest. Bits that no field uses must be
zero, else the NPU stops with ErrorCode.FIELD.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rtl_gen.config import STREAM_BITS, NpuConfig

SLOT_BITS = 16
WORD_BITS = 64
"""Width of a program word."""
BUS_WORDS = WORD_BITS // STREAM_BITS
"""32-bit words of the bus that make a program word, low first."""
COLUMN_BITS = 12
"""Signed width of image column positions and of rows within a strip."""
STRIP_BITS = 6
"""Signed width of strip offsets."""
PHASES = "phases"
"""The innermost level of NPUs with N:M sparsity: weight words that share a tap's activations."""
COUNT_BITS = {
    "groups": 8,
    "kernel_cols": 8,
    "kernel_rows": 8,
    "passes": 3,
    "pool_cols": 4,
    "pool_rows": 4,
    "out_cols": COLUMN_BITS,
    "out_rows": COLUMN_BITS,
    "out_groups": 8,
}
"""Levels of a LAYER's loop nest that every NPU has, innermost first; width of their repetitions."""
REUSE_BITS = 2
"""Width of the LAYER field of NPUs with column reuse."""
BURST_BEATS = 32
"""Beats of a burst of the memory port, at most. Bursts lie within a block aligned to that size, at
most 512 bytes, so none crosses a 4 KiB boundary."""
BEAT_BITS = 5
"""Width of a beat's place in its burst."""
MEMORY_PAGE_BITS = 12
LOG_DEPTH = 64
"""Entries of the cycle log: one per instruction of a program, index modulo LOG_DEPTH."""


def _log2(n: int) -> int:
    return n.bit_length() - 1


class Opcode(enum.IntEnum):
    END = 0
    LOAD = 1
    LAYER = 2
    STORE = 3
    EMIT = 4
    REPEAT = 5
    FETCH = 6
    FILL = 7
    SPILL = 8


STREAMED = (Opcode.LOAD, Opcode.STORE, Opcode.EMIT)
"""Instructions that move data on the AXI4-Streams."""
MOVES = (Opcode.FETCH, Opcode.FILL, Opcode.SPILL)
"""Instructions that move data over the memory port, beside those that follow."""


class ErrorCode(enum.IntEnum):
    NONE = 0
    OPCODE = 1
    """Unknown opcode."""
    FIELD = 2
    """A field has bits outside its width."""
    ADDRESS = 3
    """A read or write left a buffer, or the memory refused a FETCH, FILL or SPILL."""
    STREAM_SHORT = 4
    """TLAST came before the end of the LOAD."""
    STREAM_LONG = 5
    """The LOAD's last beat came without TLAST; beats up to the next TLAST are discarded."""
    WATCHDOG = 6
    """The run took more cycles than the WATCHDOG register allows."""
    PROGRAM = 7
    """The program ran past the end of program memory without END."""


@dataclass(frozen=True)
class Field:
    """One instruction field. ``width(config)`` is its width in bits in that NPU; without any, the
    NPU's instructions have no slot for it."""

    name: str
    width: Callable[[NpuConfig], int]
    doc: str


def _bits(count: int) -> Callable[[NpuConfig], int]:
    return lambda config: count


def _activation_address(config: NpuConfig) -> int:
    return _log2(config.activation_depth)


def _activation_pointer(config: NpuConfig) -> int:
    """One bit more than an address: pointers wrap modulo 2 * depth, the top bit is 'outside'."""
    return _log2(config.activation_depth) + 1


def _weight_address(config: NpuConfig) -> int:
    return _log2(config.weight_depth)


def _channel_address(config: NpuConfig) -> int:
    return _log2(config.channel_depth)


def _program_address(config: NpuConfig) -> int:
    return _log2(config.program_depth)


def _code(config: NpuConfig) -> int:
    return config.activation_bits


_WALK = (
    Field("base", _activation_address, "first word address, the same in every bank"),
    Field("strip_words", _activation_pointer, "words of a full strip (one bank)"),
    Field("last_strip", _bits(4), "index of the last strip that holds data"),
    Field("last_words", _activation_pointer, "words of the last strip, 1..strip_words"),
    Field("beats", _bits(5), "stream beats per word, minus 1; lanes beyond them read as 0"),
)

_TILE = (
    Field("first", _bits(SLOT_BITS), "burst of the first beat, counted from MEMORY_BASE"),
    Field("bursts", _bits(SLOT_BITS), "bursts to move; 0: wait for those under way"),
    Field("base", _activation_address, "first activation word, the same in every bank"),
    Field("strip_words", _activation_pointer, "words of one bank before the next bank's"),
    Field("first_beat", _bits(BEAT_BITS), "beat of the first burst that it begins with"),
    Field("last_beat", _bits(BEAT_BITS), "beat of the last burst that it ends with"),
)

FIELDS: Mapping[Opcode, tuple[Field, ...]] = {
    Opcode.END: (),
    Opcode.LOAD: (
        *_WALK,
        Field(
            "ahead",
            _bits(1),
            "1: of the run's next image, beside what follows; nothing in the last image",
        ),
    ),
    Opcode.STORE: _WALK,
    Opcode.EMIT: (
        Field("chunks", lambda c: _log2(c.result_depth), "result words to stream, minus 1"),
        Field("ahead", _bits(1), "1: beside what follows, but in the run's last image"),
    ),
    Opcode.REPEAT: (
        Field("target", _program_address, "word of the opcode to go on at"),
        Field("index", _bits(SLOT_BITS), "index of that instruction"),
    ),
    Opcode.FETCH: (
        Field("first", _bits(SLOT_BITS), "first burst, counted from MEMORY_BASE"),
        Field("bursts", _bits(SLOT_BITS), "bursts to fetch; 0: wait for those under way"),
        Field("weight_base", _weight_address, "first weight word"),
    ),
    Opcode.FILL: _TILE,
    Opcode.SPILL: _TILE,
    Opcode.LAYER: (
        # Input tensor
        Field("col_limit", _bits(COLUMN_BITS), "input columns; others read as pad_code"),
        Field(
            "strip_words",
            _activation_pointer,
            "strip_rows * words of an input row, modulo 2 * depth",
        ),
        Field("last_strip", _bits(4), "index of the last input strip that holds rows"),
        Field("strip_rows", _bits(COLUMN_BITS), "rows of a full input strip, >= 1"),
        Field("last_rows", _bits(COLUMN_BITS), "rows of that strip, 1..strip_rows"),
        Field("pad_code", _code, "activation code read outside the image"),
        # Weights and results
        Field("weight_base", _weight_address, "first weight word"),
        Field("channel_base", _channel_address, "first word of the bias / scale / shift table"),
        Field("out_base", _activation_address, "first output word"),
        Field("out_pixel_words", _activation_pointer, "address step per output position"),
        Field("out_group_words", _activation_pointer, "address step per output tile"),
        Field("drain_pixels", _bits(4), "pixels (strips) that hold results, minus 1"),
        Field(
            "drain_chunks",
            _bits(7),
            "post-process steps per pixel, minus 1; a multiple of chunks_per_word unless raw",
        ),
        Field(
            "raw",
            _bits(1),
            "1: biased accumulators go to the result buffer, not to activation memory",
        ),
        Field("out_zero", _code, "zero point added to the rescaled value"),
        Field("out_max", _code, "largest output code, 2**bits - 1"),
        Field(
            "reuse",
            lambda c: REUSE_BITS if c.reuses_columns else 0,
            "column reuse (only with `depthwise_taps` 3). 0: none; else 1 + the positions, at most "
            "out_cols, that only fill the history at the start of each row",
        ),
        Field(
            "binary",
            lambda c: c.binary_weights,
            "1: weights of +1 and -1 (only with `binary_weights`): a result is twice its column's "
            "sum, less that of the column behind the others",
        ),
        Field(
            PHASES,
            lambda c: _log2(c.most_phases),
            "weight words per tap, minus 1 (only with `sparsity` N:M)",
        ),
    ),
}
"""Those in slots, of every NPU. All of one NPU's are ``fields(config, opcode)``."""

START = "start"
"""The record of a LAYER's first tap: the walk steps there from nothing."""
MOVE = (
    Field("pointer", _activation_pointer, "address step, modulo 2 * activation_depth"),
    Field("columns", _bits(COLUMN_BITS), "column step, two's complement"),
    Field("rows", _bits(COLUMN_BITS), "row step, 0..strip_rows - 1"),
    Field("strips", _bits(STRIP_BITS), "strip step, two's complement"),
)
"""What a record says of the walk: the step from a level's last tap to the first one of its next
repetition, the returns of the levels inside it included."""
RECORDS = (START, *COUNT_BITS)
"""Records of a LAYER, in their order."""


def record_fields(level: str) -> tuple[Field, ...]:
    """The fields of a record, one behind the other in its word; each pointer takes SLOT_BITS."""
    move = tuple(Field(f"{level}_{field.name}", field.width, field.doc) for field in MOVE)
    if level == START:
        return move
    return *move, Field(level, _bits(COUNT_BITS[level]), "repetitions, minus 1")


def opcodes(config: NpuConfig) -> tuple[Opcode, ...]:
    """Those that the NPU knows."""
    known = set(Opcode)
    if not config.memory_port_bits:
        known.discard(Opcode.FETCH)
    if not config.memory_tiles:
        known -= {Opcode.FILL, Opcode.SPILL}
    return tuple(sorted(known))


def slots(config: NpuConfig, opcode: Opcode) -> tuple[Field, ...]:
    """The opcode's fields in slots, in their order."""
    return tuple(field for field in FIELDS[opcode] if field.width(config))


def fields(config: NpuConfig, opcode: Opcode) -> tuple[Field, ...]:
    """All fields of the opcode."""
    records = RECORDS if opcode is Opcode.LAYER else ()
    return *slots(config, opcode), *(f for level in records for f in record_fields(level))


def slot_words(config: NpuConfig, opcode: Opcode) -> int:
    """Program words of the fields in slots."""
    return -(-len(slots(config, opcode)) * SLOT_BITS // WORD_BITS)


def field_words(config: NpuConfig, opcode: Opcode) -> int:
    """Program words that follow the opcode word."""
    return slot_words(config, opcode) + (len(RECORDS) if opcode is Opcode.LAYER else 0)


def instruction_words(config: NpuConfig, opcode: Opcode) -> int:
    """Program words of an instruction."""
    return 1 + field_words(config, opcode)


def places(config: NpuConfig, opcode: Opcode) -> dict[str, range]:
    """The bits of each field, counted from the first word behind the opcode's."""
    found = {
        field.name: range(SLOT_BITS * k, SLOT_BITS * k + field.width(config))
        for k, field in enumerate(slots(config, opcode))
    }
    if opcode is not Opcode.LAYER:
        return found
    for word, level in enumerate(RECORDS, slot_words(config, opcode)):
        low = WORD_BITS * word
        for field in record_fields(level):
            found[field.name] = range(low, low + field.width(config))
            pointer = field.name.endswith("_pointer")
            low += SLOT_BITS if pointer else field.width(config)
    return found


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``fields`` holds every field that its NPU has."""

    opcode: Opcode
    fields: Mapping[str, int]

    def encode(self, config: NpuConfig) -> list[int]:
        """The instruction's words as the bus takes them: 32 bits, low ones of a word first.

        Raises ValueError for a missing or unknown field or a value outside its width.
        """
        known = places(config, self.opcode)
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
    """The instruction at program word ``position`` of the bus words, and the position after it.

    Raises ValueError for an unknown opcode, a truncated instruction or bits that no field uses.
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
    for name, bits in places(config, opcode).items():
        values[name] = image >> bits.start & (1 << len(bits)) - 1
        image ^= values[name] << bits.start
    if image:
        raise ValueError(f"{opcode.name} at word {position} has bits that no field uses")
    return Instruction(opcode, values), end


# AXI4-Lite address map, byte addresses ---------------------------------------------------------


class Register(enum.IntEnum):
    ID = 0x00
    """Read: NPU_ID."""
    VERSION = 0x04
    """Read: ISA_VERSION."""
    CONFIG_HASH = 0x08
    """Read: first 32 bits of NpuConfig.hash."""
    CONTROL = 0x0C
    """Write: bit 0 start, bit 1 soft reset (stop, clear error and done), bit 2 irq enable (kept).
    After a soft reset the pipelines run empty: start again when STATUS is no longer busy."""
    STATUS = 0x10
    """Read: bit 0 busy, bit 1 done, bit 2 error, bit 3 discarding a stream that ran on."""
    ERROR = 0x14
    """Read: bits 7:0 ErrorCode, bits 31:16 index of the instruction (LOAD, LAYER, ...) it hit."""
    CYCLES = 0x18
    """Read: cycles of the last (or current) run, stream stalls not counted."""
    STALLS = 0x1C
    """Read: cycles in which the run waited for s_axis TVALID, m_axis TREADY or memory."""
    WATCHDOG = 0x20
    """Read / write: limit on CYCLES + STALLS; 0 (reset value) is no limit."""
    IMAGES = 0x24
    """Read / write: bits 15:0, images of a run: times that a REPEAT's body runs. 1 after reset; 0
    is as 1."""
    MEMORY_BASE = 0x28
    """Read / write: byte address of burst 0 in memory, its low 12 bits 0. (With a memory
    port.)"""


def burst_words(config: NpuConfig) -> int:
    """32-bit words of a burst."""
    return BURST_BEATS * config.memory_port_bits // STREAM_BITS


NPU_ID = 0x43444E50
"""ASCII "CDNP"."""
IMAGE_COUNT_BITS = 16
"""Width of IMAGES."""
ISA_VERSION = 3

LOG_BASE = 0x0000_0400
"""Cycle log, read only: entry i holds CYCLES at the end of instruction i of the last run."""
PROGRAM_BASE = 0x0010_0000
"""Program memory, write only."""
CHANNEL_BASE = 0x0020_0000
"""Bias / scale / shift table, write only: unit c of word k at
8 * (k * 2**ceil(log2(post_units)) + c): bias (accumulator_bits, two's complement), then
multiplier | shift << 16."""
WEIGHT_BASE = 0x0100_0000
"""Weight memory, write only: 32-bit column j of word k at 4 * (k * 2**ceil(log2(columns)) + j)."""
ADDRESS_BITS = 25


def weight_address(config: NpuConfig, word: int, column: int) -> int:
    """Byte address of 32-bit column ``column`` of weight word ``word``."""
    pitch = 1 << (config.weight_word_columns - 1).bit_length()
    return WEIGHT_BASE + 4 * (word * pitch + column)


def channel_address(config: NpuConfig, word: int, unit: int) -> int:
    """Byte address of the bias of post unit ``unit`` in table word ``word``; scale is 4 above."""
    pitch = 1 << (config.post_units - 1).bit_length()
    return CHANNEL_BASE + 8 * (word * pitch + unit)
