"""``codesign export``: files that ``codesign import`` reads back to the same network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")

from codesign.cli.main import main
from models.importing import folder
from models.integer import files, reference
from tests.codesign import small_build
from tests.models.importing import onnx_models
from tests.models.importing.onnx_models import model, node, write
from tests.models.importing.test_quantised import assert_same


@pytest.mark.parametrize("kind", ["onnx", "qonnx"])
def test_a_network_folder_goes_out_and_comes_back(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "residual.onnx", onnx_models.residual())
    first, back, out = tmp_path / "first", tmp_path / "back", tmp_path / "out.onnx"
    assert main(["import", str(path), "--out", str(first)]) == 0
    assert main(["export", str(first), "--format", kind, "--out", str(out)]) == 0
    assert main(["import", str(out), "--out", str(back)]) == 0
    assert_same(folder.load(first).integer, folder.load(back).integer)


@pytest.mark.parametrize("kind", ["onnx", "qonnx"])
def test_a_trained_build_goes_out_and_comes_back(kind: str, tmp_path: Path) -> None:
    build, back, out = tmp_path / "build", tmp_path / "back", tmp_path / "out.onnx"
    small_build.write(build)
    assert main(["export", str(build), "--format", kind, "--out", str(out)]) == 0
    assert main(["import", str(out), "--out", str(back)]) == 0
    ours, theirs = files.load(build / "network.npz"), folder.load(back).integer
    assert theirs is not None
    spec = ours.tensors[ours.input]
    shape = (5, *spec.shape)
    codes = np.random.default_rng(0).integers(0, 1 << spec.bits, shape).astype(np.uint8)
    found = [reference.run(net, codes)[net.output.name] for net in (ours, theirs)]
    assert np.ptp(found[0]) > 0
    assert np.array_equal(*found)


def test_float_networks_are_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {"w": np.ones((4, 3, 8, 8), np.float32)}
    path = write(tmp_path / "m.onnx", model([node("Conv", ["x", "w"], ["y"], "c")], weights))
    assert main(["import", str(path), "--out", str(tmp_path / "net")]) == 0
    out = tmp_path / "out.onnx"
    assert main(["export", str(tmp_path / "net"), "--format", "onnx", "--out", str(out)]) == 2
    assert "float network" in capsys.readouterr().err
    assert not out.exists()


def test_a_note_says_where_the_file_takes_other_values_than_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_build.write(tmp_path / "build")
    words = ["--format", "onnx", "--json", "--out", str(tmp_path / "out.onnx")]
    capsys.readouterr()
    assert main(["export", str(tmp_path / "build"), *words]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert "input x is 0..15 for the data's values 0..255" in note
    assert main(["import", str(tmp_path / "out.onnx"), "--out", str(tmp_path / "back")]) == 0
    capsys.readouterr()
    assert main(["export", str(tmp_path / "back"), *words]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []
