"""Tensors keep the axes that they have in the file: of sequences, of vectors, and of one value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")

from models.importing import imports  # noqa: E402
from models.integer import reference  # noqa: E402
from tests.models.importing import evaluator  # noqa: E402
from tests.models.importing.mapping.test_random_graphs import outcome  # noqa: E402
from tests.models.importing.onnx_models import Qdq, model, node, write  # noqa: E402
from tests.models.importing.reading import walked  # noqa: E402


def normal(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32)


SHUFFLED = [
    node("Conv", ["x", "w"], ["c"]), node("Gather", ["c", "order"], ["p"], axis=1),
]  # fmt: skip
HALVES = [
    node("Gemm", ["x", "w"], ["g"]), node("Split", ["g"], ["a", "b"], axis=1, num_outputs=2),
    node("Add", ["b", "a"], ["s"]),
]  # fmt: skip
SEQUENCE = {"w": normal(4, 3, 2), "order": np.array([2, 0, 3, 1]), "last": np.array([2])}
VECTOR = {"w": normal(6, 8), "v": normal(8, 3), "u": normal(4, 3)}
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any], list[Any]]] = {
    "mean of a pooled sequence": ((1, 3, 9), SEQUENCE, [
        *SHUFFLED, node("MaxPool", ["p"], ["m"], kernel_shape=[2], strides=[2]),
        node("ReduceMean", ["m", "last"], ["y"], keepdims=0),
    ]),
    "largest of averages of a sequence": ((1, 3, 9), SEQUENCE, [
        *SHUFFLED, node("AveragePool", ["p"], ["m"], kernel_shape=[3]),
        node("ReduceMax", ["m", "last"], ["y"]),
    ]),
    "sum of sequences less its mean": ((1, 3, 9), SEQUENCE, [
        *SHUFFLED, node("Add", ["p", "c"], ["s"]), node("ReduceMean", ["s", "last"], ["m"]),
        node("Sub", ["s", "m"], ["y"]),
    ]),
    "product of sequences, its largest": ((1, 3, 9), SEQUENCE, [
        *SHUFFLED, node("Mul", ["p", "c"], ["s"]),
        node("ReduceMax", ["s", "last"], ["y"], keepdims=0),
    ]),
    "sum of halves of a vector": ((1, 6), VECTOR, [*HALVES, node("Gemm", ["s", "u"], ["y"])]),
    "joined along the last axis": ((1, 6), VECTOR, [
        *HALVES, node("Relu", ["s"], ["t"]), node("Concat", ["s", "t"], ["j"], axis=-1),
        node("Gemm", ["j", "v"], ["y"]),
    ]),
    "mean of no axes": ((1, 3, 4), {"none": np.zeros(0, np.int64)}, [
        node("ReduceMean", ["x", "none"], ["m"], noop_with_empty_axes=1),
        node("ReduceMax", ["m"], ["y"], noop_with_empty_axes=1),
    ]),
    "sum of no axes": ((1, 3, 4), {}, [node("ReduceSum", ["x"], ["y"], noop_with_empty_axes=1)]),
    "squeezed, that of the batch, too": ((1, 3, 4), {"k": normal(3)}, [
        node("GlobalAveragePool", ["x"], ["p"]), node("Squeeze", ["p"], ["s"]),
        node("Mul", ["s", "k"], ["y"]),
    ]),
    "squeezed, and its axes back": ((1, 3, 4, 5), {"k": normal(1, 3), "w": normal(3, 3)}, [
        node("GlobalAveragePool", ["x"], ["p"]), node("Squeeze", ["p"], ["s"]),
        node("MatMul", ["s", "w"], ["m"]), node("Add", ["m", "k"], ["y"]),
    ]),
    "gate that was squeezed": ((1, 3, 4, 5), {"w": normal(3, 3, 1, 1), "a": np.array([0, 2, 3])}, [
        node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]),
        node("Squeeze", ["p"], ["s"]), node("Sigmoid", ["s"], ["t"]),
        node("Unsqueeze", ["t", "a"], ["u"]), node("Mul", ["u", "c"], ["y"]),
    ]),
    "gate without the axis in front": ((1, 3, 4, 5), {"a": np.array([3, 1, 1])}, [
        node("GlobalMaxPool", ["x"], ["p"]), node("Reshape", ["p", "a"], ["r"]),
        node("Add", ["x", "r"], ["y"]),
    ]),
    "row times weights of 3 axes": ((1, 6), {"w": normal(1, 6, 4)}, [
        node("MatMul", ["x", "w"], ["y"]),
    ]),
    "rows times weights of 4 axes": ((1, 5, 6), {"w": normal(1, 1, 6, 4)}, [
        node("MatMul", ["x", "w"], ["y"]),
    ]),
    "values times weights of 3 axes": ((6,), {"w": normal(1, 6, 4), "b": normal(1, 1, 4)}, [
        node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"]),
    ]),
    **{
        f"{scale:g} times as many places": ((1, 2, 10, 10), {
            "s": np.array([1, 1, scale, scale], np.float32)
        }, [
            node("Resize", ["x", "", "s"], ["y"], mode="nearest", nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric"),
        ]) for scale in (0.7, 1.3, 2.3)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_axes_are_those_of_the_file(name: str) -> None:
    shape, constants, nodes = CASES[name]
    assert outcome(model(nodes, constants, shape), 3) == "right"


def test_gemm_makes_a_matrix_of_a_squeezed_row(tmp_path: Path) -> None:
    """The batch's size is not in the file, so that runtimes read one with a Gemm of 1 axis."""
    nodes = [node("Squeeze", ["x"], ["s"]), node("Gemm", ["s", "w"], ["y"])]
    made = model(nodes, {"w": normal(6, 4)}, shape=("n", 6))
    x = normal(1, 6)
    (theirs,) = runtime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    walk, output = walked(write(tmp_path / "m.onnx", made))
    ours = evaluator.run(walk, x, output)
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, atol=1e-5)


def test_axes_of_rounded_sequences_are_those_of_the_file(tmp_path: Path) -> None:
    """A shuffled and pooled sequence, its largest values, and the sum of both halves of them."""
    q = Qdq(3)
    x = q.rounded("x", 0.02, -3)
    q.constants |= {"order": np.array([2, 0, 3, 5, 4, 1]), "last": np.array([2])}
    q.nodes += [node("Conv", [x, *q.weights("c1", (6, 3, 3), 0.02)], ["c"], "c1")]
    q.nodes += [
        node("Gather", [q.rounded("c", 0.03, 5), "order"], ["g"], axis=1),
        node("MaxPool", ["g"], ["m"], "pool", kernel_shape=[2], strides=[2]),
        node("ReduceMax", ["m", "last"], ["r"], "largest", keepdims=0),
        node("Split", ["r"], ["a", "b"], axis=1, num_outputs=2),
        node("Add", ["a", "b"], ["s"], "sum"),
    ]
    fc = [q.rounded("s", 0.05, -20), *q.weights("fc", (5, 3), 0.05)]
    q.nodes.append(node("Gemm", fc, ["y"], "fc", transB=1))
    q.rounded("y", 0.03, 4)
    made = model(q.nodes, q.constants, shape=(1, 3, 12), out="y_d")
    found = imports.read(write(tmp_path / "m.onnx", made))
    assert [str(row) for row in found.table.refused] == []
    assert found.integer
    session = runtime.InferenceSession(made.SerializeToString())
    grid, rng = found.integer.tensors[found.integer.layers[-1].output], np.random.default_rng(4)
    for _ in range(4):
        values = rng.normal(0, 1, (1, 3, 12)).astype(np.float32)
        (theirs,) = session.run(None, {"x": values})
        codes = reference.run(found.integer, found.input.codes(values[None]).astype(np.uint8))
        ours = codes[found.integer.layers[-1].output].ravel() * grid.scale
        assert found.outputs[0].file_shape == theirs.shape
        assert np.abs(ours - theirs.ravel()).max() <= 2.01 * 0.03
        assert np.ptp(theirs) > 20 * 0.03, "the example says nothing"
