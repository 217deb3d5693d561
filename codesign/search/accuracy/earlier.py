"""Reads what a search knows before its first training: shipped studies and earlier searches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codesign.results import UserError
from codesign.search.accuracy.evaluation import shipped_sources
from codesign.search.accuracy.features import FEATURES
from codesign.search.accuracy.transfer import Source
from codesign.search.studies import finished_trials
from codesign.search.trials import TrialRecord
from models.files.forms import conform
from models.files.reading import told_as

_FORM = {"features": [float], "training": {"validation_images": range(1, 1 << 40)}}


def sources(journals: Sequence[Path], dataset: str, sha256: str) -> list[Source]:
    """Return the trained networks of the shipped studies and of the journals of earlier searches.

    dataset, sha256: name and hash of the images of the search that learns from them. Networks that
    saw the same images are of the same data set. Raises UserError for a file that is no journal, or
    has no usable trials.
    """
    return [*shipped_sources(), *(one for path in journals for one in _of(path, dataset, sha256))]


def trials_sha256(journal: Path) -> str:
    """Return the hash of the trained networks in a journal, which stays when it is only opened.

    Raises UserError for a file that is no journal.
    """
    found = [
        [trial.key, *trial.values, trial.attributes.get("features")]
        for _, trials in finished_trials(journal)
        for trial in trials
    ]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _of(path: Path, dataset: str, sha256: str) -> list[Source]:
    """Return the networks that each study in a journal has trained briefly."""
    found = [(settings, trials) for settings, trials in finished_trials(path) if trials]
    if not found:
        raise UserError(f"{path} has no trained network")
    return [_source(path, settings, trials, dataset, sha256) for settings, trials in found]


def _source(
    path: Path, settings: dict[str, Any], trials: list[TrialRecord], dataset: str, sha256: str
) -> Source:
    for trial in trials:
        _check(trial, path)
    data = str(settings.get("data_sha256"))
    return Source(
        dataset if data == sha256 else data,
        np.array([_features(trial) for trial in trials], dtype=np.float64),
        np.array([trial.values[0] for trial in trials], dtype=np.float64),
        int(trials[-1].attributes["training"]["validation_images"]),
    )


def _features(trial: TrialRecord) -> list[float]:
    """Return the features of a trial; one of a release whose sums were of any weights lacks one."""
    found: list[float] = trial.attributes["features"]
    return [*found, 0.0] if len(found) == len(FEATURES) - 1 else found


def _check(trial: TrialRecord, path: Path) -> None:
    attributes = dict(trial.attributes)
    if "features" not in attributes:
        raise UserError(f"{path} was written by a release whose trials cannot be learned from")
    with told_as(UserError):
        conform(attributes, _FORM, str(path))
    if len(_features(trial)) != len(FEATURES) or not 0 <= trial.values[0] <= 1:
        raise UserError(f"{path}: a trial is damaged")
