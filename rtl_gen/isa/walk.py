"""The walk of a LAYER over its input: from what each level of the nest adds to records, and back.

A record holds what changes from one tap to the next when its level moves, so that the hardware
keeps one position and adds to it. Levels inside the moving one return from their last repetition
to their first; that is part of the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import bit_ranges
from rtl_gen.isa.fields import COUNT_BITS, MOVE, RECORDS, START
from rtl_gen.isa.opcodes import Opcode


@dataclass(frozen=True)
class AddressStep:
    """What a tap's position differs by: words of address and columns, rows of the image."""

    words: int = 0
    """Of the whole address: those of the columns and of ``rows`` included."""
    columns: int = 0
    rows: int = 0

    def __add__(self, other: AddressStep) -> AddressStep:
        return AddressStep(
            self.words + other.words, self.columns + other.columns, self.rows + other.rows
        )

    def times(self, count: int) -> AddressStep:
        return AddressStep(self.words * count, self.columns * count, self.rows * count)


def record_values(
    start: AddressStep,
    steps: Mapping[str, AddressStep],
    counts: Mapping[str, int],
    strip_rows: int,
    strip_words: int,
) -> dict[str, int]:
    """The records of a LAYER as plain integers, not yet reduced to their widths.

    start: of the first tap, from column 0 of row 0 of pixel 0's strip and address 0. steps: what
    each repetition of a level adds; counts: repetitions of the levels, minus 1. A strip of
    ``strip_rows`` rows has ``strip_words`` words of its own bank, from the same address on.
    """
    values = _record(START, start, strip_rows, strip_words)
    back = AddressStep()
    for level in COUNT_BITS:
        step = steps.get(level, AddressStep())
        values |= _record(level, step + back, strip_rows, strip_words)
        values[level] = counts[level]
        back += step.times(-counts[level])
    return values


def _record(level: str, step: AddressStep, strip_rows: int, strip_words: int) -> dict[str, int]:
    strips, rows = divmod(step.rows, strip_rows)
    return {
        f"{level}_pointer": step.words - strips * strip_words,
        f"{level}_columns": step.columns,
        f"{level}_rows": rows,
        f"{level}_strips": strips,
    }


def reduced(config: NpuConfig, values: Mapping[str, int]) -> dict[str, int]:
    """``values`` of LAYER fields, signed and modular ones of the walk as their bits."""
    known = bit_ranges(config, Opcode.LAYER)
    moves = {f"{level}_{move.name}" for level in RECORDS for move in MOVE}
    moves.add("strip_words")
    return {
        name: value % (1 << len(known[name])) if name in moves else value
        for name, value in values.items()
    }


def totals(fields: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """What each repetition of a level adds to the sums of pointers, columns, rows and strips as
    the records give them, before rows wrap: ``record_values`` backwards, modulo the widths."""
    found, returns = {}, dict.fromkeys((move.name for move in MOVE), 0)
    for level in COUNT_BITS:
        step = {name: fields[f"{level}_{name}"] + back for name, back in returns.items()}
        found[level] = step
        returns = {name: back + fields[level] * step[name] for name, back in returns.items()}
    return found
