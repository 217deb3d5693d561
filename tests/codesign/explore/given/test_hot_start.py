"""``explore --network``: the whole road on digits with real tools, resume, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="no onnx")

from codesign import design as designs
from codesign.cli.main import main
from codesign.compiler import bottleneck
from codesign.explore import WorkerSettings, building, explore, serve
from codesign.explore.given import reading
from codesign.explore.settings import ExploreSettings
from codesign.results import Budget, InfeasibleError, UserError
from models.calibration import loading
from models.calibration.own import float_network
from models.data import datasets
from models.errors import DatasetError, ModelError
from models.graph.layers import Conv2d, Linear, MaxPool
from models.graph.network import sequential
from models.importing import folder
from models.integer import files, reference
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.loop import train
from models.training.schedule import TrainSettings
from models.training.trained import TrainedNetwork
from tests.codesign.explore.given.float_networks import digits_onnx
from tests.codesign.explore.test_explore import Fakes, fakes, run, without_times
from tests.models.importing import onnx_models
from tests.models.importing.onnx_models import write

__all__ = ["fakes"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network folder of a float network of the digits."""
    place = tmp_path_factory.mktemp("float")
    path = digits_onnx(place / "digits.onnx")
    assert main(["import", str(path), "--out", str(place / "net"), "--json"]) == 0
    return place / "net"


@pytest.fixture
def settings(network: Path, tmp_path: Path) -> Callable[..., ExploreSettings]:
    base = ExploreSettings(
        budget=Budget(luts=5000), out=tmp_path / "out", network=str(network), networks=3, finish=2,
        finetune=0, images=3, jobs=1,
    )  # fmt: skip
    return lambda **changes: dataclasses.replace(base, **changes)


def test_the_whole_road_with_real_tools(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["explore", "--network", str(network), "--lut-budget", "5000", "--dataset", "digits"]
    effort = ["--networks", "2", "--finish", "1", "--finetune", "1", "--images", "2", "--jobs", "1"]
    assert main([*command, *effort, "--keep-accuracy", "4", "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    summary = json.loads((out / "summary.json").read_text())
    assert printed["status"] == summary["status"] == 0
    assert summary["simulated"]["bit_exact"] is True
    assert summary["synthesised"]["luts"] <= 5000
    assert summary["simulated"]["images_per_second"] == pytest.approx(
        summary["estimate"]["images_per_second"], rel=1e-6
    )
    assert summary["accuracy"]["test"] > 0.9
    assert any("float network has" in note for note in summary["notes"])
    assert (out / summary["report"]).is_file()
    # What was built is the given network, not another one: it answers alike.
    integer = files.load(out / summary["build"] / "network.npz")
    layers = [layer.name for layer in integer.mac_layers]
    floating = folder.load(network).floating
    assert floating is not None
    assert layers == [one.name for one in floating.graph.layers if one.name in ("c1", "c2", "fc")]
    assert [one["name"] for one in summary["layers"]] == layers
    assert all(one["bound"] in bottleneck.BOUNDS for one in summary["layers"])
    test = datasets.load("digits").test
    found = integer.answers(reference.predict(integer, test.images))
    assert (found == test.labels).mean() == pytest.approx(summary["accuracy"]["test"])


def test_channels_are_cut_where_throughput_asks_for_it(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With bits and pattern fixed, only fewer channels make the network this fast."""
    out = tmp_path / "out"
    command = ["explore", "--network", str(network), "--lut-budget", "4000", "--dataset", "digits"]
    effort = ["--networks", "1", "--finetune", "1", "--images", "2", "--jobs", "1"]
    asked = ["--moves", "channels", "--min-throughput", "95000"]
    whole = [*command, *effort, "--moves", "zeros", *asked[2:], "--out", str(tmp_path / "none")]
    assert main(whole) == 3
    assert main([*command, *effort, *asked, "--out", str(out), "--json"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["simulated"]["bit_exact"] is True
    assert summary["simulated"]["images_per_second"] >= 95000
    layers = {one["name"]: one for one in summary["layers"]}
    assert all(one["weight_bits"] == 8 for one in layers.values())
    assert [layers[name]["of_channels"] for name in ("c1", "c2", "fc")] == [8, 16, 10]
    cut = [one["of_channels"] - one["channels"] for one in layers.values()]
    assert min(cut) == 0 < max(cut)
    design = designs.load(out / summary["design"])
    shapes = design.network.shapes
    assert shapes["c1"][0] == layers["c1"]["channels"]
    assert summary["accuracy"]["test"] > 0.8
    # The cut network is a start in turn, as a run and as the build in it.
    for start in (out, out / summary["build"]):
        own = reading.read(
            ExploreSettings(budget=Budget(luts=5000), out=tmp_path, network=str(start)),
            lambda done, total: None,
        )
        assert own.network.graph.shapes["c1"] == shapes["c1"]
    shutil.rmtree(out / "training")
    capsys.readouterr()
    assert main([*command[:2], str(out), *command[3:], "--out", str(tmp_path / "again")]) == 2
    assert "name the file of weights" in capsys.readouterr().err


def test_a_resumed_search_ends_with_the_same_design(
    fakes: Fakes, settings: Callable[..., ExploreSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(design: object, wanted: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(building, "synthesise", broken)
        with pytest.raises(KeyboardInterrupt):
            run(settings())
    measured = [stage for stage, *_ in run(settings(resume=True))[1]]
    assert "sensitivity" not in measured  # it is noted in the study
    resumed = json.loads((settings().out / "summary.json").read_text())
    again, said = run(settings())
    assert "sensitivity" in [stage for stage, *_ in said]
    assert without_times(resumed) == without_times(json.loads(json.dumps(again.summary)))
    with pytest.raises(UserError, match="a search with other"):
        run(settings(resume=True, finetune=1))


def test_without_finetuning_the_design_is_what_its_trial_left(
    fakes: Fakes, settings: Callable[..., ExploreSettings]
) -> None:
    result, _ = run(settings(time_limit_s=1000.0))  # which plans no epochs for them either
    chosen = next(one for one in result.candidates if one.chosen)
    assert chosen.trained_fully
    kept = TrainedNetwork.load(settings().out / "training" / "short" / f"{chosen.key}.weights")
    data = datasets.load("digits")
    assert kept.evaluate(data.validation) == pytest.approx(chosen.accuracy)
    assert result.finished.accuracy["validation"] == pytest.approx(chosen.accuracy)
    again, _ = run(settings(time_limit_s=1000.0, resume=True))
    assert without_times(again.summary) == without_times(result.summary)


def test_accuracy_that_cannot_be_kept_is_no_design(
    fakes: Fakes, settings: Callable[..., ExploreSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    from codesign.search.accuracy import measuring

    monkeypatch.setattr(measuring, "float_accuracy", lambda *given: 1.0)
    with pytest.raises(InfeasibleError) as refused:
        run(settings(keep_accuracy=0.001))
    (reason,) = refused.value.reasons
    assert reason.resource == "accuracy"
    assert reason.need == pytest.approx(99.9)
    assert reason.have < 99.9
    summary = json.loads((settings().out / "summary.json").read_text())
    assert summary["status"] == 3
    assert summary["reasons"][0]["resource"] == "accuracy"


def test_a_budget_that_nothing_fits_is_told_before_anything_is_measured(
    fakes: Fakes, settings: Callable[..., ExploreSettings]
) -> None:
    said: list[str] = []
    with pytest.raises(InfeasibleError):
        explore(settings(budget=Budget(luts=300)), lambda stage, *more: said.append(stage))
    assert "sensitivity" not in said


def test_other_networks_and_data_are_refused_before_any_work(
    settings: Callable[..., ExploreSettings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quantised = write(tmp_path / "integer.onnx", onnx_models.residual())
    assert main(["import", str(quantised), "--out", str(tmp_path / "integer"), "--json"]) == 0
    for path, error, message in (
        (tmp_path / "integer", UserError, "kept as they are.*--lut-budget"),
        (tmp_path / "nowhere", UserError, "is no network folder"),
        (tmp_path, UserError, "is no network folder"),
    ):
        with pytest.raises(error, match=message):
            run(settings(network=str(path)))
    with pytest.raises(DatasetError):
        run(settings(dataset=str(tmp_path / "missing.npz")))
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (60, 1, 9, 9), np.uint8), np.arange(60) % 10
    small = images[:, :, :8, :8]
    for name, x, y in (
        ("shape", images, labels), ("classes", small, labels % 3), ("few", small, labels),
    ):  # fmt: skip
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
        with pytest.raises((DatasetError, ModelError), match=r"match|classes|too few to calibrate"):
            run(settings(dataset=str(tmp_path / f"{name}.npz")))
    assert not settings().out.exists()
    capsys.readouterr()
    command = ["explore", "--lut-budget", "5000", "--network", str(tmp_path / "integer")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "--lut-budget" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": None, "keep_accuracy": 0.01}, "needs the network"),
        ({"keep_accuracy": 0.01, "min_accuracy": 0.9}, "not both"),
        ({"warm_start": ("runs/one",)}, "finetune"),
        ({"epochs": 3}, "finetune"),
        ({"moves": "bits,layers"}, "moves must be of bits, channels, zeros"),
    ],
)
def test_options_that_do_not_go_together(
    settings: Callable[..., ExploreSettings], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        settings(**changes)


def test_workers_leave_the_search_alone(
    fakes: Fakes, settings: Callable[..., ExploreSettings]
) -> None:
    run(settings())
    with pytest.raises(UserError, match="starts from a network"):
        serve(WorkerSettings(str(settings().out / "trials.journal")), lambda *step: None)


def test_a_network_of_ours_gets_other_bits(
    fakes: Fakes, settings: Callable[..., ExploreSettings], tmp_path: Path
) -> None:
    """Batch norms are folded: the float network that is given answers as it did when trained."""
    data = datasets.load("digits")
    layers = (
        Conv2d(8, (3, 3), padding=(1, 1), batch_norm=True, relu=True),
        MaxPool((2, 2), (2, 2)),
        Linear(10),
    )
    graph = sequential("own", (1, 8, 8), *layers)
    wanted = TrainSettings(epochs=6, compile="never", threads=1)
    trained = train(graph, Quantisation(default=QuantSpec(8, 8)), data, wanted)
    trained.save(tmp_path / "own.weights")
    own = float_network(trained)
    real = loading.load(own, trained.quantisation)
    answers = real(torch.from_numpy(data.test.images)).argmax(dim=1).numpy()
    quantised = trained.network(torch.from_numpy(data.test.images)).argmax(dim=1).numpy()
    assert (answers == quantised).mean() > 0.98
    result, _ = run(settings(network=str(tmp_path / "own.weights")))
    assert result.status == 0
    assert result.finished.accuracy["validation"] > trained.validation_accuracy - 0.05
    built = designs.load(settings().out / result.summary["design"])
    assert [layer.spec.op for layer in built.network.layers] == [
        layer.spec.op for layer in graph.layers
    ]
