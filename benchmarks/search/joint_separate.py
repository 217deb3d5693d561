"""Measure what joint search gains over separate flows, at equal numbers of designs.

``python -m benchmarks.search.joint_separate [--json] [--seeds N] [--strategies NAME ...]``

Space ``digits``, eight budgets of LUTs and images per second, EVALUATIONS designs by their
estimates. Accuracies are predicted by the predictor that is fitted to all networks of the shipped
study of digits; nothing is trained. One row for each budget, strategy and seed:

- luts; floor: images per second; strategy; seed
- accuracy: the best predicted one of a feasible design, null if none was found; of separate flows
  without the designs that each search draws uniformly before, but with those on the way that fit
- feasible: feasible designs found; evaluations: designs estimated in all
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from codesign.cost.area import model_file
from codesign.results import Budget
from codesign.search.accuracy.evaluation import Study
from codesign.search.accuracy.predictor import AccuracyPredictor
from codesign.search.engine import InnerSearch, Problem
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.strategies import STRATEGIES

SETTINGS = (
    (3_000, 5_000), (3_000, 30_000), (8_000, 30_000), (8_000, 100_000),
    (15_000, 60_000), (15_000, 200_000), (30_000, 100_000), (30_000, 300_000),
)  # fmt: skip
"""LUT budget and floor in images per second."""
SEPARATE = ("separate", "separate-back")
COMPARED = ("evolution", *SEPARATE)
EVALUATIONS = 22_528


@cache
def predictor() -> AccuracyPredictor:
    """Return the predictor of accuracies on digits."""
    return Study.load("digits").predictor("closed-form")


def digits_problem(luts: float, floor: float | None) -> Problem:
    """Return the search problem of digits with a LUT budget and a floor in images per second."""
    space = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
    return Problem(space, model_file.load(), Budget(luts=luts, min_throughput=floor))


def row(luts: int, floor: int, strategy: str, seed: int) -> dict[str, Any]:
    """Search once; return the row of the best predicted accuracy."""
    search = InnerSearch(digits_problem(luts, floor), strategy, seed)
    search.strive(predictor().network_odds, EVALUATIONS - search.evaluations)
    pool = search.archive()
    # The designs drawn uniformly are no part of a separate flow.
    own = 0 if strategy not in SEPARATE else search.sampled
    feasible = own + np.flatnonzero(pool.feasible[own:])
    best = None
    if len(feasible):
        best = float(predictor().predict_networks(pool.layers.take(feasible)).max())
    return {
        "luts": luts, "floor": floor, "strategy": strategy, "seed": seed,
        "accuracy": best,
        "feasible": len(feasible), "evaluations": search.evaluations,
    }  # fmt: skip


def rows(strategies: Sequence[str], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield one row for each budget, strategy and seed."""
    for luts, floor in SETTINGS:
        for strategy in strategies:
            for seed in seeds:
                yield row(luts, floor, strategy, seed)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 to N - 1 (default: 10)")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=COMPARED)
    args = parser.parse_args(arguments)
    found: dict[tuple[int, int, str], list[float | None]] = {}
    for one in rows(args.strategies, range(args.seeds)):
        if args.json:
            print(json.dumps(one), flush=True)
            continue
        told = found.setdefault((one["luts"], one["floor"], one["strategy"]), [])
        told.append(one["accuracy"])
        if len(told) == args.seeds:
            fitting = [accuracy for accuracy in told if accuracy is not None]
            mean = f"mean {np.mean(fitting):.4f}, worst {min(fitting):.4f}" if fitting else "none"
            print(
                f"{one['luts']:6,} LUTs {one['floor']:7,} images/s  {one['strategy']:14}  {mean}"
                f"  (found by {len(fitting)} of {args.seeds})",
                flush=True,
            )


if __name__ == "__main__":
    main()
