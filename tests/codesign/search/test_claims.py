"""Trials that several processes share: each is claimed by one, and given out again if that dies."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from codesign.results import UserError
from codesign.search.crew import work
from codesign.search.storage import StudyPlace
from codesign.search.store import Heartbeat, TrialStore
from codesign.search.studies import stored_settings
from codesign.search.trials import WORKER, Proposal, write_csv
from codesign.tools.workers import Pool

CHOICES = {"lanes": (4, 8)}
QUICK = Heartbeat(interval_s=0.05, grace_s=0.5)
MEASURED = {"validation_accuracy": 0.9}


def proposals(*keys: str) -> list[Proposal]:
    known = {"images_per_second": 5e3, "luts": 9e3, "network": "1 stage"}
    return [Proposal(key, {"lanes": 8}, {"luts": -0.1}, known) for key in keys]


@pytest.fixture(params=["journal", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StudyPlace:
    kinds = {"journal": "trials.journal", "sqlite": f"sqlite:///{tmp_path}/trials.db"}
    name = kinds[request.param]
    return StudyPlace.of(name if "://" in name else str(tmp_path / name))


def opened(place: StudyPlace, worker: str = "") -> TrialStore:
    return TrialStore(place, {"seed": 0}, worker=worker, heartbeat=QUICK)


def test_a_network_is_asked_for_once_and_trained_by_one(place: StudyPlace) -> None:
    stores = [opened(place, f"w{k}") for k in range(3)]
    for store in stores:
        store.ask(proposals("a", "b", "c"), CHOICES)
    claims = [store.claim() for store in stores]
    assert {claim.proposal.key for claim in claims if claim} == {"a", "b", "c"}
    assert all(store.claim() is None for store in stores)
    for store, claim in zip(stores, claims, strict=True):
        assert claim is not None
        assert store.complete(claim, MEASURED)
    stores[0].ask(proposals("a", "b", "c"), CHOICES)
    assert stores[1].claim() is None
    found = stores[2].records()
    assert [one.key for one in found] == ["a", "b", "c"]
    assert {one.attributes[WORKER] for one in found} == {"w0", "w1", "w2"}


def test_many_threads_claim_each_trial_once(place: StudyPlace) -> None:
    keys = [f"n{k}" for k in range(12)]
    opened(place).ask(proposals(*keys), CHOICES)
    claimed: list[str] = []

    def claim_all(store: TrialStore) -> None:
        while claim := store.claim():
            claimed.append(claim.proposal.key)

    threads = [threading.Thread(target=claim_all, args=(opened(place, f"w{k}"),)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(claimed) == Counter(keys)


def test_a_silent_workers_trial_is_given_out_again_and_its_late_result_refused(
    place: StudyPlace,
) -> None:
    dead, alive = opened(place, "dead"), opened(place, "alive")
    dead.ask(proposals("a"), CHOICES)
    lost = dead.claim()
    assert lost is not None
    assert alive.claim() is None  # it is heard for the first time
    deadline = time.monotonic() + 20
    while (again := alive.claim()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert again is not None
    assert again.proposal == lost.proposal
    assert alive.complete(again, {"validation_accuracy": 0.8})
    assert not dead.complete(lost, MEASURED)
    assert [one.values[0] for one in alive.records()] == [0.8]


def test_a_worker_that_beats_keeps_its_trial(place: StudyPlace) -> None:
    slow, other = opened(place, "slow"), opened(place, "other")
    slow.ask(proposals("a"), CHOICES)
    claim = slow.claim()
    assert claim is not None
    with slow.beating():
        end = time.monotonic() + 4 * QUICK.grace_s
        while time.monotonic() < end:
            assert other.claim() is None
            time.sleep(0.05)
    assert slow.complete(claim, MEASURED)


def test_a_process_that_starts_again_by_its_name_takes_its_trials_up_at_once(
    place: StudyPlace,
) -> None:
    first = opened(place, "search")
    first.ask(proposals("a", "b"), CHOICES)
    assert first.claim() is not None
    again = opened(place, "search")
    claims = [again.claim(), again.claim(), again.claim()]
    assert {one.proposal.key for one in claims if one} == {"a", "b"}
    assert claims[2] is None


def test_an_error_of_an_evaluation_lets_its_trial_wait_again(place: StudyPlace) -> None:
    store = opened(place, "w")
    store.ask(proposals("a"), CHOICES)

    def fails(proposal: Proposal) -> dict[str, float]:
        raise ValueError(proposal.key)

    with Pool(0) as pool, pytest.raises(ValueError, match="a"):
        work(store, pool, fails, lambda: True)
    claim = opened(place, "other").claim()
    assert claim is not None
    assert claim.proposal.key == "a"


def test_studies_of_one_storage_do_not_meet(place: StudyPlace) -> None:
    other = StudyPlace(place.storage, "other")
    opened(place).ask(proposals("a"), CHOICES)
    assert stored_settings(other) is None
    assert opened(other).claim() is None
    assert stored_settings(other) == {"seed": 0}


def test_the_table_of_trials_has_a_row_each(place: StudyPlace, tmp_path: Path) -> None:
    store = opened(place, "w")
    store.ask(proposals("a", "b"), CHOICES)
    while claim := store.claim():
        assert store.complete(claim, MEASURED)
    write_csv(tmp_path / "trials.csv", store.records(), store.objectives)
    rows = (tmp_path / "trials.csv").read_text().splitlines()
    assert rows[0].startswith("key,validation_accuracy,images_per_second,luts,network,")
    assert "limit luts" in rows[0].split(",")
    assert [row.split(",")[:4] for row in rows[1:]] == [
        [key, "0.9", "5000.0", "9000.0"] for key in "ab"
    ]


@pytest.mark.parametrize(
    ("storage", "study", "said"),
    [
        ("redis://host/1", "s", "of sqlite, postgresql, mysql, not of 'redis'"),
        ("sqlite://", "s", "must name a file"),
        ("postgresql://me:secret@host:port/x", "s", "no valid URL of postgresql"),
        ("a.journal", "", "1 to 100 characters"),
        ("a.journal", "a\nb", "1 to 100 characters"),
        ("", "s", "must be the path"),
    ],
)
def test_bad_places_are_refused(storage: str, study: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        StudyPlace.of(storage, study)
    assert "secret" not in str(error.value)


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    pytest.importorskip("psycopg")
    place = StudyPlace.of("postgresql://me:secret@127.0.0.1:1/trials?connect_timeout=2")
    with pytest.raises(UserError, match="cannot be used") as error:
        place.open()
    assert "secret" not in str(error.value) + str(place) + repr(place)
