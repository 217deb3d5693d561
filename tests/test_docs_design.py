"""docs/design.md lists every layer and every NPU parameter with its default and range."""

from __future__ import annotations

import dataclasses
import re

from models.graph.layers import OPS
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DEPTH_RANGES, DIGIT_BITS, MULTIPLIERS, SPARSITIES
from tests.paths import DOCS

PAGE = (DOCS / "design.md").read_text()


def rows(after: str) -> list[list[str]]:
    """Cells of the first table behind a heading, without its head."""
    table = re.search(r"(?:^\|.*\n)+", PAGE[PAGE.index(after) :], re.MULTILINE)
    assert table
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_npu_parameters_with_their_defaults():
    listed = {row[0].strip("`"): row[1] for row in rows("## NPU")}
    assert listed == {
        field.name: str(field.default).replace("False", "false")
        for field in dataclasses.fields(NpuConfig)
    }


def test_npu_ranges():
    ranges = {row[0].strip("`"): row[2] for row in rows("## NPU")}
    for name, (low, high) in DEPTH_RANGES.items():
        assert ranges[name] == f"{low}..{high}"
    assert ranges["weight_digit_bits"] == ", ".join(map(str, DIGIT_BITS))
    assert ranges["multiplier"] == ", ".join(MULTIPLIERS)
    assert ranges["sparsity"] == ", ".join(SPARSITIES)


def test_layers_with_their_keys():
    listed = {
        op: set(re.findall(r"`(\w+)", row[1]))
        for row in rows("## Layers")
        for op in re.findall(r"`(\w+)`", row[0])
    }
    inserted = {"requantise"}  # the compiler's own, for concat
    assert set(listed) == set(OPS) - inserted
    for op in set(OPS) - inserted - {"add", "concat"}:
        assert listed[op] == {field.name for field in dataclasses.fields(OPS[op])}, op
