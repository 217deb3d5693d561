"""Float ONNX files, stage by stage against ONNX's own evaluator, and as graphs with weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
import torch  # noqa: E402
from onnx import helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from torch.nn import functional  # noqa: E402

from models.graph.layers import Conv2d, Linear  # noqa: E402
from models.importing import imports  # noqa: E402
from tests.models.importing import evaluator  # noqa: E402
from tests.models.importing.onnx_models import model, node, write  # noqa: E402
from tests.models.importing.reading import walked  # noqa: E402

RNG = np.random.default_rng(0)
SEED = 11
"""Of `residual`: its classes can be balanced."""


def normal(*shape: int, rng: np.random.Generator = RNG) -> Any:
    return rng.normal(0, 1, shape).astype(np.float32)


def norm(x: str, y: str, channels: int) -> tuple[Any, dict[str, Any]]:
    names = [f"{y}_{part}" for part in ("scale", "b", "mean", "var")]
    values = [normal(channels), normal(channels), normal(channels), normal(channels) ** 2 + 0.1]
    return node("BatchNormalization", [x, *names], [y]), dict(zip(names, values, strict=True))


def conv(**how: Any) -> Callable[[], Any]:
    def made() -> Any:
        group = how.get("group", 1)
        constants = {"w": normal(6, 3 // group, *how.pop("kernel", (3, 3))), "b": normal(6)}
        return model([node("Conv", ["x", "w", "b"], ["y"], **how)], constants)

    return made


def net(*nodes: Any, **constants: Any) -> Callable[[], Any]:
    return lambda: model(nodes, constants)


def with_norms() -> Any:
    first, one = norm("x", "n", 3)
    second, two = norm("c", "m", 4)
    nodes = [first, node("Conv", ["n", "w"], ["c"]), second, node("Relu", ["m"], ["y"])]
    return model(nodes, {**one, **two, "w": normal(4, 3, 3, 3)})


MODELS: dict[str, Callable[[], Any]] = {
    "padded": conv(pads=[1, 1, 1, 1]),
    "asymmetric": conv(pads=[0, 1, 2, 0], strides=[2, 1]),
    "same upper": conv(auto_pad="SAME_UPPER", strides=[2, 2]),
    "same lower": conv(auto_pad="SAME_LOWER", strides=[2, 2]),
    "dilated": conv(dilations=[2, 3]),
    "grouped": conv(group=3),
    "norms": with_norms,
    "relu6": net(
        node("Conv", ["x", "w"], ["c"]),
        node("Clip", ["c", "low", "high"], ["y"]),
        w=normal(4, 3, 3, 3), low=np.float32(0), high=np.float32(1.5),
    ),
    "shuffle": net(
        node("Reshape", ["x", "s1"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["b", "s2"], ["c"]),
        node("Conv", ["c", "w"], ["y"], group=3),
        w=normal(6, 1, 3, 3), s1=np.array([1, 3, 1, 8, 8]), s2=np.array([0, -1, 8, 8]),
    ),
    "reversed channels": net(
        node("Slice", ["x", "st", "en", "ax", "sp"], ["a"]),
        node("Conv", ["a", "w"], ["y"]),
        w=normal(6, 3, 3, 3), st=np.array([2]), en=np.array([-9]), ax=np.array([1]),
        sp=np.array([-1]),
    ),
    "split and concat": net(
        node("Split", ["x", "parts"], ["a", "b"], axis=1),
        node("Relu", ["b"], ["r"]),
        node("Concat", ["r", "a"], ["c"], axis=1),
        node("Conv", ["c", "w"], ["y"]),
        w=normal(6, 3, 3, 3), parts=np.array([1, 2]),
    ),
    "flattened": net(
        node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["p"], ["f"]),
        node("MatMul", ["f", "w"], ["m"]),
        node("Add", ["m", "b"], ["y"]),
        w=normal(48, 5), b=normal(5),
    ),
    "channels last flattened": net(
        node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        node("Flatten", ["t"], ["f"]),
        node("Gemm", ["f", "w", "b"], ["y"], alpha=0.5, beta=2.0),
        w=normal(192, 5), b=normal(5),
    ),
    "added to itself": net(
        node("Conv", ["x", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Add", ["r", "r"], ["t"]),
        node("Conv", ["t", "v"], ["y"]),
        w=normal(4, 3, 3, 3), v=normal(2, 4, 3, 3),
    ),
    "pools": net(
        node("MaxPool", ["x"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("AveragePool", ["p"], ["q"], kernel_shape=[2, 2], pads=[0, 1, 0, 1],
             count_include_pad=1),
        node("GlobalMaxPool", ["q"], ["y"]),
    ),
    "mean": net(node("ReduceMean", ["x", "axes"], ["y"], keepdims=0), axes=np.array([2, 3])),
    "sums": net(
        node("Conv", ["x", "w"], ["c"]),
        node("Conv", ["x", "v"], ["d"]),
        node("Sub", ["c", "d"], ["e"]),
        node("Mul", ["e", "k"], ["f"]),
        node("Relu", ["f"], ["y"]),
        w=normal(4, 3, 3, 3), v=normal(4, 3, 3, 3), k=normal(1, 4, 1, 1),
    ),
    "three summed": net(
        node("Conv", ["x", "w"], ["a"]),
        node("Conv", ["x", "v"], ["b"]),
        node("Conv", ["x", "u"], ["c"]),
        node("Sum", ["a", "b", "c"], ["y"]),
        w=normal(4, 3, 3, 3), v=normal(4, 3, 3, 3), u=normal(4, 3, 3, 3),
    ),
    "rows multiplied": net(
        node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        node("Reshape", ["t", "s"], ["r"]),
        node("MatMul", ["r", "w"], ["m"]),
        node("Add", ["m", "b"], ["y"]),
        w=normal(3, 5), b=normal(5), s=np.array([1, 64, 3]),
    ),
    "padding computed": net(
        node("ConstantOfShape", ["four"], ["z"], value=helper.make_tensor("v", 7, [1], [0])),
        node("Concat", ["z", "last"], ["p"], axis=0),
        node("Expand", ["one", "eight"], ["o"]),
        node("Mul", ["p", "o"], ["q"]),
        node("Pad", ["x", "q"], ["r"]),
        node("Conv", ["r", "w"], ["y"]),
        w=normal(4, 3, 3, 3), four=np.array([4]), last=np.array([0, 0, 1, 2]), one=np.array([1]),
        eight=np.array([8]),
    ),
    "part of a shape": net(
        node("Shape", ["x"], ["s"], start=2),
        node("Concat", ["front", "s"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["r"]),
        node("Conv", ["r", "w"], ["y"]),
        w=normal(4, 3, 3, 3), front=np.array([1, 3]),
    ),
    "padded shuffle": net(
        node("Slice", ["x", "st", "en", "ax", "sp"], ["a"]),
        node("Pad", ["a", "pads"], ["p"]),
        node("Conv", ["p", "w"], ["y"], group=3),
        w=normal(6, 1, 3, 3), pads=np.array([0, 0, 1, 0, 0, 0, 2, 1]),
        st=np.array([2]), en=np.array([-9]), ax=np.array([1]), sp=np.array([-1]),
    ),
    "pad node": net(
        node("Pad", ["x", "pads"], ["p"]),
        node("Conv", ["p", "w"], ["y"]),
        w=normal(6, 3, 3, 3), pads=np.array([0, 0, 1, 0, 0, 0, 2, 1]),
    ),
    "pixels": net(
        node("Sub", ["x", "mean"], ["a"]),
        node("Div", ["a", "std"], ["b"]),
        node("Conv", ["b", "w"], ["y"]),
        w=normal(6, 3, 3, 3), mean=normal(1, 3, 1, 1), std=normal(1, 3, 1, 1) ** 2 + 0.5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_stages_compute_what_onnx_computes(name: str, tmp_path: Path) -> None:
    made = MODELS[name]()
    walk, output = walked(write(tmp_path / "m.onnx", made))
    x = normal(1, 3, 8, 8)
    (theirs,) = ReferenceEvaluator(made).run(None, {"x": x})
    ours = evaluator.run(walk, x, output)
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_sequence_is_convolved_along_its_columns(tmp_path: Path) -> None:
    constants = {"w": normal(5, 4, 3), "b": normal(5)}
    nodes = [node("Conv", ["x", "w", "b"], ["y"], strides=[2], pads=[1, 1])]
    made = model(nodes, constants, shape=(1, 4, 20))
    walk, output = walked(write(tmp_path / "m.onnx", made))
    x = normal(1, 4, 20)
    (theirs,) = ReferenceEvaluator(made).run(None, {"x": x})
    assert np.allclose(evaluator.run(walk, x, output), theirs, atol=1e-4)


def residual() -> Any:
    """A model that is the same whatever was drawn before it; none of its probabilities is 0."""
    rng = np.random.default_rng(SEED)
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"], "c1", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["r"], "r1"),
        node("Conv", ["r", "w2"], ["b"], "c2", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Conv", ["r", "w3"], ["c"], "c3", strides=[2, 2]),
        node("Add", ["b", "c"], ["s"], "sum"),
        node("Relu", ["s"], ["t"], "r2"),
        node("GlobalAveragePool", ["t"], ["p"], "pool"),
        node("Flatten", ["p"], ["f"], "flat"),
        node("Gemm", ["f", "w4", "b4"], ["g"], "fc", transB=1),
        node("Softmax", ["g"], ["y"], "soft"),
    ]
    constants = {
        "w1": normal(4, 3, 3, 3, rng=rng), "b1": normal(4, rng=rng),
        "w2": normal(6, 4, 3, 3, rng=rng), "w3": normal(6, 4, 1, 1, rng=rng),
        "w4": normal(5, 6, rng=rng), "b4": normal(5, rng=rng),
    }  # fmt: skip
    return model(nodes, constants)


def test_a_float_file_becomes_a_graph_with_its_weights(tmp_path: Path) -> None:
    made = residual()
    found = imports.read(write(tmp_path / "m.onnx", made))
    assert found.floating
    assert not found.table.refused
    graph, weights = found.floating.graph, found.floating.weights
    x = normal(1, 3, 8, 8)
    values: dict[str, Any] = {graph.input.name: torch.tensor(x)}
    for layer in graph.layers[1:]:
        inputs = [values[name] for name in layer.inputs]
        spec = layer.spec
        if isinstance(spec, Conv2d | Linear):
            weight, bias = (
                torch.tensor(weights[f"{layer.name}.{part}"]) for part in ("weight", "bias")
            )
            pads = getattr(spec, "padding", (0, 0))
            top, left, *rest = pads
            bottom, right = rest or (top, left)
            padded = functional.pad(inputs[0], (left, right, top, bottom))
            stride = getattr(spec, "stride", (1, 1))
            out = functional.conv2d(padded, weight, bias, stride)
        else:
            out = sum(inputs) if spec.op == "add" else inputs[0].mean((2, 3), keepdim=True)
        values[layer.name] = torch.relu(out) if getattr(spec, "relu", False) else out
    made.graph.output.append(onnx.helper.make_empty_tensor_value_info("g"))
    (theirs,) = ReferenceEvaluator(made).run(["g"], {"x": x})
    assert np.allclose(values[graph.output.name].ravel(), theirs.ravel(), rtol=1e-3, atol=1e-3)


def test_the_ceiling_of_relu6_is_kept_beside_the_graph(tmp_path: Path) -> None:
    constants = {
        "w": normal(4, 3, 3, 3), "v": normal(2, 4, 6, 6), "low": np.float32(0),
        "high": np.float32(6),
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "w"], ["a"], "c1"),
        node("Clip", ["a", "low", "high"], ["b"], "clip"),
        node("Conv", ["b", "v"], ["y"], "c2"),
    ]
    found = imports.read(write(tmp_path / "m.onnx", model(nodes, constants)))
    assert found.floating
    assert dict(found.floating.ceilings) == {"c1": 6.0}
