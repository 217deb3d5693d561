"""TFLite files: the same integer network as the QDQ form, and within a step of its kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tflite", reason="no tflite")
pytest.importorskip("onnx", reason="no onnx")

from models.errors import ModelError
from models.files.reading import FileError
from models.importing import imports
from models.importing.readers.tflite import file as tflite_file
from models.integer import reference
from models.integer.parts import split
from tests.models.importing import evaluator, layer_oracle, onnx_models, qdq_writer, tflite_models
from tests.models.importing.onnx_models import model, node, write
from tests.models.importing.reading import walked
from tests.models.importing.test_quantised import assert_same, integer


def as_qdq(n: dict[str, Any]) -> Any:
    q = onnx_models.Qdq()
    q.nodes.append(node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]))
    x = q.rounded("t", 0.02, -3)
    q.constants |= {
        "w": n["w"].transpose(0, 3, 1, 2), "ws": n["ws"], "wz": np.zeros(6, np.int8),
        "b": n["b"], "bs": n["bs"], "bz": np.zeros(6, np.int32),
        "v": n["v"], "vs": n["vs"], "vz": np.int8(0),
        "c": n["c"], "cs": n["vs"] * np.float32(0.09), "cz": np.int32(0),
    }  # fmt: skip
    for part in "wbvc":
        names = [part, f"{part}s", f"{part}z"]
        q.nodes.append(node("DequantizeLinear", names, [f"{part}d"], axis=0))
    q.nodes.append(node("Conv", [x, "wd", "bd"], ["a"], strides=[2, 2], auto_pad="SAME_UPPER"))
    a = q.rounded("a", 0.09, -128)
    q.nodes.append(node("Transpose", [a], ["u"], perm=[0, 2, 3, 1]))
    q.nodes.append(node("Flatten", ["u"], ["f"]))
    q.nodes.append(node("Gemm", ["f", "vd", "cd"], ["g"], transB=1))
    q.rounded("g", 0.5, 11)
    return model(q.nodes, q.constants, shape=(1, 8, 8, 3), out="g_d")


def test_tflite_and_qdq_of_the_same_numbers_are_the_same_network(tmp_path: Path) -> None:
    n = tflite_models.numbers()
    path = tmp_path / "small.tflite"
    path.write_bytes(tflite_models.small(n))
    assert_same(integer(path), integer(write(tmp_path / "small.onnx", as_qdq(n))))


def test_outputs_are_within_a_step_of_tflites_reference_kernels(tmp_path: Path) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="no ai-edge-litert")
    path = tmp_path / "small.tflite"
    path.write_bytes(tflite_models.small(tflite_models.numbers()))
    found = imports.read(path)
    assert found.integer
    assert found.input
    q, (theirs,) = _theirs(path, litert)
    codes = found.input.codes((q.astype(np.float64) + 3) * 0.02)
    ours = reference.run(found.integer, codes.astype(np.uint8))["logits"] + 11
    steps = np.abs(ours - theirs)
    assert np.ptp(theirs) > 100
    assert steps.max() <= 1
    assert (steps == 0).mean() >= 0.9  # through two layers; docs/how-to/import.md says what of one


def _theirs(path: Path, litert: Any) -> tuple[Any, list[Any]]:
    """Random codes of a file's input, and those of its outputs by TFLite's reference kernels."""
    kernels = litert.OpResolverType.BUILTIN_REF
    session = litert.Interpreter(model_path=str(path), experimental_op_resolver_type=kernels)
    session.allocate_tensors()
    q = np.random.default_rng(0).integers(-128, 128, (40, 8, 8, 3)).astype(np.int8)
    found = []
    for one in q:
        session.set_tensor(session.get_input_details()[0]["index"], one[None])
        session.invoke()
        ends = session.get_output_details()
        found.append([session.get_tensor(end["index"])[0].astype(np.int64) for end in ends])
    return q, [np.array(each) for each in zip(*found, strict=True)]


def test_a_map_is_an_output_beside_the_class_in_the_files_order(tmp_path: Path) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="no ai-edge-litert")
    path = tmp_path / "small.tflite"
    path.write_bytes(tflite_models.small(tflite_models.numbers(), both=True))
    found = imports.read(path)
    assert found.integer
    assert found.input
    assert [end.file_output for end in found.outputs] == ["y", "a"]
    q, theirs = _theirs(path, litert)
    codes = found.input.codes((q.astype(np.float64) + 3) * 0.02).astype(np.uint8)
    values = found.integer.real(reference.run(found.integer, codes)[found.integer.output.name])
    for (name, ours), there in zip(split(found.integer.parts, values).items(), theirs, strict=True):
        scale, zero = {"y": (0.5, 11), "a": (0.09, -128)}[name]
        steps = np.abs(ours / scale + zero - there)
        assert ours.shape == there.shape
        assert np.ptp(there) > 100
        assert steps.max() <= 1.001
        assert (steps < 0.001).mean() >= 0.9


@pytest.mark.parametrize("activation", [0, 1])
def test_sums_are_within_a_step_of_tflites_reference_kernels(
    activation: int, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="no ai-edge-litert")
    path = tmp_path / "sum.tflite"
    path.write_bytes(tflite_models.summed(activation))
    steps = layer_oracle.compare(path, 60)
    assert np.abs(steps).max() <= 1
    assert (steps == 0).mean() >= 0.995


@pytest.mark.parametrize(
    "kind",
    ["transposed", "nearest", "blocks", "leaky", *tflite_models.BILINEAR, *tflite_models.CURVES],
)
def test_single_operators_are_within_a_step_of_tflites_reference_kernels(
    kind: str, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="no ai-edge-litert")
    path = tmp_path / "single.tflite"
    path.write_bytes(tflite_models.single(kind))
    steps = layer_oracle.compare(path, 60)
    assert np.abs(steps).max() <= (0 if kind in ("nearest", "blocks") else 1)
    # Their leaky ReLU rounds values below 0 twice: -9.39 becomes -10.
    # Interpolation often ends halfway between two codes: theirs goes away from code 0, ours up.
    often = 0.8 if kind in tflite_models.BILINEAR else 0.94 if kind == "leaky" else 0.995
    assert (steps == 0).mean() >= often


def test_a_tflite_file_written_as_qdq_is_the_same_network(tmp_path: Path) -> None:
    data = tflite_models.small(tflite_models.numbers(7))
    path = tmp_path / "small.tflite"
    path.write_bytes(data)
    written = qdq_writer.qdq(tflite_file.read(data, "small", "small.tflite"))
    assert_same(integer(path), integer(write(tmp_path / "small.onnx", written)))


@pytest.mark.parametrize("sides", [(1, 1, 3), (3,), (1,), (1, 1, 1)])
def test_slopes_lie_along_the_channels(sides: tuple[int, ...], tmp_path: Path) -> None:
    """Of a map with as many rows and columns as channels."""
    path = tmp_path / "slopes.tflite"
    path.write_bytes(tflite_models.slopes(sides))
    walk, output = walked(path)
    x = np.random.default_rng(0).normal(0, 1, (1, 3, 3, 3)).astype(np.float32)
    expected = np.where(x > 0, x, x * tflite_models.slopes_of(sides))
    assert np.allclose(evaluator.run(walk, x, output), expected, atol=1e-6)


@pytest.mark.parametrize("sides", [(3, 1, 1), (1, 3, 1), (3, 3, 3)])
def test_slopes_of_rows_or_columns_are_refused(sides: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "slopes.tflite"
    path.write_bytes(tflite_models.slopes(sides))
    (row,) = imports.read(path).table.refused
    assert row.reason == "its constant differs within a channel"


def test_shuffled_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(tflite_models.small(tflite_models.numbers(), weights_format=1))
    (row,) = imports.read(path).table.refused
    assert (row.name, row.operator, row.attribute) == ("y", "FULLY_CONNECTED", "weights_format")


def test_weights_with_a_zero_point_are_refused_each_by_name(tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(tflite_models.small(tflite_models.numbers(), weight_zero=9))
    found = imports.read(path)
    assert found.integer is None
    (row,) = found.table.refused
    assert (row.name, row.operator, row.attribute) == ("a", "CONV_2D", "zero_point")
    assert "per channel" in row.instead


def test_damaged_files_are_refused_whatever_is_damaged(tmp_path: Path) -> None:
    data = tflite_models.small(tflite_models.numbers())
    rng = np.random.default_rng(0)
    path = tmp_path / "bad.tflite"
    refused = 0
    for end in (*range(8, 400, 7), len(data) // 2):
        path.write_bytes(data[:end])
        with pytest.raises((FileError, ModelError)):
            imports.read(path)
    for _ in range(300):
        broken = bytearray(data)
        for place in rng.integers(8, len(data), 4):
            broken[place] = rng.integers(0, 256)
        path.write_bytes(broken)
        try:
            refused += bool(imports.read(path).table.refused)
        except (FileError, ModelError):
            refused += 1
    assert refused > 10
