"""``codesign import``: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")

from codesign.cli.main import main
from models.importing import folder
from tests.models.importing import onnx_models
from tests.models.importing.onnx_models import model, node, write


def test_a_network_is_written_and_its_table_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "residual.onnx", onnx_models.residual())
    assert main(["import", str(path), "--out", str(tmp_path / "net"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    fates = {"mapped", "folded", "host", "refused"}
    assert set(printed) == {"network", "kind", "layers", "outputs", *fates}
    assert printed["outputs"] == [{"name": "y", "tensor": "g_d", "shape": [1, 5]}]
    nodes = len(onnx_models.residual().graph.node)
    assert sum(len(printed[fate]) for fate in ("mapped", "folded", "host")) == nodes
    assert [row["layer"] for row in printed["mapped"]] == ["c1", "c2", "sum", "dw", "pool", "fc"]
    assert [layer["name"] for layer in printed["layers"]][-2:] == ["fc", "logits"]
    assert folder.load(tmp_path / "net").integer is not None


def test_the_table_is_told_where_no_folder_can_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor for root, which obeys no modes: its parent is a file."""
    path = write(tmp_path / "residual.onnx", onnx_models.residual())
    assert main(["import", str(path), "--out", str(path / "net")]) == 2
    shown = capsys.readouterr()
    assert "Gemm" in shown.out
    assert "codesign: error: " in shown.err


def test_refusals_end_with_2_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "m.onnx", model([node("LSTM", ["x"], ["y"], "cell")], {}))
    assert main(["import", str(path), "--out", str(tmp_path / "net"), "--json"]) == 2
    (row,) = json.loads(capsys.readouterr().out)["refused"]
    assert set(row) == {"name", "operator", "attribute", "reason", "instead"}
    assert (row["name"], row["operator"]) == ("cell", "LSTM")
    assert not (tmp_path / "net").exists()
    assert main(["import", str(path), "--out", str(tmp_path / "net")]) == 2
    assert "refused: cell (LSTM, attribute X)" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04."])
def test_other_files_end_with_2_and_no_traceback(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f").write_bytes(content)
    assert main(["import", str(tmp_path / "f"), "--out", str(tmp_path / "net")]) == 2
    assert "error:" in capsys.readouterr().err


def test_an_input_that_a_file_leaves_unrounded_gets_the_range_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    q = onnx_models.Qdq()
    q.nodes.append(node("Conv", ["x", *q.weights("c", (4, 3, 8, 8), 0.02)], ["a"], "c"))
    q.rounded("a", 0.5, 0)
    path = write(tmp_path / "m.onnx", model(q.nodes, q.constants, out="a_d"))
    command = ["import", str(path), "--out", str(tmp_path / "net")]
    assert main([*command, "--input-range", "0", "51"]) == 0
    assert "to 8 bits from 0 to 51" in capsys.readouterr().out
    grid = folder.load(tmp_path / "net").input.grid
    assert grid is not None
    assert np.isclose(grid.scale, 0.2)
    assert grid.zero_point == 0
    assert main([*command, "--input-range", "3", "3"]) == 2


def test_a_partition_is_written_and_the_hosts_nodes_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {"w": np.ones((4, 3, 8, 8), np.float32)}
    nodes = [node("Conv", ["x", "w"], ["a"], "c"), node("LSTM", ["a"], ["y"], "cell")]
    path = write(tmp_path / "m.onnx", model(nodes, weights))
    out = tmp_path / "net"
    assert main(["import", str(path), "--out", str(out)]) == 2
    assert "--partition" in capsys.readouterr().err
    assert main(["import", str(path), "--out", str(out), "--partition", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["host"]
    assert (row["name"], row["note"]) == ("cell", "reads a tensor of shape (1, 4, 1, 1)")
    assert folder.load(out).output.name == "a"
