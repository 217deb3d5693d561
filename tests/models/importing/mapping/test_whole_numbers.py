"""Quantised nodes with attributes that change what their codes say, against ONNX's evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
from onnx import TensorProto  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from models.importing import imports  # noqa: E402
from models.integer import reference  # noqa: E402
from tests.models.importing.onnx_models import Qdq, model, node, write  # noqa: E402


def steps(path: Path, made: Any, values: Any) -> Any:
    """Steps of the output between ours and the evaluator's, for values of the file's input."""
    found = imports.read(write(path, made))
    assert [str(row) for row in found.table.refused] == []
    network, end = found.integer, found.input
    assert network
    theirs = np.concatenate([ReferenceEvaluator(made).run(None, {"x": one})[0] for one in values])
    real = np.concatenate(values).astype(np.float64)
    if np.issubdtype(values[0].dtype, np.integer):  # the file's input holds codes
        assert end.grid
        real = end.grid.scale * (real - end.grid.zero_point)
    codes = reference.run(network, end.codes(real).astype(np.uint8))[network.output.name]
    ours = network.real(codes).reshape(theirs.shape)
    return np.rint((ours - theirs) / np.max(network.output.scale))


def drawn(shape: tuple[int, ...], count: int = 3) -> list[Any]:
    rng = np.random.default_rng(1)
    return [rng.normal(0, 1, shape).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("side", [7, 8, 9])
@pytest.mark.parametrize("size", [2, 3])
def test_windows_of_a_pooling_that_reach_beyond_the_map(
    size: int, side: int, tmp_path: Path
) -> None:
    q = Qdq()
    x = q.rounded("x", 0.02)
    weights = q.weights("c", (2, 3, 1, 1), 0.02)
    q.constants["c_b"] = np.full(2, 20_000, np.int32)  # the padding would be the largest
    q.nodes.append(node("Conv", [x, *weights], ["a"], "c"))
    a = q.rounded("a", 0.05)
    how = {"kernel_shape": [size, size], "strides": [size, size], "ceil_mode": 1}
    q.nodes.append(node("MaxPool", [a], ["p"], "p", **how))
    q.rounded("p", 0.05)
    made = model(q.nodes, q.constants, shape=(1, 3, side, side), out="p_d")
    assert np.abs(steps(tmp_path / "m.onnx", made, drawn((1, 3, side, side)))).max() <= 1


@pytest.mark.parametrize("alpha", [1.0, 2.0, -1.0, 0.5])
def test_a_bias_is_not_multiplied_by_alpha(alpha: float, tmp_path: Path) -> None:
    q = Qdq()
    x = q.rounded("x", 0.02, 3)
    weights = q.weights("g", (5, 16), 0.02)
    q.nodes.append(node("Gemm", [x, *weights], ["g"], "g", alpha=alpha, transB=1))
    q.rounded("g", 0.05, -4)
    made = model(q.nodes, q.constants, shape=(1, 16), out="g_d")
    assert np.abs(steps(tmp_path / "m.onnx", made, drawn((1, 16)))).max() <= 1


SCALES = np.array([1, 1, 2, 2], np.float32)


@pytest.mark.parametrize(
    ("operator", "inputs", "how", "shape"),
    [
        ("DepthToSpace", ["x"], {"blocksize": 2}, (1, 16, 3, 3)),
        ("SpaceToDepth", ["x"], {"blocksize": 2}, (1, 1, 12, 12)),
        ("Resize", ["x", "", "scales"],
         {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
          "nearest_mode": "floor"}, (1, 4, 3, 3)),
    ],
)  # fmt: skip
def test_codes_that_are_moved_keep_their_type(
    operator: str, inputs: list[str], how: dict[str, Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    """They have no zero point, whose type would say it."""
    q = Qdq()
    q.constants |= {"x_s": np.float32(0.02), "scales": SCALES}
    q.nodes += [
        node(operator, inputs, ["m"], "m", **how),
        node("DequantizeLinear", ["m", "x_s"], ["m_d"], "d_m"),
    ]
    q.nodes.append(node("Conv", ["m_d", *q.weights("c", (4, 4, 3, 3), 0.02)], ["a"], "c"))
    q.rounded("a", 0.1, 7)
    made = model(q.nodes, q.constants, shape=shape, out="a_d", kind=TensorProto.UINT8)
    rng = np.random.default_rng(1)
    values = [rng.integers(0, 256, shape).astype(np.uint8) for _ in range(3)]
    assert np.abs(steps(tmp_path / "m.onnx", made, values)).max() <= 1


@pytest.mark.parametrize("out", [0.02, 0.01, 0.3])
@pytest.mark.parametrize("before", [[], [("Mul", 3.0)], [("Mul", -0.7)]])
def test_what_is_added_to_codes_alone_is_not_rounded_to_them(
    before: list[tuple[str, float]], out: float, tmp_path: Path
) -> None:
    """A layer of its own, whose input has codes of .1."""
    q, name = Qdq(), "a"
    last = q.rounded("x", 0.1)
    for operator, value in [*before, ("Add", 0.049)]:
        q.constants[f"k{operator}"] = np.float32(value)
        q.nodes.append(node(operator, [last, f"k{operator}"], [f"{name}{operator}"], operator))
        last = f"{name}{operator}"
    q.rounded(last, out)
    made = model(q.nodes, q.constants, out=f"{last}_d")
    assert np.abs(steps(tmp_path / "m.onnx", made, drawn((1, 3, 8, 8)))).max() <= 1


def test_a_batch_norm_behind_codes_is_within_a_step(tmp_path: Path) -> None:
    q, rng = Qdq(), np.random.default_rng(3)
    x = q.rounded("x", 0.1)
    for part in ("scale", "b", "mean"):
        q.constants[part] = rng.normal(0, 1, 3).astype(np.float32)
    q.constants["var"] = rng.uniform(0.5, 2, 3).astype(np.float32)
    inputs = [x, "scale", "b", "mean", "var"]
    q.nodes.append(node("BatchNormalization", inputs, ["n"], "n"))
    q.rounded("n", 0.02)
    made = model(q.nodes, q.constants, out="n_d")
    assert np.abs(steps(tmp_path / "m.onnx", made, drawn((1, 3, 8, 8)))).max() <= 1
