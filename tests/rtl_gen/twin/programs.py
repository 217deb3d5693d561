"""Hand-written programs for tests of the NPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import Instruction
from rtl_gen.isa.fields import COUNT_BITS, fields, slots
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.isa.walk import AddressStep, record_values, reduced

ProgramStep = tuple[Opcode, dict[str, int]]


def encode(config: NpuConfig, program: Sequence[ProgramStep]) -> list[int]:
    """Program words as the bus takes them."""
    return [w for opcode, fields in program for w in Instruction(opcode, fields).encode(config)]


def whole_memory(config: NpuConfig) -> dict[str, int]:
    """Fields of a LOAD or STORE of every word, one beat each."""
    return {
        "base": 0,
        "strip_words": config.activation_depth,
        "last_strip": config.pixels - 1,
        "last_words": config.activation_depth,
        "beats": 0,
    }


STEPS: dict[str, tuple[str | None, str | int | None, str | int | None]] = {
    "groups": ("group_words", None, None),
    "kernel_cols": ("col_words", 1, None),
    "kernel_rows": ("row_words", None, 1),
    "pool_cols": ("pool_col_words", "pool_col_step", None),
    "pool_rows": ("pool_row_words", None, "pool_row_step"),
    "out_cols": ("out_col_words", "out_col_step", None),
    "out_rows": ("out_row_words", None, "out_row_step"),
    "out_groups": ("in_group_step", None, None),
}
"""What a repetition of a level adds to address, column and row: names of ``nest`` values."""


def layer_fields(config: NpuConfig, nest: Mapping[str, int]) -> dict[str, int]:
    """Fields of the LAYER of this loop nest: its first tap at ``in_base`` plus ``row_first_words``,
    ``col_first``, ``strip_first`` and ``row_first``; STEPS; the fields that are no records."""

    def value(name: str | int | None) -> int:
        return nest.get(name, 0) if isinstance(name, str) else name or 0

    strip_rows, strip_words = nest["strip_rows"], nest["strip_words"]
    strips = value("strip_first")
    start = AddressStep(
        value("in_base") + value("row_first_words") + strips * strip_words,
        value("col_first"),
        strips * strip_rows + value("row_first"),
    )
    steps = {level: AddressStep(*(value(name) for name in names)) for level, names in STEPS.items()}
    walk = record_values(start, steps, nest, strip_rows, strip_words)
    known = {field.name for field in fields(config, Opcode.LAYER)}
    return reduced(config, {n: v for n, v in nest.items() if n in known} | walk)


def copy_layer(config: NpuConfig, **changes: int) -> dict[str, int]:
    """Fields of a LAYER that reads word 0 and writes word 1 of bank 0, with ``changes``."""
    nest = dict.fromkeys((*COUNT_BITS, *(f.name for f in slots(config, Opcode.LAYER))), 0)
    nest |= {
        "col_limit": 1,
        "strip_rows": 1,
        "strip_words": 1,
        "last_rows": 1,
        "row_words": 1,
        "passes": config.passes(2) - 1,
        "out_base": 1,
        "drain_chunks": config.chunks_per_word - 1,
        "out_max": (1 << config.activation_bits) - 1,
    }
    return layer_fields(config, nest | changes)
