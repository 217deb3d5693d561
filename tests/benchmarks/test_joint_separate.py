"""The benchmark of joint against separate search: keys to script against, and joint search wins."""

from __future__ import annotations

import json

import pytest

from benchmarks.search import joint_separate

TIGHTEST = (30_000, 300_000)


def test_joint_search_beats_the_separate_flow_that_goes_back_where_the_floor_is_high(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(joint_separate, "SETTINGS", (TIGHTEST,))
    arguments = ["--json", "--seeds", "1", "--strategies", "evolution", "separate-back"]
    joint_separate.main(arguments)
    joint, back = map(json.loads, capsys.readouterr().out.splitlines())
    assert (joint["strategy"], back["strategy"]) == ("evolution", "separate-back")
    assert joint["evaluations"] == joint_separate.EVALUATIONS
    assert joint["accuracy"] >= back["accuracy"] + 0.005
    assert joint["feasible"] > back["feasible"] > 0
