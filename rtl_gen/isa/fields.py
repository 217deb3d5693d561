"""Fields of each instruction: their meaning, order and width.

Fields occupy a 16-bit slot each, but for those of a LAYER's records: one for its start, with the
address step, and one for each level of its loop nest but ``phases``, whose count is a slot, with
the address step and the number of repetitions.
docs/reference/isa.md has these definitions as tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BEAT_BITS
from rtl_gen.isa.opcodes import Opcode

SLOT_BITS = 16
"""Width of a slot, the place of one field in a program word."""
COLUMN_BITS = 12
"""Width in bits of image column positions (two's complement) and of rows within a strip (>= 0)."""
STRIP_BITS = 6
"""Width in bits of strip offsets, two's complement numbers of banks."""
PHASES = "phases"
"""Name of the innermost loop level of NPUs with N:M sparsity, over the weight words that multiply
the same tap's activations."""
DIGITS = "digits"
"""Name of the loop level of NPUs with ``wide_input_passes`` over the digits of the activations."""
COUNT_BITS = {
    "groups": 8,
    "kernel_cols": 8,
    "kernel_rows": 8,
    "passes": 3,
    DIGITS: 3,
    "pool_cols": 4,
    "pool_rows": 4,
    "out_cols": COLUMN_BITS,
    "out_rows": COLUMN_BITS,
    "out_groups": 8,
}
"""Levels of a LAYER's loop nest that have a record, innermost first, and the width in bits of their
counts, which are repetitions minus 1. Every NPU has them but DIGITS (``counted_levels``)."""
REUSE_BITS = 2
"""Width in bits of the LAYER field ``reuse``, in NPUs with depthwise column reuse."""


@dataclass(frozen=True)
class Field:
    """One instruction field; ``width(config)`` is its width in bits, 0 if that NPU lacks it.

    >>> base = FIELDS[Opcode.LOAD][0]
    >>> base.name, base.width(NpuConfig(activation_depth=1024))
    ('base', 10)
    """

    name: str
    width: Callable[[NpuConfig], int]
    doc: str
    """Meaning of its value, as in docs/reference/isa.md."""


def _log2(n: int) -> int:
    return n.bit_length() - 1


def _bits(count: int) -> Callable[[NpuConfig], int]:
    return lambda config: count


def _activation_address(config: NpuConfig) -> int:
    return _log2(config.activation_depth)


def _activation_pointer(config: NpuConfig) -> int:
    """Return the width in bits of a pointer: an address below a bit "outside the memory".

    Pointers wrap modulo 2 * activation_depth.
    """
    return _log2(config.activation_depth) + 1


def _weight_address(config: NpuConfig) -> int:
    return config.weight_address_bits


def _channel_address(config: NpuConfig) -> int:
    return _log2(config.channel_depth)


def _program_address(config: NpuConfig) -> int:
    return _log2(config.program_depth)


def _code(config: NpuConfig) -> int:
    return config.activation_bits


def _scaled_code(config: NpuConfig) -> int:
    """Return the width in bits of what thresholds make up for; 0 where post units have these."""
    return 0 if config.has_thresholds else config.activation_bits


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
        Field("channel_base", _channel_address, "first word of the channel table"),
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
        Field(
            "out_zero",
            _scaled_code,
            "zero point added to the rescaled value (not with `requantisation` thresholds)",
        ),
        Field("out_max", _scaled_code, "largest output code, 2**bits - 1 (likewise)"),
        Field(
            "reuse",
            lambda c: REUSE_BITS if c.reuses_columns else 0,
            "column reuse (only with `depthwise_taps` 3). 0: none; else 1 + the positions, at most "
            "out_cols, that only fill the history at the start of each row",
        ),
        Field(
            "binary",
            lambda c: int(c.binary_weights),
            "1: weights of +1 and -1 (only with `binary_weights`): a result is twice its column's "
            "sum, less that of the column behind the others",
        ),
        Field(
            "table",
            lambda c: c.activation_tables.bit_length(),
            "activation table (modulo their number) that replaces each code (only with "
            "`activation_tables`); 0: none",
        ),
        Field(
            PHASES,
            lambda c: _log2(c.most_phases),
            "weight words per tap, minus 1 (only with `sparsity` N:M)",
        ),
    ),
}
"""Slot fields of each opcode over all NPUs, in slot order; ``slots(config, opcode)`` are those of
one NPU."""

START = "start"
"""Name of the record that leads from position 0 to a LAYER's first tap."""
MOVE = (
    Field("pointer", _activation_pointer, "address step, modulo 2 * activation_depth"),
    Field("columns", _bits(COLUMN_BITS), "column step, two's complement"),
    Field("rows", _bits(COLUMN_BITS), "row step, 0..strip_rows - 1"),
    Field("strips", _bits(STRIP_BITS), "strip step, two's complement"),
)
"""Address step in a record: from the last tap of one repetition of a level to the first tap of the
next, the return of all inner levels to their start included; in START's record from position 0."""


RECORDS = (START, *COUNT_BITS)
"""Records of a LAYER over all NPUs in the order of their words: START, then the levels;
``records(config)`` are those of one NPU."""


def counted_levels(config: NpuConfig) -> tuple[str, ...]:
    """Return the levels of COUNT_BITS that this NPU has, innermost first."""
    return tuple(n for n in COUNT_BITS if n != DIGITS or config.wide_input_passes)


def records(config: NpuConfig) -> tuple[str, ...]:
    """Return the records of a LAYER in this NPU, in the order of their words."""
    return START, *counted_levels(config)


def record_fields(level: str) -> tuple[Field, ...]:
    """Return the fields of a level's record in the order of their bits, from the lowest on.

    They are ``<level>_pointer``, which takes SLOT_BITS whatever its width, ``<level>_columns``,
    ``<level>_rows``, ``<level>_strips``, and ``<level>``, its count, which START's record lacks.
    """
    move = tuple(Field(f"{level}_{field.name}", field.width, field.doc) for field in MOVE)
    if level == START:
        return move
    return *move, Field(level, _bits(COUNT_BITS[level]), "repetitions, minus 1")


def slots(config: NpuConfig, opcode: Opcode) -> tuple[Field, ...]:
    """Return the opcode's slot fields in this NPU, in the order of their slots.

    Fields that this NPU lacks (width 0) take no slot.
    """
    return tuple(field for field in FIELDS[opcode] if field.width(config))


def fields(config: NpuConfig, opcode: Opcode) -> tuple[Field, ...]:
    """Return all fields of the opcode in this NPU: slots, then records."""
    levels = records(config) if opcode is Opcode.LAYER else ()
    return *slots(config, opcode), *(f for level in levels for f in record_fields(level))
