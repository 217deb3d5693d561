"""Nodes that compute otherwise than their names say: refused, not taken for what they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
from onnx import TensorProto  # noqa: E402

from models.errors import ModelError  # noqa: E402
from models.importing import imports  # noqa: E402
from tests.models.importing import onnx_models  # noqa: E402
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


@pytest.mark.parametrize("opset", [9, 13])
def test_batch_norm_that_gives_the_moments_of_the_batch_is_refused(
    opset: int, tmp_path: Path
) -> None:
    """Up to ONNX 13 its further outputs alone say that it is in training mode."""
    names = ["s", "b", "m", "v"]
    constants = {**WEIGHTS, **dict.fromkeys(names, np.ones(4, np.float32))}
    outputs = ["y", "mean", "var", "saved_mean", "saved_var"]
    nodes = [
        node("Conv", ["x", "w"], ["a"], "c"),
        node("BatchNormalization", ["a", *names], outputs, "norm"),
    ]
    made = model(nodes, constants, opset=opset)
    (said,) = refusals(write(tmp_path / "m.onnx", made))
    assert said.startswith("norm (BatchNormalization, attribute training_mode)")


def test_a_clip_to_nothing_is_refused_with_what_onnx_makes_of_it(tmp_path: Path) -> None:
    constants = {**WEIGHTS, "low": np.float32(3), "high": np.float32(1)}
    nodes = [
        node("Conv", ["x", "w"], ["a"], "c"),
        node("Clip", ["a", "low", "high"], ["y"], "clip"),
    ]
    (said,) = refusals(write(tmp_path / "m.onnx", model(nodes, constants)))
    assert "clips to 3..1, which makes all values 1" in said


def test_a_mask_of_dropout_is_no_constant(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], "c"), node("Dropout", ["a"], ["d", "m"], "drop"),
        node("Cast", ["m"], ["f"], "cast", to=TensorProto.FLOAT), node("Mul", ["d", "f"], ["y"]),
    ]  # fmt: skip
    (said,) = refusals(write(tmp_path / "m.onnx", model(nodes, WEIGHTS)))
    assert said == "cast (Cast): input 0 is an output that is not made of its node"


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


def branching(*middle: Any, outputs: tuple[str, ...] = ()) -> Any:
    """A convolution of int8, nodes from ``a_d`` to ``b``, and a sum of both with another one."""
    q = onnx_models.Qdq()
    x = q.rounded("x", 0.02, -3)
    q.nodes.append(node("Conv", [x, *q.weights("c", (4, 3, 3, 3), 0.02)], ["a"], "first"))
    q.rounded("a", 0.05, 4)
    q.constants["k"] = np.zeros((4, 4, 1, 1), np.float32)
    q.nodes += middle
    b = q.rounded("b", 0.05, 4)
    q.nodes.append(node("Add", ["a_d", b], ["s"], "sum"))
    s = q.rounded("s", 0.1, 4)
    q.nodes.append(node("Conv", [s, *q.weights("d", (2, 4, 1, 1), 0.1)], ["y"], "last"))
    q.rounded("y", 0.1, 0)
    made = model(q.nodes, q.constants, out="y_d")
    for name in outputs:
        made.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return made


def part(path: Path) -> tuple[str, list[str], dict[str, str]]:
    """The tensor that the part of a file ends with, its layers, and the host's nodes with notes."""
    found = imports.read(path, partition=True)
    assert found.output
    layers = [layer["name"] for layer in imports.layers(found)]
    return found.output.name, layers, {row.name: row.note for row in found.table.of("host")}


def test_the_part_before_a_refused_node_ends_where_the_host_needs_one_tensor(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "m.onnx", branching(node("Selu", ["a_d"], ["b"], "selu")))
    output, layers, rest = part(path)
    assert (output, layers) == ("a_d", ["first", "logits"])
    assert rest["selu"] == "is no operator that can be mapped"
    assert rest["sum"] == rest["last"] == "behind the cut at a_d"


def test_a_cut_never_lies_between_two_branches(tmp_path: Path) -> None:
    middle = [
        node("MaxPool", ["a_d"], ["d"], "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Selu", ["d"], ["b"], "selu"),
    ]
    output, layers, rest = part(write(tmp_path / "m.onnx", branching(*middle)))
    assert (output, layers) == ("a_d", ["first", "logits"])
    assert {"pool", "selu", "sum", "last"} <= rest.keys()


def test_a_network_of_two_outputs_is_cut_before_they_part(tmp_path: Path) -> None:
    middle = [node("Selu", ["a_d"], ["b"], "selu")]
    path = write(tmp_path / "m.onnx", branching(*middle, outputs=("s_d",)))
    assert part(path)[:2] == ("a_d", ["first", "logits"])


def test_a_network_whose_first_node_is_refused_has_no_part(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", model([node("LSTM", ["x"], ["y"], "cell")], {}))
    with pytest.raises(ModelError, match="no part of the network"):
        imports.read(path, partition=True)


def test_a_part_of_a_float_network_may_end_with_a_map(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], "first"), node("LSTM", ["a"], ["y"], "cell")]
    path = write(tmp_path / "m.onnx", model(nodes, WEIGHTS))
    assert part(path)[:2] == ("a", ["input", "first"])


def test_a_network_without_refusals_is_imported_whole(tmp_path: Path) -> None:
    middle = [node("MaxPool", ["a_d"], ["b"], "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])]
    assert part(write(tmp_path / "m.onnx", branching(*middle)))[0] == "y_d"


def test_products_of_one_map_are_not_subtracted(tmp_path: Path) -> None:
    q = onnx_models.Qdq()
    x = q.rounded("x", 0.02, -3)
    q.constants |= {"two": np.float32(2), "three": np.float32(3)}
    q.nodes += [
        node("Mul", [x, "two"], ["a"], "twice"), node("Mul", [x, "three"], ["b"], "thrice"),
        node("Sub", ["a", "b"], ["s"], "difference"),
    ]  # fmt: skip
    q.rounded("s", 0.1, 4)
    path = write(tmp_path / "m.onnx", model(q.nodes, q.constants, out="s_d"))
    assert "adds maps that are not rounded" in str(refusals(path))


@pytest.mark.parametrize("operator", ["QLinearConv", "QLinearAveragePool"])
def test_codes_with_channels_last_are_refused(operator: str, tmp_path: Path) -> None:
    constants = {
        "s": np.float32(0.1), "z": np.uint8(7), "w": np.ones((4, 4, 3, 3), np.int8),
        "ws": np.float32(0.1), "wz": np.int8(0),
    }  # fmt: skip
    weights = ["w", "ws", "wz"] if operator == "QLinearConv" else []
    how = {} if weights else {"kernel_shape": [2, 2]}
    inputs = ["q", "s", "z", *weights, "s", "z"]
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        node(operator, inputs, ["y"], "last", domain="com.microsoft", channels_last=1, **how),
    ]
    made = model(nodes, constants, shape=(1, 4, 4, 4))
    assert "last (" + operator + ", attribute channels_last)" in str(
        refusals(write(tmp_path / "m.onnx", made))
    )


def test_a_bias_of_rows_is_refused(tmp_path: Path) -> None:
    """Of as many rows as columns, so that its size says nothing."""
    constants = {
        "rows": np.array([4, 8]), "b": np.ones((8, 4), np.float32),
        "c": np.ones((4, 1), np.float32),
    }  # fmt: skip
    nodes = [
        node("Transpose", ["x"], ["t"], "t", perm=[0, 2, 1]),
        node("Reshape", ["t", "rows"], ["r"], "r"),
        node("Gemm", ["r", "b", "c"], ["y"], "g"),
    ]
    made = model(nodes, constants, shape=(1, 8, 4))
    assert "g (Gemm, attribute bias): a bias of (4, 1)" in str(
        refusals(write(tmp_path / "m.onnx", made))
    )


@pytest.mark.parametrize(
    "behind",
    [
        node("Gather", ["p", "turned"], ["y"], "move", axis=1),
        node("Slice", ["p", "one", "four", "one"], ["y"], "move"),
        node("TopK", ["p", "one"], ["y", "place"], "move", largest=0),
    ],
)
def test_the_host_does_not_change_which_output_is_the_class(behind: Any, tmp_path: Path) -> None:
    constants = {
        "w": np.ones((4, 192), np.float32), "turned": np.array([3, 2, 1, 0]),
        "one": np.array([1]), "four": np.array([4]),
    }  # fmt: skip
    nodes = [
        node("Flatten", ["x"], ["f"], "f"),
        node("Gemm", ["f", "w"], ["g"], "g", transB=1),
        node("Softmax", ["g"], ["p"], "soft"),
        behind,
    ]
    found = refusals(write(tmp_path / "m.onnx", model(nodes, constants)))
    assert found[0].startswith("soft (Softmax): is no operator that can be mapped")


def test_codes_between_which_is_computed_are_refused(tmp_path: Path) -> None:
    constants = {"s": np.float32(0.1), "twice": np.array([1, 1, 2, 2], np.float32)}
    nodes = [
        node("Resize", ["x", "", "twice"], ["r"], "r", mode="linear"),
        node("DequantizeLinear", ["r", "s"], ["y"], "y"),
    ]
    made = model(nodes, constants, kind=TensorProto.UINT8)
    assert "r (Resize): computes on integers (uint8)" in str(
        refusals(write(tmp_path / "m.onnx", made))
    )
