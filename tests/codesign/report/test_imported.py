"""Reports of builds of imported networks: layers, drawing and where they are from."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="no onnx")

from codesign.cli.main import main
from codesign.report import collect, subject
from models.integer import files
from tests.models.importing import onnx_models
from tests.models.importing.onnx_models import write

NPU = "npu: {pixels: 1, lanes: 4, columns: 8, weight_digit_bits: 4}\n"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    path = write(tmp_path / "residual.onnx", onnx_models.residual())
    assert main(["import", str(path), "--out", str(tmp_path / "net")]) == 0
    (tmp_path / "npu.yaml").write_text(NPU)
    words = ["build", str(tmp_path / "net"), "--npu", str(tmp_path / "npu.yaml")]
    assert main([*words, "--images", "1", "--out", str(tmp_path / "build")]) == 0
    return tmp_path / "build"


def test_a_page_is_written_and_shows_every_layer(build: Path) -> None:
    assert main(["report", str(build)]) == 0
    page = (build / "report.html").read_text()
    network = files.load(build / "network.npz")
    for layer in network.layers:
        assert page.count(layer.name) >= 2, "in the drawing and in the table"
    assert "residual.onnx (onnx)" in page


def test_cycles_are_those_of_the_program_that_was_built(build: Path) -> None:
    data = collect.from_folder(build)
    assert data.estimate
    cycles = sum(row.cycles for row in data.layers)
    assert 0.99 * data.estimate.cycles_per_image < cycles <= data.estimate.cycles_per_image
    assert data.utilisation
    assert subject.boxes(files.load(build / "network.npz"))[0].name == "input"
    assert collect.from_folder(build, "lfe5u-85f").estimate != data.estimate


def test_a_build_without_its_network_is_refused(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (build / "network.npz").unlink()
    assert main(["report", str(build)]) == 2
    assert "network.npz" in capsys.readouterr().err
