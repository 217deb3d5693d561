"""Trials of a search in an Optuna study: networks to train, in training, and trained.

A network is asked for by a waiting trial, which one process claims, trains and completes; a trial
whose process has died is given out again. So a kill at any moment loses only trainings in progress,
and any number of processes may work on a study. Any Optuna tool (dashboard, importance analysis)
reads it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from codesign.results import UserError
from codesign.search.storage import StudyPlace
from codesign.search.studies import BROKEN, ELSEWHERE, SETTINGS, check_settings, open_study
from codesign.search.trials import (
    KEY,
    OBJECTIVES,
    WORKER,
    Choice,
    Claim,
    Objectives,
    Proposal,
    TrialRecord,
    finite_values,
    proposal_of,
    record_of,
)
from models.files.reading import printable

_BEAT = "codesign:beat"
"""System attribute of a trial in training, a number that changes as long as its process lives."""


@dataclass(frozen=True)
class Heartbeat:
    """Signs of life of a process that trains, in seconds; the same in all processes of a study.

    >>> Heartbeat().grace_s > 2 * Heartbeat().interval_s
    True
    """

    interval_s: float = 10.0
    grace_s: float = 60.0
    """Silence after which a process counts as dead, by the clock of whoever waits for it."""


class TrialStore:
    """Trials of the study at ``place``, which is created if missing.

    ``settings``, JSON values, must equal those that the study was started with; ``objectives`` are
    those of a new study. ``worker`` is the name of this process for others, which no other one has:
    a trial that an earlier process of that name was training is given out again at once. Optuna's
    log level is set to WARNING. Raises UserError when the study is of another search or damaged,
    or cannot be opened; as all methods do.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = StudyPlace(Path(folder) / "trials.journal")
    ...     store = TrialStore(place, {"seed": 0})
    ...     store.ask([Proposal("b41f", {"lanes": 8}, {}, {"luts": 9e3})], {"lanes": (4, 8)})
    ...     claim = store.claim()
    ...     store.complete(claim, {"validation_accuracy": 0.97, "images_per_second": 5e3})
    ...     TrialStore(place, {"seed": 0}).find("b41f").values
    True
    (0.97, 5000.0, 9000.0)
    """

    def __init__(
        self,
        place: StudyPlace,
        settings: Mapping[str, Any],
        objectives: Objectives = OBJECTIVES,
        worker: str = "",
        heartbeat: Heartbeat = Heartbeat(),
    ) -> None:
        self.place, self.heartbeat, self._worker = place, heartbeat, worker
        self.objectives = tuple(objectives)
        self._heard: dict[int, tuple[Any, float]] = {}
        self._claimed: set[int] = set()
        with self._told():
            self._storage = place.open()
            self._study = open_study(self._storage, place.study, objectives)
            stored = self._storage.get_study_user_attrs(self._study).get(SETTINGS)
            if stored is not None:
                check_settings(place, stored, settings)
            elif self._trials():
                raise UserError(f"{place} holds trials of an unknown search; {ELSEWHERE}")
            else:
                self._storage.set_study_user_attr(self._study, SETTINGS, dict(settings))
            self.records()  # raises if any is damaged
            for trial in self._trials():
                mine = trial.user_attrs.get(WORKER) == worker
                if trial.state == TrialState.RUNNING and worker and mine:
                    self._give_again(trial)

    def note(self, name: str, value: Any) -> None:
        """Set an attribute of the study that people and workers read; ``value``: of JSON."""
        with self._told():
            self._storage.set_study_user_attr(self._study, name, value)

    def noted(self, name: str) -> Any:
        """Return an attribute of the study, None if it has none of that name."""
        with self._told():
            return self._storage.get_study_user_attrs(self._study).get(name)

    def find(self, key: str) -> TrialRecord | None:
        """Return the finished trial with that key, or None."""
        return next((record for record in self.records() if record.key == key), None)

    def records(self) -> list[TrialRecord]:
        """Return the finished trials of all processes, one for each key, the oldest key first.

        Of several with one key, which releases before this one could leave, the last one counts.
        """
        with self._told():
            done = (t for t in self._trials() if t.state == TrialState.COMPLETE)
            found = [record_of(trial, len(self.objectives)) for trial in done]
        return list({record.key: record for record in found}.values())

    def ask(self, proposals: Iterable[Proposal], choices: Mapping[str, tuple[Choice, ...]]) -> None:
        """Ask for the training of networks, except those that are asked for or trained already.

        choices: allowed values of each of their parameters, by name. Raises ValueError for a value
        that is not allowed.
        """
        with self._told():
            known = {
                trial.user_attrs.get(KEY)
                for trial in self._trials()
                if trial.state != TrialState.FAIL
            }
        for one in proposals:
            if one.key in known:
                continue
            distributions: dict[str, BaseDistribution] = {
                name: CategoricalDistribution(choices[name]) for name in one.params
            }
            waiting = optuna.create_trial(
                state=TrialState.WAITING,
                params=dict(one.params),
                distributions=distributions,
                constraints=dict(one.constraints),
                user_attrs={KEY: one.key, **one.attributes},
            )
            with self._told():
                self._storage.create_new_trial(self._study, waiting)

    def claim(self) -> Claim | None:
        """Take the oldest network that waits, for this process to train; None if none waits.

        A network that two processes have asked for at once is given to one. Where none waits, those
        whose processes have been silent for the grace period wait again from then on.
        """
        with self._told():
            trials = self._trials()
            first: dict[Any, int] = {}
            for trial in trials:
                if trial.state != TrialState.FAIL:
                    first.setdefault(trial.user_attrs.get(KEY), trial.number)
            waiting = [
                t
                for t in trials
                if t.state == TrialState.WAITING and t.user_attrs.get(KEY) is not None
            ]
            for trial in waiting:
                if first[trial.user_attrs.get(KEY)] != trial.number:
                    self._set(trial._trial_id, TrialState.FAIL)
                elif self._set(trial._trial_id, TrialState.RUNNING):
                    self._storage.set_trial_user_attr(trial._trial_id, WORKER, self._worker)
                    self._claimed.add(trial._trial_id)
                    return Claim(trial._trial_id, proposal_of(trial))
            for trial in trials:
                if trial.state == TrialState.RUNNING and self._is_silent(trial):
                    self._give_again(trial)
        return None

    def complete(self, claim: Claim, measured: Mapping[str, Any]) -> bool:
        """Finish a claimed trial; return False if it was given out again meanwhile.

        measured: its further attributes. The objectives are taken from these and from those of the
        proposal. Raises UserError, too, where one is missing or no finite number.
        """
        with self._told():
            values = finite_values({**claim.proposal.attributes, **measured}, self.objectives)
            try:
                for name, value in measured.items():
                    self._storage.set_trial_user_attr(claim.trial, name, value)
            except UpdateFinishedTrialError:
                self._claimed.discard(claim.trial)
                return False
            self._claimed.discard(claim.trial)
            return self._set(claim.trial, TrialState.COMPLETE, values)

    def release(self, claim: Claim) -> None:
        """Give back a claimed trial, which waits again, for any process."""
        self._claimed.discard(claim.trial)
        with self._told():
            self._give_again(self._storage.get_trial(claim.trial))

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Tell others during the ``with`` block that this process works on what it has claimed."""
        done = threading.Event()

        def beat() -> None:
            count = 0
            while not done.wait(self.heartbeat.interval_s):
                count += 1
                # What does not reach the storage now may reach it next time.
                with contextlib.suppress(UserError):
                    self._beat(count)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, count: int) -> None:
        for trial in tuple(self._claimed):
            with self._told(), contextlib.suppress(UpdateFinishedTrialError):
                self._storage.set_trial_system_attr(trial, _BEAT, count)

    def _is_silent(self, trial: FrozenTrial) -> bool:
        """Return True if a trial's process has not told of itself during the grace period."""
        if trial._trial_id in self._claimed:
            return False
        now, beat = time.monotonic(), trial.system_attrs.get(_BEAT)
        last = self._heard.get(trial._trial_id)
        if last is None or last[0] != beat:
            self._heard[trial._trial_id] = beat, now
            return False
        return now - last[1] > self.heartbeat.grace_s

    def _give_again(self, trial: FrozenTrial) -> None:
        """End a trial in training and let its network wait again, unless another process does."""
        if self._set(trial._trial_id, TrialState.FAIL):
            again = optuna.create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                constraints=trial.constraints,
                user_attrs={k: v for k, v in trial.user_attrs.items() if k != WORKER},
            )
            self._storage.create_new_trial(self._study, again)

    def _set(self, trial: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Change a trial's state atomically; return False if another process was faster."""
        try:
            return self._storage.set_trial_state_values(trial, state, values)
        except UpdateFinishedTrialError:
            return False

    def _trials(self) -> list[FrozenTrial]:
        """Return all trials, those of one network side by side, in the order they were asked for.

        One that is given out again has a trial with a later number, but stays in its place.
        """
        trials = self._storage.get_all_trials(self._study, deepcopy=False)
        asked: dict[Any, int] = {}
        for trial in trials:
            asked.setdefault(trial.user_attrs.get(KEY), trial.number)
        return sorted(trials, key=lambda trial: (asked[trial.user_attrs.get(KEY)], trial.number))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raise UserError for a study that cannot be reached, or is damaged."""
        try:
            with self.place.told():
                yield
        except UserError:
            raise
        except BROKEN as error:
            kind = "trial journal" if isinstance(self.place.storage, Path) else "study of trials"
            raise UserError(f"{self.place} is not a {kind}: {printable(error)}") from error
