"""Measure the speed-up by N:M sparse weights that a search can find within a LUT budget.

``python -m benchmarks.search_sparsity [--json] [--networks N]``

Random networks of a shipped space, each dense and with 2:4 weights, on the fastest NPU of the space
that the budget allows; by estimates (area model, exact cycles). The loss of accuracy is not
measured. Columns:

- space, pattern, lut_budget
- networks: random networks that fit both ways
- p10, median, p90: quantiles over them of images/s with the pattern / images/s dense
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.area import model_file
from codesign.results import Budget
from codesign.search.engine import Problem, with_all_npus
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace

SPACES = {"digits": (1, 8, 8), "images": (1, 28, 28)}
BUDGETS = (5_000, 15_000, 30_000)
PATTERN = "2:4"
DRAWS = 50
"""Random candidates tried for each network wanted."""


def rows(networks: int, budgets: Sequence[int] = BUDGETS) -> Iterator[dict[str, Any]]:
    """Yield one row for each space and budget."""
    for name, shape in SPACES.items():
        found = load_declaration(name)
        bits = dataclasses.replace(found.bits, sparsity=("dense", PATTERN))
        space = SearchSpace(dataclasses.replace(found, bits=bits), shape, 10)
        for budget in budgets:
            ratios = _ratios(Problem(space, model_file.load(), Budget(luts=budget)), networks)
            low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
            yield {
                "space": name, "pattern": PATTERN, "lut_budget": budget, "networks": len(ratios),
                "p10": float(low), "median": float(middle), "p90": float(high),
            }  # fmt: skip


def _ratios(problem: Problem, networks: int) -> NDArray[np.float64]:
    """Return the speed-ups of the first ``networks`` random networks that fit both ways.

    They are fewer if DRAWS candidates for each do not suffice.
    """
    space, random, found = problem.space, np.random.default_rng(0), []
    for _ in range(DRAWS * networks):
        if len(found) == networks:
            break
        genes = random.integers(0, space.sizes, (1, len(space.sizes)), dtype=np.int64)
        rates = [_best(problem, space.canonical(genes)[0], pattern) for pattern in (0, 1)]
        if all(rates):
            found.append(rates[1] / rates[0])
    return np.array(found)


def _best(problem: Problem, candidate: NDArray[np.int64], pattern: int) -> float:
    """Return the images per second of the fastest feasible NPU, or 0."""
    one = candidate.copy()
    one[problem.space.index["sparsity"]] = pattern
    evaluated = with_all_npus(problem, one)
    return float(np.max(evaluated.estimate.images_per_second * evaluated.feasible))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--networks", type=int, default=40, help="a budget (default: 40)")
    options = parser.parse_args(arguments)
    for row in rows(options.networks):
        told = (
            "{space:8} {pattern} within {lut_budget:>6,} LUTs: {median:.2f}x ({p10:.2f}..{p90:.2f})"
        )
        print(json.dumps(row) if options.json else told.format(**row), flush=True)


if __name__ == "__main__":
    main()
