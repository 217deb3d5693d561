"""Readers of searches: journals, databases, folders of earlier searches, finished searches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesign.explore import worker
from codesign.explore.settings import FORMAT
from codesign.report import collect, runs
from codesign.search.accuracy import earlier
from codesign.search.accuracy.features import FEATURES
from codesign.search.storage import StudyPlace
from codesign.search.store import TrialStore
from codesign.search.studies import SETTINGS, stored_settings
from codesign.search.trials import Proposal
from tests.codesign import small_build
from tests.fuzz.reader import Reader

JOURNAL, DATABASE = "trials.journal", "trials.db"
_STARTED_WITH: dict[str, Any] = {
    "format": FORMAT, "dataset": "digits", "layout": "auto", "resize": None, "seed": 0, "boo": 0.0,
    "boo_within": None, "training": {}, "data_sha256": "0" * 64, "space": {"bits": {"input": [4]}},
}  # fmt: skip
_TRAINED = {"validation_accuracy": 0.97, "training": {"validation_images": 216, "epochs": 2}}


def study(storage: str) -> None:
    """Write a study with a trained network and one that waits to ``storage``."""
    known = {"images_per_second": 5e3, "luts": 9e3, "seed": 0, "features": [0.5] * len(FEATURES)}
    store = TrialStore(StudyPlace.of(storage), _STARTED_WITH)
    asked = [Proposal(key, {"lanes": 8}, {"luts": -0.1}, known) for key in ("b41f", "07ce")]
    store.ask(asked, {"lanes": (4, 8)})
    claim = store.claim()
    assert claim is not None
    store.complete(claim, _TRAINED)


def _shared(file: str, form: str) -> Reader:
    """A reader of a study as a search and its workers use it."""

    def prepare(folder: Path) -> dict[str, bytes]:
        study(form.format(folder / file))
        return {file: (folder / file).read_bytes()}

    def read(folder: Path) -> None:
        place = StudyPlace.of(form.format(folder / file))
        store = TrialStore(place, _STARTED_WITH)
        store.records()
        claim = store.claim()
        if claim is not None:
            store.complete(claim, _TRAINED)

    return Reader(prepare, read)


def _journal(read: Callable[[Path], Any]) -> Reader:
    """A reader of a journal that is not written to."""

    def prepare(folder: Path) -> dict[str, bytes]:
        study(str(folder / JOURNAL))
        return {JOURNAL: (folder / JOURNAL).read_bytes()}

    return Reader(prepare, lambda folder: read(folder / JOURNAL))


def _settings(journal: Path) -> None:
    """What a worker reads first; without settings it would wait for them."""
    if SETTINGS in (stored_settings(StudyPlace(journal)) or {}):
        worker._settings(StudyPlace(journal), lambda *progress: None)


def _search(folder: Path) -> dict[str, bytes]:
    small_build.write(folder / "build")
    candidate = {"label": "a", "accuracy": 0.9, "images_per_second": 1.0, "luts": 2.0,
                 "one_bits": None, "on_front": True, "chosen": True}  # fmt: skip
    contents: dict[str, Any] = {
        "summary.json": {"build": "build", "problem": None, "dataset": "digits",
                         "budget": {"luts": 900.0}},
        "front.json": {"candidates": [candidate]},
        "explore.json": {"device": None},
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    return {name: (folder / name).read_bytes() for name in contents}


def shown(folder: Path) -> None:
    """Read a build folder or a search as its report and comparisons do."""
    collect.from_folder(folder)
    runs.read([folder])


READERS: dict[str, Reader] = {
    "search": Reader(_search, shown),
    "journal": _shared(JOURNAL, "{}"),
    "database": _shared(DATABASE, "sqlite:///{}"),
    "worker": _journal(_settings),
    "earlier": _journal(lambda path: earlier.sources([path], "digits", "0" * 64)),
}
