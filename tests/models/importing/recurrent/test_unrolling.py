"""LSTM, GRU and plain cells unrolled, against ONNX Runtime; and what is refused by name."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402

from models.graph.layers import Activation  # noqa: E402
from models.importing import imports  # noqa: E402
from tests.models.importing import evaluator  # noqa: E402
from tests.models.importing.onnx_models import Qdq, model, node, write  # noqa: E402
from tests.models.importing.reading import walked  # noqa: E402

BLOCKS = {"LSTM": 4, "GRU": 3, "RNN": 1}
UNITS, FEATURES = 4, 5


def recurrent(op: str, steps: int = 4, out: int = 0, more: Any = None, **how: Any) -> Any:
    """Return a model of one cell; more: which of B, h and c it has; how: attributes."""
    rng = np.random.default_rng(steps)
    directions = 2 if how.get("direction") == "bidirectional" else 1
    rows, batched = BLOCKS[op] * UNITS, how.get("layout", 0) == 1
    state = (1, directions, UNITS) if batched else (directions, 1, UNITS)
    shapes = {
        "W": (directions, rows, FEATURES), "R": (directions, rows, UNITS),
        "B": (directions, 2 * rows), "h": state, "c": state,
    }  # fmt: skip
    has = {"W", "R", *("Bhc" if more is None else more)} - ({"c"} if op != "LSTM" else set())
    values = {key: rng.normal(0, 0.5, shapes[key]).astype(np.float32) for key in sorted(has)}
    inputs = ["x", "W", "R", *(key if key in has else "" for key in ("B", "-", "h", "c"))]
    while not inputs[-1]:
        inputs.pop()
    outputs = ["", "", ""][: 3 if op == "LSTM" else 2]
    outputs[out] = "y"
    made = node(op, inputs, outputs, "cell", hidden_size=UNITS, **how)
    shape = (1, steps, FEATURES) if batched else (steps, 1, FEATURES)
    return model([made], values, shape)


def run(made: Any, x: Any) -> Any:
    """Return the output by ONNX Runtime, or by the reference where it lacks the layout."""
    if made.graph.node[0].attribute and any(
        a.name == "layout" for a in made.graph.node[0].attribute
    ):
        return ReferenceEvaluator(made).run(None, {"x": x})[0]
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
    return runtime.InferenceSession(made.SerializeToString()).run(None, {"x": x})[0]


def check(made: Any, path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    found, output = walked(write(path, made))
    values, wanted = evaluator.run(found, x, output), run(made, x)
    assert values.shape == wanted.shape
    assert np.abs(values - wanted).max() < 1e-5


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", BLOCKS)
def test_cells_compute_what_onnx_runtime_computes(op: str, direction: str, tmp_path: Path) -> None:
    outs = range(3 if op == "LSTM" else 2)
    for out, more, after in itertools.product(outs, ("", "B", "Bhc", "c"), (0, 1)):
        how = {"linear_before_reset": after} if op == "GRU" else {}
        made = recurrent(op, 4, out, more, direction=direction, **how)
        check(made, tmp_path / "m.onnx", (4, 1, FEATURES))


@pytest.mark.parametrize("op", BLOCKS)
def test_a_batch_may_come_first(op: str, tmp_path: Path) -> None:
    for out in range(2):
        made = recurrent(op, 3, out, layout=1, direction="bidirectional")
        check(made, tmp_path / "m.onnx", (1, 3, FEATURES))


def test_plain_cells_may_rectify(tmp_path: Path) -> None:
    made = recurrent("RNN", 8, activations=["Relu"])
    check(made, tmp_path / "m.onnx", (8, 1, FEATURES))


def test_one_step_is_enough(tmp_path: Path) -> None:
    for op in BLOCKS:
        check(recurrent(op, 1), tmp_path / "m.onnx", (1, 1, FEATURES))


def test_tables_do_not_grow_with_steps_or_directions(tmp_path: Path) -> None:
    for op, most in (("LSTM", 3), ("GRU", 3), ("RNN", 1)):
        made = recurrent(op, 6, direction="bidirectional")
        found = imports.read(write(tmp_path / "m.onnx", made))
        assert found.floating
        specs = [
            one.spec for one in found.floating.graph.layers if isinstance(one.spec, Activation)
        ]
        assert all(spec.table for spec in specs)
        assert len({spec.table for spec in specs}) <= most


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"clip": 1.0}, "clips at 1"),
        ({"input_forget": 1}, "couples"),
        ({"activations": ["Sigmoid", "Relu", "Tanh"]}, "activations sigmoid, relu, tanh"),
        ({"direction": "sideways"}, "direction sideways"),
        ({"steps": 99}, "99 steps make 1188 layers"),
    ],
)
def test_what_is_not_mapped_is_refused_by_name(
    how: dict[str, Any], said: str, tmp_path: Path
) -> None:
    found = imports.read(write(tmp_path / "m.onnx", recurrent("LSTM", **how)))
    (row,) = found.table.refused
    assert (row.name, row.operator) == ("cell", "LSTM")
    assert said in row.reason


def test_peepholes_and_lengths_are_refused(tmp_path: Path) -> None:
    made = recurrent("LSTM")
    for position, name, values in (
        (7, "p", np.ones((1, 3 * UNITS), np.float32)), (4, "n", np.array([3], np.int32)),
    ):  # fmt: skip
        made = recurrent("LSTM")
        inputs = [*made.graph.node[0].input, ""]
        inputs[position] = name
        del made.graph.node[0].input[:]
        made.graph.node[0].input.extend(inputs)
        made.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        (row,) = imports.read(write(tmp_path / "m.onnx", made)).table.refused
        assert row.attribute in ("P", "sequence_lens")


def test_a_sequence_of_whole_length_is_taken(tmp_path: Path) -> None:
    made = recurrent("GRU")
    made.graph.node[0].input[4] = "n"
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([4], np.int32), "n"))
    check(made, tmp_path / "m.onnx", (4, 1, FEATURES))


def test_quantised_files_do_not_round_within_a_cell(tmp_path: Path) -> None:
    made = recurrent("LSTM")
    q = Qdq()
    q.rounded("x", 0.1)
    made.graph.node[0].input[0] = "x_d"
    nodes = [*q.nodes, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), key) for key, value in q.constants.items()
    )
    (row,) = imports.read(write(tmp_path / "m.onnx", made)).table.refused
    assert "quantised" in row.reason
