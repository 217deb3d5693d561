"""benchmarks.cost_models finds the errors that docs/measurements/cost-models.md reports."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.cost_models import __main__ as cost_models
from benchmarks.cost_models import plots
from benchmarks.cost_models.baselines import multiplier_table
from codesign.cost.area.blocks import RESOURCES
from codesign.cost.area.evaluation import Trial
from codesign.cost.data import timing_data


@pytest.fixture(scope="module")
def trials() -> dict[str, Trial]:
    data, modules = cost_models.load()
    return {name: Trial(data, modules, name) for name in RESOURCES}


@pytest.fixture(scope="module")
def rows(trials: dict[str, Trial]) -> list[dict[str, Any]]:
    return list(cost_models.rows(trials, cost_models.load()[0], seeds=2))


def one(rows: list[dict[str, Any]], figure: str, model: str = "composed") -> dict[str, Any]:
    """Return the only row of that figure and model."""
    (found,) = (row for row in rows if (row["figure"], row["model"]) == (figure, model))
    return found


def test_the_figures_that_are_promised_hold(rows: list[dict[str, Any]]) -> None:
    luts = one(rows, "luts, unseen families")
    assert luts["mape"] <= 0.03
    assert luts["p90"] <= 0.07
    assert luts["r2"] >= 0.995
    assert luts["tau"] >= 0.97
    for knob in cost_models.FAMILIES:
        left_out = one(rows, f"luts, each {knob} left out")
        assert left_out["mape"] <= 0.08
        assert left_out["tau"] >= 0.93
    assert one(rows, "luts, up to twice the largest")["mape"] <= 0.08
    assert one(rows, "ffs, unseen families")["mape"] <= 0.03
    assert one(rows, "brams", "counted")["exact"] >= 0.98
    assert one(rows, "dsps", "counted")["exact"] == 1
    interval = one(rows, "luts, 90 % interval")
    assert 0.87 <= interval["coverage"] <= 0.93
    assert interval["width"] <= 0.12


def test_the_clock_holds_what_is_promised_and_is_worth_a_model(rows: list[dict[str, Any]]) -> None:
    found = one(rows, "fmax, unseen families")
    assert found["mape"] <= 0.08
    for name in ("mean", "boosted trees"):
        assert one(rows, "fmax, unseen families", name)["mape"] > found["mape"], name
    interval = one(rows, "fmax, 90 % interval")
    assert 0.8 <= interval["coverage"] <= 1
    assert interval["width"] <= 0.35
    assert len({row.tool for row in timing_data.read(timing_data.beside())}) == 1


def test_false_prunes_are_few_at_the_default_confidence(rows: list[dict[str, Any]]) -> None:
    tests = [r for r in rows if r["figure"] == "luts, budget test" and r["confidence"] == 0.6]
    assert [row["budget"] for row in tests] == list(cost_models.BUDGETS)
    for row in tests:
        assert row["decisions"] > 50
        assert row["false_prune"] <= 0.05


def test_the_baselines_have_larger_errors(rows: list[dict[str, Any]]) -> None:
    best = one(rows, "luts, unseen families")["mape"]
    for name in ("mean", "linear", "boosted trees, monolithic", "analytic counts alone"):
        assert one(rows, "luts, unseen families", name)["mape"] > best, name


def test_every_row_can_be_printed(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["figure"] in cost_models._show(row)


def test_the_rows_of_accuracy_and_throughput_are_included(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_models.throughput, "DESIGNS", 256)
    found = list(cost_models.others())
    assert one(found, "accuracy, fashion-mnist", "combined")["tau"] >= 0.75
    for space in ("digits", "images"):
        cycles = one(found, f"speed of cycles, {space}", "batches")
        assert cycles["mape"] == 0
        assert cycles["tau"] == pytest.approx(1)
    for row in found:
        assert row["figure"] in cost_models._show(row)


def test_the_multiplier_table_is_the_published_one() -> None:
    table = multiplier_table()
    assert [table[n, n] for n in (1, 2, 4, 8)] == [1, 4, 29, 95]
    assert table[4, 8] == table[8, 4] == 49
    assert table[8, 13] == 140


def test_the_plots_are_drawn(trials: dict[str, Trial]) -> None:
    drawn = plots.draw(trials["luts"])
    assert drawn.startswith("<svg")
    assert drawn.count("<circle") == 2 * len(trials["luts"].groups)
