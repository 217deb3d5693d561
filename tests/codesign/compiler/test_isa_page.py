"""docs/isa.md, the page of the instruction set, agrees with its definition in rtl_gen/isa."""

from __future__ import annotations

import re

from docs import isa_tables
from rtl_gen.isa.fields import FIELDS
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.isa.registers import Register


def test_the_tables_are_those_that_the_definition_gives() -> None:
    page = isa_tables.PAGE.read_text()
    assert isa_tables.with_tables(page) == page, "run python docs/isa_tables.py"
    assert set(re.findall(r"<!-- table: (\w+) -->", page)) == set(isa_tables.TABLES)


def test_every_field_error_and_register_is_explained() -> None:
    for kind in (ErrorCode, Register):
        missing = {member.name for member in kind} - set(isa_tables.members(kind))
        assert missing <= {"NONE"}
    page = isa_tables.PAGE.read_text()
    for fields in FIELDS.values():
        for field in fields:
            assert page.count(f"`{field.name}`") + page.count(field.name) > 2, field.name


def test_widths_are_formulas_where_they_depend_on_the_configuration() -> None:
    widths = {field.name: isa_tables.width_text(field) for field in FIELDS[Opcode.LAYER]}
    assert widths["pad_code"] == "activation_bits"
    assert widths["strip_words"] == "log2(activation_depth) + 1"
    assert widths["weight_base"] == "log2(weight_depth)"
    assert widths["channel_base"] == "log2(channel_depth)"
    assert widths["drain_chunks"] == "7"
