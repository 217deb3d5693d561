"""``evaluate --task``: outputs that are no classes are measured as what they are, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
from sklearn import metrics  # noqa: E402

from codesign.cli.main import main  # noqa: E402
from tests.models.importing import onnx_models  # noqa: E402
from tests.models.importing.onnx_models import model, node, write  # noqa: E402

RNG = np.random.default_rng(3)
WEIGHTS: dict[str, Any] = {
    name: RNG.normal(0, 0.4, shape).astype(np.float32)
    for name, shape in {"in": (12, 4), "out": (4, 12), "one": (12, 1), "c": (3, 3, 3, 3)}.items()
} | {"twice": np.array([1, 1, 2, 2], np.float32)}


def vector(*nodes: Any) -> Any:
    return model(nodes, WEIGHTS, shape=(1, 12))


def coded(last: str) -> Any:
    """A QDQ auto-encoder."""
    q = onnx_models.Qdq(4)
    x = q.rounded("x", 0.04, -3)
    q.nodes.append(node("Gemm", [x, *q.weights("in", (4, 12), 0.04)], ["h"], "in", transB=1))
    h = q.rounded("h", 0.2, 3)
    q.nodes.append(node("Gemm", [h, *q.weights("out", (12, 4), 0.2)], [last], "out", transB=1))
    q.rounded(last, 0.1, -9)
    return model(q.nodes, q.constants, shape=(1, 12), out=f"{last}_d")


ENCODED = (node("Gemm", ["x", "in"], ["h"], "in"), node("Relu", ["h"], ["r"], "relu"))
RESIZED = node("Resize", ["a", "", "twice"], ["y"], "up", mode="linear",
               coordinate_transformation_mode="half_pixel")  # fmt: skip
MODELS = {
    "coder": vector(*ENCODED, node("Gemm", ["r", "out"], ["y"], "out")),
    "bounded": vector(
        *ENCODED, node("Gemm", ["r", "out"], ["o"], "out"), node("Sigmoid", ["o"], ["y"], "end")
    ),
    "number": vector(node("Gemm", ["x", "one"], ["y"], "one")),
    "integer": coded("y"),
    "map": model(
        [node("Conv", ["x", "c"], ["a"], "conv", pads=[1] * 4), RESIZED], WEIGHTS, (1, 3, 8, 8)
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files and network folders of MODELS, and data for them."""
    folder = tmp_path_factory.mktemp("outputs")
    for name, made in MODELS.items():
        file = write(folder / f"{name}.onnx", made)
        assert main(["import", str(file), "--out", str(folder / name)]) == 0
    x = RNG.normal(0, 1, (60, 12)).astype(np.float32)
    pixels = RNG.normal(0, 1, (9, 3, 8, 8)).astype(np.float32)
    np.savez(folder / "odd.npz", x=x, y=np.arange(60) % 2)
    np.savez(folder / "three.npz", x=x, y=np.arange(60) % 3)
    np.savez(folder / "none.npz", x=x)
    np.savez(folder / "wide.npz", x=pixels)
    np.savez(folder / "numbers.npz", x=x, y=RNG.normal(0, 1, 60))
    np.savez(folder / "pixels.npz", x=pixels, y=RNG.integers(0, 3, (9, 16, 16)))
    np.savez(folder / "beyond.npz", x=pixels, y=RNG.integers(0, 4, (9, 16, 16)))
    return folder


def theirs(place: Path, name: str, x: Any) -> Any:
    session = runtime.InferenceSession(str(place / f"{name}.onnx"))
    return np.concatenate([session.run(None, {"x": one[None]})[0] for one in x]).astype(float)


def measured(
    place: Path, name: str, data: str, task: str, capsys: pytest.CaptureFixture[str]
) -> Any:
    words = ["evaluate", str(place / name), "--dataset", str(place / data), "--task", task]
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("name", "near"), [("coder", 1e-5), ("integer", 0.02)])
def test_an_auto_encoder_is_judged_by_the_area_under_its_errors(
    name: str, near: float, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = np.load(place / "odd.npz")
    missed = ((theirs(place, name, data["x"]) - data["x"]) ** 2).mean(axis=1)
    found = measured(place, name, "odd.npz", "reconstruction", capsys)
    assert found["task"] == "reconstruction"
    assert found["measures"]["mean_squared_error"] == pytest.approx(missed.mean(), rel=near)
    area = metrics.roc_auc_score(data["y"], missed)
    assert found["measures"]["roc_area"]["area"] == pytest.approx(area, abs=near)
    assert "1 counts as anomalous, 0 as normal" in found["notes"]
    alone = measured(place, name, "none.npz", "reconstruction", capsys)
    assert alone["measures"].keys() == {"mean_squared_error"}
    assert "accuracy" not in found


def test_numbers_have_errors(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = np.load(place / "numbers.npz")
    outputs = theirs(place, "number", data["x"])[:, 0]
    found = measured(place, "number", "numbers.npz", "numbers", capsys)["measures"]
    mean = metrics.mean_squared_error(data["y"], outputs)
    assert found["mean_squared_error"] == pytest.approx(mean, rel=1e-5)
    assert found["r_squared"] == pytest.approx(metrics.r2_score(data["y"], outputs), rel=1e-4)


def test_each_pixel_of_a_resized_map_has_a_class(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = np.load(place / "pixels.npz")
    answers = theirs(place, "map", data["x"]).argmax(axis=1)
    found = measured(place, "map", "pixels.npz", "pixels", capsys)["measures"]
    assert found["pixels"] == data["y"].size
    assert found["pixel_accuracy"] == pytest.approx((answers == data["y"]).mean(), abs=1e-3)
    expected = metrics.jaccard_score(data["y"].ravel(), answers.ravel(), average=None)
    assert found["iou"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "data", "task", "said"),
    [
        ("bounded", "odd.npz", "reconstruction", "end (Sigmoid) is left to the host"),
        ("number", "odd.npz", "reconstruction", "is not the input"),
        ("coder", "three.npz", "reconstruction", "must have two classes"),
        ("coder", "pixels.npz", "reconstruction", "must have two classes"),
        ("coder", "wide.npz", "reconstruction", "examples have the shape"),
        ("coder", "numbers.npz", "numbers", "y holds () numbers for an output of (12,)"),
        ("number", "none.npz", "numbers", "y is missing; y must hold numbers"),
        ("map", "beyond.npz", "pixels", "label 3 is outside 0..2"),
        ("coder", "odd.npz", "pixels", "must hold a class number for each pixel"),
        ("map", "odd.npz", "classes", "evaluate --task takes maps"),
        ("integer", "odd.npz", "classes", "--task reconstruction"),
        ("coder", "odd.npz", "classes", "--task reconstruction"),
        ("map", "digits", "pixels", "must be an .npz file"),
        ("map.onnx", "pixels.npz", "pixels", "is no network folder"),
    ],
)
def test_what_has_no_measure_is_refused(
    name: str, data: str, task: str, said: str, place: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    assert main(["evaluate", name, "--dataset", data, "--task", task]) == 2
    assert said in capsys.readouterr().err
