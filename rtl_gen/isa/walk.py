"""Address steps of a LAYER's loop nest over its input (the walk): conversion to records and back.

The compiler knows what one repetition of each loop level adds to the input position. The hardware
keeps one position and adds one record per tap: the step of the level that advances, which includes
the return of all inner levels from their last repetition to their first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import bit_ranges
from rtl_gen.isa.fields import COUNT_BITS, MOVE, START, record_fields, records
from rtl_gen.isa.opcodes import Opcode


@dataclass(frozen=True)
class AddressStep:
    """Difference between the input positions of two taps: address words, image columns and rows.

    >>> AddressStep(words=2, columns=1).times(3) + AddressStep(words=40, rows=1)
    AddressStep(words=46, columns=3, rows=1)
    """

    words: int = 0
    """Signed difference of addresses in words, that due to ``columns`` and ``rows`` included."""
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
    """Return the record fields of a LAYER as plain integers, not yet reduced to their widths.

    start: position of the first tap, relative to address 0, row 0, column 0 of pixel 0's strip.
    steps: what one repetition of a level adds, 0 for missing levels. counts: repetitions of every
    level of COUNT_BITS, minus 1. A strip is ``strip_rows`` rows, or ``strip_words`` words, at the
    same address in each bank. Keys: ``<record>_pointer``, ``_columns``, ``_rows`` and ``_strips``
    for ``start`` and every level, and ``<level>`` for its count. ``reduced`` turns the result into
    field values.
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
    """Return a record's move by field name, with whole strips split off from rows and address.

    The number of strips in step.rows is rounded down, so ``<level>_rows`` is 0..strip_rows - 1;
    each takes strip_words from ``<level>_pointer``. The other values may be negative.
    """
    strips, rows = divmod(step.rows, strip_rows)
    return {
        f"{level}_pointer": step.words - strips * strip_words,
        f"{level}_columns": step.columns,
        f"{level}_rows": rows,
        f"{level}_strips": strips,
    }


def reduced(config: NpuConfig, values: Mapping[str, int]) -> dict[str, int]:
    """Return LAYER field values with the address steps and ``strip_words`` cut to their widths.

    values: by field name; not changed. Address steps become the two's complement patterns (>= 0)
    that Instruction.encode needs; that they fit is not checked. Other fields stay as they are, but
    those of a level that this NPU lacks, which has one repetition, are left out.
    """
    known = bit_ranges(config, Opcode.LAYER)
    levels = [level for level in COUNT_BITS if level not in known]
    lacking = {field.name for level in levels for field in record_fields(level)}
    moves = {f"{level}_{move.name}" for level in records(config) for move in MOVE}
    moves.add("strip_words")
    return {
        name: value % (1 << len(known[name])) if name in moves else value
        for name, value in values.items()
        if name not in lacking
    }


def totals(fields: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return what one repetition of each level adds to pointer, columns, rows and strips.

    fields: field values of a LAYER. Result: level (without ``start``) -> move name -> step, the
    sum of the level's record and of the inner levels' way back. Plain integers that are right
    modulo the field widths only, before rows wrap into the next strip. Undoes ``record_values``.
    """
    found, returns = {}, dict.fromkeys((move.name for move in MOVE), 0)
    for level in (level for level in COUNT_BITS if level in fields):
        step = {name: fields[f"{level}_{name}"] + back for name, back in returns.items()}
        found[level] = step
        returns = {name: back + fields[level] * step[name] for name, back in returns.items()}
    return found
