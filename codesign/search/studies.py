"""The study of a search: created or found, and held against the search's settings."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from codesign.results import UserError
from codesign.search.storage import StudyPlace
from codesign.search.trials import Objectives, TrialRecord, record_of
from models.files.reading import printable, quoted

BROKEN = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError)
"""What Optuna raises for damaged studies."""
SETTINGS = "settings"
STATE, SEARCHING, ENDED = "state", "searching", "ended"
"""Attribute of a study, and its values: whether more networks will be asked for."""
EFFORT, MOST_EFFORT = "effort", 32
"""Attribute of a study: work of each trial, in times of that without a time limit; the most."""
VERSION = "codesign"
"""Attribute of a study: the release that searches."""
ELSEWHERE = "use another output folder or study"


def effort_of(noted: Any, place: StudyPlace) -> int | None:
    """Return the value of EFFORT in the study at ``place``; None: not chosen yet.

    Raises UserError if it is no number from 1 to MOST_EFFORT.
    """
    if noted is None or (type(noted) is int and 1 <= noted <= MOST_EFFORT):
        return noted
    raise UserError(f"{place}: {EFFORT} must be 1..{MOST_EFFORT}, not {quoted(noted)}")


def stored_settings(place: StudyPlace) -> dict[str, Any] | None:
    """Return the settings that the study at ``place`` was started with; None if there is no study.

    Nothing is created but the tables of a database. Raises UserError as TrialStore does.
    """
    if place.file is not None and not place.file.exists():
        return None
    try:
        storage = place.open()
        with place.told():
            names = {study.study_name for study in storage.get_all_studies()}
            if place.study not in names:
                return None
            study = storage.get_study_id_from_name(place.study)
            found = storage.get_study_user_attrs(study).get(SETTINGS)
            if found is not None and not isinstance(found, dict):
                raise ValueError("its settings are no settings")
            return found
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{place} is damaged: {printable(error)}") from error


def finished_trials(journal: Path) -> list[tuple[dict[str, Any], list[TrialRecord]]]:
    """Return the settings and the finished trials of each study in a journal, which is only read.

    Of several trials with one key the last one counts. Raises UserError for a file that is missing
    or no journal.
    """
    if not journal.exists():
        raise UserError(f"{journal} is missing: its search keeps its trials elsewhere, or is new")
    place = StudyPlace(journal)
    try:
        storage = place.open()
        with place.told():
            return [
                (
                    dict(study.user_attrs.get(SETTINGS, {})),
                    _records(storage, study.study_name, len(study.directions)),
                )
                for study in storage.get_all_studies()
            ]
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{place} is not a trial journal: {printable(error)}") from error


def _records(storage: BaseStorage, name: str, objectives: int) -> list[TrialRecord]:
    study = storage.get_study_id_from_name(name)
    done = storage.get_all_trials(study, deepcopy=False, states=(TrialState.COMPLETE,))
    found = [record_of(trial, objectives) for trial in done]
    return list({record.key: record for record in found}.values())


def check_settings(place: StudyPlace, stored: Any, wanted: Mapping[str, Any]) -> None:
    """Raise UserError if a study's settings are not those of the search."""
    if not isinstance(stored, dict):
        raise ValueError("its settings are no settings")
    if stored != dict(wanted):
        changed = sorted(k for k in {*stored, *wanted} if stored.get(k) != wanted.get(k))
        raise UserError(
            f"{place} holds trials of a search with other {', '.join(changed)}; "
            f"{ELSEWHERE}, or the old settings"
        )


def open_study(storage: BaseStorage, name: str, objectives: Objectives) -> int:
    """Return Optuna's id of the study of that name, which is created if missing."""
    if name not in {study.study_name for study in storage.get_all_studies()}:
        directions = [StudyDirection[direction.upper()] for direction in objectives.values()]
        with contextlib.suppress(DuplicatedStudyError):  # another process was faster
            storage.create_new_study(directions, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.load_study(study_name=name, storage=storage)
        if study.metric_names is None:
            study.set_metric_names(list(objectives))
    return storage.get_study_id_from_name(name)
