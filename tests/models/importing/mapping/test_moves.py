"""Moves whose sizes depend on how ONNX Runtime counts, and what it computes of constants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
from onnx import ModelProto, TensorProto  # noqa: E402

from models.importing import imports  # noqa: E402
from tests.models.importing import evaluator  # noqa: E402
from tests.models.importing.onnx_models import model, node, write  # noqa: E402
from tests.models.importing.reading import walked  # noqa: E402


def same(path: Path, made: ModelProto) -> None:
    """Raise AssertionError unless the stages compute what ONNX Runtime does."""
    sides = [side.dim_value for side in made.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).normal(0, 1, sides).astype(np.float32)
    (theirs,) = runtime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    walk, output = walked(write(path, made))
    ours = evaluator.run(walk, x, output)
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-4)


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


INT32, INT64, FLOAT, FLOAT16, BOOL, UINT8 = (
    TensorProto.INT32, TensorProto.INT64, TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BOOL,
    TensorProto.UINT8,
)  # fmt: skip
WHOLE = [-7, 7, -8, 2**30]
REALS = np.array([2.7, -2.7, 0.0, 7.0], np.float32)
CONSTANTS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "fractions are cut off": ([node("Cast", ["a"], ["r"], to=INT64)], {"a": REALS}),
    "truth is 1": ([node("Cast", ["a"], ["r"], to=BOOL)], {"a": REALS}),
    "codes wrap": ([node("Cast", ["a"], ["r"], to=UINT8)], {"a": np.array([300, -1, 5, 256])}),
    "halves are rounded": (
        [node("Cast", ["a"], ["r"], to=FLOAT16)], {"a": REALS * np.float32(1234.567)},
    ),
    "a half of an integer": (
        [node("Cast", ["a"], ["b"], to=INT64), node("Div", ["b", "two"], ["r"])],
        {"a": REALS, "two": np.array(2)},
    ),
    "quotients": (
        [node("Div", ["a", "b"], ["r"])],
        {"a": np.array(WHOLE), "b": np.array([2, -2, 3, -7])},
    ),
    "products wrap": (
        [node("Mul", ["a", "b"], ["r"])],
        {"a": np.array(WHOLE, np.int32), "b": np.array(5, np.int32)},
    ),
    "differences wrap": (
        [node("Sub", ["a", "b"], ["r"])],
        {"a": np.array([3, 9, 0, 255], np.uint8), "b": np.array(5, np.uint8)},
    ),
    "a floor in single precision": (
        [node("Mul", ["a", "b"], ["c"]), node("Floor", ["c"], ["r"])],
        {"a": np.array([0.7, 1.3, 2.3, 0.1], np.float32), "b": np.float32(10)},
    ),
    "powers keep the type": (
        [node("Pow", ["a", "b"], ["c"]), node("Div", ["c", "b"], ["r"])],
        {"a": np.array([3, 2, 5, 7]), "b": np.array(3)},
    ),
    "filled": (
        [node("ConstantOfShape", ["a"], ["b"]), node("Add", ["b", "c"], ["r"])],
        {"a": np.array([4]), "c": REALS},
    ),
    "a shape, halved": (
        [node("Shape", ["a"], ["b"]), node("Div", ["b", "two"], ["r"])],
        {"a": np.zeros((3, 5, 7, 9), np.float32), "two": np.array(2)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_are_computed_in_their_types(name: str, tmp_path: Path) -> None:
    nodes, constants = CONSTANTS[name]
    rng = np.random.default_rng(2)
    after = [
        node("Cast", ["r"], ["f"], to=FLOAT), node("Reshape", ["f", "along"], ["k"]),
        node("Conv", ["x", "w"], ["conv"]), node("Mul", ["conv", "k"], ["y"]),
    ]  # fmt: skip
    more = {"w": rng.normal(0, 1, (4, 3, 1, 1)).astype(np.float32), "along": [1, 4, 1, 1]}
    same(tmp_path / "m.onnx", model([*nodes, *after], constants | more, shape=(1, 3, 2, 2)))


def test_real_numbers_that_a_type_of_integers_does_not_hold_are_refused(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["a"], ["b"], "cast", to=UINT8), node("Cast", ["b"], ["c"], to=FLOAT),
        node("Mul", ["x", "c"], ["y"]),
    ]  # fmt: skip
    path = write(tmp_path / "m.onnx", model(nodes, {"a": np.float32(300)}))
    (row,) = imports.read(path).table.refused
    assert str(row).startswith("cast (Cast, attribute to): has values that uint8 does not hold")
