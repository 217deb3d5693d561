"""ONNX's own node tests of the mapped operators: passed, or listed with the reason."""

from __future__ import annotations

import re

import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
from tests.models.importing.node_tests import cases, page, running  # noqa: E402


@pytest.fixture(scope="module")
def outcomes() -> dict[str, running.Outcome]:
    return {name: running.run(test) for name, test in cases.cases().items()}


def test_no_node_test_gives_another_output(outcomes: dict[str, running.Outcome]) -> None:
    wrong = {name: o.why for name, o in outcomes.items() if o.verdict == "wrong"}
    assert wrong == {}
    assert sum(o.verdict == "passed" for o in outcomes.values()) >= 150


def test_those_refused_stand_on_the_page_with_the_reason(
    outcomes: dict[str, running.Outcome],
) -> None:
    written = page.PATH.read_text()
    if f"onnx {onnx.__version__} " not in written:
        pytest.skip("the page is of another version of onnx")
    (date,) = re.findall(r"\d{4}-\d\d-\d\d", written)
    assert page.text(outcomes, date) == written, "run make node-tests"
