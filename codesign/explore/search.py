"""The search part of ``explore``: candidates are pruned by estimates and ranked by training.

Multi-objective search with a surrogate: a strategy explores the space against cost models and an
accuracy predictor; the networks that are expected to add most to the front are trained briefly, and
the predictor learns from them. What it knows before that comes from earlier trainings of others.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from codesign.explore.approach import Approach
from codesign.explore.choice import Rule, Trained
from codesign.explore.folder import short_weights
from codesign.explore.replacing import STANDINGS, TABLE
from codesign.explore.settings import ExploreSettings
from codesign.explore.stages import StageClock
from codesign.explore.telling.names import array_name, readable_names
from codesign.explore.telling.reasons import nothing_fits
from codesign.goals import GOALS
from codesign.search.accuracy.features import network_features
from codesign.search.crew import Evaluation, work
from codesign.search.engine import Evaluated, InnerSearch, Problem
from codesign.search.picking import Chances, Picker
from codesign.search.space.genome import network_key
from codesign.search.standing import Standing, Watch
from codesign.search.store import TrialStore
from codesign.search.studies import EFFORT, ENDED, MOST_EFFORT, STATE, effort_of
from codesign.search.trials import Proposal, write_csv
from codesign.tools.workers import Pool
from models.data.datasets import Dataset
from models.training.choices import large_images
from models.training.history import from_list

Progress = Callable[[str, float, float, str], None]
"""Progress callback with (stage, steps done, steps in all, note)."""

SPREAD = (1536, 2048)
"""Candidates estimated besides, in equal shares of each kind of network."""
ROUND = 4
"""Most networks trained between two looks at what to train next."""
EVALUATIONS = (3584, 8192)
"""Candidates estimated (before the first trainings, besides the first random ones; before each
later round)."""
LARGE_TIMES = 5
"""Times as many of both where images are large and trainings take minutes: what was proposed was
far from the best by the search's own beliefs (docs/measurements/cifar10.md)."""
TIME_SHARE = 0.35
"""Fraction of the time limit after which no further network is trained briefly."""


AGAIN_SHARE = 0.05
"""Share of the time for short trainings up to which the one that is timed is timed again, as what
torch prepares at first in a process doubles a training of 20 s."""


class Search:
    """One search for networks worth a full training. Made by ``explore``.

    Each trained network is in a store as soon as its training ends, so that a search that
    was killed continues from there.
    """

    def __init__(
        self,
        settings: ExploreSettings,
        problem: Problem,
        dataset: Dataset,
        open_store: Callable[[], TrialStore],
        approach: Approach,
        pool: Pool,
        progress: Progress,
        tell: Callable[[Standing], None],
        clock: StageClock,
    ) -> None:
        """Prepare a search, whose time limit starts here; ``approach``: how it judges networks.

        open_store: called once, when a design that meets the budget is found. pool: for trials.
        tell: called after each trial. clock: is told of the stages ``first_samples`` (for which the
        loops of the estimates are compiled if no run before has), ``estimates`` (all that chooses
        what to train) and ``short_training``.
        """
        self.settings, self.problem, self.dataset = settings, problem, dataset
        self._open_store, self.approach = open_store, approach
        self.pool, self.progress, self._clock = pool, progress, clock
        limit_s = settings.time_limit_s
        time_s = None if limit_s is None else TIME_SHARE * limit_s
        self.deadline = None if time_s is None else time.monotonic() + time_s
        self._watch = Watch(settings.out / STANDINGS, settings.networks, tell, time_s)
        self.trained: dict[str, Trained] = {}
        self.notes: tuple[str, ...] = ()
        """A sentence on the trials where the time limit chose how long they are."""
        self._known: set[str] = set()

    @functools.cached_property
    def inner(self) -> InnerSearch:
        """The search on estimates; it draws its first samples at the first use."""
        return InnerSearch(self.problem, self.settings.strategy, self.settings.seed)

    def _picker(self) -> Picker:
        """Return a choice of what to train, by what is believed of networks before any trial."""
        settings = self.settings
        belief = self.approach.belief(self.inner, lambda: self.store)
        return Picker(
            self.inner,
            belief,
            prefer=settings.prefer,
            one_bits=settings.one_bits,
            least_share=self.approach.least_share,
        )

    @functools.cached_property
    def store(self) -> TrialStore:
        """The trials of this search and of those that it continues; opened at the first use."""
        return self._open_store()

    def run(self) -> list[Trained]:
        """Run the search; return the trained networks, best validation accuracy first.

        They are fewer than ``settings.networks`` if the time is up, or the front has no further
        ones. Raises InfeasibleError when the search finds no design within the budget.
        """
        networks = self.settings.networks
        self.progress("search", 0, networks + 1, "sampling the space")
        with self._clock.timed("first_samples"):
            picker = self._picker()
        while len(self.trained) < networks and not (self.trained and self._late()):
            first = not self.trained
            with self._clock.timed("estimates"):
                pool = self._estimated(picker)
                picks = picker.pick(pool, self._round(), self._chances())
            if not picks:
                break
            with self._clock.timed("short_training"):
                if first and (effort := self._effort(self._longest(pool, picks))) > 1:
                    self.approach = self.approach.with_effort(effort)
                    self.notes = (f"short trainings were about {effort} times as long as without a "
                                  "time limit, which had room for that",)  # fmt: skip
                    picker = self._picker()
                self._train(pool, picks)
            with self._clock.timed("estimates"):
                trained = self.trained.values()
                picker.learn(
                    [one.candidate for one in trained],
                    np.array([one.accuracy for one in trained]),
                    np.array([float(one.one_bits) for one in trained]),
                )
        self.store.note(STATE, ENDED)
        return sorted(self.trained.values(), key=lambda one: -one.accuracy)

    def _round(self) -> int:
        """Return the number of networks of the next round: of the last one ROUND, if there are."""
        left = self.settings.networks - len(self.trained)
        before = left - ROUND if self.trained and left > ROUND else left
        return min(ROUND, before)

    def _chances(self) -> Chances | None:
        """Return how the chances to be chosen follow; None: the next round is for the front.

        The last round of several is for the choice: for networks that may be trained in full. Where
        a network is given, all may be.
        """
        wanted, trained = self.settings, self.trained.values()
        images = self.approach.how.validation_images
        rule = Rule(images, wanted.prefer, wanted.min_accuracy, wanted.boo_within)
        last = wanted.networks - len(trained) <= ROUND
        if not trained or not last or wanted.starts or not rule.takes_equals:
            return None
        return functools.partial(rule.chances, best=max(one.accuracy for one in trained))

    def _estimated(self, picker: Picker) -> Evaluated:
        """Search further on estimates; return all feasible designs found until now.

        Raises InfeasibleError when there is none.
        """
        later = bool(self.trained)
        times = LARGE_TIMES if large_images(self.dataset) else 1
        self.inner.spread(picker.score, times * SPREAD[later])
        pool = self.inner.run(picker.score, times * EVALUATIONS[later])
        if not pool.feasible.any():
            raise nothing_fits(self.inner)
        return self.approach.refined(self.inner, picker.score, pool, first=not self.trained)

    def _longest(self, pool: Evaluated, rows: Sequence[int]) -> Proposal:
        """Return the network of ``rows`` with the most products, which takes longest to train."""
        return self._proposal(pool, max(rows, key=lambda row: int(pool.layers.macs[row].sum())))

    def _effort(self, longest: Proposal) -> int:
        """Return the work of each trial, in times of the usual, that the time limit has room for.

        A trial of the ``longest`` network of the first round is timed, and not kept. What was found
        is noted in the study, for the workers on it and for a resumed run. 1 without a time limit.
        """
        noted = effort_of(self.store.noted(EFFORT), self.store.place)
        if noted is None:
            noted = 1 if self.store.records() else self._timed_effort(longest)
            self.store.note(EFFORT, noted)
        return noted

    def _timed_effort(self, longest: Proposal) -> int:
        approach, networks = self.approach, self.settings.networks
        useless = approach.with_effort(MOST_EFFORT) is approach
        if useless or self.deadline is None or time.monotonic() > self.deadline:
            return 1
        self.progress("search", 0, networks + 1, "timing a short training")
        subset = approach.how.subset(self.dataset)
        trainer = approach.trainer(self.problem.space, subset, lambda key: None)
        # Most others take less time: on CIFAR-10 0.7 times as much in the mean.
        trial_s = max(float(trainer(longest)["seconds"]), 1e-3)
        if trial_s < AGAIN_SHARE * (self.deadline - time.monotonic()):
            trial_s = max(min(trial_s, float(trainer(longest)["seconds"])), 1e-3)
        room = (self.deadline - time.monotonic()) * self.settings.jobs / (networks * trial_s)
        return int(min(max(room, 1), MOST_EFFORT))

    def _late(self) -> bool:
        """Return True if the time is up and at least one network was trained, in any run."""
        passed = self.deadline is not None and time.monotonic() > self.deadline
        return passed and bool(self.store.records())

    def _train(self, pool: Evaluated, rows: Sequence[int]) -> None:
        """Have those networks of ``rows`` trained that are not in the store, until the time is up.

        They are trained here, and by all workers on the store. They enter ``self.trained`` in the
        order of ``rows``, whichever training ends first.
        """
        proposals = [(row, self._proposal(pool, row)) for row in rows]
        wanted = {one.key: (row, one) for row, one in proposals}
        work(self.store, self.pool, self._trainer, lambda: self._going(wanted))
        for key, (row, _) in wanted.items():
            record = self.store.find(key)
            if record is not None:
                self.trained[key] = Trained(
                    pool.candidates[row],
                    record.values[0],
                    float(record.attributes["seconds"]),
                    int(record.attributes["one_bits"]),
                    from_list(record.attributes.get("history", ())),
                )
        self._report()

    def _going(self, wanted: Mapping[str, tuple[int, Proposal]]) -> bool:
        """Report what is new in the store; return True while networks are to be trained.

        What nobody trains, as its process was killed while it gave it up, is asked for again.
        """
        records = self.store.records()
        new = [record for record in records if record.key not in self._known]
        self._known |= {record.key for record in new}
        if new or not records:
            self._watch.update(records, self.inner)
        if new:
            write_csv(self.settings.out / TABLE, records, self.store.objectives)
            self._report(f"{100 * new[-1].values[0]:.1f} % {self.approach.how.told}")
        missing = [one for key, (_, one) in wanted.items() if key not in self._known]
        if not missing or self._late():
            return False
        self.store.ask(missing, self.problem.space.choices)
        return True

    @functools.cached_property
    def _trainer(self) -> Evaluation:
        """The trial of a network, whose weights are kept."""
        short_weights(self.settings.out, "").parent.mkdir(parents=True, exist_ok=True)
        keep = functools.partial(short_weights, self.settings.out)
        subset = self.approach.how.subset(self.dataset)
        return self.approach.trainer(self.problem.space, subset, keep)

    def _report(self, note: str = "") -> None:
        done = len({*self.trained, *self._known})
        self.progress("search", 1 + done, 1 + max(self.settings.networks, done), note)

    def _proposal(self, pool: Evaluated, row: int) -> Proposal:
        space, candidate = self.problem.space, pool.candidates[row]
        figures = pool.estimate.figures(row)
        return Proposal(
            network_key(space, candidate),
            params=space.params(candidate),
            constraints={name: float(values[row]) for name, values in pool.excess.items()},
            attributes={
                "network": readable_names(space, [candidate])[0],
                "npu": array_name(pool.estimate.npu.config(row)),
                "images_per_second": figures.images_per_second,
                "luts": figures.luts,
                "brams": figures.brams,
                **{
                    GOALS[goal].figure: float(pool.estimate.amount(goal)[row])
                    for goal in self.problem.goals
                },
                "candidate": candidate.tolist(),
                "features": network_features(pool.layers.take(np.array([row])))[0].tolist(),
                "estimate": figures.to_dict(),
                "broken": [name for name, values in pool.excess.items() if values[row] > 0],
                "training": dataclasses.asdict(self.approach.how),
            },
        )
