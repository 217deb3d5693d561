"""docs/reference/isa.md and registers.md explain all that rtl_gen/isa/ defines.

That their tables are fresh is held by tests/test_docs_reference.py.
"""

from __future__ import annotations

from docs.generate import isa, sources
from rtl_gen.isa.fields import FIELDS
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.isa.registers import Register
from tests.paths import DOCS

PAGE = (DOCS / "reference" / "isa.md").read_text()


def test_every_field_error_and_register_is_explained() -> None:
    for kind in (ErrorCode, Register):
        missing = {member.name for member in kind} - set(sources.field_docs(kind))
        assert missing <= {"NONE"}
    for fields in FIELDS.values():
        for field in fields:
            assert PAGE.count(f"`{field.name}`") + PAGE.count(field.name) > 2, field.name


def test_widths_are_formulas_where_they_depend_on_the_configuration() -> None:
    widths = {field.name: isa.width_text(field) for field in FIELDS[Opcode.LAYER]}
    assert widths["pad_code"] == "activation_bits"
    assert widths["strip_words"] == "log2(activation_depth) + 1"
    assert widths["weight_base"] == "log2(weight_depth)"
    assert widths["channel_base"] == "log2(channel_depth)"
    assert widths["drain_chunks"] == "7"
