"""Designs whose outputs are no classes: trained, built, simulated, measured, not classified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign import design as designs
from codesign.build import built
from codesign.cli.main import main
from models.files import yaml_io
from models.graph.yaml import graph_items
from sim import driver
from sim.folder import read_loadable
from tests.models.tasks.examples import NETWORKS, arrays

KINDS = sorted(NETWORKS)
SCORES = {"numbers": "r_squared", "pixels": "mean_iou", "reconstruction": "roc_area"}
NPU = {"pixels": 1, "lanes": 4, "columns": 4, "weight_digit_bits": 4, "result_depth": 256}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a design and data of each task, and their builds in ``build``."""
    place = tmp_path_factory.mktemp("tasks")
    for kind, network in NETWORKS.items():
        np.savez(place / f"{kind}.npz", **arrays(kind))
        items = {
            "name": kind,
            "dataset": {"name": f"{kind}.npz", "task": kind},
            "training": {"learning_rate": 0.03, "batch_size": 32},
            "network": graph_items(network),
            "quantisation": {"default": {"weight_bits": 6, "activation_bits": 6}},
            "npu": NPU,
        }
        path = place / f"{kind}.yaml"
        path.write_text(yaml_io.dump(items))
        words = ["build", str(path), "--out", str(place / "build" / kind)]
        assert main([*words, "--epochs", "6", "--images", "2"]) == 0
    return place


def answer(capsys: pytest.CaptureFixture[str], *words: Any) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_verilog_computes_is_measured_by_its_task(
    kind: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "build" / kind
    found = answer(capsys, "evaluate", folder, "--data-dir", place, "--simulate", 2)
    assert found["simulated"]["bit_exact"]
    assert (found["task"], found["examples"]) == (kind, 150)
    report = json.loads((folder / "reports" / "measures.json").read_text())
    assert not (folder / "reports" / "accuracy.json").exists()
    test = {"examples": 150, "score": SCORES[kind], **found["measures"]}
    assert report["measures"]["test"] == test
    other = answer(capsys, "evaluate", folder, "--dataset", _copy(place, kind))
    assert other["measures"] == found["measures"]
    assert (report["targets"] is None) == (kind == "pixels")
    assert "accuracy" not in found


def _copy(place: Path, kind: str) -> Path:
    """Return a file of the same data, which is not the design's own."""
    copy = place / f"{kind}_copy.npz"
    copy.write_bytes((place / f"{kind}.npz").read_bytes())
    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_curves_say_what_their_score_is(
    kind: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "build" / kind
    curve = json.loads((folder / "reports" / "training.json").read_text())["full"]
    assert curve["score"] == SCORES[kind]
    assert [set(one) for one in curve["epochs"]] == [
        {SCORES[kind], "loss", "quantised", "kept"}
    ] * 6
    answer(capsys, "report", folder)
    page = (folder / "report.html").read_text()
    assert f"Learning curve: {SCORES[kind].replace('_', ' ')} and loss" in page
    assert "test accuracy" not in page


@pytest.mark.parametrize("kind", KINDS)
def test_predict_and_driver_give_values_and_no_class(
    kind: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, x = place / "build" / kind, arrays(kind)["x_test"][:3]
    np.save(tmp_path / "x.npy", x)
    found = answer(capsys, "predict", folder, tmp_path / "x.npy")
    assert all(set(one) == {"file", "index", "outputs"} for one in found)
    network = built.load(folder)
    logits = network.logits(network.input_range.levels(x.reshape(3, *network.shape)))
    real = network.network.real(logits)
    values = [np.ravel(list(one["outputs"].values())) for one in found]
    np.testing.assert_allclose(values, real)
    output = read_loadable(folder).output
    told = driver.Prediction.of(output, logits.astype(np.int32), network.classes)
    assert not len(told.classes)
    (given,) = told.outputs.values()
    np.testing.assert_allclose(given.reshape(3, -1), real)
    if kind == "numbers":
        assert np.abs(real - arrays(kind)["y_test"][:3]).max() < 40


def test_numbers_keep_their_means_outside_the_integers(place: Path) -> None:
    network = built.load(place / "build" / "numbers").network
    mean = arrays("numbers")["y"].mean(axis=0)
    np.testing.assert_allclose(network.offset, mean)
    assert np.abs(network.mac_layers[-1].bias).max() < 1 << 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "build/numbers", "--task", "pixels"), "is for numbers"),
        (("evaluate", "build/numbers", "--dataset", "pixels.npz"), "shape"),
        (("train", "numbers.yaml", "--task", "classes"), "labels expected"),
        (("train", "numbers.yaml", "--task", "pixels"), "class number for each pixel"),
        (("train", "numbers.yaml", "--class-weights"), "class_weights is for classes"),
        (("train", "pixels.yaml", "--augment", "shift"), "augment must be none"),
        (("build", "pixels.yaml", "--task", "classes", "--out", "no"), "labels expected"),
        (("explore", "--network", "numbers.weights", "--dataset", "digits", "--lut-budget", "9000",
          "--out", "no"), "trained for numbers"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(
    words: tuple[str, ...], said: str, place: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    if "numbers.weights" in words:
        assert main(["train", "numbers.yaml", "--epochs", "2", "--out", "numbers.weights"]) == 0
    capsys.readouterr()
    assert main([*words]) == 2
    assert said in capsys.readouterr().err


def test_a_design_names_its_task(place: Path) -> None:
    design = designs.load(place / "numbers.yaml")
    assert designs.loads(design.to_yaml()) == design
    with pytest.raises(designs.UserError, match="task must be one of classes, pixels"):
        designs.DatasetSpec("x.npz", task="words")
