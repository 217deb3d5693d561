"""explore from end to end on digits, with synthesis and simulation faked: stages, choice, resume,
budgets missed, folders in the way. The real ones run in `make explore` (CI)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from codesign import explore as exploring
from codesign import explore_finish, explore_search, verify
from codesign.cost import features, sampling
from codesign.cost.area import AreaModel
from codesign.cost.dataset import Row
from codesign.cost.table import ConfigTable
from codesign.explore import ExploreResult, ExploreSettings, explore
from codesign.results import Budget, Figures, InfeasibleError, UserError
from codesign.search import engine, short_training
from codesign.search.short_training import Outcome
from codesign.search.store import TrialStore
from codesign.synth import Synthesis
from codesign.verify import Verification
from rtl_gen import emit

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
    configs = sampling.sample(40, 40000.0, seed=2)
    table = ConfigTable.of(configs)
    luts, memory = features.analytic_luts(table), features.memory_counts(table)
    return AreaModel(
        [
            Row(config, luts[i], memory.lutrams[i] + 50.0, luts[i], memory.brams[i], 0.0, "", "",
                "", 1.0)
            for i, config in enumerate(configs)
        ]
    )  # fmt: skip


class Fakes:
    """Counts what was asked for; ``luts_ratio`` is what synthesis finds over the estimate."""

    def __init__(self) -> None:
        self.luts_ratio = [1.0]
        self.trained: list[str] = []
        self.synthesised = 0
        self.passes = True

    def train_one(self, task, dataset, how) -> Outcome:
        assert len(dataset.test) == 0
        self.trained.append(task.key)
        weights = sum(len(layer.name) for layer in task.graph.layers)
        return Outcome(task.key, 0.9 + 0.001 * (int(task.key, 16) % 50) + 1e-6 * weights, 0.5)

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
        failure = None if self.passes else "conv1_1, channel 0, row 0, column 0: 3, not 4"
        return Verification(
            figures=Figures(cycles_per_image=cycles, images_per_second=1e8 / cycles),
            passed=self.passes, bit_exact=self.passes, images=options["images"], failure=failure,
            mismatch=None, cycles_expected=cycles, cycles_simulated=cycles, layers=(),
            hardware={}, changed_files=(), simulator={"name": "fake"},
        )  # fmt: skip


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    fake = Fakes()
    monkeypatch.setattr(exploring.AreaModel, "load", classmethod(lambda cls: model()))
    monkeypatch.setattr(short_training, "train_one", fake.train_one)
    monkeypatch.setattr(explore_finish, "_synthesise", fake.synthesise)
    monkeypatch.setattr(verify, "verify", fake.verify)
    monkeypatch.setattr(emit, "verilog", lambda config: {"npu.v": "module npu; endmodule\n"})
    monkeypatch.setattr(explore_search, "ROUNDS", (4, 2))
    monkeypatch.setattr(engine, "SHRINK_SAMPLES", 400)
    return fake


def settings(out: Path, **changes: object) -> ExploreSettings:
    space = out.with_name("space.yaml")
    base = ExploreSettings(
        budget=Budget(luts=LUTS), out=out, networks=4, epochs=2, images=3, jobs=1, space=str(space)
    )
    if not out.is_dir():
        space.write_text(SPACE)
    return dataclasses.replace(base, **changes)


def run(wanted: ExploreSettings) -> tuple[ExploreResult, list[tuple[str, float, float, str]]]:
    said: list[tuple[str, float, float, str]] = []
    result = explore(wanted, lambda *step: said.append(step))
    for stage, done, total, _ in said:
        assert 0 <= done <= total, stage
    return result, said


def without_times(summary: Mapping[str, object]) -> dict[str, object]:
    return {k: v for k, v in summary.items() if not k.endswith("_seconds")}


def test_the_road_leaves_what_others_script_against(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result, said = run(settings(out))
    assert result.status == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary == result.summary
    assert {"validation", "test"} == set(summary["accuracy"])
    assert summary["simulated"]["bit_exact"] is True
    assert summary["simulated"]["images"] == 3
    assert summary["synthesised"]["luts"] <= LUTS
    assert summary["estimate"]["luts"] == pytest.approx(summary["synthesised"]["luts"], rel=0.01)
    assert summary["seed"] == 0
    assert (out / summary["design"]).is_file()
    assert (out / summary["report"]).is_file()
    stages = list(dict.fromkeys(stage for stage, *_ in said))
    assert stages == ["search", "training", "synthesis", "verification"]
    front = json.loads((out / "front.json").read_text())["candidates"]
    assert [c["chosen"] for c in front].count(True) == 1
    records = TrialStore(
        out / "trials.journal", json.loads((out / "explore.json").read_text())
    ).records()
    assert [record.key for record in records] == fakes.trained
    assert all(max(record.constraints.values()) <= 0 for record in records)
    best = max(record.values[0] for record in records)
    chosen = next(c for c in front if c["chosen"])
    assert chosen["accuracy"] == best


def test_the_same_seed_gives_the_same_design_and_another_another(
    fakes: Fakes, tmp_path: Path
) -> None:
    first, _ = run(settings(tmp_path / "a"))
    again, _ = run(settings(tmp_path / "b"))
    other, _ = run(settings(tmp_path / "c", seed=5))
    assert without_times(first.summary) == without_times(again.summary)
    design = Path(first.summary["design"])
    assert (tmp_path / "a" / design).read_bytes() == (tmp_path / "b" / design).read_bytes()
    assert other.summary["design"] != first.summary["design"]


def test_a_design_over_the_budget_is_replaced_by_a_smaller_one(
    fakes: Fakes, tmp_path: Path
) -> None:
    fakes.luts_ratio = [1.25]
    result, _ = run(settings(tmp_path / "out"))
    assert result.status == 0
    over, fits = result.summary["attempts"]
    assert over["luts"] > LUTS >= fits["luts"]
    assert result.finished.problem.area_factor == pytest.approx(1.25, rel=0.01)
    # The network, and so its training, stays.
    assert over["design"] == fits["design"]
    assert len(list((tmp_path / "out" / "training").glob("*.weights"))) == 1


def test_a_budget_that_no_attempt_meets_is_status_1(fakes: Fakes, tmp_path: Path) -> None:
    fakes.luts_ratio = [1.3, 1.7, 2.2, 3.0]
    result, _ = run(settings(tmp_path / "out"))
    assert result.status == 1
    assert result.problem is not None
    assert "missed after synthesis" in result.problem
    assert result.summary["build"] is None
    assert len(result.summary["attempts"]) == explore_finish.MAX_ATTEMPTS


def test_a_time_limit_cuts_trainings_short_and_resume_keeps_the_cut(
    fakes: Fakes, tmp_path: Path
) -> None:
    wanted = settings(tmp_path / "out", networks=12, epochs=None, time_limit_s=0.5)
    result, said = run(wanted)
    assert 1 <= result.summary["networks_trained"] < 12
    epochs = {total for stage, _, total, _ in said if stage == "training"}
    assert epochs == {explore_finish.LEAST_EPOCHS}
    again, _ = run(dataclasses.replace(wanted, resume=True))
    assert without_times(again.summary) == without_times(result.summary)


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


def test_resume_refuses_other_settings_and_starting_afresh_takes_them(
    fakes: Fakes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(settings(out))
    with pytest.raises(UserError, match="a search with other seed"):
        run(settings(out, seed=1, resume=True))
    result, _ = run(settings(out, seed=1))
    assert result.summary["seed"] == 1


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
    load = exploring.datasets.load

    def other_test(*arguments):
        dataset = load(*arguments)
        test = dataset.test
        random = np.random.default_rng(0)
        images = random.integers(0, 255, test.images.shape, dtype=np.uint8)
        return dataclasses.replace(dataset, test=type(test)(images, test.labels[::-1].copy()))

    first, _ = run(settings(tmp_path / "a"))
    monkeypatch.setattr(exploring.datasets, "load", other_test)
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
        ({"space": "galaxies"}, "one of digits, images, not 'galaxies'"),
    ],
)
def test_bad_settings_are_named(
    fakes: Fakes, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(settings(tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()
