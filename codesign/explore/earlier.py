"""Reads what a search knows before its first training: shipped studies and earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from codesign.explore.folder import stored_identity
from codesign.explore.replacing import TRIALS
from codesign.explore.settings import ExploreSettings
from codesign.results import UserError
from codesign.search import store
from codesign.search.accuracy.evaluation import shipped_sources
from codesign.search.accuracy.features import FEATURES
from codesign.search.accuracy.transfer import Source
from models.data.datasets import Dataset
from models.files.forms import conform
from models.files.reading import told_as

_FORM = {"features": [float], "training": {"validation_images": range(1, 1 << 40)}}


def sources(settings: ExploreSettings, dataset: Dataset) -> list[Source]:
    """Return the trained networks of the shipped studies and of ``settings.warm_start``.

    Raises UserError for a folder that holds no search, or none with usable trials.
    """
    runs = [_run(Path(run), settings, dataset) for run in settings.warm_start]
    return [*shipped_sources(), *runs]


def _run(run: Path, settings: ExploreSettings, dataset: Dataset) -> Source:
    """Return the networks that an earlier search has trained briefly.

    They are of the same data set as those of this search if the images are the same.
    """
    if run.resolve() == settings.out.resolve():
        raise UserError(f"{run} is the folder of this search; to go on with it, use --resume")
    identity = stored_identity(run)
    if identity is None:
        raise UserError(f"{run} holds no search")
    path = run / TRIALS
    trials = store.finished(path)
    for trial in trials:
        _check(trial, path)
    if not trials:
        raise UserError(f"{path} has no trained network")
    data = str(identity.get("data_sha256"))
    return Source(
        settings.dataset if data == dataset.sha256 else data,
        np.array([trial["user_attrs"]["features"] for trial in trials], dtype=np.float64),
        np.array([trial["values"][0] for trial in trials], dtype=np.float64),
        int(trials[-1]["user_attrs"]["training"]["validation_images"]),
    )


def _check(trial: dict[str, Any], path: Path) -> None:
    attributes = trial.get("user_attrs", {})
    if "features" not in attributes:
        raise UserError(f"{path} was written by a release whose trials cannot be learned from")
    with told_as(UserError):
        conform(attributes, _FORM, str(path))
    values = trial.get("values") or [-1.0]
    if len(attributes["features"]) != len(FEATURES) or not 0 <= values[0] <= 1:
        raise UserError(f"{path}: a trial is damaged")
