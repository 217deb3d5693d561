"""Published files of others, where CODESIGN_FOREIGN_MODELS names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.importing import folder, imports

FOLDER = Path(os.environ.get("CODESIGN_FOREIGN_MODELS", "/nonexistent"))
FILES = {
    "resnet8_int8.tflite": 15, "resnet8_fp32.tflite": 15, "resnet8_int8_qdq.onnx": 15,
    "dscnn_kws_int8.tflite": 12, "dscnn_kws_int8_qdq.onnx": 12, "person_detect_int8.tflite": 30,
    "resnet8_w4a4_qonnx.onnx": 16, "two_layers_qonnx.onnx": 4, "kws_mlp_w3a3_qonnx.onnx": 4,
    "mnist_tfc_w2a2_qonnx.onnx": 7, "jet_tagging_qonnx.onnx": 4,
}  # fmt: skip
"""File -> layers of its network, the float one's input included."""

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
