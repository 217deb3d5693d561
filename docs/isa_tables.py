"""Writes the tables of docs/isa.md from rtl_gen/isa.py: ``python docs/isa_tables.py``."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rtl_gen import isa
from rtl_gen.config import NpuConfig
from rtl_gen.isa import FIELDS, Field, Opcode

PAGE = Path(__file__).parent / "isa.md"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


OPTIONAL = NpuConfig(depthwise_taps=3)
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
    always = isa.fields(NpuConfig(), opcode)
    rows = [("word", "bits", "field", "width", "meaning")]
    for field in FIELDS[opcode]:
        word, bits = "-", "-"
        if field in always:
            k = always.index(field)
            word, bits = str(1 + k // 2), "31:16" if k % 2 else "15:0"
        rows.append((word, bits, f"`{field.name}`", width_text(field), field.doc))
    return rows


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
    return [("opcode", "name", "32-bit words with the opcode's")] + [
        (str(int(opcode)), opcode.name, _words_text(opcode)) for opcode in Opcode
    ]


def _words_text(opcode: Opcode) -> str:
    dense, sparse = (
        str(1 + isa.field_words(NpuConfig(sparsity=sparsity), opcode))
        for sparsity in ("dense", "2:4")
    )
    return dense if dense == sparse else f"{dense}; {sparse} with `sparsity` N:M"


def window_rows() -> list[tuple[str, ...]]:
    names = ("LOG_BASE", "PROGRAM_BASE", "CHANNEL_BASE", "WEIGHT_BASE")
    return [("byte address", "window")] + [(f"0x{getattr(isa, n):07X}", n) for n in names]


TABLES: Mapping[str, Callable[[], list[tuple[str, ...]]]] = {
    "opcodes": opcode_rows,
    "load": lambda: field_rows(Opcode.LOAD),
    "emit": lambda: field_rows(Opcode.EMIT),
    "repeat": lambda: field_rows(Opcode.REPEAT),
    "fetch": lambda: field_rows(Opcode.FETCH),
    "layer": lambda: field_rows(Opcode.LAYER),
    "errors": lambda: enum_rows(isa.ErrorCode, "code", "{}"),
    "registers": lambda: enum_rows(isa.Register, "byte address", "0x{:02X}"),
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
