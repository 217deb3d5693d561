"""The survey of kinds of networks: those that docs/ calls imported are, the others say why not."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("onnx", reason="no onnx")

from benchmarks.importing import survey
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "measurements" / "imports.md").read_text()


def test_the_page_has_every_kind_and_the_count() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d+ layers)? ?\|", PAGE, re.MULTILINE))
    assert survey.KINDS.keys() <= rows.keys()
    good = sum(bool(rows[kind]) for kind in survey.KINDS)
    assert f"{good} of {len(survey.KINDS)} kinds are imported" in PAGE


@pytest.mark.parametrize("onnx", [False, True])
def test_kinds_are_imported_or_refused_with_the_reason(onnx: bool) -> None:
    kinds = ["SqueezeNet", "ShuffleNetV2", "TC-ResNet", "All-CNN", "SE-ResNet", "SSD-Lite", "LSTM"]
    found = {one.kind: one for one in survey.survey(kinds, onnx=onnx)}
    assert [kind for kind in kinds if found[kind].layers] == kinds[:6]
    assert "101 steps make 1212 layers" in found["LSTM"].reasons[0]
