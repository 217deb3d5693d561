"""Published files of others, where CODESIGN_FOREIGN_MODELS names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from models.importing import folder, imports
from models.importing.readers.tflite import file as tflite_file
from tests.models.importing import layer_oracle, qdq_writer
from tests.models.importing.test_quantised import assert_same, integer

FOLDER = Path(os.environ.get("CODESIGN_FOREIGN_MODELS", "/nonexistent"))
FILES = {
    "resnet8_int8.tflite": 15, "resnet8_fp32.tflite": 15, "resnet8_int8_qdq.onnx": 15,
    "dscnn_kws_int8.tflite": 12, "dscnn_kws_int8_qdq.onnx": 12, "person_detect_int8.tflite": 30,
    "resnet8_w4a4_qonnx.onnx": 16, "two_layers_qonnx.onnx": 4, "kws_mlp_w3a3_qonnx.onnx": 4,
    "mnist_tfc_w2a2_qonnx.onnx": 7, "jet_tagging_qonnx.onnx": 4,
}  # fmt: skip
"""File -> layers of its network, the float one's input included."""

LAYERS = sorted((FOLDER / "layers").glob("*.tflite"))

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="CODESIGN_FOREIGN_MODELS names no folder"
)


@pytest.mark.parametrize("name", FILES)
def test_published_files_are_imported_and_read_back(name: str, tmp_path: Path) -> None:
    found = imports.read(FOLDER / name)
    assert [str(row) for row in found.table.refused] == []
    assert len(imports.layers(found)) == FILES[name]
    folder.save(found, tmp_path / "net")
    assert folder.load(tmp_path / "net").name == found.name


def test_uint8_weights_with_zero_points_are_refused_each(tmp_path: Path) -> None:
    found = imports.read(FOLDER / "mobilenet_v1_025_uint8.tflite")
    assert len(found.table.refused) == 28
    assert {row.attribute for row in found.table.refused} == {"zero_point"}


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("int8.tflite")])
def test_tflite_files_written_as_qdq_are_the_same_networks(name: str, tmp_path: Path) -> None:
    data = (FOLDER / name).read_bytes()
    path = tmp_path / "written.onnx"
    path.write_bytes(qdq_writer.qdq(tflite_file.read(data, "n", name)).SerializeToString())
    assert_same(integer(FOLDER / name), integer(path))


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("qdq.onnx")])
def test_layers_of_qdq_files_are_within_a_step_of_onnx_runtime(name: str) -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime")
    for layer, steps in layer_oracle.against_runtime(FOLDER / name, 2).items():
        assert np.abs(steps).max() <= 1, layer
        assert (steps == 0).mean() >= 0.995, layer


@pytest.mark.parametrize("path", LAYERS, ids=[path.stem for path in LAYERS])
def test_single_layers_are_within_a_step_of_tflites_reference_kernels(path: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="no ai-edge-litert")
    steps = layer_oracle.compare(path, 3)
    assert np.abs(steps).max() <= 1
    assert (steps == 0).mean() >= 0.995
