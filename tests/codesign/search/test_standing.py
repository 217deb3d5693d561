"""Standings of a search: what was reached so far, told and kept as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from codesign.cli import live_table
from codesign.search import standing as standings
from codesign.search.standing import Standing, Watch
from codesign.search.trials import TrialRecord

INNER = SimpleNamespace(
    evaluations=1000,
    feasible_share=(0.25, 0.2, 0.3),
    pruned={"luts": 0.6, "images_per_second": 0.1},
)


def record(key: str, accuracy: float, rate: float) -> TrialRecord:
    return TrialRecord(key, {}, {}, {"network": f"net {key}"}, (accuracy, rate, 100.0))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(standings.time, "monotonic", lambda: now.s)
    return now


def test_what_is_reached_and_the_time_left(clock: SimpleNamespace, tmp_path: Path) -> None:
    told: list[Standing] = []
    watch = Watch(tmp_path / "s.jsonl", 4, told.append, None)
    watch.update([], INNER)
    assert told == []
    clock.s += 10
    watch.update([record("a", 0.5, 100.0)], INNER)
    clock.s += 10
    watch.update([record("a", 0.5, 100.0), record("b", 0.75, 60.0)], INNER)
    assert [(one.trained, one.networks, one.left_s) for one in told] == [(1, 4, 30.0), (2, 4, 20.0)]
    assert (told[1].best, told[1].best_accuracy) == ("net b", 0.75)
    assert told[1].most_images_per_second == 100.0
    # Rectangles 0.5 x 100 and, beyond it, 0.25 x 60.
    assert [one.hypervolume for one in told] == pytest.approx([50.0, 65.0])
    assert (told[1].evaluations, told[1].feasible_share) == (1000, 0.25)
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert lines == [vars(one) for one in told]


def test_a_resumed_run_keeps_its_own_pace_and_a_limit_cuts_the_time_left(
    clock: SimpleNamespace, tmp_path: Path
) -> None:
    told: list[Standing] = []
    watch = Watch(tmp_path / "s.jsonl", 10, told.append, 25.0)
    before = [record(f"{k}", 0.5, 1.0) for k in range(5)]
    watch.update(before, INNER)
    clock.s += 20
    watch.update([*before, record("new", 0.6, 1.0)], INNER)
    assert [one.left_s for one in told] == [None, 5.0]


def test_a_row_fits_under_its_head() -> None:
    one = Standing(
        3, 14, "2 stages", 0.9716, 7e4, 12345.6, 4000, 0.0123, {"luts": 0.8, "brams": 0.2}, 9, 125
    )
    row, head = live_table.row(one), live_table.HEAD
    for name, cell in {"missed most": "luts 80 %", "best network": "2 stages"}.items():
        assert row.index(cell) == head.index(name)
    assert "3/14" in row
    assert "97.2 %" in row
    assert "2 min 5 s" in row
    assert "none" in live_table.row(Standing(0, 1, "a", 0, 0, 0, 1, 1, {"luts": 0.0}, 0, None))
