"""Judgement of benchmark runs: quartiles, attainment, significance, ranks over tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from scipy import stats

from codesign.search.bench.running import LEVELS, Run
from codesign.search.bench.tasks import Task
from codesign.search.pareto import Floats

QUARTILES = (25.0, 50.0, 75.0)
"""Percentiles of runs: those that spread and attainment are told for."""


@dataclass(frozen=True)
class Judgement:
    """A strategy on a task, over all seeds. Made by ``judge``."""

    task: str
    strategy: str
    seeds: int
    shares: tuple[float, ...]
    """QUARTILES of the share of the true front's hypervolume at the end."""
    attained: tuple[float, ...]
    """Share of the hypervolume that 25, 50 and 75 % of the runs attain together."""
    evaluations_to: tuple[float | None, ...]
    """Median evaluations to each of LEVELS; None if fewer than half of the runs reached it."""
    cpu_s: float
    """Median processor seconds of the strategy."""
    mean_share: float
    """Median over the seeds of the mean share over all evaluations."""
    p_value: float | None
    """Of the difference in mean share to the baseline (Wilcoxon's signed ranks of the seeds, after
    Holm's correction for all strategies of the task); None for the baseline."""
    rank: float
    """Mean rank by mean share among the strategies of a seed; 1 is best."""


def judge(
    task: Task, runs: Mapping[str, Sequence[Run]], evaluations: int, baseline: str
) -> list[Judgement]:
    """Return one judgement a strategy.

    runs: strategy -> its runs, of the same seeds in the same order; of ``evaluations`` each.
    """
    means = {
        name: np.array([run.mean_share(evaluations) for run in found])
        for name, found in runs.items()
    }
    ranks = stats.rankdata(-np.stack(list(means.values())), axis=0).mean(axis=1)
    p_values = corrected(
        {
            name: signed_ranks(mean, means[baseline])
            for name, mean in means.items()
            if name != baseline and baseline in means
        }
    )
    return [
        Judgement(
            task=task.name,
            strategy=name,
            seeds=len(found),
            shares=quartiles([run.shares[-1] for run in found]),
            attained=tuple(task.share(surface) for surface in attainment(found)),
            evaluations_to=tuple(
                median_or_none([run.evaluations_to(level) for run in found]) for level in LEVELS
            ),
            cpu_s=float(np.median([run.cpu_s[-1] for run in found])),
            mean_share=float(np.median(means[name])),
            p_value=p_values.get(name),
            rank=float(rank),
        )
        for (name, found), rank in zip(runs.items(), ranks, strict=True)
    ]


def quartiles(values: Sequence[float]) -> tuple[float, ...]:
    """Return the QUARTILES of values."""
    return tuple(float(value) for value in np.percentile(values, QUARTILES))


def median_or_none(values: Sequence[int | None]) -> float | None:
    """Return the median in which None is more than any number; None if that is the median.

    >>> median_or_none([3, None, 5]), median_or_none([3, None])
    (5.0, None)
    """
    found = sorted(math.inf if value is None else float(value) for value in values)
    middle = found[(len(found) - 1) // 2] / 2 + found[len(found) // 2] / 2
    return middle if math.isfinite(middle) else None


def attainment(runs: Sequence[Run]) -> list[Floats]:
    """Return the surfaces that QUARTILES of the runs attain, each of shape (n, m).

    Source: Grunert da Fonseca, Fonseca and Hall, "Inferential Performance Assessment of Stochastic
    Optimisers and the Attainment Function", EMO 2001; computed by moocore.
    """
    fronts = [run.front for run in runs if len(run.front)]
    width = runs[0].front.shape[1]
    surfaces = []
    for percent in QUARTILES:
        needed = math.ceil(percent / 100 * len(runs))
        if needed > len(fronts):
            surfaces.append(np.empty((0, width)))
            continue
        level = 100 * needed / len(fronts)
        points = np.vstack(fronts)
        sets = np.repeat(np.arange(len(fronts)), [len(front) for front in fronts])
        surfaces.append(np.asarray(moocore.eaf(points, sets, percentiles=[level]))[:, :width])
    return surfaces


def signed_ranks(found: Floats, baseline: Floats) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test of pairs; 1 if all are equal."""
    return 1.0 if (found == baseline).all() else float(stats.wilcoxon(found, baseline).pvalue)


def corrected(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values after Holm's correction for their number.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal
    of Statistics 6, 1979.

    >>> corrected({"a": 0.04, "b": 0.01, "c": 0.03})
    {'b': 0.03, 'c': 0.06, 'a': 0.06}
    """
    found: dict[str, float] = {}
    least = 0.0
    for place, (name, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, value * (len(p_values) - place)))
        found[name] = least
    return found


def ranks_over_tasks(judgements: Sequence[Judgement]) -> dict[str, float]:
    """Return strategy -> mean of its ranks over the tasks, best first, as CARP-S ranks optimisers.

    Source: Benjamins et al., "carps: A Framework for Comparing N Hyperparameter Optimizers on M
    Benchmarks", 2025.
    """
    found: dict[str, list[float]] = {}
    for one in judgements:
        found.setdefault(one.strategy, []).append(one.rank)
    means = {name: float(np.mean(ranks)) for name, ranks in found.items()}
    return dict(sorted(means.items(), key=lambda item: item[1]))
