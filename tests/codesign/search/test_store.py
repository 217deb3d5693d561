"""The trial store loses no finished trial, by a kill or a full disk, and optuna reads it."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from codesign.results import STUDY, UserError
from codesign.search.storage import StudyPlace
from codesign.search.store import TrialStore
from codesign.search.trials import OBJECTIVES, ONE_BITS, TrialRecord

CHOICES = {"stages": (1, 2, 3), "residual": (False, True)}


def record(index: int) -> TrialRecord:
    return TrialRecord(
        key=f"network-{index}",
        params={"stages": 1 + index % 3, "residual": bool(index % 2)},
        values=(0.9 + index / 1000, 1000.0 * index, 20000.0),
        constraints={"luts": -10.0, "brams": index - 2.0},
        attributes={"seed": index, "reasons": ["brams: too many"]},
    )


def opened(path: Path, settings: Mapping[str, Any] | None = None, **options: Any) -> TrialStore:
    return TrialStore(StudyPlace(path), settings or {}, **options)


def add(store: TrialStore, record: TrialRecord) -> None:
    """Ask for a network, train it and finish its trial, all at once."""
    store.ask([record], CHOICES)
    claim = store.claim()
    assert claim is not None
    assert claim.proposal.key == record.key
    assert store.complete(claim, dict(zip(store.objectives, record.values, strict=True)))


def measured(record: TrialRecord, objectives: Iterable[str] = OBJECTIVES) -> TrialRecord:
    """The record as the store has it: with its objectives among the attributes, and its worker."""
    told = dict(zip(objectives, record.values, strict=True))
    return dataclasses.replace(record, attributes={**record.attributes, "worker": "", **told})


def test_records_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "trials.journal"
    store = opened(path, {"seed": 1})
    for index in range(3):
        add(store, record(index))
    again = opened(path, {"seed": 1})
    assert again.records() == [measured(record(index)) for index in range(3)]
    assert again.find("network-1") == measured(record(1))
    assert again.find("network-9") is None


def test_optuna_reads_the_study_with_its_constraints(tmp_path: Path) -> None:
    path = tmp_path / "trials.journal"
    store = opened(path)
    for index in (1, 4):
        add(store, record(index))
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.load_study(study_name=STUDY, storage=optuna.storages.JournalStorage(backend))
    assert [t.params["stages"] for t in study.trials] == [2, 2]
    assert [t.number for t in study.best_trials] == [0]


def test_one_bits_are_a_fourth_objective_where_asked_for(tmp_path: Path) -> None:
    path, objectives = tmp_path / "trials.journal", {**OBJECTIVES, **ONE_BITS}
    priced = [
        dataclasses.replace(record(k), values=(0.9, 10.0, 2e4, ones), constraints={"luts": -1.0})
        for k, ones in enumerate((700.0, 300.0))
    ]
    store = opened(path, objectives=objectives)
    for one in priced:
        add(store, one)
    assert opened(path, objectives=objectives).records() == [
        measured(one, objectives) for one in priced
    ]
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.load_study(study_name=STUDY, storage=optuna.storages.JournalStorage(backend))
    assert study.metric_names == [*OBJECTIVES, "one_bits"]
    assert [t.number for t in study.best_trials] == [1]


def test_a_torn_last_line_is_dropped_and_writing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "trials.journal"
    store = opened(path)
    add(store, record(0))
    whole = path.read_bytes()
    add(store, record(1))
    path.write_bytes(path.read_bytes()[: len(whole) + 40])
    again = opened(path)
    assert again.find("network-0") == measured(record(0))
    add(again, record(2))
    assert {r.key for r in opened(path).records()} == {"network-0", "network-2"}


def _write_forever(path: str) -> None:
    store = opened(Path(path))
    for index in range(100_000):
        add(store, dataclasses.replace(record(index % 3), key=f"network-{index}"))


def test_a_kill_in_mid_write_loses_no_finished_trial(tmp_path: Path) -> None:
    path = tmp_path / "trials.journal"
    writer = multiprocessing.get_context("spawn").Process(target=_write_forever, args=(str(path),))
    writer.start()
    deadline = time.monotonic() + 60
    while (not path.exists() or path.stat().st_size < 20_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    keys = [r.key for r in opened(path).records()]
    assert len(keys) > 3
    assert keys == [f"network-{index}" for index in range(len(keys))]


def test_a_full_disk_loses_no_finished_trial(tmp_path: Path) -> None:
    """A limit on file sizes simulates it: part of the line is written, then the error comes."""
    path = tmp_path / "trials.journal"
    store = opened(path)
    add(store, record(0))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            add(store, record(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    again = opened(path)
    assert again.records() == [measured(record(0))]
    add(again, record(1))
    assert opened(path).records() == [measured(record(0)), measured(record(1))]


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "trials.journal"
    opened(path, {"seed": 1, "dataset": "digits"})
    with pytest.raises(UserError, match="other seed;"):
        opened(path, {"seed": 2, "dataset": "digits"})


def test_trials_without_settings_are_refused(tmp_path: Path) -> None:
    """Such as a study of the same name that something else made: its seed is unknown."""
    path = tmp_path / "trials.journal"
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.create_study(
        study_name=STUDY,
        storage=optuna.storages.JournalStorage(backend),
        directions=list(OBJECTIVES.values()),
    )
    study.add_trial(optuna.create_trial(values=[0.5, 1.0, 2.0]))
    with pytest.raises(UserError, match="trials of an unknown search"):
        opened(path, {"seed": 1})


@pytest.mark.parametrize("text", ["hello\nworld\n", "hello\nworld", "hello", '{"op":', "\0\0"])
def test_a_foreign_file_is_refused_and_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trials.journal"
    path.write_text(text)
    with pytest.raises(UserError, match="not a trial journal"):
        opened(path)
    assert path.read_text() == text
