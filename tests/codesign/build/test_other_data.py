"""Data for imported networks that is not what the network takes: nothing of it goes unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")

from codesign.cli.main import main
from tests.models.importing.onnx_models import model, node, write

CLASSES = 3


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def linear(path: Path) -> Path:
    """A float network whose class is the largest of its input's channels."""
    weights = {"w": np.eye(CLASSES, dtype=np.float32).reshape(CLASSES, CLASSES, 1, 1)}
    nodes = [node("Conv", ["x", "w"], ["y"], "c")]
    return write(path, model(nodes, weights, shape=(1, CLASSES, 1, 1)))


@pytest.fixture
def values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Bytes (n, 3) of which the network answers the largest; the current folder has the network."""
    monkeypatch.chdir(tmp_path)
    linear(tmp_path / "m.onnx")
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation([20, 120, 255]) for _ in range(90)]).astype(np.uint8)


@pytest.mark.parametrize(
    ("said", "noted"),
    [
        (["--pixel-mean", "0.1,0.5,0.9", "--pixel-std", "0.1,0.2,0.3"], True),
        ([], True),
        (["--pixel-range", "0", "255"], False),
    ],
)
def test_bytes_in_arrays_are_no_pixels_and_a_note_says_so(
    said: list[str], noted: bool, values: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("d.npz", x=values, y=values.argmax(axis=1))
    answer(capsys, "import", "m.onnx", "--out", "net", *said)
    for words in (("evaluate", "net"), ("train", "net", "--out", "net.weights")):
        notes = answer(capsys, *words, "--dataset", "d.npz")["notes"]
        assert any("holds for pictures alone" in note for note in notes) is noted


@pytest.mark.parametrize("names", [("1", "2", "3"), (10, 20, 30), ("ant", "bee", "cat")])
def test_classes_of_any_names_count_in_their_order(
    names: tuple[Any, ...], values: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("d.npz", x=values, y=np.array(names)[values.argmax(axis=1)])
    answer(capsys, "import", "m.onnx", "--out", "net")
    found = answer(capsys, "evaluate", "net", "--dataset", "d.npz")
    assert found["accuracy"]["test"]["share"] == 1
    assert any(f"class 0 is {names[0]}, and so on" in note for note in found["notes"])


def test_fewer_numbered_classes_are_those_numbers(
    values: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = values.argmax(axis=1)
    np.savez("d.npz", x=values[labels > 0], y=labels[labels > 0])
    answer(capsys, "import", "m.onnx", "--out", "net")
    found = answer(capsys, "evaluate", "net", "--dataset", "d.npz")
    assert found["accuracy"]["test"]["share"] == 1


def test_a_float_row_says_that_its_inputs_are_rounded(
    values: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("d.npz", x=values.astype(np.float32), y=values.argmax(axis=1))
    answer(capsys, "import", "m.onnx", "--out", "net")
    found = answer(capsys, "train", "net", "--dataset", "d.npz", "--out", "net.weights")
    assert any("inputs rounded to codes" in note for note in found["notes"])


def test_an_input_range_of_a_float_network_is_said_to_have_no_effect(
    values: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(capsys, "import", "m.onnx", "--out", "net")
    assert main(["import", "m.onnx", "--out", "net", "--input-range", "-1", "1"]) == 0
    assert "--input-range has no effect" in capsys.readouterr().err
