"""explore from end to end on digits, with synthesis and simulation faked: stages, choice, resume,
budgets missed, folders in the way. The real ones run in `make explore` (CI)."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from codesign import design as designs
from codesign.build import verification
from codesign.build.verification import Verification
from codesign.cli import main
from codesign.cli.verbs.explore import front_table
from codesign.cost.area.model import FAMILY_RATIOS, AreaModel, Calibration
from codesign.cost.table import ConfigTable
from codesign.explore import ExploreResult, ExploreSettings, building, explore, planning, training
from codesign.explore import finish as finishing
from codesign.explore import run as exploring
from codesign.explore import search as searching
from codesign.explore.approach import FromScratch
from codesign.explore.choice import Trained
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.folder import short_weights
from codesign.explore.settings import FORMAT, OLD_FORMATS
from codesign.fpga import devices
from codesign.fpga.synthesis import Synthesis
from codesign.fpga.yosys import YosysError
from codesign.report.collect import from_folder
from codesign.results import OLD_OPTIONS, Budget, Figures, InfeasibleError, UserError
from codesign.search import engine
from codesign.search.accuracy import short_training
from codesign.search.accuracy.short_training import Outcome, ShortTraining
from codesign.search.space.declaration import load_declaration
from codesign.search.storage import StudyPlace
from codesign.search.store import TrialStore
from codesign.search.trials import OBJECTIVES, ONE_BITS
from models.data import datasets
from models.errors import DatasetError, DivergedError
from models.graph.network import NetworkGraph
from models.training import choices
from models.training.choices import TrainingChoices
from models.training.history import Epoch
from rtl_gen import emit
from rtl_gen.parameters import MULTIPLIERS
from sim.tools import verilator
from sim.tools.verilator import ToolMissing
from tests.codesign.cost import synthetic

LUTS = 4000.0
SPACE = """\
network: {stages: [1, 2], convs: [1], channels: [4, 8], kernels: [3], pooling: [max, stride],
          residual: [false], head: [flatten], hidden: [0, 16]}
bits: {input: [4], weights: [2, 4], activations: [2, 4]}
npu: {pixels: [1, 2, 4], lanes: [4, 8, 16], column_words: [1, 2], weight_digit_bits: [1, 2, 4],
      post_units: [1, 4], scale_bits: [8], multiplier: [lut]}
"""


@cache
def model() -> AreaModel:
    """Learned from the analytic counts: no synthesis needed, sizes as in life."""
    return synthetic.model()


class Fakes:
    """Counts what was asked for; ``luts_ratio`` is what synthesis finds over the estimate."""

    def __init__(self) -> None:
        self.luts_ratio = [1.0]
        self.trained: list[str] = []
        self.synthesised = 0
        self.passes = True
        self.rates = [1.0]
        """Share of the estimated rate that simulations find, one after another."""
        self.seconds = 0.5

    def train_one(self, task, dataset, how) -> Outcome:
        assert len(dataset.test) == 0
        self.trained.append(task.key)
        weights = sum(len(layer.name) for layer in task.graph.layers)
        accuracy = 0.9 + 0.001 * (int(task.key, 16) % 50) + 1e-6 * weights
        curve = (Epoch(1.5, 0.5, False, 0.4), Epoch(0.2, accuracy, True, 0.99))
        return Outcome(task.key, accuracy, self.seconds, 100 + int(task.key, 16) % 97, curve)

    def synthesise(self, design, plan) -> Synthesis:
        ratio = self.luts_ratio[min(self.synthesised, len(self.luts_ratio) - 1)]
        self.synthesised += 1
        area = model().estimate(ConfigTable.of([design.npu]))
        found = Figures(luts=round(float(area.luts[0]) * ratio), lutrams=10,
                        ffs=float(area.ffs[0]), brams=float(area.brams[0]), dsps=0)  # fmt: skip
        return Synthesis(found, {}, {}, "xc7", "fake", 1.0, "fake 1", ())

    def verify(self, folder: Path, **options) -> Verification:
        program = json.loads((folder / "program.json").read_text())
        cycles = program["program"]["cycles"] if "program" in program else 1
        rate = self.rates.pop(0) if len(self.rates) > 1 else self.rates[0]
        estimate = json.loads((folder / "reports" / "estimate.json").read_text())
        failure = None if self.passes else "conv1_1, channel 0, row 0, column 0: 3, not 4"
        return Verification(
            figures=Figures(
                cycles_per_image=cycles, images_per_second=rate * estimate["images_per_second"]
            ),
            passed=self.passes, bit_exact=self.passes, images=options["images"], failure=failure,
            mismatch=None, cycles_expected=cycles, cycles_simulated=cycles, layers=(),
            hardware={}, changed_files=(), simulator={"name": "fake"},
        )  # fmt: skip


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    fake = Fakes()
    monkeypatch.setattr(exploring.model_file, "load", model)
    monkeypatch.setattr(short_training, "train_one", fake.train_one)
    monkeypatch.setattr(building, "synthesise", fake.synthesise)
    monkeypatch.setattr(verification, "verify", fake.verify)
    monkeypatch.setattr(emit, "verilog", lambda config: {"npu.v": "module npu; endmodule\n"})
    monkeypatch.setattr(searching, "EVALUATIONS", (1024, 512))
    monkeypatch.setattr(engine, "SAMPLES", 400)
    return fake


def settings(out: Path, **changes: object) -> ExploreSettings:
    space = out.with_name("space.yaml")
    base = ExploreSettings(
        budget=Budget(luts=LUTS), out=out, networks=4, finish=2, epochs=2, images=3, jobs=1,
        space=str(space),
    )  # fmt: skip
    if not out.is_dir():
        space.write_text(SPACE)
    return dataclasses.replace(base, **changes)


def run(
    wanted: ExploreSettings, warned: list[str] | None = None
) -> tuple[ExploreResult, list[tuple[str, float, float, str]]]:
    said: list[tuple[str, float, float, str]] = []
    warnings = [] if warned is None else warned
    result = explore(wanted, lambda *step: said.append(step), warnings.append)
    for stage, done, total, _ in said:
        assert 0 <= done <= total, stage
    return result, said


def without_times(summary: Mapping[str, object]) -> dict[str, object]:
    varying = ("_seconds", "peak_memory_bytes")
    return {k: v for k, v in summary.items() if not k.endswith(varying)}


def test_what_is_guessed_of_the_data_is_said_at_once(fakes: Fakes, tmp_path: Path) -> None:
    known = datasets.load("digits").train
    np.savez(tmp_path / "mine.npz", x=known.images[:300, 0] / 16.0, y=known.labels[:300])
    wanted = settings(tmp_path / "out", dataset=str(tmp_path / "mine.npz"))
    said: list[str] = []
    told = explore(wanted, lambda stage, *_: said.append(stage), said.append).summary["notes"]
    before = said[: said.index("search")]
    guessed = [note for note in told if note in before]
    assert any("split" in note or "drawn" in note for note in guessed), before


def test_the_road_leaves_what_others_script_against(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result, said = run(settings(out))
    assert result.status == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary == result.summary
    assert {"validation", "test"} == set(summary["accuracy"]) == set(summary["scores"])
    for part, share in summary["accuracy"].items():
        assert summary["scores"][part]["share"] == pytest.approx(share, abs=1e-4)
        assert set(summary["scores"][part]) == {"share", "images", "low", "high"}
    assert summary["per_class"].keys() == set(summary["classes"])
    assert summary["simulated"]["bit_exact"] is True
    assert summary["simulated"]["images"] == 3
    assert summary["synthesised"]["luts"] <= LUTS
    assert summary["estimate"]["luts"] == pytest.approx(summary["synthesised"]["luts"], rel=0.01)
    assert summary["seed"] == 0
    assert 50e6 < summary["peak_memory_bytes"] < 50e9
    assert (out / summary["design"]).is_file()
    assert (out / summary["report"]).is_file()
    stages = list(dict.fromkeys(stage for stage, *_ in said))
    assert stages == ["search", "training", "synthesis", "verification"]
    front = json.loads((out / "front.json").read_text())["candidates"]
    assert [c["chosen"] for c in front].count(True) == 1
    records = TrialStore(
        StudyPlace(out / "trials.journal"), json.loads((out / "explore.json").read_text())
    ).records()
    assert [record.key for record in records] == fakes.trained
    assert all(max(record.constraints.values()) <= 0 for record in records)
    chosen = next(c for c in front if c["chosen"])
    assert chosen["trained_fully"]
    assert chosen["accuracy"] == pytest.approx(summary["accuracy"]["validation"], abs=1e-4)
    short = next(record for record in records if record.key == chosen["key"]).values[0]
    fully = {c["key"] for c in front if c["trained_fully"]}
    assert len(fully) == summary["networks_trained_fully"] == 2
    labels = {c["key"]: c["label"].partition(" on ")[0] for c in front}
    assert len(set(labels.values())) == len(labels)
    handles = ("accuracy", "trained_fully", "images_per_second", "luts", "brams")
    assert all(one[name] is not None for one in summary["front"] for name in handles)
    assert {c["label"] for c in front if c["on_front"] or c["chosen"]} == {
        one["label"] for one in summary["front"]
    }
    searched = summary["search"]
    assert searched["strategy"] == ExploreSettings.strategy
    assert 0 < searched["feasible_share"] < 1
    assert 0 < searched["evaluations"] < searched["space_size"]
    curves = json.loads((out / summary["build"] / "reports" / "training.json").read_text())
    assert curves["short"]["epochs"][-1]["accuracy"] == short
    assert [one["training_accuracy"] for one in curves["short"]["epochs"]] == [0.4, 0.99]
    assert len(curves["full"]["epochs"]) >= 2
    assert devices.ASSUMED in summary["notes"]


def test_few_one_bits_as_an_objective(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result, _ = run(settings(out, networks=12, boo=3.0, boo_within=1.0))
    told = json.loads((out / "explore.json").read_text())
    records = TrialStore(
        StudyPlace(out / "trials.journal"), told, {**OBJECTIVES, **ONE_BITS}
    ).records()
    assert all(record.attributes["training"]["boo"] == 3.0 for record in records)
    chosen = next(c for c in result.candidates if c.chosen)
    fully = [c for c in result.candidates if c.trained_fully]
    assert chosen.one_bits == min(c.one_bits for c in fully if c.one_bits is not None)
    # The network with the fewest one-bits is a finalist, however inaccurate.
    fewest = min(records, key=lambda record: record.values[3])
    assert fewest.key in {c.key for c in fully}
    weights = result.summary["one_bits"]
    assert weights["total"] == chosen.one_bits
    assert 0 < weights["per_weight"] < 3
    with pytest.raises(UserError, match="other boo_within"):
        run(settings(out, networks=12, boo=3.0, boo_within=0.5, resume=True))


def test_further_objectives_are_told_everywhere(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result, _ = run(settings(out, objectives=("latency",), prefer="brams"))
    told = json.loads((out / "explore.json").read_text())
    names = {**OBJECTIVES, "latency_us": "minimize", "brams": "minimize"}
    records = TrialStore(StudyPlace(out / "trials.journal"), told, names).records()
    assert len(records) == 4
    front = json.loads((out / "front.json").read_text())["candidates"]
    for one in (*front, *result.summary["front"]):
        assert set(one["objectives"]) == {"latency_us", "brams"}
        assert one["objectives"]["brams"] == one["brams"]
    table = front_table(result.candidates)
    assert "latency us" in table.splitlines()[0]
    assert "block RAMs" in table.splitlines()[0]
    page = (out / result.summary["report"]).read_text()
    assert "accuracy, throughput, LUTs, latency us and block RAMs at once" in page
    assert from_folder(out).candidates == result.candidates
    with pytest.raises(UserError, match="other objectives"):
        run(settings(out, prefer="brams", resume=True))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"objectives": ("power",)}, "objectives must be of throughput, luts, .*not 'power'"),
        ({"objectives": ("ffs", "ffs")}, "objectives must be different"),
        ({"prefer": "luts"}, "prefer must be one of throughput, area, "),
    ],
)
def test_unknown_goals_are_refused(changes: dict[str, object], wrong: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=wrong):
        settings(tmp_path / "out", **changes)


def test_the_same_seed_gives_the_same_design_and_another_another_search(
    fakes: Fakes, tmp_path: Path
) -> None:
    first, _ = run(settings(tmp_path / "a"))
    again, _ = run(settings(tmp_path / "b"))
    run(settings(tmp_path / "c", seed=5))
    assert without_times(first.summary) == without_times(again.summary)
    design = Path(first.summary["design"])
    assert (tmp_path / "a" / design).read_bytes() == (tmp_path / "b" / design).read_bytes()
    fronts = [(tmp_path / name / "front.json").read_bytes() for name in "abc"]
    assert fronts[0] == fronts[1] != fronts[2]


def test_a_design_over_the_budget_is_replaced_by_a_smaller_one(
    fakes: Fakes, tmp_path: Path
) -> None:
    fakes.luts_ratio = [1.25]
    result, _ = run(settings(tmp_path / "out"))
    assert result.status == 0
    over, fits = result.summary["attempts"]
    assert over["luts"] > LUTS >= fits["luts"]
    assert result.finished.problem.area_factor == pytest.approx(1.25, rel=0.01)
    # Both are of the networks that were trained in full before the first synthesis.
    assert result.summary["networks_trained_fully"] == 2
    weights = {path.stem for path in (tmp_path / "out" / "training").glob("*.weights")}
    assert {over["design"], fits["design"]} <= weights
    assert len(weights) == 2


def test_every_second_of_a_run_is_told_by_stage(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(design, plan) -> Synthesis:
        time.sleep(0.5)
        return fakes.synthesise(design, plan)

    monkeypatch.setattr(building, "synthesise", slow)
    summary = run(settings(tmp_path / "out"))[0].summary
    spent = summary["stage_seconds"]
    assert list(spent) == [
        *("preparation", "first_samples", "estimates", "short_training", "training"),
        *("synthesis", "build", "verification", "report", "other"),
    ]
    assert spent["synthesis"] >= 0.4
    assert all(seconds >= 0 for seconds in spent.values())
    assert sum(spent.values()) == pytest.approx(summary["wall_seconds"], abs=0.1 * len(spent))


def test_a_rate_that_simulation_misses_is_refused(fakes: Fakes, tmp_path: Path) -> None:
    """The next best design is taken; if none keeps the floor, status 1 says what was tried."""
    floor = Budget(luts=LUTS, min_throughput=1000.0)
    fakes.rates = [1e-3, 1.0]
    result, _ = run(settings(tmp_path / "out", budget=floor))
    first, second = result.summary["attempts"]
    assert first[building.SIMULATED] < 1000
    assert building.SIMULATED not in second
    assert result.status == 0
    assert result.summary["simulated"]["images_per_second"] >= 1000
    (note,) = [one for one in result.summary["notes"] if "was refused" in one]
    assert "at least 1,000 are asked for" in note
    fakes.rates = [1e-3]
    result, _ = run(settings(tmp_path / "slow", budget=floor))
    assert result.status == 1
    assert "missed after synthesis or simulation" in (result.problem or "")
    assert len(result.summary["attempts"]) == finishing.MAX_ATTEMPTS


def test_a_budget_that_no_attempt_meets_is_status_1(fakes: Fakes, tmp_path: Path) -> None:
    fakes.luts_ratio = [1.3, 1.7, 2.2, 3.0]
    result, _ = run(settings(tmp_path / "out"))
    assert result.status == 1
    assert result.problem is not None
    assert "missed after synthesis" in result.problem
    assert result.summary["build"] is None
    assert len(result.summary["attempts"]) == finishing.MAX_ATTEMPTS


def test_a_time_limit_cuts_trainings_short_and_resume_keeps_the_cut(
    fakes: Fakes, tmp_path: Path
) -> None:
    wanted = settings(tmp_path / "out", networks=12, epochs=None, time_limit_s=1e-9)
    result, said = run(wanted)
    assert result.summary["networks_trained"] == 1
    epochs = {total for stage, _, total, _ in said if stage == "training"}
    assert epochs == {planning.LEAST_EPOCHS}
    again, _ = run(dataclasses.replace(wanted, resume=True))
    assert without_times(again.summary) == without_times(result.summary)


def test_a_time_limit_takes_networks_before_it_takes_epochs(fakes: Fakes, tmp_path: Path) -> None:
    """The fake short trainings take .5 s for 14 epochs, so a full one of 2 epochs takes .07 s."""
    out = tmp_path / "out"
    wanted = FinishSettings(
        settings(out), datasets.load("digits"), ShortTraining(14, 1222, 216, seed=0), None
    )
    design = designs.load(out / run(settings(out))[0].summary["design"])
    short = Trained(np.zeros(1, dtype=np.int64), 0.9, seconds=0.5, one_bits=1)
    each_s = 0.5 / 14 * 2
    cases = ((None, 4, 0), (60 * each_s, 4, 0), (6 * each_s, 4, 0), (3 * each_s, 2, 1),
             (each_s, 1, 1))  # fmt: skip
    for left_s, networks, notes in cases:
        limited = dataclasses.replace(wanted, time_left_s=left_s)
        plan = planning.plan([(design, short)] * 4, limited)
        assert (plan.networks, plan.epochs, len(plan.notes)) == (networks, 2, notes), left_s
        if left_s:
            (out / "training" / planning.PLAN).unlink()
    limited = dataclasses.replace(wanted, time_left_s=each_s)
    for damaged in ("{", '{"networks": 0, "epochs": 2, "notes": []}', "[]"):
        (out / "training" / planning.PLAN).write_text(damaged)
        with pytest.raises(UserError, match=planning.PLAN):
            planning.plan([(design, short)] * 4, limited)


def test_time_that_is_left_goes_into_epochs(fakes: Fakes, tmp_path: Path) -> None:
    """Up to MOST_TIMES the epochs of a search without a limit, unless their number is given."""
    out = tmp_path / "out"
    wanted = FinishSettings(
        settings(out, epochs=None), datasets.load("digits"), ShortTraining(1, 1222, 216, seed=0), 1
    )
    design = designs.load(out / run(settings(out))[0].summary["design"])
    short = Trained(np.zeros(1, dtype=np.int64), 0.9, seconds=1.0, one_bits=1)
    usual = planning.plan([(design, short)], dataclasses.replace(wanted, time_left_s=None))
    assert usual.epochs is None
    for left_s, epochs in ((1e3, 350), (1e9, 100 * planning.MOST_TIMES)):
        plan = planning.plan([(design, short)] * 2, dataclasses.replace(wanted, time_left_s=left_s))
        assert (plan.networks, plan.epochs) == (2, epochs)
        assert plan.notes == (f"the time limit had room for {epochs} epochs of full training "
                              "instead of 100",)  # fmt: skip
        (out / "training" / planning.PLAN).unlink()


def test_in_little_time_few_networks_of_large_images_have_enough_epochs(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits that count as large images: five times the usual epochs come first.

    One network alone has both processors, so that its epochs take 0.7 times as long.
    """
    monkeypatch.setattr(choices, "_SMALL_MAP", 0)
    out = tmp_path / "out"
    usual_epochs = round(choices._LARGE.images_seen / 1222)
    monkeypatch.setattr(choices, "EPOCHS", (12, usual_epochs))
    wanted = FinishSettings(
        settings(out, epochs=None), datasets.load("digits"), ShortTraining(1, 1222, 216, seed=0), 1
    )
    design = designs.load(out / run(settings(out))[0].summary["design"])
    short = Trained(np.zeros(1, dtype=np.int64), 0.9, seconds=1.0, one_bits=1)
    cases = ((9.9, 2, 1, 8.0), (10.1, 2, 2, 5.05), (4.9, 2, 1, 7.0), (0.7, 2, 1, 1.0),
             (0.7, 1, 1, 0.7))  # fmt: skip
    for left, processors, networks, epochs in cases:
        monkeypatch.setattr(planning.os, "sched_getaffinity", lambda _, n=processors: range(n))
        left_s = left * usual_epochs / planning.TRAINING_SHARE
        monkeypatch.setattr(planning, "RESERVE_S", left_s)
        limited = dataclasses.replace(wanted, time_left_s=left_s)
        plan = planning.plan([(design, short)] * 2, limited)
        assert (plan.networks, plan.epochs) == (networks, int(epochs * usual_epochs + 1e-6)), left
        (out / "training" / planning.PLAN).unlink()


def test_images_recognised_as_a_known_set_learn_from_its_networks(tmp_path: Path) -> None:
    found = datasets.load("digits")
    for known_as, name in (("cifar10", "cifar10"), (None, "digits")):
        dataset = dataclasses.replace(found, known_as=known_as)
        approach, _ = exploring._approach(settings(tmp_path / "out"), dataset, None, print)
        assert isinstance(approach, FromScratch)
        assert approach.name == name


def test_networks_that_the_plan_cut_are_trained_if_there_is_time_after_all(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short trainings that say too little of the pace leave one network; then all have time."""
    monkeypatch.setattr(planning, "RESERVE_S", 1e9)
    monkeypatch.setattr(planning, "TRAINING_SHARE", 1e-9)
    rooms = iter([True, False])
    asked: list[float] = []

    def has_room(took_s: float, seconds: list[float], another_s: float, left_s: float) -> bool:
        asked.append(left_s)
        return next(rooms)

    monkeypatch.setattr(planning, "has_room", has_room)
    wanted = settings(tmp_path / "out", finish=3, time_limit_s=3600.0)
    found = run(wanted)[0].summary
    assert found["networks_trained_fully"] == 2
    assert planning.cut_note(2, 3) in found["notes"]
    assert planning.cut_note(1, 3) not in found["notes"]
    assert asked[0] > asked[1] > 0
    assert len([*(tmp_path / "out" / "training").glob("*.weights")]) == 2


def test_room_for_another_training_is_judged_by_those_done() -> None:
    """Of 1000 s left 700 s are for training, of 10,000 s all but 900 s."""
    assert planning.has_room(350.0, [1.0, 2.0], 4.0, 1000.0)
    assert not planning.has_room(351.0, [1.0, 2.0], 4.0, 1000.0)
    assert planning.has_room(9100.0, [1.0], 1.0, 10_000.0)
    assert not planning.has_room(9101.0, [1.0], 1.0, 10_000.0)


def test_long_trainings_of_large_images_change_them_more_and_record_it(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits that count as large images, and two epochs as many; a user's choice stays."""
    monkeypatch.setattr(choices, "_SMALL_MAP", 0)
    monkeypatch.setattr(choices, "LONG_IMAGES", 2 * 1222)
    chosen = TrainingChoices(augment="shift", cutout=1, bfloat16=False)
    wanted = settings(tmp_path / "out", training=chosen)
    result, _ = run(wanted)
    design = designs.load(wanted.out / result.summary["design"])
    assert design.training == TrainingChoices(
        augment="shift", shift_rows=1, shift_columns=1, cutout=1,
        weight_decay=0.02, label_smoothing=0.1, bfloat16=False,
    )  # fmt: skip
    (said,) = [note for note in result.summary["notes"] if "2 epochs are many" in note]
    assert "shifted by up to 1 rows" in said
    monkeypatch.setattr(choices, "LONG_IMAGES", 2 * 1222 + 1)
    result, _ = run(dataclasses.replace(wanted, out=tmp_path / "short"))
    assert not any("are many" in note for note in result.summary["notes"])


def test_trials_use_the_time_that_there_is(fakes: Fakes, tmp_path: Path) -> None:
    """One fake training of 500 s is timed; then all see as many more images, resumed or not."""
    fakes.seconds = 500.0
    out, each_s = tmp_path / "out", fakes.seconds
    wanted = settings(out, time_limit_s=4 * 3.5 * each_s / searching.TIME_SHARE)
    result, _ = run(wanted)
    assert len(fakes.trained) == 1 + result.summary["networks_trained"]
    store = TrialStore(wanted.place, json.loads((out / "explore.json").read_text()))
    assert store.noted("effort") == 3
    hows = {json.dumps(record.attributes["training"]) for record in store.records()}
    assert [json.loads(how)["epochs"] for how in hows] == [13 * 3]
    assert any("about 3 times as long" in note for note in result.summary["notes"])
    again, _ = run(dataclasses.replace(wanted, resume=True, time_limit_s=None))
    assert without_times(again.summary) == without_times(result.summary)
    store.note("effort", 99)
    with pytest.raises(UserError, match=r"effort must be 1\.\.32, not 99"):
        run(dataclasses.replace(wanted, resume=True))


def test_a_short_timed_training_is_timed_again(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one takes half as long: torch prepared what it needs in the first."""
    took = iter((10.0, 5.0, *(7.0,) * 99))
    train_one = fakes.train_one

    def timed(task, dataset, how) -> Outcome:
        return dataclasses.replace(train_one(task, dataset, how), seconds=next(took))

    monkeypatch.setattr(short_training, "train_one", timed)
    wanted = settings(tmp_path / "out", time_limit_s=4 * 20.5 * 5.0 / searching.TIME_SHARE)
    result, _ = run(wanted)
    assert len(fakes.trained) == 2 + result.summary["networks_trained"]
    store = TrialStore(wanted.place, json.loads((wanted.out / "explore.json").read_text()))
    assert store.noted("effort") == 20


def test_finalists_are_trained_in_parallel_and_without_the_test_images(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same networks, weights and choice with two processes as with one."""
    one, _ = run(settings(tmp_path / "one"))
    both, said = run(settings(tmp_path / "both", jobs=2))
    assert both.summary["networks_trained_fully"] == 2
    for name in ("design", "accuracy", "front", "search", "attempts"):
        assert one.summary[name] == both.summary[name], name
    assert {total for stage, _, total, _ in said if stage == "training"} >= {2 + 2}
    seen: list[int] = []
    train_design = training.pipeline.train_design

    def watched(design, dataset, *arguments, **options):
        seen.append(len(dataset.test))
        return train_design(design, dataset, *arguments, **options)

    monkeypatch.setattr(training.pipeline, "train_design", watched)
    run(settings(tmp_path / "again"))
    assert seen == [0, 0]


def test_the_kept_short_network_is_delivered_where_the_full_training_ends_below(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    result, _ = run(settings(out, networks=1, finish=1))
    design, data = designs.load(out / result.summary["design"]), datasets.load("digits")
    how = ShortTraining(12, len(data.train), len(data.validation), seed=0)
    graph = NetworkGraph("net-of-the-search", design.network.layers)
    task = short_training.TrainingTask("key", graph, design.quantisation, design.npu.scale_bits)
    kept, _ = short_training.trained_network(task, how.subset(data), how)
    (out / "training" / "short").mkdir(parents=True, exist_ok=True)
    kept.save(short_weights(out, "key"))
    wanted = FinishSettings(settings(out), data, how, None)
    training.weights_file(design, wanted).unlink()
    monkeypatch.setattr(training, "trained_network", None)  # it is not trained again
    short = Trained(np.zeros(1, dtype=np.int64), kept.validation_accuracy, 0.5, one_bits=1)
    full = training.FullTraining("key", design, short, epochs=2, threads=1)
    _, found = training.train(full, lambda told: None, wanted)
    assert found.accuracy == kept.validation_accuracy
    assert "the short training's network is delivered" in training.notes(design, wanted)[0]
    training.pipeline.lower_design(design, training.load(design, wanted))

    def diverges(*_: object, **options: object) -> None:
        raise DivergedError("epoch 2 of 2: the loss is nan")

    training.weights_file(design, wanted).unlink()
    monkeypatch.setattr(training.pipeline, "train_design", diverges)
    _, found = training.train(full, lambda told: None, wanted)
    assert found.accuracy == kept.validation_accuracy
    (note,) = training.notes(design, wanted)
    assert note.startswith("the full training diverged (epoch 2 of 2: the loss is nan): the short")
    (out / "training" / f"{design.name}.json").write_text('{"notes": 1}')
    with pytest.raises(UserError, match="notes"):
        training.notes(design, wanted)


def test_an_accuracy_that_no_network_has_is_a_note(fakes: Fakes, tmp_path: Path) -> None:
    result, _ = run(settings(tmp_path / "out", min_accuracy=1.0))
    assert result.status == 0
    fully = [c.accuracy for c in result.candidates if c.trained_fully]
    (note,) = (note for note in result.summary["notes"] if "asked for" in note)
    assert "100 % that is asked for" in note
    assert note.endswith(f"with {100 * max(fully):.2f} %")
    assert next(c.accuracy for c in result.candidates if c.chosen) == max(fully)
    easy, _ = run(settings(tmp_path / "easy", min_accuracy=0.1))
    assert not any("asked for" in note for note in easy.summary["notes"])


def test_a_time_limit_holds_for_epochs_that_were_asked_for(fakes: Fakes, tmp_path: Path) -> None:
    _, said = run(settings(tmp_path / "out", epochs=50, time_limit_s=1e-9))
    epochs = {total for stage, _, total, _ in said if stage == "training"}
    assert epochs == {planning.LEAST_EPOCHS}


def test_another_family_is_searched_in_its_own_luts(fakes: Fakes, tmp_path: Path) -> None:
    """2.22 LUT sites of an ECP5 a LUT: what fits 4,000 of them is smaller."""
    found = {}
    for name in ("xc7s50", "lfe5u-85f"):
        wanted = settings(tmp_path / name, device=devices.get(name))
        result, _ = run(wanted)
        design = designs.load(tmp_path / name / result.summary["design"])
        luts = float(model().estimate(ConfigTable.of([design.npu])).luts[0])
        found[name] = result.summary["estimate"]["luts"], luts
    assert found["xc7s50"][0] == pytest.approx(found["xc7s50"][1], rel=0.01)
    estimated, reference = found["lfe5u-85f"]
    assert estimated == pytest.approx(FAMILY_RATIOS["ecp5"]["luts"][1] * reference, rel=0.01)
    assert reference * FAMILY_RATIOS["ecp5"]["luts"][2] <= LUTS


def test_one_job_trains_and_synthesises_one_after_the_other(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_before: list[bool] = []

    def synthesise(design, plan) -> Synthesis:
        trained_before.append(any(plan.training.glob("*.weights")))
        return fakes.synthesise(design, plan)

    monkeypatch.setattr(building, "synthesise", synthesise)
    run(settings(tmp_path / "out", jobs=1))
    assert trained_before == [True]
    run(settings(tmp_path / "out", jobs=2, networks=1))
    assert trained_before == [True, False]


def test_a_mismatch_is_status_1_and_names_the_place(fakes: Fakes, tmp_path: Path) -> None:
    fakes.passes = False
    result, _ = run(settings(tmp_path / "out"))
    assert result.status == 1
    assert "conv1_1, channel 0" in str(result.problem)
    assert result.summary["simulated"]["bit_exact"] is False


def test_nothing_feasible_has_reasons(fakes: Fakes, tmp_path: Path) -> None:
    with pytest.raises(InfeasibleError) as caught:
        explore(settings(tmp_path / "out", budget=Budget(luts=200)), lambda *step: None)
    assert any(reason.resource == "luts" for reason in caught.value.reasons)
    assert fakes.trained == []
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["status"], summary["design"], summary["synthesised"]) == (3, None, {})
    assert "luts" in {reason["resource"] for reason in summary["reasons"]}
    assert summary["reasons"][0]["levers"] == list(caught.value.reasons[0].levers)


def test_a_tool_that_fails_is_in_the_summary(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, _ = run(settings(tmp_path / "good"))

    def fail(design, plan) -> Synthesis:
        raise YosysError("yosys ended with status 1")

    monkeypatch.setattr(building, "synthesise", fail)
    with pytest.raises(YosysError):
        run(settings(tmp_path / "out"))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["status"], summary["problem"]) == (1, "yosys ended with status 1")
    assert set(summary) >= set(good.summary) - {
        *("networks_trained", "networks_trained_fully", "attempts", "stage_seconds")
    }


def test_missing_tools_are_told_before_any_work(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_verilator() -> None:
        raise ToolMissing("simulation needs verilator")

    def no_yosys() -> None:
        raise UserError("no Yosys found")

    monkeypatch.setattr(exploring.pipeline.datasets, "load", None)
    with monkeypatch.context() as patch:
        patch.setattr(verilator, "find", no_verilator)
        with pytest.raises(UserError, match="simulation needs verilator"):
            run(settings(tmp_path / "out"))
    monkeypatch.setattr(exploring.yosys, "find", no_yosys)
    with pytest.raises(UserError, match="no Yosys found"):
        run(settings(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_reading_images_is_shown(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = exploring.pipeline.datasets.load

    def slow(name, data_dir, seed, progress, **options):
        progress(500, 1000)
        return load(name, data_dir, seed, **options)

    monkeypatch.setattr(exploring.pipeline.datasets, "load", slow)
    _, said = run(settings(tmp_path / "out"))
    assert said[0] == ("reading images", 500, 1000, "")


def test_resume_trains_nothing_twice(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(settings(tmp_path / "whole"))
    every = list(fakes.trained)
    train_one = fakes.train_one
    fakes.trained.clear()

    def killed(task, dataset, how) -> Outcome:
        if len(fakes.trained) == 2:
            raise KeyboardInterrupt
        return train_one(task, dataset, how)

    out = tmp_path / "broken"
    monkeypatch.setattr(short_training, "train_one", killed)
    with pytest.raises(KeyboardInterrupt):
        run(settings(out))
    monkeypatch.setattr(short_training, "train_one", train_one)
    result, _ = run(settings(out, resume=True))
    assert fakes.trained == every
    assert without_times(result.summary) == without_times(whole.summary)
    weights = next((out / "training").glob("*.weights")).stat().st_mtime_ns
    run(settings(out, resume=True))
    assert fakes.trained == every
    assert next((out / "training").glob("*.weights")).stat().st_mtime_ns == weights


def test_every_setting_that_decides_the_result_is_in_explore_json(tmp_path: Path) -> None:
    """A setting that is added must be told apart: it decides the result, or it does not."""
    wanted = settings(tmp_path / "out", finish=ExploreSettings.finish)
    space = dataclasses.asdict(load_declaration("digits"))
    identity = wanted.identity(space, datasets.load("digits"))
    fields = {field.name for field in dataclasses.fields(ExploreSettings)}
    places = {
        "out",
        "data_dir",
        "area_model",
        "warm_start",
        "network",
        "zoo",
        "teacher",
    }  # files count by their content
    # Written where they are not the default.
    later = {"training", "layout", "resize", "prefix", "finish", "prefer", "objectives", "folds",
             "min_accuracy", "finetune", "keep_accuracy", "moves"}  # fmt: skip
    assert fields - identity.keys() == {
        *places, "storage", "study", "jobs", "resume", "replace", "time_limit_s", "notes", *later
    }  # fmt: skip
    assert list(identity) == [
        *("format", "dataset", "strategy", "area_confidence", "seed", "networks", "epochs"),
        *("boo", "images", "budget", "boo_within", "device", "data_sha256"),
        *("area_model_sha256", "space"),
    ]
    chosen = dataclasses.replace(wanted, finish=3, prefer="knee", min_accuracy=0.9)
    assert {"finish", "prefer", "min_accuracy"} <= chosen.identity(
        space, datasets.load("digits")
    ).keys()
    hot = dataclasses.replace(wanted, epochs=None, network="net", finetune=1, keep_accuracy=0.01)
    assert {"finetune", "keep_accuracy"} <= hot.identity(space, datasets.load("digits")).keys()


def test_resume_refuses_other_settings_and_starting_afresh_takes_them(
    fakes: Fakes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(settings(out))
    with pytest.raises(UserError, match="a search with other seed"):
        run(settings(out, seed=1, resume=True))
    result, _ = run(settings(out, seed=1))
    assert result.summary["seed"] == 1


def with_old_names(value: object, mark: str) -> object:
    """A JSON value with an old format mark and the option names of the releases before."""
    if isinstance(value, list):
        return [with_old_names(one, mark) for one in value]
    if not isinstance(value, dict):
        return value
    old = {new: name for name, new in OLD_OPTIONS.items()}
    named = {old.get(name, name): with_old_names(one, mark) for name, one in value.items()}
    return {**named, "format": mark} if named.get("format") == FORMAT else named


@pytest.mark.parametrize("mark", OLD_FORMATS)
def test_a_search_of_an_older_release_goes_on_with_its_trials(
    fakes: Fakes, tmp_path: Path, mark: str
) -> None:
    out = tmp_path / "out"
    whole, _ = run(settings(out))
    every = list(fakes.trained)
    for name in ("explore.json", "trials.journal"):
        lines = (out / name).read_text()
        texts = [lines] if name.endswith(".json") else lines.splitlines()
        changed = [json.dumps(with_old_names(json.loads(text), mark)) for text in texts]
        (out / name).write_text("\n".join(changed) + "\n")
        assert mark in "".join(changed)
    result, _ = run(settings(out, resume=True))
    assert fakes.trained == every
    assert without_times(result.summary) == without_times(whole.summary)


def npz(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    np.savez(path, x=random.integers(0, 256, (90, 8, 8), dtype=np.uint8), y=np.arange(90) % 3)


def test_a_design_found_on_own_data_can_be_built_again(fakes: Fakes, tmp_path: Path) -> None:
    data = tmp_path / "toy.npz"
    npz(data, 0)
    out = tmp_path / "out"
    result, _ = run(settings(out, dataset=str(data)))
    design = out / result.summary["design"]
    weights = out / "training" / f"{design.parent.name}.weights"  # of two full trainings
    command = ["build", str(design), "--weights", str(weights)]
    assert main([*command, "--out", str(tmp_path / "again")]) == 0


def test_resume_refuses_other_data(fakes: Fakes, tmp_path: Path) -> None:
    data = tmp_path / "toy.npz"
    npz(data, 0)
    wanted = settings(tmp_path / "out", dataset=str(data))
    run(wanted)
    npz(data, 1)
    with pytest.raises(UserError, match="a search with other data_sha256"):
        run(dataclasses.replace(wanted, resume=True))


def test_what_may_not_be_meant_is_told(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    warned: list[str] = []
    run(settings(out, resume=True), warned)
    run(settings(out, resume=True), warned)
    run(settings(out), warned)
    of_folder = [text for text in warned if str(out) in text]
    assert of_folder[0] == f"{out} holds no search to resume: this one starts from the beginning"
    assert f"{out} held a search, which this one replaces" in of_folder[1]
    assert len(of_folder) == 2


def everything(folder: Path) -> dict[str, bytes | None]:
    """Path below the folder -> content, None for folders."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"budget": Budget(luts=200)}, InfeasibleError),
        ({"budget": Budget(luts=LUTS, min_throughput=1e9)}, InfeasibleError),
        ({"space": "galaxies"}, UserError),
        ({"dataset": "missing.npz"}, DatasetError),
        ({"seed": 1, "resume": True}, UserError),
    ],
)
def test_a_run_that_finds_nothing_leaves_the_search_before_it(
    fakes: Fakes, tmp_path: Path, changes: dict[str, object], error: type[Exception]
) -> None:
    out = tmp_path / "out"
    first, _ = run(settings(out))
    before = everything(out)
    warned: list[str] = []
    with pytest.raises(error):
        run(settings(out, **changes), warned)
    assert everything(out) == before
    assert not any("replaces" in text for text in warned)
    assert (f"{out} keeps the search that it holds" in warned) is (error is InfeasibleError)
    again, _ = run(settings(out, resume=True))
    assert without_times(again.summary) == without_times(first.summary)


def test_a_search_without_trials_is_replaced_by_one_without(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for luts in (200, 300):
        with pytest.raises(InfeasibleError):
            run(settings(out, budget=Budget(luts=luts)))
        assert json.loads((out / "summary.json").read_text())["budget"]["luts"] == luts
    result, _ = run(settings(out))
    assert result.status == 0
    assert not list(out.glob(".*"))


def test_a_journal_of_another_seed_is_never_continued(fakes: Fakes, tmp_path: Path) -> None:
    """Trials are named by their network alone; the seed is in the journal's identity."""
    out = tmp_path / "out"
    run(settings(out))
    run(settings(tmp_path / "other", seed=1))
    shutil.copyfile(tmp_path / "other" / "trials.journal", out / "trials.journal")
    before = everything(out)
    with pytest.raises(UserError, match="holds trials of a search with other seed"):
        run(settings(out, resume=True))
    assert everything(out) == before


def test_a_marker_of_another_tool_is_none(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = settings(out)
    (out / "build").mkdir(parents=True)
    (out / "build" / "thesis.txt").write_text("years of work")
    for content in ("{}", "[]", '{"format": 1}', "{half"):
        (out / "explore.json").write_text(content)
        for resume in (False, True):
            with pytest.raises(UserError, match="holds something else"):
                run(dataclasses.replace(wanted, resume=resume))
    assert (out / "build" / "thesis.txt").is_file()


def test_a_kill_while_the_marker_is_written_locks_nothing(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = settings(out)
    out.mkdir()
    (out / ".explore.json.4194999-0a1b2c3d.tmp").write_text("{half")
    result, _ = run(wanted)
    assert result.status == 0
    assert list(out.glob(".*")) == []


def test_a_folder_with_something_else_is_left_alone(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = settings(out)
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds something else"):
        run(wanted)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="holds something else"):
        run(settings(tmp_path / "file"))


def test_the_test_split_decides_nothing(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = exploring.pipeline.datasets.load

    def other_test(*arguments, **options):
        dataset = load(*arguments, **options)
        test = dataset.test
        random = np.random.default_rng(0)
        images = random.integers(0, 255, test.images.shape, dtype=np.uint8)
        return dataclasses.replace(dataset, test=type(test)(images, test.labels[::-1].copy()))

    first, _ = run(settings(tmp_path / "a"))
    monkeypatch.setattr(exploring.pipeline.datasets, "load", other_test)
    second, _ = run(settings(tmp_path / "b"))
    assert first.summary["accuracy"]["test"] != second.summary["accuracy"]["test"]
    for name in ("design", "estimate", "synthesised", "attempts"):
        assert first.summary[name] == second.summary[name], name
    validation = "validation"
    assert first.summary["accuracy"][validation] == second.summary["accuracy"][validation]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "annealing"}, "strategy must be one of random, evolution"),
        ({"networks": 0}, "networks must be >= 1, not 0"),
        ({"space": "galaxies"}, "one of digits, images, .*not 'galaxies'"),
    ],
)
def test_bad_settings_are_named(
    fakes: Fakes, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(settings(tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("dsps", "all_forms"), [(0, False), (100, True), (None, True)])
def test_a_budget_of_dsps_adds_their_forms_to_a_shipped_space(
    tmp_path: Path, dsps: float | None, all_forms: bool
) -> None:
    wanted = ExploreSettings(budget=Budget(luts=LUTS, dsps=dsps), out=tmp_path)
    declaration = exploring._declaration(wanted, datasets.load("digits"))
    assert (declaration.npu.multiplier == MULTIPLIERS) is all_forms
    assert declaration.npu.lanes == load_declaration("digits").npu.lanes


def test_after_synthesis_the_budget_is_of_the_users_flow() -> None:
    found = Synthesis(Figures(luts=30000, ffs=100, brams=1, dsps=0), {}, {}, "xc7", "", 1.0, "", ())
    budget = Budget(luts=20000, ffs=100)
    for factor, over in ((1.0, ["luts"]), (0.6, []), (0.7, ["luts"])):
        flow = {"luts": Calibration(factor, 0.05, 4)}
        areas = dataclasses.replace(model(), flow=flow)
        assert building.over_budget(found, budget, areas) == over
