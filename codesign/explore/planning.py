"""The plan of the full trainings within a time limit: how many networks, for how many epochs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

from codesign.build import pipeline
from codesign.design import Design
from codesign.explore.choice import Trained
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.folder import read_stored
from models.files import json_io
from models.training.choices import worthwhile_epochs

LEAST_EPOCHS = 4
"""Fewest epochs of a full training, even when the time is up, unless fewer are asked for."""
TRAINING_SHARE, RESERVE_S = 0.7, 900.0
"""Fraction of the remaining time that the full trainings may plan for, or all but so many seconds
of it, if that is more: what follows, synthesis and simulation, does not grow with the limit."""
ALONE = 0.7
"""Time of an epoch of large images in a training that has two processors, as a share of that of one
that has a processor beside another: a guess, which leaves room."""
MOST_TIMES = 8
"""Most times the epochs chosen by the size of the data set that a time limit has room for."""
PLAN = "plan.json"
"""File in the folder of trainings: what a time limit left of them, for a resumed run."""
_PLAN_FORM = {"networks": range(1, 1_000), "epochs": range(1_000_000), "notes": [str]}


@dataclass(frozen=True)
class Plan:
    """Number of finalists that are trained in full, and the epochs of each. Made by ``plan``."""

    networks: int
    epochs: int | None
    notes: tuple[str, ...] = ()
    """A sentence for each thing that the time limit has cut."""


def plan(finalists: Sequence[tuple[Design, Trained]], wanted: FinishSettings) -> Plan:
    """Fit the full trainings of the finalists, the most promising first, into the time limit.

    First, fewer networks are trained: as many as have time for the epochs up to which these are
    worth more than a further network (``worthwhile_epochs``), by the pace of their short trainings
    in TRAINING_SHARE of the time left, or in all but RESERVE_S of it. When one alone does not fit,
    it is trained for fewer epochs, at least LEAST_EPOCHS. Time that all of them leave goes into
    more epochs, unless their number was asked for. What was planned is stored, so that a resumed
    run does the same. Raises UserError if that is damaged.
    """
    epochs = wanted.epochs
    if wanted.time_left_s is None:
        return Plan(len(finalists), epochs)
    path = wanted.training / PLAN
    if path.exists():
        known = read_stored(path, _PLAN_FORM)
        return Plan(known["networks"], known["epochs"], tuple(known["notes"]))
    usual = pipeline.settings_of(finalists[0][0], wanted.dataset)
    full = worth = usual.epochs if epochs is None else epochs
    if epochs is None:
        worth = worthwhile_epochs(wanted.dataset, full)
    alone = ALONE if usual.threads is None and len(os.sched_getaffinity(0)) > 1 else 1.0
    images = len(wanted.dataset.train)
    paces = [wanted.short.seconds_an_epoch(short.seconds, images) for _, short in finalists]
    left_s = _for_training(wanted.time_left_s)

    def seconds_an_epoch(count: int) -> float:
        longest, work = max(paces[:count]), sum(paces[:count]) / wanted.settings.jobs
        return max(longest, work) * wanted.settings.folds * (alone if count == 1 else 1.0)

    fitting = (n for n in range(1, len(paces) + 1) if worth * seconds_an_epoch(n) <= left_s)
    count = max(fitting, default=1)
    most = full if epochs is not None else MOST_TIMES * full
    room = int(left_s / seconds_an_epoch(count))
    planned = min(most, max(room, min(full, LEAST_EPOCHS)))
    notes = []
    if count < len(paces):
        notes.append(cut_note(count, len(paces)))
    if planned < full:
        notes.append(f"the time limit cut the full training to {planned} of {full} epochs")
    if planned > full:
        notes.append(
            f"the time limit had room for {planned} epochs of full training instead of {full}"
        )
    found = Plan(count, planned, tuple(notes))
    wanted.training.mkdir(parents=True, exist_ok=True)
    json_io.write(path, dataclasses.asdict(found))
    return found


def cut_note(count: int, of: int) -> str:
    """Return the sentence on a time limit that leaves ``count`` full trainings of so many."""
    return f"the time limit cut the networks that are trained in full to {count} of {of}"


def has_room(took_s: float, seconds: Sequence[float], another_s: float, left_s: float) -> bool:
    """Return True if the time that is left has room for one more full training of the same epochs.

    took_s: of the trainings so far, side by side, whose short ones took ``seconds``, as that of
    another one ``another_s``; left_s: until the time limit. Short trainings say too little of full
    ones' pace: one that is alone has all cores, and the machine may have become faster.
    """
    return took_s * another_s / max(seconds) <= _for_training(left_s)


def _for_training(left_s: float) -> float:
    return max(TRAINING_SHARE * left_s, left_s - RESERVE_S)
