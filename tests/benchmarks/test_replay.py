"""The replay of what is trained next: keys to script against, and prior knowledge helps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.search import replay


def test_expected_gains_beat_random_picks_and_prior_knowledge_helps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    replay.main(["--json", "--seeds", "4"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["picker"] for row in rows[::4]] == list(replay.PICKERS)
    mean = {
        picker: np.mean([list(row.values())[2:] for row in rows if row["picker"] == picker], 0)
        for picker in replay.PICKERS
    }
    assert (np.diff([list(row.values())[2:] for row in rows]) >= 0).all()
    assert (mean["others"] > mean["random"] + 0.03).all()
    assert (mean["others"] > [0.92, 0.95, 0.955, 0.96]).all()
    assert (mean["all"][1:] > [0.97, 0.975, 0.98]).all()


def test_networks_are_picked_once() -> None:
    seen = list(range(100))
    found = replay.picks("others", seen)
    assert len(found) == len(set(found)) == max(replay.AFTER)
