"""The benchmark of tight problems: keys that others script against, and a search that never fails.

FINDINGS of the first search: one feasible design in 12,288 evaluations, for one seed in five.
"""

from __future__ import annotations

import json

import pytest

from benchmarks import tight


@pytest.mark.parametrize("floor", tight.FLOORS)
def test_every_floor_is_met_by_thousands_of_designs(
    floor: float, capsys: pytest.CaptureFixture[str]
) -> None:
    tight.main(["--json", "--floor", f"{floor:g}", "--seed", "0"])
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["floor"], row["seed"]) == (floor, 0)
    assert row["evaluations"] == tight.EVALUATIONS
    assert row["feasible"] > 5_000
    assert row["hypervolume_share"] is not None, "make benchmarks/data/tight.csv anew"
    assert 0.93 < row["hypervolume_share"] <= 1.01


def test_the_best_known_is_of_the_costs_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow codes became cheaper once, which no mean over random designs showed."""
    assert set(tight.best_known()) == set(tight.FLOORS)
    monkeypatch.setattr("codesign.search.space.candidates.MOST_THRESHOLD_BITS", 1)
    assert tight.best_known() == {}
