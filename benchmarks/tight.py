"""Measure how well the search copes with a throughput floor that few designs reach.

``python -m benchmarks.tight [--floor F] [--seed S] [--seeds N] [--strategy NAME] [--json]``

Networks for CIFAR-10 (3 x 32 x 32), space ``images``, 30,000 LUTs, images per second not below a
floor, EVALUATIONS designs by their estimates; nothing is trained, a network counts by its capacity
(codesign.search.accuracy.features). One row for each floor and seed:

- floor: images per second; seed; strategy
- feasible: feasible designs found; evaluations: designs estimated in all, none of them twice
- sampled_feasible: feasible ones of the first 512, which are drawn uniformly
- hypervolume_share: hypervolume of (capacity, log images/s, log LUTs) divided by the best known, of
  the file below. Reference point: capacity LEAST_CAPACITY, the floor, the LUT budget
- cpu_s: processor time in seconds

``python -m benchmarks.tight --reference`` makes the best known anew, in some minutes: the
union of the designs that REFERENCE_SEEDS long searches find (benchmarks/data/tight.csv). It depends
on what designs are estimated to take, so the file holds the mean estimates of some drawn designs;
when a change of the cost models or of the space has moved these, the shares are null.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codesign.cost.area import model_file
from codesign.cost.cycles.layers import LayerTable
from codesign.results import Budget
from codesign.search import pareto
from codesign.search.accuracy.features import capacity, network_features
from codesign.search.engine import Evaluated, InnerSearch, Problem
from codesign.search.pareto import Floats
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.strategies import STRATEGIES

FLOORS = (8_000.0, 13_000.0, 20_000.0)
LUTS, SHAPE, CLASSES = 30_000, (3, 32, 32), 10
EVALUATIONS = 12_288
LEAST_CAPACITY = 36.0
"""That of the smallest networks of the space."""
REFERENCE = Path(__file__).parent / "data" / "tight.csv"
REFERENCE_SEEDS = range(1000, 1006)
REFERENCE_EVALUATIONS = 100_000
"""Designs estimated for each seed and floor of the reference."""
DRAWN = 512
"""Designs whose mean estimates mark the reference."""


def problem(floor: float, luts: float = LUTS) -> Problem:
    """Return the search problem with a floor in images per second and a LUT budget."""
    space = SearchSpace(load_declaration("images"), SHAPE, CLASSES)
    return Problem(space, model_file.load(), Budget(luts=luts, min_throughput=floor))


def score(layers: LayerTable) -> Floats:
    """Return the capacity of networks, shape (n,), in place of their accuracy."""
    return capacity(network_features(layers))


def objectives(found: Evaluated) -> Floats:
    """Return capacity and log images/s, both negated, and log LUTs of designs, shape (n, 3)."""
    return np.column_stack(
        [
            -score(found.layers),
            -np.log(found.estimate.images_per_second),
            np.log(found.estimate.area.luts),
        ]
    )


def points(found: Evaluated) -> Floats:
    """Return the objectives of the feasible designs, to be minimised, shape (n, 3)."""
    return objectives(found)[found.feasible]


def volume(found: Floats, floor: float) -> float:
    """Return the hypervolume of ``points`` up to the reference point."""
    reference = np.array([-LEAST_CAPACITY, -np.log(floor), np.log(LUTS)])
    return pareto.hypervolume(found, reference)


def rows(
    floors: Sequence[float], seeds: Sequence[int], strategy: str = "evolution"
) -> Iterator[dict[str, Any]]:
    """Yield one row for each floor and seed."""
    best = best_known()
    for floor in floors:
        one = problem(floor)
        for seed in seeds:
            start = time.process_time()
            search = InnerSearch(one, strategy, seed)
            found = search.run(score, EVALUATIONS - search.evaluations)
            spent = time.process_time() - start
            known = best.get(floor)
            yield {
                "floor": floor, "seed": seed, "strategy": strategy,
                "feasible": int(found.feasible.sum()), "evaluations": search.evaluations,
                "sampled_feasible": search.sampled_feasible,
                "hypervolume_share": volume(points(found), floor) / known if known else None,
                "cpu_s": round(spent, 2),
            }  # fmt: skip


def best_known() -> dict[float, float]:
    """Return floor -> best known hypervolume; empty if it was made with other estimates."""
    with REFERENCE.open(newline="", encoding="utf-8") as file:
        stored = list(csv.DictReader(file))
    mark = mean_estimates()
    return {
        float(row["floor"]): float(row["hypervolume"]) for row in stored if row["estimates"] == mark
    }


def mean_estimates() -> str:
    """Return the mean ``objectives`` of DRAWN random designs of the space, as one text.

    As in designs of a front, all layers' bits, for one, are low in many of them. Six digits each:
    differences of the last bit between machines do not show.
    """
    one, random = problem(FLOORS[0]), np.random.default_rng(0)
    genes = one.space.genes
    drawn = random.integers(0, genes.sizes, (DRAWN, len(genes.sizes)))
    for kind in genes.kinds:
        top = random.integers(0, genes.sizes[kind].max(), (DRAWN, 1))
        drawn[:, kind] = np.minimum(drawn[:, kind], top)
    means = objectives(one.evaluate(one.space.canonical(drawn))).mean(axis=0)
    return " ".join(f"{mean:.6g}" for mean in means)


def write_reference() -> None:
    """Search long for each floor and write the hypervolume of all that was found."""
    lines = []
    for floor in FLOORS:
        one, front = problem(floor), np.empty((0, 3))
        for seed in REFERENCE_SEEDS:
            search = InnerSearch(one, "evolution", seed)
            found = points(search.run(score, REFERENCE_EVALUATIONS))
            front = np.vstack([front, found])
            front = front[pareto.pareto_mask(front)]
            print(f"{floor:,.0f} images/s, seed {seed}: {volume(front, floor):.3f}", flush=True)
        lines.append([f"{floor:g}", f"{volume(front, floor):.6f}", mean_estimates()])
    with REFERENCE.open("w", newline="", encoding="utf-8") as file:
        names = ["floor", "hypervolume", "estimates"]
        csv.writer(file, lineterminator="\n").writerows([names, *lines])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--floor", type=float, help="images per second (default: all three)")
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--seeds", type=int, default=20, help="seeds 0 to N - 1 (default: 20)")
    parser.add_argument("--strategy", choices=STRATEGIES, default="evolution")
    parser.add_argument("--reference", action="store_true", help="make the best known anew")
    args = parser.parse_args(arguments)
    if args.reference:
        write_reference()
        return
    floors = FLOORS if args.floor is None else (args.floor,)
    seeds = range(args.seeds) if args.seed is None else (args.seed,)
    shares: dict[float, list[float]] = {}
    for row in rows(floors, seeds, args.strategy):
        if args.json:
            print(json.dumps(row), flush=True)
            continue
        share = row["hypervolume_share"]
        told = "unknown" if share is None else f"{100 * share:5.1f} %"
        print(
            f"{row['floor']:9,.0f} images/s  seed {row['seed']:3}  {row['feasible']:6,} feasible"
            f" of {row['evaluations']:,}  hypervolume {told}  {row['cpu_s']:.2f} CPU s",
            flush=True,
        )
        shares.setdefault(row["floor"], []).append(share or 0.0)
    for floor, found in shares.items():
        mean, worst = 100 * float(np.mean(found)), 100 * min(found)
        print(f"{floor:9,.0f} images/s: mean {mean:.1f} %, worst {worst:.1f} %")


if __name__ == "__main__":
    main()
