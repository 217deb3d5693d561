"""Measure how many designs per second the search estimates, step by step and in all.

``python -m benchmarks.throughput [--runs 9] [--designs 32768] [--json]``

Random candidates of both shipped spaces; nothing is trained or synthesised. Columns:

- step: layers (table of the networks' layers), cycles, area, accuracy, or all of them
- space, designs (in a batch), threads
- cpu_per_s: designs per second of processor time, all threads together; other jobs on the machine
  hardly change it
- wall_per_s: designs per second of wall time; other jobs lower it
- checked, mape, tau (step cycles only): designs compared with ``codesign.compiler.plan``, mean
  relative error of their cycles, 0..1, and Kendall's rank correlation

Rates are medians over the runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from codesign.compiler import minimal_depths, plan
from codesign.cost.area import model_file
from codesign.cost.cycles.schedule import schedule
from codesign.results import Budget, InfeasibleError
from codesign.search.accuracy.features import network_features
from codesign.search.accuracy.predictor import AccuracyPredictor
from codesign.search.engine import Problem
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import Ints
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from models.integer.lower import shape_only

SPACES = {"digits": (1, 8, 8), "images": (3, 32, 32)}
CLASSES, SEED, TRAINED, IMAGES = 10, 1, 14, 1000
"""Classes of the data, random seed; networks and images that the accuracy predictor is fitted to.

Their accuracies are random, as the speed does not depend on them.
"""
DESIGNS = 32768
"""Designs in a batch."""
CHECKED = 25
"""Designs whose cycles are compared with the compiler's."""


def rows(designs: int, runs: int) -> Iterator[dict[str, Any]]:
    """Yield one row for each step and space."""
    model = model_file.load()
    for name, shape in SPACES.items():
        space = SearchSpace(load_declaration(name), shape, CLASSES)
        problem = Problem(space, model, Budget(luts=20_000))
        random = np.random.default_rng(SEED)
        genes = random.integers(0, space.sizes, (designs, len(space.sizes)), dtype=np.int64)
        candidates = space.canonical(genes)
        for step, threads, work in _steps(problem, candidates, random):
            yield {"step": step, "space": name, "designs": designs, "threads": threads} | {
                **rates(work, designs, runs),
                **(cycle_errors(problem, candidates[:CHECKED]) if step == "cycles" else {}),
            }


def _steps(
    problem: Problem, candidates: Ints, random: np.random.Generator
) -> Iterator[tuple[str, int, Callable[[], object]]]:
    found = problem.evaluate(candidates)
    layers, npus = found.layers, found.estimate.npu
    features = network_features(layers)[:TRAINED]
    predictor = AccuracyPredictor(features, random.random(len(features)), IMAGES)

    def whole(threads: int) -> object:
        found = problem.evaluate(candidates, threads)
        return predictor.predict_networks(found.layers, threads)

    yield "layers", 1, lambda: layer_table(problem.space, candidates, 1)
    yield "cycles", 1, lambda: schedule(layers, npus)
    yield "area", 1, lambda: problem.model.estimate(npus)
    yield "accuracy", 1, lambda: predictor.predict_networks(layers, 1)
    yield "all", 1, lambda: whole(1)
    yield "all", 2, lambda: whole(2)


def rates(work: Callable[[], object], designs: int, runs: int) -> dict[str, float]:
    """Return the median rates of ``runs`` runs, after one that compiles and fills caches."""
    work()
    cpu, wall = [], []
    for _ in range(runs):
        start = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    return {
        "cpu_per_s": round(designs / statistics.median(cpu)),
        "wall_per_s": round(designs / statistics.median(wall)),
    }


def cycle_errors(problem: Problem, candidates: Ints) -> dict[str, float]:
    """Compare the closed-form cycles with the compiler's plan of every design that has one."""
    found = problem.evaluate(candidates).estimate
    pairs = []
    for row, candidate in enumerate(candidates):
        config = found.npu.config(row)
        shapes = shape_only(*network(problem.space, candidate), config.scale_bits)
        try:
            config = dataclasses.replace(config, **minimal_depths(shapes, config))
        except InfeasibleError:
            continue
        pairs.append((found.cycles[row], plan(shapes, config).cycles))
    estimated, exact = np.array(pairs, dtype=np.float64).T
    return {
        "checked": len(pairs),
        "mape": float(np.mean(np.abs(estimated / exact - 1))),
        "tau": float(kendalltau(estimated, exact).statistic),
    }


def text(row: dict[str, Any]) -> str:
    """Return the row as a line of text."""
    line = (
        f"{row['step']:<9} {row['space']:<7} {row['threads']:>7} {row['cpu_per_s']:>15,} "
        f"{row['wall_per_s']:>15,}"
    )
    if "mape" in row:
        line += f"  MAPE {100 * row['mape']:.2f} %, tau {row['tau']:.3f} ({row['checked']} plans)"
    return line


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9, help="runs of each step (default: 9)")
    parser.add_argument(
        "--designs", type=int, default=DESIGNS, help=f"of a batch (default: {DESIGNS})"
    )
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args(arguments)
    if not options.json:
        print("step      space   threads  designs/CPU s   designs/s by the clock")
    for row in rows(options.designs, options.runs):
        print(json.dumps(row) if options.json else text(row), flush=True)


if __name__ == "__main__":
    main()
