"""Nodes that compute otherwise than their names say: refused, not taken for what they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
from onnx import TensorProto  # noqa: E402

from models.importing import imports  # noqa: E402
from tests.models.importing.onnx_models import model, node, write  # noqa: E402

WEIGHTS = {"w": np.ones((4, 3, 3, 3), np.float32)}


def refusals(path: Path) -> list[str]:
    return [str(row) for row in imports.read(path).table.refused]


def test_sums_of_integers_are_refused_which_wrap_where_real_ones_do_not(tmp_path: Path) -> None:
    nodes = [node("Add", ["x", "b"], ["y"], "sum")]
    made = model(nodes, {"b": np.ones((1, 3, 8, 8), np.uint8)}, kind=TensorProto.UINT8)
    assert refusals(write(tmp_path / "m.onnx", made))[0].startswith(
        "sum (Add): computes on integers (uint8)"
    )


def test_dropout_in_training_mode_is_refused(tmp_path: Path) -> None:
    constants = {**WEIGHTS, "ratio": np.float32(0.5), "on": np.bool_(True)}
    nodes = [
        node("Conv", ["x", "w"], ["a"], "c"),
        node("Dropout", ["a", "ratio", "on"], ["y"], "drop"),
    ]
    assert "drop (Dropout, attribute training_mode)" in str(
        refusals(write(tmp_path / "m.onnx", model(nodes, constants)))
    )


def test_a_slice_whose_lists_differ_in_length_is_refused(tmp_path: Path) -> None:
    constants = {"s": np.array([0, 1]), "e": np.array([4])}
    made = model([node("Slice", ["x", "s", "e"], ["y"], "cut")], constants)
    assert "2 starts, 1 ends" in str(refusals(write(tmp_path / "m.onnx", made)))


def test_codes_that_a_clip_narrows_may_not_be_read_unclipped(tmp_path: Path) -> None:
    constants = {
        "s": np.float32(0.5), "z": np.int8(0), "low": np.int8(-8), "high": np.int8(7),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        node("Clip", ["q", "low", "high"], ["c"], "clip"),
        node("DequantizeLinear", ["c", "s", "z"], ["a"], "a"),
        node("DequantizeLinear", ["q", "s", "z"], ["b"], "b"),
        node("Add", ["a", "b"], ["y"], "sum"),
    ]
    assert "b (DequantizeLinear): reads q, which another node clips" in str(
        refusals(write(tmp_path / "m.onnx", model(nodes, constants)))
    )
