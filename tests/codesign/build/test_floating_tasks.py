"""Float networks of others whose outputs are no classes: calibrated, trained on, simulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")

from codesign.cli.main import main
from tests.models.importing.onnx_models import model, node, write
from tests.models.tasks.examples import arrays

NPU = "npu: {pixels: 1, lanes: 4, columns: 4, weight_digit_bits: 4, result_depth: 256}\n"
RNG = np.random.default_rng(5)


def fitted(x: Any, y: Any) -> tuple[Any, Any]:
    """Weights and biases that map x to y with least squared error."""
    flat = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    found = np.linalg.lstsq(flat, y, rcond=None)[0].astype(np.float32)
    return found[:-1], found[-1]


def coder() -> Any:
    """The best linear auto-encoder of the signals: their first three components, and back."""
    x = arrays("reconstruction")["x"]
    axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:3].T.astype(np.float32)
    mean = x.mean(axis=0).astype(np.float32)
    weights = {"in": axes, "a": -mean @ axes, "out": axes.T.copy(), "b": mean}
    nodes = [node("Gemm", ["x", "in", "a"], ["h"], "in"), node("Gemm", ["h", "out", "b"], ["y"])]
    return model(nodes, weights, shape=(1, 12))


def line() -> Any:
    """A regression of which training on can repair a factor."""
    data = arrays("numbers")
    weight, bias = fitted(data["x"], data["y"])
    weight *= 0.8
    hidden = {"i": np.concatenate([np.eye(6), -np.eye(6)], axis=1).astype(np.float32)}
    weights = {**hidden, "w": np.concatenate([weight, -weight]), "b": bias}
    nodes = [
        node("Gemm", ["x", "i"], ["h"], "h"), node("Relu", ["h"], ["r"], "r"),
        node("Gemm", ["r", "w", "b"], ["y"], "y"),
    ]  # fmt: skip
    return model(nodes, weights, shape=(1, 6))


def segments() -> Any:
    """A class for each pixel by its brightness: grey, dark, bright."""
    blur = np.full((3, 1, 3, 3), 1 / 9, np.float32)
    mixed = np.array([[0, 0, 0], [-1, -1, -1], [1, 1, 1]], np.float32).reshape(3, 3, 1, 1) / 3
    weights = {"k": blur, "m": mixed, "b": np.array([0, 90, -165], np.float32)}
    nodes = [
        node("Conv", ["x", "k"], ["h"], "blur", pads=[1] * 4), node("Relu", ["h"], ["r"], "r"),
        node("Conv", ["r", "m", "b"], ["y"], "maps"),
    ]  # fmt: skip
    return model(nodes, weights, shape=(1, 1, 8, 8))


MODELS = {"reconstruction": coder, "numbers": line, "pixels": segments}
SCORES = {"numbers": "r_squared", "pixels": "mean_iou", "reconstruction": "roc_area"}
KINDS = sorted(MODELS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network folder and data for each task."""
    place = tmp_path_factory.mktemp("tasks")
    for kind, make in MODELS.items():
        path = write(place / f"{kind}.onnx", make())
        assert main(["import", str(path), "--out", str(place / kind)]) == 0
        np.savez(place / f"{kind}.npz", **arrays(kind))
    np.savez(place / "two.npz", x=arrays("reconstruction")["x"], y=np.arange(400) % 2)
    (place / "npu.yaml").write_text(NPU)
    return place


def answer(capsys: pytest.CaptureFixture[str], *words: Any) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def score(measures: dict[str, Any]) -> float:
    value = measures[measures["score"]]
    return float(value["area"] if isinstance(value, dict) else value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_float_network_is_trained_on_built_and_simulated(
    kind: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    data = ("--task", kind, "--dataset", f"{kind}.npz")
    said = answer(capsys, "evaluate", kind, *data)
    made = answer(capsys, "build", kind, *data, "--npu", "npu.yaml", "--finetune", 3,
                  "--weight-bits", 6, "--images", 2, "--out", tmp_path / "b")  # fmt: skip
    stages = made["stages"]
    assert list(stages) == ["float", "calibrated", "finetuned"]
    assert {stage["test"]["score"] for stage in stages.values()} == {SCORES[kind]}
    given = {**said["measures"], "score": SCORES[kind]}
    assert score(stages["float"]["test"]) == pytest.approx(score(given), abs=0.03)
    assert score(stages["calibrated"]["test"]) >= score(stages["float"]["test"]) - 0.05
    kept = max(score(stages[name]["validation"]) for name in ("calibrated", "finetuned"))
    assert score(made["measures"]["validation"]) == kept
    if kind == "numbers":  # which training on repairs
        assert score(stages["finetuned"]["test"]) > score(stages["float"]["test"]) + 0.01
    found = answer(capsys, "evaluate", tmp_path / "b", "--data-dir", place, "--simulate", 2)
    assert found["simulated"]["bit_exact"]
    assert score({**found["measures"], "score": SCORES[kind]}) == score(made["measures"]["test"])
    curve = json.loads((tmp_path / "b" / "reports" / "training.json").read_text())["full"]
    assert curve["score"] == SCORES[kind]


@pytest.mark.parametrize("kind", ["numbers", "pixels"])
def test_bits_are_chosen_by_what_the_outputs_lose(
    kind: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    out = tmp_path / "w.weights"
    made = answer(capsys, "train", kind, "--task", kind, "--dataset", f"{kind}.npz",
                  "--weight-bits", "3..8", "--average-weight-bits", 6, "--out", out)  # fmt: skip
    assert made["average_weight_bits"] <= 6
    assert score(made["measures"]["test"]) >= score(made["stages"]["float"]["test"]) - 0.1
    again = answer(capsys, "build", made["design"], "--weights", out, "--data-dir", place,
                   "--images", 1, "--out", tmp_path / "b")  # fmt: skip
    assert again["measures"] == made["measures"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "numbers", "--dataset", "numbers.npz"), "with --task"),
        (("train", "numbers", "--dataset", "pixels.npz", "--task", "pixels"), "shape"),
        (("train", "numbers", "--dataset", "digits", "--task", "numbers"), "come in an .npz"),
        (("train", "reconstruction", "--dataset", "two.npz"), "--task numbers or reconstruction"),
        (("explore", "--network", "reconstruction", "--dataset", "two.npz",
          "--lut-budget", "9000", "--out", "no"), "--task numbers or reconstruction"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(
    words: tuple[str, ...], said: str, place: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    assert main([*words]) == 2
    assert said in capsys.readouterr().err
