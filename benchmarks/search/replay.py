"""Replay the choice of what to train next over a pool of networks that were all trained.

``python -m benchmarks.search.replay [--json] [--seeds N] [--pickers NAME ...] [--pool]``

The pool (benchmarks/data/replay.csv) has networks of the space ``digits``, each trained as a search
trains briefly: half of them lie on fronts of capacity, throughput and LUTs that searches without
training find, half are drawn at random from the designs that fit. ``--pool`` trains them anew, in
some minutes. Budget: LUTS. A seed is a fresh order of the pool: ties and first choices differ.
Columns of a row, one for each picker and seed:

- picker; seed
- after_4, after_8, after_11, after_14: hypervolume of the networks that were picked, as a share of
  that of the whole pool. Points: validation accuracy and log images/s of every NPU within the
  budget, from LEAST_ACCURACY and LEAST_RATE on
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.search.joint_separate import digits_problem
from codesign.search.accuracy.features import capacity, network_features
from codesign.search.accuracy.short_training import ShortTraining, TrainingTask, train_all
from codesign.search.engine import InnerSearch, Problem, front
from codesign.search.pareto import Ints
from codesign.search.space.topology import network, network_key
from models.data import datasets

POOL = Path(__file__).parents[1] / "data" / "replay.csv"
LUTS = 30_000
NETWORKS = 128
"""Networks of the pool, half of them from fronts."""


def pool_candidates(problem: Problem) -> Ints:
    """Return NETWORKS candidates of different networks, shape (n, genes)."""
    random = np.random.default_rng(0)
    chosen: dict[str, Ints] = {}
    for seed in range(8):
        search = InnerSearch(problem, "evolution", 100 + seed)
        drawn = search.archive()
        fits = drawn.candidates[drawn.feasible]
        found = search.run(lambda layers: capacity(network_features(layers)), 3584)
        goals = capacity(network_features(found.layers))
        best = front(goals, found.estimate.images_per_second, found.estimate.area.luts)
        for candidates in (found.candidates[best], fits):
            wanted = len(chosen) + NETWORKS // 16
            for candidate in random.permutation(candidates):
                if len(chosen) < wanted:
                    chosen.setdefault(network_key(problem.space, candidate), candidate)
    return np.stack(list(chosen.values()))


def write_pool(jobs: int) -> None:
    """Train the pool and write genes, accuracy and training seconds of each network."""
    problem = digits_problem(LUTS, None)
    dataset = datasets.load("digits")
    how = ShortTraining.of(dataset, seed=0)
    candidates = {network_key(problem.space, one): one for one in pool_candidates(problem)}
    tasks = [
        TrainingTask(key, *network(problem.space, one), scale_bits=8)
        for key, one in candidates.items()
    ]
    found = {}
    for outcome in train_all(tasks, dataset, how, jobs):
        found[outcome.key] = outcome
        print(f"{len(found)} of {len(tasks)}: {outcome.accuracy:.4f}", flush=True)
    with POOL.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["key", "validation", "seconds", "genes"])
        for key, one in candidates.items():
            outcome = found[key]
            genes = " ".join(map(str, one))
            writer.writerow([key, f"{outcome.accuracy:.5f}", f"{outcome.seconds:.1f}", genes])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", action="store_true", help="train the pool anew")
    args = parser.parse_args(arguments)
    if args.pool:
        write_pool(jobs=2)


if __name__ == "__main__":
    main()
