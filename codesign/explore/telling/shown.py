"""The designs of a search that its report shows, with those on the Pareto front marked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from codesign.explore.choice import Option, Trained
from codesign.explore.telling.names import array_name, readable_names
from codesign.goals import ALWAYS, GOALS
from codesign.report.data import Candidate
from codesign.search import engine
from codesign.search.engine import Problem
from codesign.search.pareto import Floats, pareto_mask
from codesign.search.space.genome import network_key

SHOWN_NPUS = 6
"""Most NPUs per trained network that the report's front is drawn from."""


def shown_candidates(
    problem: Problem, trained: Sequence[Trained], chosen: Option | None, *, one_bits: bool = False
) -> list[Candidate]:
    """Return the designs of the report's chart, with those on the Pareto front marked.

    These are up to SHOWN_NPUS NPUs within the budget for each network, from small to large (no
    other is as good in all goals of the problem), and ``chosen`` last, in place of designs that are
    equal to it in these. one_bits: True if few one-bits are an objective.
    """
    names = readable_names(problem.space, [one.candidate for one in trained])
    found: list[Candidate] = []
    costs: list[Floats] = []
    for one, name in zip(trained, names, strict=True):
        options = engine.with_all_npus(problem, one.candidate)
        rows = np.flatnonzero(options.feasible)
        every = problem.costs(options.estimate)
        rows = rows[pareto_mask(every[rows])]
        rows = rows[np.argsort(options.estimate.area.luts[rows])]
        spread = np.unique(np.linspace(0, len(rows) - 1, SHOWN_NPUS).round().astype(int))
        for row in rows[spread] if len(rows) else []:
            found.append(_candidate(problem, Option(options, int(row), one), name, one_bits))
            costs.append(every[row])
    if chosen is not None:
        keys = [network_key(problem.space, one.candidate) for one in trained]
        name = names[keys.index(network_key(problem.space, chosen.candidate))]
        last = _candidate(problem, chosen, name, one_bits)
        own = np.array(chosen.costs(problem.goals))
        others = [n for n, cost in enumerate(costs) if (cost != own).any()]
        found = [*(found[n] for n in others), dataclasses.replace(last, chosen=True)]
        costs = [*(costs[n] for n in others), own]
    scores = np.array([(c.accuracy, -(c.one_bits or 0)) for c in found]).reshape(-1, 2)
    shown = engine.front(scores, np.reshape(costs, (len(found), len(problem.goals))))
    return [dataclasses.replace(c, on_front=bool(s)) for c, s in zip(found, shown, strict=True)]


def _candidate(problem: Problem, option: Option, name: str, one_bits: bool) -> Candidate:
    """Return one design of the chart; ``name``: readable name of its network."""
    figures, one = option.figures, option.trained
    assert figures.images_per_second is not None
    assert figures.luts is not None
    return Candidate(
        f"{name} on {array_name(option.evaluated.estimate.npu.config(option.row))}",
        one.accuracy,
        figures.images_per_second,
        figures.luts,
        brams=figures.brams,
        key=network_key(problem.space, option.candidate),
        trained_fully=one.trained_fully,
        one_bits=one.one_bits if one_bits else None,
        objectives={
            GOALS[goal].figure: float(option.evaluated.estimate.amount(goal)[option.row])
            for goal in problem.goals
            if goal not in ALWAYS
        },
    )
