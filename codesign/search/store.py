"""Journal of trained designs: an Optuna study in a file, with one trial per trained design.

A trial is appended when its training has ended, so a kill at any moment loses only trainings in
progress. Any Optuna tool (dashboard, importance analysis) reads the file.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from codesign.results import UserError
from models.files.forms import conform
from models.files.reading import (
    MissingFile,
    parse_json,
    printable,
    read_bytes,
    read_text,
    told_as,
)
from models.files.writing import check_own

STUDY_NAME = "explore"
Objectives = Mapping[str, Literal["minimize", "maximize"]]
OBJECTIVES: Objectives = {
    "validation_accuracy": "maximize",
    "images_per_second": "maximize",
    "luts": "minimize",
}
"""Objective -> direction, in the order of the values of a trial."""
ONE_BITS: Objectives = {"one_bits": "minimize"}
"""Further objective of searches that minimise the 1-bits of the weights, after OBJECTIVES."""
LOCK_SECONDS = 5
"""Age of a journal lock that a killed process must have left (an append takes milliseconds)."""
MAX_BYTES = 256 << 20
"""Size of the largest journal."""
_CREATE_TRIAL = 4
"""``op_code`` of a journal's line that holds a trial (Optuna's JournalOperation.CREATE_TRIAL)."""
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError)
"""What Optuna raises for damaged journals."""
KEY = "key"
SETTINGS = "settings"

Choice = bool | int | float | str


@dataclass(frozen=True)
class TrialRecord:
    """One trained design.

    >>> trial = TrialRecord("b41f", {"lanes": 8}, (0.97, 5000.0, 9000.0), {"luts": -0.1}, {})
    >>> dict(zip(OBJECTIVES, trial.values))["images_per_second"]
    5000.0
    """

    key: str
    """Identity of the network that was trained; seed and settings are the store's."""
    params: Mapping[str, Choice]
    """Name -> value of the active parameters of the search space."""
    values: tuple[float, ...]
    """Objectives in the order of the store: validation accuracy (0..1), images per second, LUTs
    and, in searches that minimise them, 1-bits."""
    constraints: Mapping[str, float]
    """Constraint -> relative violation, <= 0 when met."""
    attributes: Mapping[str, Any]
    """JSON values: seeds, epochs, seconds, candidate vector, reasons of infeasibility."""


class TrialStore:
    """Trials in the journal ``path``, which is created if missing, in an existing folder.

    ``settings``, JSON values, must equal those that the file was started with; ``objectives`` are
    those of a new file. An incomplete last line, as a kill
    leaves it, is removed from the file. Optuna's log level is set to WARNING. Raises UserError when
    the file belongs to another search or has lines that are no journal's, OSError when it cannot be
    opened.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "trials.journal"
    ...     trial = TrialRecord("b41f", {"lanes": 8}, (0.97, 5000.0, 9000.0), {}, {"seed": 0})
    ...     TrialStore(path, {"seed": 0}).add(trial, choices={"lanes": (4, 8)})
    ...     TrialStore(path, {"seed": 0}).find("b41f").values
    (0.97, 5000.0, 9000.0)
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], objectives: Objectives = OBJECTIVES
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with told_as(UserError):
            check_own(path)
            _drop_torn_line(path)
        try:
            self._study, stored, self._records = _read(path, objectives)
            if stored is None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    self._study.set_metric_names(list(objectives))
                self._study.set_user_attr(SETTINGS, dict(settings))
        except _BROKEN as error:
            raise UserError(f"{path} is not a trial journal: {printable(error)}") from error
        if stored is not None and stored != dict(settings):
            changed = sorted(k for k in {*stored, *settings} if stored.get(k) != settings.get(k))
            raise UserError(
                f"{path} holds trials of a search with other {', '.join(changed)}; "
                "use another output folder or the old settings"
            )

    def find(self, key: str) -> TrialRecord | None:
        """Return the trial with that key, or None."""
        return self._records.get(key)

    def records(self) -> list[TrialRecord]:
        """Return the trials, one for each key, the oldest key first."""
        return list(self._records.values())

    def add(self, record: TrialRecord, choices: Mapping[str, tuple[Choice, ...]]) -> None:
        """Append a trial to the journal.

        choices: allowed values of each of its parameters, by name. A trial with the same key as an
        earlier one takes its place in ``find`` and ``records``; the file keeps both. Raises
        ValueError for a value that is not allowed, OSError when the file cannot be written.
        """
        distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(choices[name]) for name in record.params
        }
        self._study.add_trial(
            optuna.create_trial(
                values=list(record.values),
                params=dict(record.params),
                distributions=distributions,
                constraints=dict(record.constraints),
                user_attrs={KEY: record.key, **record.attributes},
            )
        )
        self._records[record.key] = record


def is_empty(path: Path) -> bool:
    """Return True if the journal ``path`` has no complete trial, or does not exist.

    False for a file that is no journal or cannot be read: there may be something in it.
    """
    try:
        lines = read_bytes(path, MAX_BYTES).split(b"\n")[:-1]  # without an incomplete last line
        return all(parse_json(line.decode())["op_code"] != _CREATE_TRIAL for line in lines)
    except MissingFile:
        return True
    except (ValueError, LookupError, TypeError):
        return False


def finished(path: Path) -> list[dict[str, Any]]:
    """Return ``values`` and ``user_attrs`` of each complete trial of a journal, which is only read.

    Raises UserError for a file that is missing or no journal.
    """
    form = {"op_code": int, "values?": ([float], None), "user_attrs?": dict}
    with told_as(UserError):
        lines = read_text(path, MAX_BYTES).split("\n")[:-1]  # without an incomplete last line
        found = [parse_json(line, str(path)) for line in lines]
        for line in found:
            conform(line, form, str(path))
    return [line for line in found if line["op_code"] == _CREATE_TRIAL]


def _read(
    path: Path, objectives: Objectives
) -> tuple[optuna.Study, dict[str, Any] | None, dict[str, TrialRecord]]:
    """Return the study of a journal, the settings that it was started with, and its trials by key.

    A new study has no settings. Raises UserError for trials without settings, and what is in
    _BROKEN for a damaged journal.
    """
    lock = JournalFileSymlinkLock(str(path), grace_period=LOCK_SECONDS)
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    if STUDY_NAME in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=STUDY_NAME, storage=storage)
    else:
        directions = list(objectives.values())
        study = optuna.create_study(study_name=STUDY_NAME, storage=storage, directions=directions)
    stored = study.user_attrs.get(SETTINGS)
    if stored is not None and not isinstance(stored, dict):
        raise ValueError("its settings are no settings")
    if stored is None and study.get_trials(deepcopy=False):
        raise UserError(f"{path} holds trials of an unknown search; use another output folder")
    records = [_record(trial, len(objectives)) for trial in study.get_trials(deepcopy=False)]
    return study, stored, {record.key: record for record in records}


def _record(trial: optuna.trial.FrozenTrial, count: int) -> TrialRecord:
    """Return a stored trial. Raises one of _BROKEN for a damaged one.

    That is one without its key, with another number of values than ``count``, or with values or
    constraints that are no finite numbers.
    """
    attributes = dict(trial.user_attrs)
    key, values, constraints = attributes.pop(KEY), tuple(trial.values), dict(trial.constraints)
    numbers = (*values, *constraints.values())
    finite = all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)
    if not isinstance(key, str) or len(values) != count or not finite:
        raise ValueError("a trial is damaged")
    return TrialRecord(key, trial.params, values, constraints, attributes)


def _drop_torn_line(path: Path) -> None:
    """Cut off the incomplete last line that a kill during an append leaves in the journal.

    A line is complete if it ends in a newline. Nothing happens if the file is missing.
    """
    if not path.exists():
        return
    text = read_bytes(path, MAX_BYTES)
    complete = text.rfind(b"\n") + 1
    if complete < len(text):
        os.truncate(path, complete)
