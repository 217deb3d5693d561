"""Moves of values whose sizes depend on how ONNX Runtime counts, against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
from onnx import ModelProto  # noqa: E402

from models.importing import imports  # noqa: E402
from tests.models.importing import evaluator  # noqa: E402
from tests.models.importing.onnx_models import model, node, write  # noqa: E402
from tests.models.importing.reading import walked  # noqa: E402


def same(path: Path, made: ModelProto) -> Any:
    """Raise AssertionError unless the stages compute what ONNX Runtime does; the output."""
    sides = [side.dim_value for side in made.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).normal(0, 1, sides).astype(np.float32)
    (theirs,) = runtime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    walk, output = walked(write(path, made))
    ours = evaluator.run(walk, x, output)
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, atol=1e-4)
    return ours


def halved(channels: int, count: int) -> ModelProto:
    """Channels in ``count`` parts, joined in reverse and convolved."""
    rng = np.random.default_rng(channels)
    parts = [f"p{i}" for i in range(count)]
    nodes = [
        node("Split", ["x"], parts, "split", axis=1, num_outputs=count),
        node("Concat", parts[::-1], ["c"], axis=1),
        node("Conv", ["c", "w"], ["y"]),
    ]
    constants = {"w": rng.normal(0, 1, (4, channels, 1, 1)).astype(np.float32)}
    return model(nodes, constants, shape=(1, channels, 4, 4))


@pytest.mark.parametrize(
    ("channels", "count"), [(7, 3), (7, 4), (9, 5), (8, 3), (8, 4), (5, 1), (3, 3)]
)
def test_the_last_part_is_the_smaller_one(channels: int, count: int, tmp_path: Path) -> None:
    same(tmp_path / "m.onnx", halved(channels, count))


def test_an_axis_without_so_many_parts_is_refused(tmp_path: Path) -> None:
    found = imports.read(write(tmp_path / "m.onnx", halved(7, 5)))
    assert "parts [2, 2, 2, 2, -1] of an axis of 7" in str(found.table.refused[0])


@pytest.mark.parametrize("scale", [0.3, 0.7, 1.1, 1.3, 1.9, 2.3, 2.9])
def test_a_resized_side_is_counted_in_single_precision(scale: float, tmp_path: Path) -> None:
    """0.7 of 10 places are 7, though 0.7 as float32 has it is less than 7 tenths."""
    how = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    nodes = [node("Resize", ["x", "", "scales"], ["y"], mode="nearest", **how)]
    constants = {"scales": np.array([1, 1, scale, 1], np.float32)}
    same(tmp_path / "m.onnx", model(nodes, constants, shape=(1, 2, 10, 3)))
