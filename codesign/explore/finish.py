"""The last part of ``explore``: full trainings, choice, synthesis, build and verification.

With two or more jobs, the likeliest design is synthesised beside the last trainings. A design that
synthesis finds over the budget is replaced by the next best one, with area estimates scaled by
measured over estimated area; one whose rate in simulation misses the floor by the next best one. A
resumed run reuses weights and syntheses from disk, but writes and
verifies the build folder again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Sequence

from codesign import prediction
from codesign.build import pipeline
from codesign.design import Design
from codesign.explore import building, folds, planning, training
from codesign.explore.building import FinishedDesign, SynthesisAhead
from codesign.explore.choice import Option, Trained, best_option, finalists
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.search import Progress
from codesign.explore.stages import StageClock
from codesign.explore.training import FullTraining
from codesign.results import Infeasible, InfeasibleError
from codesign.search.engine import Problem
from codesign.search.space.candidates import to_design
from codesign.search.space.genome import network_key
from codesign.tools.workers import Pool

MAX_ATTEMPTS = 4
"""Designs that are synthesised at most before the budget counts as missed."""


def finish(
    problem: Problem,
    trained: Sequence[Trained],
    wanted: FinishSettings,
    pool: Pool,
    progress: Progress,
    clock: StageClock,
) -> FinishedDesign:
    """Train the finalists in full, choose a design of them, synthesise, build and verify it.

    If synthesis finds it over the budget, the next best one is tried, of the same networks as long
    as one of them has an NPU within the budget; at most MAX_ATTEMPTS in all. If none of them meets
    the budget, or verification fails, the result says why in ``failure``. Files go below
    ``wanted.settings.out``. Raises InfeasibleError when no design is left to synthesise, with the
    reasons of the last one that the compiler refused; YosysError and SimulationError when a tool
    fails. pool: for trainings, used with two or more jobs. clock: is told of the stages.
    """
    with SynthesisAhead(wanted) as ahead:
        return _Finish(problem, trained, wanted, pool, progress, clock, ahead).run()


class _Finish:
    """State of ``finish``: what is trained in full, and what compiler and synthesis refused."""

    def __init__(
        self,
        problem: Problem,
        trained: Sequence[Trained],
        wanted: FinishSettings,
        pool: Pool,
        progress: Progress,
        clock: StageClock,
        ahead: SynthesisAhead,
    ) -> None:
        self.done = FinishedDesign(problem, clock=clock)
        self.wanted, self.progress, self.ahead, self.pool = wanted, progress, ahead, pool
        self.short = {network_key(problem.space, one.candidate): one for one in trained}
        self.full: dict[str, Trained] = {}
        self.refused: set[bytes] = set()
        self.reasons: tuple[Infeasible, ...] = ()
        self.began_s = time.monotonic()
        self.planned = 0
        """Finalists that the plan of the full trainings was made for."""

    def run(self) -> FinishedDesign:
        done = self.done
        tasks = self._tasks(self.wanted.settings.finish)
        fresh = not any(training.has_begun(one, self.wanted) for one in tasks)
        self._train(tasks)
        if fresh and self.wanted.time_left_s is not None:  # else nobody knows what they take
            self._train_more(tasks, self.wanted.time_left_s)
        while len(done.attempts) < MAX_ATTEMPTS:
            found = self._best(list(self.full.values()))
            if found is None:
                if not self._train(self._tasks(1)):
                    break
            elif self._loses(found[0]):
                break
            elif self._attempt(*found):
                return done
        if not done.attempts:
            raise InfeasibleError(self.reasons)
        done.failure = building.missed(done.attempts)
        return done

    def _train_more(self, tasks: Sequence[FullTraining], limit_s: float) -> None:
        """Train finalists that the plan cut, one by one, if the time limit has room for them now.

        tasks: those that the plan left, just trained; limit_s: what was left before.
        """
        took_s = time.monotonic() - self.began_s
        seconds = [one.short.seconds for one in tasks]
        while len(self.full) < self.planned and (another := self._tasks(1)):
            left_s = limit_s - (time.monotonic() - self.began_s)
            if not planning.has_room(took_s, seconds, another[0].short.seconds, left_s):
                break
            before = planning.cut_note(len(self.full), self.planned)
            self._train(another)
            now = len(self.full)
            after = [planning.cut_note(now, self.planned)] if now < self.planned else []
            self.done.notes = (*(one for one in self.done.notes if one != before), *after)

    def _train(self, tasks: Sequence[FullTraining]) -> bool:
        """Train networks in full; return False if there are none."""
        with self.done.clock.timed("training"):
            self._guess(tasks, len(tasks))
            trainings = training.train_all(tasks, self.wanted, self.pool, self.progress)
            with contextlib.closing(trainings) as results:
                for ended, (task, result) in enumerate(results, start=1):
                    self.full[task.key] = result
                    self._guess(tasks, len(tasks) - ended)
        if tasks and self.wanted.settings.folds > 1:
            self._fold(tasks)
        # In the order of the short trainings, whichever full one ended first.
        self.full = {key: self.full[key] for key in self.short if key in self.full}
        self.done.networks = tuple({**self.short, **self.full}.values())
        return bool(tasks)

    def _fold(self, tasks: Sequence[FullTraining]) -> None:
        """Judge networks that were trained in full on the other folds, too."""
        with self.done.clock.timed("folds"):
            found = folds.settled(tasks, self.wanted, self.pool, self.progress)
        for task in tasks:
            one = self.full[task.key]
            own = one.accuracy if one.settled is None else one.settled
            every = (own, *found[task.key])
            mean = sum(every) / len(every)
            self.full[task.key] = dataclasses.replace(one, settled=mean, folds=every)

    def _guess(self, tasks: Sequence[FullTraining], left: int) -> None:
        """Begin the likeliest synthesis if ``left`` trainings do not take up all processes."""
        if 0 < left < self.wanted.settings.jobs:
            known = list(self.full.values()) or [tasks[0].short]
            if found := self._best(known):
                self.ahead.begin(found[1])

    def _tasks(self, count: int) -> list[FullTraining]:
        """Return the next networks to train in full, on NPUs that the compiler accepts."""
        problem = self.done.problem
        rule = self.wanted.rule(fully=False)
        rest = [one for key, one in self.short.items() if key not in self.full]
        while True:
            chosen = finalists(problem, rest, rule, count, frozenset(self.refused))
            refused = len(self.refused)
            designs = [self._best([one]) for one in chosen]
            if len(self.refused) == refused:
                break  # else the next best NPU may make another network more promising
        planned = [(found[1], found[0].trained) for found in designs if found is not None]
        if not planned:
            return []
        plan = planning.plan(planned, self.wanted)
        if not self.full:
            self.planned = len(planned)
            self.wanted = self.wanted.lasting(plan.epochs)
            self.done.notes = (*self.wanted.notes, *plan.notes)
        threads = 1 if min(plan.networks, len(planned)) > 1 else None
        return [
            FullTraining(
                network_key(problem.space, one.candidate),
                dataclasses.replace(design, training=self.wanted.settings.training),
                one,
                plan.epochs,
                threads,
                problem.space.start(one.candidate),
            )
            for design, one in planned[: plan.networks]
        ]

    def _best(self, trained: Sequence[Trained]) -> tuple[Option, Design] | None:
        """Return the best design of these networks that the compiler accepts, or None."""
        fully = all(one.trained_fully for one in trained)
        wanted = self.wanted
        rule = wanted.rule(fully=fully)
        while option := best_option(self.done.problem, trained, rule, frozenset(self.refused)):
            try:
                return option, _design(self.done.problem, option, wanted)
            except InfeasibleError as error:
                self.refused.add(option.candidate.tobytes())
                self.reasons = error.reasons
        return None

    def _attempt(self, option: Option, design: Design) -> bool:
        """Synthesise a design; if it meets the budget, build and verify it.

        Returns False if synthesis finds the design over the budget: then it is refused, and the
        area factor of the problem becomes measured over estimated area, if that is larger. Else
        returns True, even if verification failed (``failure``).
        """
        done, wanted = self.done, self.wanted
        weights = training.load(design, wanted)
        design, _ = training.widened(design, weights)
        self.progress("synthesis", 0, 1, f"{design.npu.macs} products")
        with done.clock.timed("synthesis"):
            measured = self.ahead.result(design)
        self.progress("synthesis", 1, 1, f"{measured.figures.luts:,.0f} LUTs")
        done.option, done.synthesised = option, measured
        # Always by the shipped model, because it is shown beside Yosys's counts.
        done.estimate = prediction.estimate_design(design, done.problem.family)
        done.attempts.append(
            {"design": design.name, "config": design.npu.hash[:12], **measured.figures.to_dict()}
        )
        if building.over_budget(measured, done.problem.budget, done.problem.model):
            self.refused.add(option.candidate.tobytes())
            ratio = building.area_ratio(done.estimate, measured)
            factor = max(ratio, done.problem.area_factor)
            done.problem = dataclasses.replace(done.problem, area_factor=factor)
            return False
        self._note_accuracy(option)
        notes = done.notes
        wanted = wanted.of(done.problem.space.start(option.candidate))
        building.build_and_verify(done, design, weights, wanted, self.progress)
        return not self._is_slow(option, notes)

    def _is_slow(self, option: Option, notes: tuple[str, ...]) -> bool:
        """Return True, with a note behind ``notes``, if the simulated rate misses the floor.

        Then the design is refused. Estimates of the rate can be too high
        (compiler.program.stream.wait_cycles).
        """
        done, floor = self.done, self.done.problem.budget.min_throughput
        rate = done.verification.figures.images_per_second if done.verification else None
        if done.failure or floor is None or rate is None or rate >= floor:
            return False
        self.refused.add(option.candidate.tobytes())
        done.attempts[-1][building.SIMULATED] = rate
        done.notes = (*notes, building.too_slow(done.attempts[-1], done.estimate, floor))
        return True

    def _loses(self, option: Option) -> bool:
        """Return True, with the reason noted, if the network has too little accuracy to count."""
        least, found = self.wanted.least_accuracy, option.trained.accuracy
        if least is None or found >= least:
            return False
        levers = ("raise --keep-accuracy", "raise --finetune", "raise --lut-budget")
        self.reasons = (
            Infeasible(
                "accuracy", "the most accurate design found", round(100 * least, 2),
                round(100 * found, 2), "% on validation images", levers,
            ),
        )  # fmt: skip
        return True

    def _note_accuracy(self, option: Option) -> None:
        least, found = self.wanted.settings.min_accuracy, option.trained.accuracy
        if least is not None and found < least:
            self.done.notes += (
                f"no network that was trained in full has the validation accuracy of "
                f"{100 * least:g} % that is asked for: the most accurate one is taken, with "
                f"{100 * found:.2f} %",
            )


def _design(problem: Problem, option: Option, wanted: FinishSettings) -> Design:
    """Return the option as a design, planned by the compiler rather than by estimates.

    Raises InfeasibleError when the compiler refuses it or its exact block RAMs exceed the budget.
    """
    own = wanted.of(problem.space.start(option.candidate))
    design = to_design(
        problem.space,
        option.candidate,
        option.evaluated.estimate.npu.config(option.row),
        name=f"{wanted.name}-{network_key(problem.space, option.candidate)}",
        seed=wanted.settings.seed,
        dataset=wanted.settings.data,
        clock_mhz=float(option.evaluated.estimate.clock_mhz[option.row]),
    )
    design = dataclasses.replace(
        pipeline.with_mapping(design, own.dataset), training=wanted.settings.training
    )
    exact = prediction.estimate_design(design, problem.family).figures
    have, need = problem.budget.brams, exact.brams
    if have is not None and need is not None and need > have:
        levers = ("raise --bram-budget",)
        raise InfeasibleError((Infeasible("brams", design.name, need, have, "block RAMs", levers),))
    return design
