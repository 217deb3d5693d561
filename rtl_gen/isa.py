"""Instruction set and register map: the one definition that RTL, compiler and driver share.

An instruction is one opcode word followed by its fields, each in a 16-bit slot, two slots a
32-bit word (low half first). A field narrower than its slot must have zero upper bits, else the
NPU stops with ErrorCode.FIELD.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rtl_gen.config import STREAM_BITS, NpuConfig

SLOT_BITS = 16
COLUMN_BITS = 12
"""Signed width of image column positions and of rows within a strip."""
STRIP_BITS = 6
"""Signed width of strip offsets."""
COUNT_BITS = 8
REUSE_BITS = 2
"""Width of the LAYER field of NPUs with column reuse."""
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


STREAMED = (Opcode.LOAD, Opcode.STORE, Opcode.EMIT)
"""Instructions that move data on the AXI4-Streams."""


class ErrorCode(enum.IntEnum):
    NONE = 0
    OPCODE = 1
    """Unknown opcode."""
    FIELD = 2
    """A field has bits outside its width."""
    ADDRESS = 3
    """A read or write left a buffer, or the memory refused a FETCH."""
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
    Opcode.LAYER: (
        # Input window
        Field(
            "in_base",
            _activation_pointer,
            "address of row 0, column col_first, group 0 "
            "(modulo 2 * depth: it may point before the buffer where padding is masked)",
        ),
        Field("col_first", _bits(COLUMN_BITS), "first input column, two's complement (-padding)"),
        Field("col_limit", _bits(COLUMN_BITS), "input columns; others read as pad_code"),
        Field("strip_first", _bits(STRIP_BITS), "strip offset of the first row, two's complement"),
        Field("row_first", _bits(COLUMN_BITS), "first row within its strip"),
        Field("row_first_words", _activation_pointer, "row_first * row_words"),
        Field("strip_rows", _bits(COLUMN_BITS), "rows of a full input strip, >= 1"),
        Field("strip_words", _activation_pointer, "strip_rows * row_words"),
        Field("last_strip", _bits(4), "index of the last input strip that holds rows"),
        Field("last_rows", _bits(COLUMN_BITS), "rows of that strip, 1..strip_rows"),
        # Reduction taps, innermost first
        Field("groups", _bits(COUNT_BITS), "activation words per kernel position, minus 1"),
        Field("group_words", _activation_pointer, "address step between them"),
        Field("kernel_cols", _bits(COUNT_BITS), "kernel columns, minus 1"),
        Field("col_words", _activation_pointer, "address step of one input column"),
        Field("kernel_rows", _bits(COUNT_BITS), "kernel rows, minus 1"),
        Field("row_words", _activation_pointer, "address step of one input row"),
        Field("passes", _bits(3), "weight digit passes, minus 1, most significant digit first"),
        # Max-pooling window over convolution outputs
        Field("pool_cols", _bits(COUNT_BITS), "pooling window columns, minus 1"),
        Field("pool_col_step", _bits(COUNT_BITS), "input columns per window column"),
        Field("pool_col_words", _activation_pointer, "address step of that"),
        Field("pool_rows", _bits(COUNT_BITS), "pooling window rows, minus 1"),
        Field("pool_row_step", _bits(COUNT_BITS), "input rows per window row, <= strip_rows"),
        Field("pool_row_words", _activation_pointer, "address step of that"),
        # Output positions
        Field("out_cols", _bits(COLUMN_BITS), "output columns, minus 1"),
        Field("out_col_step", _bits(COUNT_BITS), "input columns per output column"),
        Field("out_col_words", _activation_pointer, "address step of that"),
        Field("out_rows", _bits(COLUMN_BITS), "output rows per strip, minus 1"),
        Field("out_row_step", _bits(COUNT_BITS), "input rows per output row, <= strip_rows"),
        Field("out_row_words", _activation_pointer, "address step of that"),
        Field("out_groups", _bits(COUNT_BITS), "tiles of ``columns`` output channels, minus 1"),
        Field(
            "in_group_step",
            _activation_pointer,
            "input address step per output tile (0: dense; depthwise layers move along)",
        ),
        Field(
            "reuse",
            lambda c: REUSE_BITS if c.reuses_columns else 0,
            "column reuse (only with `depthwise_taps` 3). 0: none; else 1 + the positions, at most "
            "out_cols, that only fill the history at the start of each row",
        ),
        # Results
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
        Field("pad_code", _code, "activation code read outside the image"),
        Field("out_zero", _code, "zero point added to the rescaled value"),
        Field("out_max", _code, "largest output code, 2**bits - 1"),
        # Weights of N:M groups
        Field(
            "phases",
            lambda c: _log2(c.most_phases),
            "weight words per tap, minus 1 (only with `sparsity` N:M)",
        ),
    ),
}
"""Of every NPU. Those of one are ``fields(config, opcode)``."""


def opcodes(config: NpuConfig) -> tuple[Opcode, ...]:
    """Those that the NPU knows."""
    return tuple(code for code in Opcode if config.memory_port_bits or code != Opcode.FETCH)


def fields(config: NpuConfig, opcode: Opcode) -> tuple[Field, ...]:
    """The opcode's fields in slot order."""
    return tuple(field for field in FIELDS[opcode] if field.width(config))


def field_words(config: NpuConfig, opcode: Opcode) -> int:
    """32-bit words that follow the opcode word."""
    return (len(fields(config, opcode)) + 1) // 2


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``fields`` holds every field that its NPU has."""

    opcode: Opcode
    fields: Mapping[str, int]

    @property
    def words(self) -> int:
        """32-bit words, the opcode's included."""
        return 1 + (len(self.fields) + 1) // 2

    def encode(self, config: NpuConfig) -> list[int]:
        """The instruction's 32-bit words.

        Raises ValueError for a missing or unknown field or a value outside its width.
        """
        known = fields(config, self.opcode)
        names = {field.name for field in known}
        if set(self.fields) != names:
            wrong = sorted(set(self.fields) ^ names)
            raise ValueError(f"{self.opcode.name}: missing or unknown fields {', '.join(wrong)}")
        slots = []
        for field in known:
            value, width = self.fields[field.name], field.width(config)
            if not 0 <= value < 1 << width:
                raise ValueError(
                    f"{self.opcode.name}.{field.name} must be 0..{(1 << width) - 1}, not {value}"
                )
            slots.append(value)
        if len(slots) % 2:
            slots.append(0)
        pairs = zip(slots[0::2], slots[1::2], strict=True)
        return [int(self.opcode), *(low | high << SLOT_BITS for low, high in pairs)]


def decode(config: NpuConfig, words: list[int], position: int) -> tuple[Instruction, int]:
    """The instruction at ``words[position]`` and the position after it.

    Raises ValueError for an unknown opcode or a truncated instruction.
    """
    opcode = Opcode(words[position])
    end = position + 1 + field_words(config, opcode)
    if end > len(words):
        raise ValueError(f"{opcode.name} at word {position} is cut off")
    slots = []
    for word in words[position + 1 : end]:
        slots += [word & 0xFFFF, word >> SLOT_BITS]
    known = zip(fields(config, opcode), slots, strict=False)
    return Instruction(opcode, {field.name: slot for field, slot in known}), end


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
    """Read / write: byte address of FETCH's burst 0, its low 12 bits 0. (With a memory port.)"""


BURST_BEATS = 32
"""Beats of every read of the memory port. Bursts are aligned to their size, at most 512 bytes, so
none crosses a 4 KiB boundary."""
MEMORY_PAGE_BITS = 12


def burst_words(config: NpuConfig) -> int:
    """32-bit words of a burst."""
    return BURST_BEATS * config.memory_port_bits // STREAM_BITS


NPU_ID = 0x43444E50
"""ASCII "CDNP"."""
IMAGE_COUNT_BITS = 16
"""Width of IMAGES."""
ISA_VERSION = 2

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
