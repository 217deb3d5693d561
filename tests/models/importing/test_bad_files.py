"""Files that cannot be mapped: refused by name, all of it at once, before memory is taken."""

from __future__ import annotations

import contextlib
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
from onnx import TensorProto, helper  # noqa: E402

from models.errors import ModelError  # noqa: E402
from models.files.reading import FileError  # noqa: E402
from models.importing import imports  # noqa: E402
from tests.models.importing import onnx_models  # noqa: E402
from tests.models.importing.onnx_models import model, node, write  # noqa: E402

WEIGHTS = {"w": np.ones((4, 3, 3, 3), np.float32)}


def conv(**how: Any) -> Any:
    return node("Conv", ["x", "w"], ["y"], "c1", **how)


def huge() -> Any:
    made = model([conv()], WEIGHTS)
    made.graph.initializer[0].dims[:] = [1 << 14, 1 << 15]
    made.graph.initializer[0].ClearField("raw_data")
    return made


def external(name: str) -> Any:
    made = model([conv()], WEIGHTS)
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", name
    return made


def two_inputs() -> Any:
    made = model([node("Add", ["x", "z"], ["y"])], {})
    made.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 8, 8]))
    return made


def of_domain() -> Any:
    return model([node("Conv", ["x", "w"], ["y"], domain="com.example")], WEIGHTS)


CASES: dict[str, tuple[Any, str]] = {
    "cycle": (
        lambda: model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]),
                       node("Relu", ["b"], ["y"])], {}),
        "cycle",
    ),
    "made twice": (
        lambda: model([node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])], {}), "twice",
    ),
    "nothing makes it": (lambda: model([node("Relu", ["q"], ["y"])], {}), "nothing makes"),
    "dynamic": (lambda: model([conv()], WEIGHTS, shape=(1, 3, "h", "w")), "fixed input size"),
    "huge input": (lambda: model([conv()], WEIGHTS, shape=(1, 3, 1 << 15, 1 << 15)), "elements"),
    "huge constant": (huge, "elements|does not hold"),
    "missing data": (lambda: external("weights.bin"), "no such file"),
    "data elsewhere": (lambda: external("../weights.bin"), "outside this folder"),
    "two inputs": (two_inputs, "2 inputs"),
    "old opset": (lambda: model([conv()], WEIGHTS, opset=3), "opset 3"),
    "new opset": (lambda: model([conv()], WEIGHTS, opset=999), "opset 999"),
    "domain": (of_domain, "com.example"),
    "batch": (lambda: model([conv()], WEIGHTS, shape=(8, 3, 8, 8)), "batch of 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_files_that_cannot_be_read_say_why(name: str, tmp_path: Path) -> None:
    make, said = CASES[name]
    path = write(tmp_path / "bad.onnx", make())
    with pytest.raises((ModelError, FileError), match=said):
        imports.read(path)


def test_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    makes = [
        huge,
        lambda: model([conv()], WEIGHTS, shape=(1, 3, 1 << 15, 1 << 15)),
        lambda: model([conv(dilations=[1 << 14, 1 << 14], pads=[1 << 15] * 4)], WEIGHTS),
    ]
    for make in makes:
        path = write(tmp_path / "bad.onnx", make())
        assert path.stat().st_size < 2000
        tracemalloc.start()
        start = time.monotonic()
        with contextlib.suppress(ModelError, FileError):
            assert imports.read(path).table.refused
        assert tracemalloc.get_traced_memory()[1] < 50e6
        assert time.monotonic() - start < 5
        tracemalloc.stop()


def test_strange_files_are_recognised(tmp_path: Path) -> None:
    for start, said in [
        (b"PK\x03\x04", "zip"), (b"\x89HDF\r\n", "HDF5"), (b"\x80\x04", "pickle"),
        (b"hello", "not an ONNX"), (b"", "not an ONNX"), (b"\x08\x07", "no nodes"),
    ]:  # fmt: skip
        path = tmp_path / "file"
        path.write_bytes(start)
        with pytest.raises(FileError, match=said):
            imports.read(path)


def test_truncated_files_never_end_in_another_error(tmp_path: Path) -> None:
    data = onnx_models.residual().SerializeToString()
    path = tmp_path / "cut.onnx"
    for end in range(0, len(data), 97):
        path.write_bytes(data[:end])
        with pytest.raises((ModelError, FileError)):
            imports.read(path)


def test_damaged_files_never_end_in_another_error(tmp_path: Path) -> None:
    data = onnx_models.residual().SerializeToString()
    rng, path = np.random.default_rng(0), tmp_path / "bad.onnx"
    for _ in range(200):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 5):
            broken[place] = rng.integers(0, 256)
        path.write_bytes(broken)
        try:
            imports.read(path)
        except (ModelError, FileError):
            continue


REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "nan": ([conv()], {"w": np.full((4, 3, 3, 3), np.nan, np.float32)}, "not finite"),
    "operator": ([node("Einsum", ["x"], ["y"], "l")], {}, "no operator"),
    "selu": ([node("Selu", ["x"], ["y"], "l")], {}, "no operator"),
    "softmax within": (
        [node("Softmax", ["x"], ["s"], "s"), node("Conv", ["s", "w"], ["y"])], WEIGHTS,
        "no operator",
    ),
    "computed weights": ([node("Conv", ["x", "x"], ["y"], "c")], {}, "constant"),
    "batch product": ([node("MatMul", ["x", "m"], ["y"], "m")], {"m": np.ones((8, 8), np.float32)},
                      "each row"),
    "reflecting pad": (
        [node("Pad", ["x", "p"], ["y"], "p", mode="reflect")],
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, "reflect",
    ),
    "huge padding": (
        [node("Pad", ["x", "p"], ["a"]), node("Relu", ["a"], ["y"], "m")],
        {"p": np.array([0, 0, 0, 0, 0, 0, 1 << 40, 1])}, "is padded by",
    ),
    "quotient of maps": ([node("Div", ["x", "x"], ["y"], "m")], {}, "computed map"),
    "uneven average": (
        [node("AveragePool", ["x"], ["y"], "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], {},
        "out of the count",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_nodes_that_cannot_be_mapped_are_refused_by_name(name: str, tmp_path: Path) -> None:
    nodes, constants, said = REFUSED[name]
    found = imports.read(write(tmp_path / "m.onnx", model(nodes, constants)))
    assert found.integer is None
    assert found.floating is None
    row = found.table.refused[0]
    assert said in row.reason
    assert row.name == (nodes[0].name or nodes[0].output[0])


def test_all_that_is_refused_is_said_at_once(tmp_path: Path) -> None:
    nodes = [
        node("LSTM", ["x"], ["a"], "first"),
        node("Conv", ["a", "w"], ["b"], "second"),
        node("Selu", ["b"], ["c"], "third"),
        node("Conv", ["c", "bad"], ["y"], "fourth"),
    ]
    constants = {**WEIGHTS, "bad": np.full((4, 4, 3, 3), np.inf, np.float32)}
    found = imports.read(write(tmp_path / "m.onnx", model(nodes, constants)))
    assert [row.name for row in found.table.refused] == ["first", "third", "fourth"]


def test_half_quantised_networks_are_refused_by_layer(tmp_path: Path) -> None:
    q = onnx_models.Qdq()
    x = q.rounded("x", 0.02, 0)
    q.nodes.append(node("Conv", [x, *q.weights("c1", (4, 3, 3, 3), 0.02)], ["a"], "c1"))
    q.constants |= {"w": np.ones((2, 4, 6, 6), np.float32)}
    q.nodes.append(node("Conv", ["a", "w"], ["y"], "c2"))
    found = imports.read(write(tmp_path / "m.onnx", model(q.nodes, q.constants)))
    assert {row.name for row in found.table.refused} == {"c1", "c2"}


def test_codes_read_with_another_scale_are_refused(tmp_path: Path) -> None:
    q = onnx_models.Qdq()
    q.rounded("x", 0.02, 0)
    q.constants |= {"other": np.float32(0.03), **WEIGHTS}
    q.nodes[1].input[1] = "other"
    q.nodes.append(node("Conv", ["x_d", "w"], ["y"], "c"))
    found = imports.read(write(tmp_path / "m.onnx", model(q.nodes, q.constants)))
    assert [row.name for row in found.table.refused] == ["d_x"]
