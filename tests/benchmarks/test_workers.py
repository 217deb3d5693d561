"""Searches whose workers, and which themselves, are killed: no trial is lost or repeated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.search import postgres, workers
from codesign.search.trials import TrialRecord


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgresql":
        if reason := postgres.missing():
            pytest.skip(reason)
        with postgres.server() as url:
            yield url
    elif request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/trials.db"
    else:
        yield str(tmp_path / "trials.journal")


def test_a_batch_has_new_networks_though_the_front_stays() -> None:
    """With those of the front alone a search of 80 trials asked for the same eight for ever."""
    done: list[TrialRecord] = []
    for _ in range(12):
        made = workers.batch(done)
        assert not {one.key for one in made} & {one.key for one in done}
        for one in made:  # the first of all beats them
            values = (1 - len(done) / 1000, 1.0, 1.0)
            done.append(TrialRecord(one.key, {}, {}, {}, values))
        assert len(workers.front(done)) == 1


def test_kills_lose_and_repeat_no_finished_trial(storage: str, tmp_path: Path) -> None:
    found = workers.measure(storage, tmp_path, trials=16, workers=3, seconds=1.0, kills=3, seed=3)
    assert found["killed"] >= 2
    assert found["killed_in_trial"] >= 1
    assert (found["lost"], found["repeated"]) == (0, 0)
    assert found["same_front"]
