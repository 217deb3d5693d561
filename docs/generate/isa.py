"""Instructions field by field, errors and address map, from rtl_gen/isa/."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from docs.generate.markdown import Generator, table
from docs.generate.sources import field_docs, module_docs
from rtl_gen.config import NpuConfig
from rtl_gen.isa import registers
from rtl_gen.isa.encoding import WORD_BITS, bit_ranges, instruction_words, slot_words
from rtl_gen.isa.fields import COUNT_BITS, DIGITS, FIELDS, MOVE, RECORDS, START, Field, records
from rtl_gen.isa.opcodes import ErrorCode, Opcode

Row = tuple[str, ...]

OPTIONAL = NpuConfig(
    depthwise_taps=3, weight_digit_bits=1, binary_weights=True, wide_input_passes=2,
    activation_tables=2, channel_depth=512,
)  # fmt: skip
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


def field_rows(opcode: Opcode) -> str:
    """Places are those of an NPU without the optional fields, which have none there."""
    always = bit_ranges(NpuConfig(), opcode)
    rows: list[Row] = []
    for field in FIELDS[opcode]:
        word, bit = "-", "-"
        if field.name in always:
            word, bit = map(str, divmod(WORD_BITS + always[field.name].start, WORD_BITS))
        rows.append((word, bit, f"`{field.name}`", width_text(field), field.doc))
    return table(("word", "bits from", "field", "width", "meaning"), rows)


def record_rows() -> str:
    """A record's fields in its word."""
    bits = bit_ranges(NpuConfig(), Opcode.LAYER)
    level = "out_cols"
    rows: list[Row] = []
    for field in MOVE:
        bit = bits[f"{level}_{field.name}"].start % WORD_BITS
        rows.append((str(bit), f"_{field.name}", width_text(field), field.doc))
    count = bits[level].start % WORD_BITS
    rows.append((str(count), "(the level)", "see below", "repetitions, minus 1"))
    return table(("bits from", "field", "width", "meaning"), rows)


LEVEL_DOCS = {
    START: "the first tap, from position 0; it has no repetitions",
    "groups": "activation words per kernel position",
    "kernel_cols": "kernel columns",
    "kernel_rows": "kernel rows",
    "passes": "weight digit passes, most significant digit first",
    DIGITS: "digits of the activations, most significant first (only with `wide_input_passes`; the "
    "records behind it stand one word further there)",
    "pool_cols": "columns of the max-pooling window over convolution outputs",
    "pool_rows": "rows of that window",
    "out_cols": "output columns",
    "out_rows": "output rows per strip",
    "out_groups": "tiles of `columns` output channels",
}


def level_rows() -> str:
    first = 1 + slot_words(NpuConfig(), Opcode.LAYER)
    words = {level: str(word) for word, level in enumerate(records(NpuConfig()), first)}
    rows = [
        (words.get(level, "-"), f"`{level}`", str(COUNT_BITS.get(level, "-")), LEVEL_DOCS[level])
        for level in RECORDS
    ]
    return table(("word", "record", "width of the repetitions", "level"), rows)


def enum_rows(kind: type[enum.IntEnum], first: str, form: str) -> str:
    docs = field_docs(kind)
    rows = [
        (form.format(int(one)), f"`{one.name}`", docs.get(one.name, "No error.")) for one in kind
    ]
    return table((first, "name", "meaning"), rows)


def opcode_rows() -> str:
    rows = [(str(int(opcode)), f"`{opcode.name}`", _words_text(opcode)) for opcode in Opcode]
    return table(("opcode", "name", "words with the opcode's"), rows)


def _words_text(opcode: Opcode) -> str:
    plain, sparse, wide = (
        instruction_words(config, opcode)
        for config in (NpuConfig(), NpuConfig(sparsity="2:4"), NpuConfig(wide_input_passes=1))
    )
    if plain == sparse == wide:
        return str(plain)
    return (
        f"{plain}; {sparse - plain} more with `sparsity` N:M, `depthwise_taps` 3 or "
        "`activation_tables`, "
        f"{wide - plain} more with `wide_input_passes`"
    )


def window_rows() -> str:
    names = ("LOG_BASE", "PROGRAM_BASE", "CHANNEL_BASE", "WEIGHT_BASE")
    docs = module_docs(registers)
    rows = [(f"0x{getattr(registers, n):07X}", f"`{n}`", docs.get(n, "")) for n in names]
    return table(("byte address", "window", "meaning"), rows)


def identity_rows() -> str:
    rows = [
        ("ID", f"0x{registers.NPU_ID:08X}"),
        ("VERSION", str(registers.ISA_VERSION)),
        ("address bits", str(registers.ADDRESS_BITS)),
        ("entries of the cycle log", str(registers.LOG_DEPTH)),
    ]
    return table(("what", "value"), rows)


GENERATORS: Mapping[str, Generator] = {
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
    "identity": identity_rows,
}
