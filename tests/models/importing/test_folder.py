"""Network folders: what is written is read back, and what is damaged is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")

from models.errors import ModelError
from models.files.reading import FileError
from models.importing import folder, imports
from models.integer import files
from tests.models.importing import onnx_models, test_float
from tests.models.importing.onnx_models import write


def quantised(tmp_path: Path) -> imports.Imported:
    return imports.read(write(tmp_path / "residual.onnx", onnx_models.residual()))


def test_an_integer_network_is_read_back(tmp_path: Path) -> None:
    found = quantised(tmp_path)
    folder.save(found, tmp_path / "net")
    back = folder.load(tmp_path / "net")
    assert found.integer
    assert found.input
    assert back.integer
    ours, theirs = files.contents(found.integer), files.contents(back.integer)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
    assert (back.source, back.output) == (back.source, back.output)
    assert back.input.grid == found.input.grid
    assert folder.table(tmp_path / "net").to_dict() == found.table.to_dict()


def test_a_float_network_is_read_back(tmp_path: Path) -> None:
    found = imports.read(write(tmp_path / "m.onnx", test_float.residual()))
    folder.save(found, tmp_path / "net")
    back = folder.load(tmp_path / "net")
    assert found.floating
    assert back.floating
    assert back.floating.graph == found.floating.graph
    for key, array in found.floating.weights.items():
        assert np.array_equal(back.floating.weights[key], array)


def test_equal_imports_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder.save(quantised(tmp_path), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    found = quantised(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "weights.npz").write_bytes(b"years of work")
    with pytest.raises(FileError, match="no network folder"):
        folder.save(found, mine)
    assert (mine / "weights.npz").read_bytes() == b"years of work"
    assert not (mine / "network.json").exists()


def test_an_older_import_is_replaced(tmp_path: Path) -> None:
    folder.save(imports.read(write(tmp_path / "m.onnx", test_float.residual())), tmp_path / "net")
    folder.save(quantised(tmp_path), tmp_path / "net")
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == [
        "integer.npz", "network.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["format"], 99), (["kind"], "magic"), (["input"], None), (["input", "shape"], [1, 2]),
        (["input", "grid", "scale"], 0), (["source"], "x"), (["name"], 3),
    ],
)  # fmt: skip
def test_damaged_headers_are_refused(tmp_path: Path, keys: list[str], value: object) -> None:
    folder.save(quantised(tmp_path), tmp_path / "net")
    path = tmp_path / "net" / "network.json"
    content = json.loads(path.read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises((FileError, ModelError)):
        folder.load(tmp_path / "net")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    found = imports.read(write(tmp_path / "m.onnx", test_float.residual()))
    folder.save(found, tmp_path / "net")
    assert found.floating
    weights = dict(found.floating.weights)
    weights["c1.bias"] = np.full(4, np.nan, np.float32)
    np.savez(tmp_path / "net" / "weights.npz", **weights)  # type: ignore[arg-type]
    with pytest.raises(FileError, match="not finite"):
        folder.load(tmp_path / "net")
