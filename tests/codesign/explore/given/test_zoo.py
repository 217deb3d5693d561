"""``explore --zoo``: the network is chosen with its changes; what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codesign import design as designs
from codesign.cli.main import main
from codesign.cost.cycles.layers import LayerTable
from codesign.explore import WorkerSettings, building, serve
from codesign.explore import search as searching
from codesign.explore.given import folders
from codesign.explore.given import zoo as zoos
from codesign.explore.given.hot_start import fits
from codesign.explore.settings import ExploreSettings
from codesign.results import Budget, InfeasibleError, UserError
from codesign.search import refining
from codesign.search.accuracy import measuring
from codesign.search.engine import InnerSearch, Problem
from codesign.search.space import given
from codesign.search.space.declaration import load_declaration
from models.data import datasets
from models.errors import DatasetError
from models.graph.layers import Conv2d, LayerSpec, Linear, MaxPool
from models.graph.network import sequential
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.loop import train
from models.training.schedule import TrainSettings
from models.training.trained import TrainedNetwork
from tests.codesign.explore.test_explore import Fakes, fakes, model, run, without_times

__all__ = ["fakes"]

LARGE = (
    Conv2d(8, (3, 3), padding=(1, 1), batch_norm=True, relu=True),
    Conv2d(16, (3, 3), padding=(1, 1), batch_norm=True, relu=True),
    MaxPool((2, 2), (2, 2)),
    Linear(10),
)
SMALL = (Conv2d(4, (3, 3), (2, 2), (1, 1, 1, 1), relu=True), Linear(10))


def trained(path: Path, *layers: LayerSpec, epochs: int = 1, data: str = "digits") -> Path:
    graph = sequential("net", (1, 8, 8), *layers)
    wanted = TrainSettings(epochs=epochs, compile="never", threads=1, batch_size=32)
    bits = Quantisation(default=QuantSpec(8, 8))
    train(graph, bits, datasets.load(data), wanted).save(path)
    return path


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two networks of the digits and a file that is none."""
    folder = tmp_path_factory.mktemp("zoo")
    trained(folder / "large.weights", *LARGE, epochs=4)
    trained(folder / "small.weights", *SMALL)
    (folder / "notes.txt").write_text("trained by hand")
    (folder / ".hidden").write_text("of an editor")
    return folder


@pytest.fixture
def settings(zoo: Path, tmp_path: Path) -> Callable[..., ExploreSettings]:
    base = ExploreSettings(
        budget=Budget(luts=5000), out=tmp_path / "out", zoo=(str(zoo),), networks=3, finish=2,
        finetune=0, images=3, jobs=1, moves="bits",
    )  # fmt: skip
    return lambda **changes: dataclasses.replace(base, **changes)


def test_the_budget_decides_which_network_it_is(
    fakes: Fakes, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both run on an array of any size, but the large one not at this rate."""
    command = ["explore", "--zoo", str(zoo), "--lut-budget", "5000", "--networks", "3"]
    effort = ["--finetune", "0", "--images", "2", "--jobs", "1", "--json"]
    found = {}
    for chosen, more in (("large", []), ("small", ["--min-throughput", "400000"])):
        out = tmp_path / chosen
        assert main([*command, *effort, *more, "--out", str(out)]) == 0
        said = capsys.readouterr()
        found[chosen] = summary = json.loads((out / "summary.json").read_text())
        assert json.loads(said.out)["zoo"] == summary["zoo"]
        assert summary["zoo"]["chosen"] == chosen
        assert all(one["label"].split()[0] in ("large", "small") for one in summary["front"])
        (label,) = [one["label"] for one in summary["front"] if one["chosen"]]
        assert label.startswith(f"{chosen} w")
        left_out = [Path(one["path"]).name for one in summary["zoo"]["left_out"]]
        assert left_out == ["notes.txt", *(["large.weights"] if more else [])]
        for name in left_out:
            assert f"{name} is left out of the zoo: " in said.err
            assert any(name in note for note in summary["notes"])
        design = designs.load(out / summary["design"])
        layers = {"large": LARGE, "small": SMALL}[chosen]
        assert [one.spec.op for one in design.network.layers[1:]] == [one.op for one in layers]
        channels = {"large": [8, 16, 10], "small": [4, 10]}[chosen]
        assert [one["of_channels"] for one in summary["layers"]] == channels
    wide, fast = found["large"], found["small"]
    assert wide["accuracy"]["validation"] > fast["accuracy"]["validation"] + 0.05
    assert "images/s" in fast["zoo"]["left_out"][1]["reason"]
    assert [one["name"] for one in fast["zoo"]["networks"]] == ["small"]
    assert sum(one["trials"] for one in wide["zoo"]["networks"]) == wide["networks_trained"] <= 3


def test_a_resumed_search_ends_with_the_same_design(
    fakes: Fakes, settings: Callable[..., ExploreSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(design: object, wanted: object) -> None:
        raise KeyboardInterrupt

    finetuned = settings(finetune=1, time_limit_s=1000.0)
    with monkeypatch.context() as patched:
        patched.setattr(building, "synthesise", broken)
        with pytest.raises(KeyboardInterrupt):
            run(finetuned)
    measured = [stage for stage, *_ in run(dataclasses.replace(finetuned, resume=True))[1]]
    assert "sensitivity" not in measured  # it is noted in the study
    resumed = json.loads((finetuned.out / "summary.json").read_text())
    again, said = run(finetuned)
    assert {name for stage, _, _, name in said if stage == "sensitivity"} == {"large", "small"}
    assert without_times(resumed) == without_times(json.loads(json.dumps(again.summary)))
    with pytest.raises(UserError, match="starts from a network"):
        serve(WorkerSettings(str(finetuned.out / "trials.journal")), lambda *step: None)


def test_another_zoo_is_another_search(
    fakes: Fakes, zoo: Path, settings: Callable[..., ExploreSettings], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(zoo, copy)
    run(settings(zoo=(str(copy),)))
    trained(copy / "another.weights", *SMALL[1:])
    with pytest.raises(UserError, match="a search with other space"):
        run(settings(zoo=(str(copy),), resume=True))


def test_accuracy_is_kept_of_the_most_accurate_network(
    fakes: Fakes, settings: Callable[..., ExploreSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = run(settings(keep_accuracy=0.05))
    (kept,) = [note for note in result.summary["notes"] if "float network" in note]
    assert "the float network large has" in kept
    assert result.summary["zoo"]["chosen"] == "large"

    def perfect(network: object, zero_point: int, split: object) -> float:
        return 1.0

    monkeypatch.setattr(measuring, "float_accuracy", perfect)
    with pytest.raises(InfeasibleError) as refused:
        run(settings(keep_accuracy=0.001))
    assert [reason.resource for reason in refused.value.reasons] == ["accuracy"]
    summary = json.loads((settings().out / "summary.json").read_text())
    assert summary["status"] == 3
    assert [one["name"] for one in summary["zoo"]["networks"]] == ["large", "small"]
    assert summary["zoo"]["chosen"] is None


def test_where_no_network_fits_the_nearest_design_is_named(
    fakes: Fakes, settings: Callable[..., ExploreSettings]
) -> None:
    warned: list[str] = []
    with pytest.raises(InfeasibleError) as refused:
        run(settings(budget=Budget(luts=300)), warned)
    assert refused.value.details["nearest"]["label"].split()[0] in ("large", "small")
    assert not any("weights is left out" in warning for warning in warned)


def test_networks_that_do_not_go_with_the_data_are_left_out_by_name(
    zoo: Path, settings: Callable[..., ExploreSettings], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(zoo, copy)
    shutil.copy(copy / "small.weights", copy / "twin.weights")
    settings().out.mkdir()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 1, 8, 8), np.uint8)
    np.savez(tmp_path / "twelve.npz", x=images, y=np.arange(400) % 12)
    trained(copy / "twelve.weights", Linear(12), data=str(tmp_path / "twelve.npz"))
    members, left_out = folders.read_all(
        settings(zoo=(str(copy), str(zoo / "small.weights"), str(tmp_path / "out" / ".."))),
        lambda done, total: None,
    )
    assert [one.name for one in members] == ["large", "small"]
    reasons = {(one.name, one.reason.split(",")[0]) for one in left_out}
    assert {name for name, _ in reasons} >= {"notes.txt", "twelve.weights", "twin.weights", "copy"}
    assert not {name for name, _ in reasons} & {"out", ".hidden"}
    by_name = dict(sorted(reasons))
    assert by_name["twelve.weights"] == "layer linear1: has 12 outputs"
    assert "is the same network as" in by_name["small.weights"]
    assert members[0].given.dataset is members[1].given.dataset


def test_no_network_left_is_an_error_with_all_reasons(
    zoo: Path, settings: Callable[..., ExploreSettings], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 1, 9, 9), np.uint8)
    np.savez(tmp_path / "shape.npz", x=images, y=np.arange(400) % 10)
    with pytest.raises(UserError, match="no network can be searched") as refused:
        run(settings(dataset=str(tmp_path / "shape.npz")))
    assert all(name in str(refused.value) for name in ("large.weights", "small.weights", "notes"))
    with pytest.raises(UserError, match="there is no such folder"):
        run(settings(zoo=(str(tmp_path / "nowhere"),)))
    with pytest.raises(DatasetError, match=r"missing\.npz"):
        run(settings(dataset=str(tmp_path / "missing.npz")))
    assert not settings().out.exists()


def test_zoo_and_network_are_not_both_given(
    zoo: Path, settings: Callable[..., ExploreSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="not both"):
        settings(network=str(zoo / "small.weights"))
    with pytest.raises(UserError, match="finetune"):
        settings(epochs=3)
    command = ["explore", "--lut-budget", "5000", "--zoo", str(zoo), "--network", str(zoo)]
    assert main(command) == 2
    assert "not both" in capsys.readouterr().err


def test_networks_of_other_input_levels_keep_their_own(
    fakes: Fakes, zoo: Path, settings: Callable[..., ExploreSettings], tmp_path: Path
) -> None:
    """Padding with 0 needs a level of 0 where the file pads, which is no value of these data."""
    pytest.importorskip("onnx", reason="no onnx")
    from tests.codesign.explore.given.float_networks import digits_onnx

    data = datasets.load("digits")
    parts = (data.train, data.validation, data.test)
    images = np.concatenate([part.images for part in parts]).astype(np.float32) + 16
    labels = np.concatenate([part.labels for part in parts])
    np.savez(tmp_path / "shifted.npz", x=images, y=labels)
    both = tmp_path / "both"
    both.mkdir()
    trained(both / "small.weights", *SMALL, data=str(tmp_path / "shifted.npz"))
    path = digits_onnx(tmp_path / "digits.onnx", offset=16)
    assert main(["import", str(path), "--out", str(both / "wide"), "--json"]) == 0
    wanted = settings(zoo=(str(both),), dataset=str(tmp_path / "shifted.npz"))
    result, _ = run(wanted)
    members, _ = folders.read_all(wanted, lambda done, total: None)
    starts = {one.name: one.given for one in members}
    assert list(starts) == ["small", "wide"]
    assert starts["small"].dataset.input_range != starts["wide"].dataset.input_range
    assert result.summary["zoo"]["chosen"] == "wide"
    assert designs.load(wanted.out / result.summary["design"]).input == starts["wide"].input
    for one in result.candidates:
        own = starts[one.label.split()[0]].dataset
        kept = TrainedNetwork.load(wanted.out / "training" / "short" / f"{one.key}.weights")
        assert kept.evaluate(own.validation) == pytest.approx(one.accuracy)
    accuracy = result.finished.accuracy["validation"]
    assert accuracy == pytest.approx(next(one.accuracy for one in result.candidates if one.chosen))


def test_the_designs_of_each_network_are_those_of_a_search_of_it_alone(
    fakes: Fakes, settings: Callable[..., ExploreSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None drives out those of another network before they are as good as they get."""
    monkeypatch.setattr(zoos, "REFINING", 2000)
    monkeypatch.setattr(refining, "ALIKE", 2000)
    wanted = settings()
    members, left_out = folders.read_all(wanted, lambda done, total: None)
    zoo = zoos.Zoo.of(wanted, members, left_out, lambda *told: None)
    space = zoo.space(given.BITS, load_declaration("digits").npu)
    problem = Problem(space, model(), wanted.budget)

    def score(layers: LayerTable) -> np.ndarray:
        return np.asarray(np.log2(layers.macs.sum(axis=1)) + layers.weight_bits.mean(axis=1))

    searched, problem = zoo.within(problem, wanted)
    inner = InnerSearch(problem, wanted.strategy, wanted.seed)
    pool = searched.refined(inner, score, inner.feasible(), first=True)
    together = {one.tobytes() for one in pool.candidates[pool.feasible]}
    assert inner.evaluations > sum(one.evaluations for one in searched.searches)
    for number, own in enumerate(space.every_space):
        alone = InnerSearch(dataclasses.replace(problem, space=own), wanted.strategy, wanted.seed)
        assert fits(alone)

        def own_score(layers: LayerTable, number: int = number) -> np.ndarray:
            return score(space.placed(layers, number))

        alone.run(own_score, searching.EVALUATIONS[0])
        found = refining.refine(alone, own_score, 2000, wanted.prefer, first=True)
        mine = space.joined(found.candidates[found.feasible], number)
        assert len(mine) > 100
        assert {one.tobytes() for one in mine} <= together
