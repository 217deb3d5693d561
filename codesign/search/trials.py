"""One trial of a search: a network to train, or trained, as Optuna's studies hold it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from codesign.goals import ALWAYS, GOALS
from codesign.search.storage import MAX_BYTES
from models.files.reading import MissingFile, parse_json, read_bytes
from models.files.writing import atomic_file

Objectives = Mapping[str, Literal["minimize", "maximize"]]
OBJECTIVES: Objectives = {
    "validation_accuracy": "maximize",
    **{GOALS[goal].figure: GOALS[goal].best for goal in ALWAYS},
}
"""Objective -> direction, in the order of the values of a trial."""
ONE_BITS: Objectives = {"one_bits": "minimize"}
"""Further objective of searches that minimise the 1-bits of the weights, after OBJECTIVES."""
KEY, WORKER = "key", "worker"
_OP_CODES = (4, 6)
"""``op_code`` of a journal's lines that may hold a finished trial (Optuna's JournalOperation)."""
_CELLS = (bool, int, float, str)
"""Types of attributes that a table has columns for."""

Choice = bool | int | float | str


@dataclass(frozen=True)
class Proposal:
    """One network to train, on an NPU.

    >>> Proposal("b41f", {"lanes": 8}, {"luts": -0.1}, {"luts": 9e3}).params["lanes"]
    8
    """

    key: str
    """Identity of the network; seed and settings are the store's."""
    params: Mapping[str, Choice]
    """Name -> value of the active parameters of the search space."""
    constraints: Mapping[str, float]
    """Constraint -> relative violation, <= 0 when met."""
    attributes: Mapping[str, Any]
    """JSON values: candidate vector, names for people, and those objectives that are known."""


@dataclass(frozen=True)
class TrialRecord(Proposal):
    """One trained design.

    >>> trial = TrialRecord("b41f", {"lanes": 8}, {"luts": -0.1}, {}, (0.97, 5000.0, 9000.0))
    >>> dict(zip(OBJECTIVES, trial.values))["images_per_second"]
    5000.0
    """

    values: tuple[float, ...]
    """Objectives in the order of the store: validation accuracy (0..1), images per second, LUTs
    and those that the search has beyond (``objectives``)."""


@dataclass(frozen=True)
class Claim:
    """A trial that this process has to train. Made by ``TrialStore.claim``."""

    trial: int
    """Optuna's id of the trial."""
    proposal: Proposal


def objectives(goals: Iterable[str], *, one_bits: bool) -> Objectives:
    """Return the objectives of a search: OBJECTIVES, 1-bits if they are one, further goals.

    goals: names in results.GOALS.
    """
    further = {GOALS[goal].figure: GOALS[goal].best for goal in goals if goal not in ALWAYS}
    return {**OBJECTIVES, **(ONE_BITS if one_bits else {}), **further}


def record_of(trial: FrozenTrial, count: int) -> TrialRecord:
    """Return a finished trial. Raises ValueError and the like for a damaged one.

    That is one without its key, with another number of values than ``count``, or with values or
    constraints that are no finite numbers.
    """
    one, values = proposal_of(trial), tuple(trial.values)
    if len(values) != count or not _are_finite((*values, *one.constraints.values())):
        raise ValueError("a trial is damaged")
    return TrialRecord(one.key, one.params, one.constraints, one.attributes, values)


def finite_values(attributes: Mapping[str, Any], objectives: Sequence[str]) -> list[float]:
    """Return the objectives of a trial by its attributes. Raises ValueError for a damaged one."""
    values = [attributes.get(name) for name in objectives]
    if not _are_finite(values):
        raise ValueError("a trial is damaged")
    return [float(value) for value in values if value is not None]


def _are_finite(values: Iterable[Any]) -> bool:
    return all(isinstance(n, int | float) and math.isfinite(n) for n in values)


def proposal_of(trial: FrozenTrial) -> Proposal:
    """Return what a trial asks for, or has asked for. Raises ValueError if it has no key."""
    attributes = dict(trial.user_attrs)
    key = attributes.pop(KEY, None)
    if not isinstance(key, str):
        raise ValueError("a trial is damaged")
    return Proposal(key, trial.params, dict(trial.constraints), attributes)


def is_empty(path: Path) -> bool:
    """Return True if the journal ``path`` has no finished trial, or does not exist.

    False for a file that is no journal or cannot be read: there may be something in it.
    """
    try:
        lines = read_bytes(path, MAX_BYTES).split(b"\n")[:-1]  # without an incomplete last line
        found = [parse_json(line.decode()) for line in lines]
        done = [one for one in found if one["op_code"] in _OP_CODES]
        return all(one.get("state") != TrialState.COMPLETE for one in done)
    except MissingFile:
        return True
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def write_csv(path: Path, records: Sequence[TrialRecord], objectives: Sequence[str]) -> None:
    """Write trials as a table, atomically: key, objectives, plain attributes, constraints, choices.

    Constraints are relative violations, in columns ``limit NAME``; what a trial does not have is
    empty. Raises OSError.
    """
    rows: list[dict[str, Any]] = []
    for one in records:
        plain = {k: v for k, v in one.attributes.items() if isinstance(v, _CELLS)}
        limits = {f"limit {name}": value for name, value in one.constraints.items()}
        values = dict(zip(objectives, one.values, strict=True))
        rows.append({KEY: one.key, **plain, **values, **limits, **one.params})
    columns = list(dict.fromkeys(name for row in rows for name in row))
    first = [KEY, *objectives]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, [*first, *(name for name in columns if name not in first)])
    table.writeheader()
    table.writerows(rows)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())
