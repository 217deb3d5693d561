"""benchmarks.throughput has a row for every step, and closed-form cycles without any error."""

from __future__ import annotations

import json

import pytest

from benchmarks import throughput


def test_every_step_has_a_row_and_cycles_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    throughput.main(["--designs", "64", "--runs", "1", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [("layers", 1), ("cycles", 1), ("area", 1), ("accuracy", 1), ("all", 1), ("all", 2)]
    for space in throughput.SPACES:
        mine = [row for row in rows if row["space"] == space]
        assert [(row["step"], row["threads"]) for row in mine] == steps
        assert all(row["designs"] == 64 for row in mine)
        assert all(row["cpu_per_s"] > 0 and row["wall_per_s"] > 0 for row in mine)
        cycles = mine[1]
        assert cycles["checked"] > 10
        assert (cycles["mape"], cycles["tau"]) == (0.0, pytest.approx(1.0))
