"""The designs of a search that its report shows, with those on the Pareto front marked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from codesign.explore.choice import Option, Trained
from codesign.explore.telling.names import array_name, readable_names
from codesign.report.data import Candidate
from codesign.search import engine
from codesign.search.engine import Problem
from codesign.search.pareto import pareto_mask
from codesign.search.space.genome import network_key

SHOWN_NPUS = 6
"""Most NPUs per trained network that the report's front is drawn from."""


def shown_candidates(
    problem: Problem, trained: Sequence[Trained], chosen: Option | None, *, one_bits: bool = False
) -> list[Candidate]:
    """Return the designs of the report's chart, with those on the Pareto front marked.

    These are up to SHOWN_NPUS NPUs within the budget for each network, from small to fast (no other
    is as small and as fast), and ``chosen`` last, in place of designs with its LUTs and throughput.
    one_bits: True if few one-bits are an objective.
    """
    names = readable_names(problem.space, [one.candidate for one in trained])
    found: list[Candidate] = []
    for one, name in zip(trained, names, strict=True):
        options = engine.with_all_npus(problem, one.candidate)
        rows = np.flatnonzero(options.feasible)
        rate, luts = options.estimate.images_per_second, options.estimate.area.luts
        rows = rows[pareto_mask(np.column_stack([-rate[rows], luts[rows]]))]
        rows = rows[np.argsort(luts[rows])]
        spread = np.unique(np.linspace(0, len(rows) - 1, SHOWN_NPUS).round().astype(int))
        for row in rows[spread] if len(rows) else []:
            found.append(_candidate(problem, Option(options, int(row), one), name, one_bits))
    if chosen is not None:
        keys = [network_key(problem.space, one.candidate) for one in trained]
        name = names[keys.index(network_key(problem.space, chosen.candidate))]
        last = _candidate(problem, chosen, name, one_bits)
        at = last.luts, last.images_per_second
        found = [c for c in found if (c.luts, c.images_per_second) != at]
        found.append(dataclasses.replace(last, chosen=True))
    goals = np.array([(c.accuracy, -(c.one_bits or 0)) for c in found]).reshape(-1, 2)
    rate, luts = (np.array([getattr(c, n) for c in found]) for n in ("images_per_second", "luts"))
    shown = engine.front(goals, rate, luts)
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
    )
