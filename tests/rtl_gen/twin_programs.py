"""Hand-written programs for tests of the NPU."""

from __future__ import annotations

from collections.abc import Sequence

from rtl_gen.config import NpuConfig
from rtl_gen.isa import Instruction, Opcode, fields

ProgramStep = tuple[Opcode, dict[str, int]]


def encode(config: NpuConfig, program: Sequence[ProgramStep]) -> list[int]:
    """Program words."""
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


def copy_layer(config: NpuConfig, **changes: int) -> dict[str, int]:
    """Fields of a LAYER that reads word 0 and writes word 1 of bank 0, with ``changes``."""
    values = dict.fromkeys((field.name for field in fields(config, Opcode.LAYER)), 0)
    values |= {
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
    return values | changes
