"""Writes the tables of docs/isa.md from rtl_gen/isa/: ``python docs/isa_tables.py``."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rtl_gen.config import NpuConfig
from rtl_gen.isa import registers
from rtl_gen.isa.encoding import WORD_BITS, bit_ranges, instruction_words, slot_words
from rtl_gen.isa.fields import COUNT_BITS, FIELDS, MOVE, RECORDS, START, Field
from rtl_gen.isa.opcodes import ErrorCode, Opcode

PAGE = Path(__file__).parent / "isa.md"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


OPTIONAL = NpuConfig(depthwise_taps=3, weight_digit_bits=1, binary_weights=True)
"""An NPU with every field but those of N:M sparsity."""


def width_text(field: Field) -> str:
    """The width as a number, or as a formula of the parameter it depends on."""
    config = NpuConfig() if field.width(NpuConfig()) else OPTIONAL
    width = field.width(config)
    if not width:
        return "log2(M / N) of `sparsity`"
    if field.width(dataclasses.replace(config, activation_bits=8)) == 8 != width:
        return "activation_bits"
    for name in (
        "activation_depth",
        "weight_depth",
        "channel_depth",
        "result_depth",
        "program_depth",
    ):
        depth = getattr(config, name)
        if field.width(dataclasses.replace(config, **{name: 2 * depth})) > width:
            more = width - (depth.bit_length() - 1)
            return f"log2({name})" + (f" + {more}" if more else "")
    return str(width)


def field_rows(opcode: Opcode) -> list[tuple[str, ...]]:
    """Places are those of an NPU without the optional fields, which have none there."""
    always = bit_ranges(NpuConfig(), opcode)
    rows = [("word", "bits from", "field", "width", "meaning")]
    for field in FIELDS[opcode]:
        word, bit = "-", "-"
        if field.name in always:
            word, bit = map(str, divmod(WORD_BITS + always[field.name].start, WORD_BITS))
        rows.append((word, bit, f"`{field.name}`", width_text(field), field.doc))
    return rows


def record_rows() -> list[tuple[str, ...]]:
    """A record's fields in its word."""
    bits = bit_ranges(NpuConfig(), Opcode.LAYER)
    level = "out_cols"
    rows = [("bits from", "field", "width", "meaning")]
    for field in MOVE:
        bit = bits[f"{level}_{field.name}"].start % WORD_BITS
        rows.append((str(bit), f"_{field.name}", width_text(field), field.doc))
    count = bits[level].start % WORD_BITS
    return [*rows, (str(count), "(the level)", "see below", "repetitions, minus 1")]


LEVEL_DOCS = {
    START: "the first tap, from position 0; it has no repetitions",
    "groups": "activation words per kernel position",
    "kernel_cols": "kernel columns",
    "kernel_rows": "kernel rows",
    "passes": "weight digit passes, most significant digit first",
    "pool_cols": "columns of the max-pooling window over convolution outputs",
    "pool_rows": "its rows",
    "out_cols": "output columns",
    "out_rows": "output rows per strip",
    "out_groups": "tiles of `columns` output channels",
}


def level_rows() -> list[tuple[str, ...]]:
    first = 1 + slot_words(NpuConfig(), Opcode.LAYER)
    return [("word", "record", "width of the repetitions", "level")] + [
        (str(word), f"`{level}`", str(COUNT_BITS.get(level, "-")), LEVEL_DOCS[level])
        for word, level in enumerate(RECORDS, first)
    ]


def members(kind: type[enum.IntEnum]) -> dict[str, str]:
    """Member name -> the string that stands under it in the source."""
    (body,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    docs, name = {}, ""
    for statement in body.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and name:
            docs[name] = " ".join(str(statement.value.value).split())
    return docs


def enum_rows(kind: type[enum.IntEnum], first: str, form: str) -> list[tuple[str, ...]]:
    docs = members(kind)
    return [(first, "name", "meaning")] + [
        (form.format(int(member)), member.name, docs.get(member.name, "")) for member in kind
    ]


def opcode_rows() -> list[tuple[str, ...]]:
    return [("opcode", "name", "words with the opcode's")] + [
        (str(int(opcode)), opcode.name, _words_text(opcode)) for opcode in Opcode
    ]


def _words_text(opcode: Opcode) -> str:
    dense, sparse = (
        str(instruction_words(NpuConfig(sparsity=sparsity), opcode))
        for sparsity in ("dense", "2:4")
    )
    options = "`sparsity` N:M or `depthwise_taps` 3"
    return dense if dense == sparse else f"{dense}; {sparse} with {options}"


def window_rows() -> list[tuple[str, ...]]:
    names = ("LOG_BASE", "PROGRAM_BASE", "CHANNEL_BASE", "WEIGHT_BASE")
    return [("byte address", "window")] + [(f"0x{getattr(registers, n):07X}", n) for n in names]


TABLES: Mapping[str, Callable[[], list[tuple[str, ...]]]] = {
    "opcodes": opcode_rows,
    "load": lambda: field_rows(Opcode.LOAD),
    "emit": lambda: field_rows(Opcode.EMIT),
    "repeat": lambda: field_rows(Opcode.REPEAT),
    "fetch": lambda: field_rows(Opcode.FETCH),
    "fill": lambda: field_rows(Opcode.FILL),
    "layer": lambda: field_rows(Opcode.LAYER),
    "record": record_rows,
    "levels": level_rows,
    "errors": lambda: enum_rows(ErrorCode, "code", "{}"),
    "registers": lambda: enum_rows(registers.Register, "byte address", "0x{:02X}"),
    "windows": window_rows,
}


def render(name: str) -> str:
    """One table in Markdown."""
    head, *rows = TABLES[name]()
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_tables(page: str) -> str:
    """``page`` with every marked table as it should be."""
    return BLOCK.sub(lambda block: f"{block[1]}{render(block[2])}{block[4]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
