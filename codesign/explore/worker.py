"""A helper of searches on any machine: it trains the networks that the study of one asks for."""

from __future__ import annotations

import dataclasses
import functools
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from codesign.build import pipeline
from codesign.design import DatasetSpec
from codesign.explore.search import Progress
from codesign.explore.settings import FORMAT
from codesign.goals import PREFERENCES, goals_of
from codesign.results import STUDY, UserError
from codesign.search.accuracy.short_training import ShortTrainer, ShortTraining
from codesign.search.crew import work
from codesign.search.space.declaration import SpaceDeclaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.given import WEIGHTS_SHA256
from codesign.search.storage import StudyPlace
from codesign.search.store import TrialStore
from codesign.search.studies import EFFORT, ENDED, STATE, VERSION, effort_of, stored_settings
from codesign.search.trials import Proposal, objectives
from codesign.tools.workers import Pool
from models.data.datasets import Dataset
from models.files.forms import conform
from models.files.nodes import Node, build
from models.files.reading import FileError, quoted
from models.training.choices import TrainingChoices

WAIT_S = 1.0
"""Seconds between looks for a study that does not exist yet."""
_FORM = {
    "format": str, "dataset": str, "layout?": str, "resize?": (None, [range(1, 1 << 20)]),
    "seed": range(1 << 31), "boo": float, "boo_within": (None, float), "training?": dict,
    "data_sha256": str, "space": dict, "prefer?": str, "objectives?": [str],
}  # fmt: skip
"""The settings of a study that decide how a network is trained."""


@dataclass(frozen=True)
class WorkerSettings:
    """Study that a worker trains for, and where its data are.

    Raises UserError for a bad storage or study.

    >>> WorkerSettings("runs/explore/trials.journal").jobs
    1
    """

    storage: str = dataclasses.field(repr=False)
    """Path of a journal, or URL of a database; it may hold a password, so it is not shown."""
    study: str = STUDY
    """Name of the study in the storage."""
    jobs: int = 1
    """Networks that are trained at the same time."""
    dataset: str | None = None
    """Path of the search's data set on this machine; None: as the search has it."""
    data_dir: Path | None = None
    """Folder with the data set's files; None: none."""

    def __post_init__(self) -> None:
        _ = self.place

    @property
    def place(self) -> StudyPlace:
        """Storage and name of the study that is worked on."""
        return StudyPlace.of(self.storage, self.study)


def serve(wanted: WorkerSettings, progress: Progress) -> int:
    """Train what the search on a study asks for until it has ended; return the number of networks.

    A study that does not exist yet is waited for. progress: called with (stage, steps done, steps
    in all, note). Raises UserError when the study cannot be reached or is damaged, or its search is
    of another release; DatasetError or UserError when its data set is not on this machine, or not
    the same; BrokenExecutor when a process died.
    """
    settings = _settings(wanted.place, progress)
    space, dataset, how = _training(settings, wanted, progress)
    goals = goals_of(settings.get("prefer", PREFERENCES[0]), settings.get("objectives", ()))
    wished = objectives(goals, one_bits=settings["boo_within"] is not None)
    # Host and process for people; other processes of that id may run in other containers.
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    store = TrialStore(wanted.place, settings, wished, name)
    _check_release(store)
    while (effort := effort_of(store.noted(EFFORT), store.place)) is None:
        if store.noted(STATE) == ENDED:
            return 0
        progress("waiting", 0, 1, f"for the search in {store.place} to time a first network")
        time.sleep(WAIT_S)
    how = how.longer(effort, dataset)
    trainer = ShortTrainer(space, how.subset(dataset), how)
    trained = 0

    def done(proposal: Proposal, measured: Mapping[str, Any]) -> None:
        nonlocal trained
        trained += 1
        accuracy = 100 * measured["validation_accuracy"]
        network = proposal.attributes.get("network", proposal.key)
        tell(f"{trained} trained, the last one {network} with {accuracy:.1f} %")

    tell = functools.partial(progress, "training", 0, 1)
    tell("waiting for networks")
    with Pool(wanted.jobs if wanted.jobs > 1 else 0) as pool:
        work(store, pool, trainer, lambda: store.noted(STATE) != ENDED, done)
    return trained


def _settings(place: StudyPlace, progress: Progress) -> dict[str, Any]:
    """Return the settings of the study, once it exists. Raises UserError if they are damaged."""
    while (found := stored_settings(place)) is None:
        progress("waiting", 0, 1, f"for a search to begin {place}")
        time.sleep(WAIT_S)
    try:
        conform(found, _FORM, str(place))
    except FileError as error:
        raise UserError(str(error)) from None
    if found["format"] != FORMAT:
        raise UserError(f"{place} is of another release: its format is {quoted(found['format'])}")
    return found


def _training(
    settings: Mapping[str, Any], wanted: WorkerSettings, progress: Progress
) -> tuple[SearchSpace, Dataset, ShortTraining]:
    """Return the study's space, its data on this machine, and trials without a time limit."""
    if WEIGHTS_SHA256 in settings["space"]:
        raise UserError(
            f"{wanted.place}: this search starts from a network (explore --network, --zoo), whose "
            "weights only its own process has; its trials take seconds, and no worker is needed"
        )
    resize = settings.get("resize")
    name = wanted.dataset or settings["dataset"]
    spec = DatasetSpec(name, settings.get("layout", "auto"), tuple(resize) if resize else None)
    told: Callable[[int, int], None] = lambda done, total: progress(  # noqa: E731
        "reading images", done, total, ""
    )
    dataset = pipeline.load_data(spec, wanted.data_dir, settings["seed"], told)
    if dataset.sha256 != settings["data_sha256"]:
        raise UserError(
            f"{name}: these are not the data of the search in {wanted.place}: their SHA-256 is "
            f"{dataset.sha256[:12]}..., not {quoted(settings['data_sha256'][:12])}..."
        )
    where = str(wanted.place)
    declaration = build(Node(settings["space"], where, None, "space"), SpaceDeclaration)
    choices = build(Node(settings.get("training", {}), where, None, "training"), TrainingChoices)
    how = ShortTraining.of(dataset, settings["seed"], settings["boo"], choices)
    return SearchSpace(declaration, dataset.shape, dataset.classes), dataset, how


def _check_release(store: TrialStore) -> None:
    theirs, ours = store.noted(VERSION), metadata.version("codesign")
    if theirs != ours:
        raise UserError(
            f"{store.place}: the search is of codesign {theirs}, this is {ours}; other releases "
            "may train differently"
        )
