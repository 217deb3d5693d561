"""The page of docs/measurements/ that lists the node tests that are refused, with the reason."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import onnx

from tests.models.importing.node_tests.running import Outcome

PATH = Path(__file__).resolve().parents[4] / "docs" / "measurements" / "onnx-node-tests.md"
_HEAD = """\
# ONNX's own node tests

Which of the node tests in the `onnx` package does the importer pass, and what of the rest?

Taken are all tests of onnx {version} whose nodes are operators that are
[mapped](../how-to/import.md). The first input of a test is the network's, the others are
constants; where the test has a batch, each image is also given by itself, and any input also flat
with a Reshape behind it. What is imported must then give the test's output in every one of these
ways. Compared are the layers in real numbers, and codes where the test has codes.

> **Command** `make node-tests` · **Date** {date} · **Tools** onnx {version} · **Machine** any

{passed} of {count} tests pass, none gives another output, and {refused} are refused, each for the
reason below. `tests/models/importing/test_node_tests.py` holds this page to the code.

| reason | tests |
|---|---|
"""


def text(outcomes: Mapping[str, Outcome], date: str) -> str:
    """The page for the outcomes of all tests, by name; date: of the run."""
    reasons = defaultdict(list)
    for name, outcome in outcomes.items():
        if outcome.verdict != "passed":
            reasons[_general(outcome.why)].append(name.removeprefix("test_"))
    refused = sum(map(len, reasons.values()))
    head = _HEAD.format(
        version=onnx.__version__, count=len(outcomes), passed=len(outcomes) - refused,
        refused=refused, date=date,
    )  # fmt: skip
    rows = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [f"| {why} | {', '.join(f'`{name}`' for name in names)} |" for why, names in rows]
    return head + "\n".join(lines) + "\n"


def _general(why: str) -> str:
    """A reason without the names and numbers of one test."""
    why = why.partition("; instead:")[0].replace("|", "/")
    why = re.sub(r"^\S+ \((\w+)(, attribute \w+)?\): ", r"\1 ", why)
    why = re.sub(r"(constant|input|tensor) '[^']*'(\.\.\.)?", r"\1", why)
    why = re.sub(r"shape \([\d, ]+\)|of \([\d, ]+\)", "some shape", why)
    return re.sub(r"\([+-]\d+ from", "(away from", why)
