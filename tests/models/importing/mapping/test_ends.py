"""Both ends of an imported network: what the host reads of its last layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
from onnx.reference import ReferenceEvaluator

from models.importing import imports
from models.integer import reference
from tests.models.importing import onnx_models
from tests.models.importing.onnx_models import model, node, write


def test_outputs_that_are_a_part_of_the_last_layers_channels_are_that_part(tmp_path: Path) -> None:
    """The first channels, too, which lie as in the layer."""
    for start, end in ((0, 2), (1, 3)):
        q = onnx_models.Qdq(2)
        x = q.rounded("x", 0.03, 7)
        q.nodes.append(node("Conv", [x, *q.weights("c", (5, 3, 8, 8), 0.03)], ["a"], "c"))
        q.constants |= {
            "start": np.array([start]), "end": np.array([end]), "axis": np.array([1]),
        }  # fmt: skip
        a = q.rounded("a", 0.2, 3)
        q.nodes.append(node("Slice", [a, "start", "end", "axis"], ["y"]))
        made = model(q.nodes, q.constants)
        found = imports.read(write(tmp_path / "m.onnx", made))
        assert found.integer
        assert found.input
        values = np.random.default_rng(3).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
        (theirs,) = ReferenceEvaluator(made).run(None, {"x": values})
        codes = found.input.codes(values).astype(np.uint8)
        ours = found.integer.real(reference.predict(found.integer, codes))
        assert ours.shape == (1, 2)
        assert np.abs(ours.ravel() - theirs.ravel()).max() <= 0.2001


def test_zeros_around_the_last_map_are_part_of_the_output(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], "conv"), node("Pad", ["a", "pads"], ["y"], "pad")]
    constants = {"w": np.ones((4, 3, 3, 3), np.float32), "pads": np.array([0, 0, 1, 0, 0, 0, 2, 1])}
    found = imports.read(write(tmp_path / "m.onnx", model(nodes, constants)))
    assert found.floating
    assert found.output
    assert found.output.file_shape == (1, 4, 9, 7)
    assert found.floating.graph.shapes[found.floating.graph.output.name] == (4, 9, 7)


def test_a_layer_may_be_named_as_the_copy_of_the_outputs_is(tmp_path: Path) -> None:
    """Which is added behind a layer of codes, or one without weights."""
    q = onnx_models.Qdq(2)
    x = q.rounded("x", 0.03, 7)
    q.nodes.append(node("Conv", [x, *q.weights("c", (5, 3, 8, 8), 0.03)], ["y"], "logits"))
    q.rounded("y", 0.2, 3)
    found = imports.read(write(tmp_path / "q.onnx", model(q.nodes, q.constants, out="y_d")))
    assert found.integer
    assert [layer.name for layer in found.integer.layers] == ["logits", "logits_2"]
    nodes = [
        node("Conv", ["x", "w"], ["a"], "logits"),
        node("MaxPool", ["a"], ["y"], "pool", kernel_shape=[2, 2]),
    ]
    constants = {"w": np.ones((4, 3, 3, 3), np.float32)}
    found = imports.read(write(tmp_path / "f.onnx", model(nodes, constants)))
    assert found.floating
    names = [layer.name for layer in found.floating.graph.layers]
    assert names == ["input", "logits", "pool", "logits_2"]
