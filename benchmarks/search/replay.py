"""Replay the choice of what to train next over a pool of networks that were all trained.

``python -m benchmarks.search.replay [--json] [--seeds N] [--pickers NAME ...] [--without N ...]
[--pool]``

The pool (benchmarks/data/replay.csv) has networks of the space ``digits``, each trained as a search
trains briefly: half of them lie on fronts of capacity, throughput and LUTs that searches without
training find, half are drawn at random from the designs that fit. ``--pool`` trains them anew, in
some minutes; ``--without`` leaves some out, by their rows, to tell what one lucky training does.
Budget: LUTS. A seed leaves SEEN of the networks. Pickers, in rounds as in a search,
are random; own, expected gains without prior knowledge; others, with the shipped tables of other
data sets; all, with that of digits, too. Columns of a row, one for each picker and seed:

- picker; seed
- after_4, after_8, after_11, after_14: hypervolume of the networks that were picked, as a share of
  that of all that were left. Points: validation accuracy and log images/s of the fastest NPU within
  the budget, from LEAST_ACCURACY and the slowest NPU of the pool on
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.joint_separate import digits_problem
from codesign.explore.search import ROUND
from codesign.search.accuracy.acquisition import choose, expected_gains
from codesign.search.accuracy.evaluation import shipped_sources
from codesign.search.accuracy.features import capacity, network_features
from codesign.search.accuracy.short_training import ShortTraining, TrainingTask, train_one
from codesign.search.accuracy.transfer import Source, TransferPredictor
from codesign.search.engine import InnerSearch, Problem, front, with_all_npus
from codesign.search.pareto import Floats, Ints, hypervolume
from codesign.search.picking import LEAST_SHARE
from codesign.search.space.genome import network_key
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from codesign.tools.workers import spread
from models.data import datasets

POOL = Path(__file__).parents[1] / "data" / "replay.csv"
LUTS = 30_000
NETWORKS = 128
"""Networks of the pool, half of them from fronts."""
SEEN = 100
"""Networks of the pool that a seed leaves."""
LEAST_ACCURACY = 0.7
AFTER = (4, 8, 11, 14)
"""Numbers of trainings after which a row is told."""
PICKERS = ("random", "own", "others", "all")
VALIDATION_IMAGES = 216


@dataclass(frozen=True, eq=False)
class Pool:
    """The trained networks. Made by ``read_pool``."""

    features: Floats
    """Shape (n, f)."""
    accuracies: Floats
    """Shape (n,), 0..1."""
    rates: Floats
    """Log images/s of the fastest NPU within the budget, shape (n,)."""
    slowest: float
    """Log images/s of the slowest NPU within the budget of all networks."""

    def share(self, picked: Sequence[int], seen: Sequence[int]) -> float:
        """Return the hypervolume of some networks as a share of that of those seen."""
        points = -np.column_stack([self.accuracies, self.rates])
        reference = -np.array([LEAST_ACCURACY, self.slowest])
        return hypervolume(points[picked], reference) / hypervolume(points[seen], reference)


@functools.cache
def read_pool() -> Pool:
    """Return the pool with the rates of all NPUs of each network, which takes some seconds."""
    problem = digits_problem(LUTS, None)
    with POOL.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    candidates = np.array([[int(gene) for gene in row["genes"].split()] for row in rows])
    every = [with_all_npus(problem, one) for one in candidates]
    logs = [np.log(one.estimate.images_per_second[one.feasible]) for one in every]
    return Pool(
        network_features(layer_table(problem.space, candidates)),
        np.array([float(row["validation"]) for row in rows]),
        np.array([one.max() for one in logs]),
        float(min(one.min() for one in logs)),
    )


def picks(picker: str, seen: Sequence[int]) -> list[int]:
    """Return networks of the pool in the order in which a picker trains them."""
    if picker == "random":
        return list(seen[: max(AFTER)])
    pool = read_pool()
    others = [one for one in shipped_sources() if one.dataset != "digits" or picker == "all"]
    if picker == "own":
        others = []
    centre = pool.features.mean(axis=0)
    picked: list[int] = []
    while len(picked) < max(AFTER):
        rest = [k for k in seen if k not in picked]
        best = max((pool.accuracies[k] for k in picked), default=1.0)
        known = np.column_stack([pool.accuracies[picked], pool.rates[picked]])
        chosen = choose(
            known, pool.features[picked], pool.features[rest], pool.rates[rest],
            lambda features, accuracies, rest=rest: TransferPredictor(
                Source("digits", features, accuracies, VALIDATION_IMAGES), others, centre
            ).odds(pool.features[rest]),
            functools.partial(
                expected_gains, reference=np.array([LEAST_SHARE * best, pool.slowest])
            ),
            min(ROUND, max(AFTER) - len(picked)),
        )  # fmt: skip
        picked += [rest[k] for k in chosen]
    return picked


def rows(
    pickers: Sequence[str], seeds: Sequence[int], without: Sequence[int] = ()
) -> Iterator[dict[str, Any]]:
    """Yield one row for each picker and seed. without: rows of the pool that no seed leaves."""
    pool = read_pool()
    for picker in pickers:
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(pool.rates))
            seen = [int(k) for k in order if k not in without][:SEEN]
            found = picks(picker, seen)
            shares = {f"after_{n}": round(pool.share(found[:n], seen), 4) for n in AFTER}
            yield {"picker": picker, "seed": seed, **shares}


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
        best = front(goals, problem.costs(found.estimate))
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
    train = functools.partial(train_one, dataset=how.subset(dataset), how=how)
    for outcome in spread(train, tasks, jobs):
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
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--seeds", type=int, default=20, help="seeds 0 to N - 1 (default: 20)")
    parser.add_argument("--pickers", nargs="+", choices=PICKERS, default=PICKERS)
    parser.add_argument(
        "--without", nargs="+", type=int, default=(), metavar="N",
        help="rows of the pool to leave out, from 0",
    )  # fmt: skip
    parser.add_argument("--pool", action="store_true", help="train the pool anew")
    args = parser.parse_args(arguments)
    if args.pool:
        write_pool(jobs=2)
        return
    for picker in args.pickers:
        found = list(rows([picker], range(args.seeds), args.without))
        if args.json:
            print("\n".join(map(json.dumps, found)), flush=True)
            continue
        shares = np.array([[one[f"after_{n}"] for n in AFTER] for one in found])
        means, worst = (
            " / ".join(f"{100 * x:.1f}" for x in of)
            for of in (shares.mean(axis=0), shares.min(axis=0))
        )
        print(f"{picker:8}  mean {means} %, worst {worst} %", flush=True)


if __name__ == "__main__":
    main()
