"""Workers beside a search: they train what it asks for, once, and change nothing of its result."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import main
from codesign.explore import WorkerSettings, serve
from codesign.explore import finish as finishing
from codesign.explore import worker as working
from codesign.results import UserError
from codesign.search.accuracy import short_training
from codesign.search.accuracy.short_training import Outcome
from codesign.search.storage import StudyPlace
from codesign.search.store import TrialStore
from codesign.search.studies import ENDED, STATE, VERSION
from codesign.search.trials import WORKER, TrialRecord
from models.training.history import Epoch
from tests.codesign.explore.test_kills import NETWORKS, SPACE


class SearchDoneError(Exception):
    """The test ends where the search does."""


def _stop(*arguments: object) -> None:
    raise SearchDoneError


def _train_one(task, dataset, how) -> Outcome:
    """A training that takes its time, and whose result follows from the network."""
    time.sleep(0.5)
    accuracy = 0.9 + 0.001 * (int(task.key, 16) % 50)
    return Outcome(task.key, accuracy, 0.5, 100, (Epoch(0.2, accuracy, True, 0.99),))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A search in ``explore``'s own process that ends before the full trainings."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "toy.npz", x=images, y=np.arange(400) % 3)
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.setattr(finishing, "finish", _stop)
    monkeypatch.setattr(short_training, "train_one", _train_one)
    return [
        *("explore", "--lut-budget", "20000", "--dataset", str(tmp_path / "toy.npz")),
        *("--space", str(tmp_path / "space.yaml"), "--networks", str(NETWORKS), "--jobs", "1"),
    ]


def search(command: list[str], *more: str) -> None:
    with pytest.raises(SearchDoneError):
        main([*command, *more])


def records(storage: str, out: Path) -> list[TrialRecord]:
    told = json.loads((out / "explore.json").read_text())
    return TrialStore(StudyPlace.of(storage), told).records()


def test_workers_change_nothing_but_who_trains(command: list[str], tmp_path: Path) -> None:
    """Two workers on a database, which wait for its search, against the search alone."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    search(command, "--out", str(alone))
    storage = f"sqlite:///{tmp_path}/trials.db"
    trained: list[int] = []

    def help_it() -> None:
        trained.append(serve(WorkerSettings(storage), lambda *progress: None))

    workers = [threading.Thread(target=help_it) for _ in range(2)]
    for worker in workers:
        worker.start()
    search(command, "--out", str(shared), "--storage", storage)
    for worker in workers:
        worker.join(60)
    assert len(trained) == 2
    assert 0 < sum(trained) < NETWORKS
    one, other = records(str(alone / "trials.journal"), alone), records(storage, shared)
    assert [(r.key, r.values, r.constraints) for r in one] == [
        (r.key, r.values, r.constraints) for r in other
    ]
    assert len(one) == NETWORKS
    assert max(Counter(r.key for r in other).values()) == 1
    assert {r.attributes[WORKER] for r in one} != {r.attributes[WORKER] for r in other}
    assert not (shared / "trials.journal").exists()
    rows = (shared / "trials.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["key", *(r.key for r in other)]
    refused(command, storage, tmp_path)


def refused(command: list[str], storage: str, tmp_path: Path) -> None:
    """Who does not fit to a study is told, and the study stays as it is."""
    before = records(storage, tmp_path / "shared")
    seed = ["--seed", "5", "--out", str(tmp_path / "other"), "--storage", storage]
    assert main([*command, *seed]) == 2
    np.savez(tmp_path / "toy2.npz", x=np.zeros((400, 8, 8), dtype=np.uint8), y=np.arange(400) % 3)
    assert main(["worker", "--storage", storage, "--dataset", str(tmp_path / "toy2.npz")]) == 2
    assert main(["worker", "--storage", storage, "--study", ""]) == 2
    assert records(storage, tmp_path / "shared") == before


def test_a_worker_of_another_release_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TrialStore(StudyPlace(tmp_path / "trials.journal"), {"seed": 0})
    store.note(VERSION, "0.0")
    store.note(STATE, ENDED)
    with pytest.raises(UserError, match=r"the search is of codesign 0\.0, this is"):
        working._check_release(store)


def test_what_is_no_study_of_a_search_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "trials.journal"
    TrialStore(StudyPlace(place), {"seed": 0})
    assert main(["worker", "--storage", str(place)]) == 2
    assert "trials.journal" in capsys.readouterr().err
