"""Network folders: what is written is read back, and what is damaged is refused."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("content", ['{"format": 1}', '{"format": 1, "sha256": {"a": "b"}}'])
def test_a_file_of_others_with_our_format_number_owns_nothing(tmp_path: Path, content: str) -> None:
    """As a manifest does not (X6)."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "network.json").write_text(content)
    (mine / "weights.npz").write_bytes(b"years of work")
    with pytest.raises(FileError, match="no network folder"):
        folder.save(quantised(tmp_path), mine)
    assert (mine / "weights.npz").read_bytes() == b"years of work"
    assert (mine / "network.json").read_text() == content


def test_a_listing_from_elsewhere_reaches_no_other_file(tmp_path: Path) -> None:
    net, thesis = tmp_path / "net", tmp_path / "thesis"
    folder.save(quantised(tmp_path), net)
    thesis.write_bytes(b"years of work")
    (net / "notes.txt").write_bytes(b"years of work")
    header = json.loads((net / "network.json").read_text())
    digest = hashlib.sha256(b"years of work").hexdigest()
    header["sha256"] |= dict.fromkeys(("../thesis", str(thesis), "notes.txt"), digest)
    (net / "network.json").write_text(json.dumps(header))
    assert folder.save(quantised(tmp_path), net) == {}
    assert thesis.read_bytes() == (net / "notes.txt").read_bytes() == b"years of work"


def test_what_was_changed_since_an_import_is_kept(tmp_path: Path) -> None:
    net = tmp_path / "net"
    source = write(tmp_path / "m.onnx", test_float.residual())
    folder.save(imports.read(source), net)
    before = source.read_bytes()
    (net / "graph.yaml").write_text("mine")
    (net / "integer.npz").symlink_to(source)
    kept = folder.save(quantised(tmp_path), net)
    assert kept == {"graph.yaml": "graph.yaml.kept", "integer.npz": "integer.npz.kept"}
    assert (net / "graph.yaml.kept").read_text() == "mine"
    assert folder.load(net).integer
    assert source.read_bytes() == before


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "net").symlink_to(tmp_path / "theirs")
    with pytest.raises(FileError, match="is a link"):
        folder.save(quantised(tmp_path), tmp_path / "net")
    assert list((tmp_path / "theirs").iterdir()) == []


def test_a_full_disk_leaves_the_older_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tmp_path / "net"
    folder.save(quantised(tmp_path), net)
    before = {path.name: path.read_bytes() for path in net.iterdir()}
    other = imports.read(write(tmp_path / "m.onnx", test_float.residual()))

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        folder.save(other, net)
    assert {path.name: path.read_bytes() for path in net.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "net", "residual.onnx"]


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
        (["input", "grid"], None), (["input", "grid", "bits"], 10**17),
        (["input", "grid", "bits"], 7), (["input", "gain"], [1.0]), (["input", "offset"], []),
        (["input", "shape"], [8, 8, 3]), (["input", "grid", "low"], 300),
        (["outputs", 0, "grid", "bits"], 0), (["outputs"], []),
        (["outputs", 0, "file_shape"], 5),
    ],
)  # fmt: skip
def test_damaged_headers_are_refused(tmp_path: Path, keys: list[str | int], value: object) -> None:
    folder.save(quantised(tmp_path), tmp_path / "net")
    path = tmp_path / "net" / "network.json"
    content = json.loads(path.read_text())
    place: Any = content
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
