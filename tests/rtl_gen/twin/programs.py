"""Instructions written by hand, for tests of the behavioural model and the RTL without a compiler.

Fields have the names of docs/reference/isa.md. The walk of a LAYER over its input is written as
that page explains it, as what each loop level adds to the position of the tap;
``LayerNest.fields`` turns that into the records that the instruction holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import Instruction
from rtl_gen.isa.fields import COUNT_BITS, slots
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.isa.walk import AddressStep, record_values, reduced

ProgramStep = tuple[Opcode, dict[str, int]]
"""An opcode and the values of its fields."""


def encode(config: NpuConfig, program: Sequence[ProgramStep]) -> list[int]:
    """Return the program as the 32-bit words that the bus writes to program memory."""
    return [w for opcode, fields in program for w in Instruction(opcode, fields).encode(config)]


def whole_memory(config: NpuConfig) -> dict[str, int]:
    """Return the fields of a STORE of every activation word, one stream beat each.

    A LOAD has the field ``ahead`` besides.
    """
    return {
        "base": 0,
        "strip_words": config.activation_depth,
        "last_strip": config.pixels - 1,
        "last_words": config.activation_depth,
        "beats": 0,
    }


@dataclass(frozen=True)
class LayerNest:
    """A LAYER as a loop nest: where its first tap is and what each repetition of a level adds."""

    first_tap: AddressStep
    """Position of the first tap (``tap_at``)."""
    steps: Mapping[str, AddressStep]
    """Loop level -> what one more repetition adds to the position; a level that is left out stays
    where it is."""
    values: Mapping[str, int]
    """Repetitions of each level, minus 1, and the fields of the LAYER that are in slots."""

    def fields(self, config: NpuConfig) -> dict[str, int]:
        """Return the instruction's fields, the records of the walk included."""
        strip_rows, strip_words = self.values["strip_rows"], self.values["strip_words"]
        records = record_values(self.first_tap, self.steps, self.values, strip_rows, strip_words)
        return reduced(config, {**self.values, **records})


def tap_at(
    values: Mapping[str, int], *, address: int = 0, column: int = 0, strip: int = 0, row: int = 0
) -> AddressStep:
    """Return the position of the tap at ``row`` and ``column`` of a strip.

    The strip counts from the bank of each pixel lane; ``address`` is that of the word in the
    strip's own bank. ``values`` has the LAYER's ``strip_rows`` and ``strip_words``.
    """
    rows, words = values["strip_rows"], values["strip_words"]
    return AddressStep(address + strip * words, column, strip * rows + row)


def copy_layer(
    config: NpuConfig,
    first_tap: AddressStep | None = None,
    steps: Mapping[str, AddressStep] | None = None,
    **changes: int,
) -> dict[str, int]:
    """Return the fields of a LAYER that reads word 0 and writes word 1 of bank 0.

    ``first_tap``, ``steps`` of further levels and ``changes`` of values make another layer of it.
    """
    values = dict.fromkeys((*COUNT_BITS, *(f.name for f in slots(config, Opcode.LAYER))), 0)
    values |= {
        "col_limit": 1,
        "strip_rows": 1,
        "strip_words": 1,
        "last_rows": 1,
        "passes": config.passes(2) - 1,
        "out_base": 1,
        "drain_chunks": config.chunks_per_word - 1,
        "out_max": (1 << config.activation_bits) - 1,
    }
    kernel = {"kernel_cols": AddressStep(columns=1), "kernel_rows": AddressStep(words=1, rows=1)}
    nest = LayerNest(first_tap or AddressStep(), {**kernel, **(steps or {})}, values | changes)
    return nest.fields(config)
