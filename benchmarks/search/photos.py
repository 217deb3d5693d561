"""Train networks of the space ``photos`` as a search with much time does, for the shipped table.

``python -m benchmarks.search.photos DATA [--networks N] [--believed N] [--jobs N] [--out FILE]``

DATA: CIFAR-10 as a zip of pictures. Half of the networks are on fronts that searches for capacities
of any worth of weights, products, bits and channels find, half are far from each other among
designs drawn at random; all fit LUTS at one of FLOORS, and have up to MOST_MACS products. After
them --believed networks are those that the rows so far say are most worth training at the third of
FLOORS, as a search would choose them. Each is trained once, on EPOCHS times all training images. A
row is written when it is complete, so a killed run goes on. What the columns mean:
codesign.search.accuracy.study_data.Brief.
"""

from __future__ import annotations

import argparse
import datetime
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from codesign.build import pipeline
from codesign.cost.area import model_file
from codesign.cost.cycles.layers import LayerTable
from codesign.design import DatasetSpec
from codesign.explore.telling.names import readable_names
from codesign.results import Budget
from codesign.search.accuracy import study_data
from codesign.search.accuracy.features import FEATURES, network_features
from codesign.search.accuracy.predictor import farthest
from codesign.search.accuracy.short_training import (
    Outcome,
    ShortTraining,
    TrainingTask,
    train_one,
)
from codesign.search.accuracy.study_data import Brief
from codesign.search.accuracy.transfer import Source, TransferBelief
from codesign.search.engine import InnerSearch, Problem
from codesign.search.pareto import Floats, Ints
from codesign.search.picking import Picker
from codesign.search.problem import with_all_npus
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import network_key
from codesign.search.space.topology import network
from codesign.tools.workers import spread
from models.training.choices import TrainingChoices

LUTS = 30_000
FLOORS = (4_000.0, 8_000.0, 13_000.0, 25_000.0)
"""Images per second."""
LEAST_MACS = 1e6
MOST_MACS = {"front": 24e6, "random": 22e6}
"""Products of an image, which limit the time of a training."""
EPOCHS, TRAIN_IMAGES, VALIDATION_IMAGES = 7, 45_000, 5_000
EVALUATIONS = 1024
"""Designs estimated for each network of a front."""
BELIEVED_FLOOR, BELIEVED_EVALUATIONS = FLOORS[2], 40_960
KINDS = 3
"""Numbers of stages, which take turns."""
WORTHS = {
    "log2_macs": (0.3, 1.5), "log2_weights": (-0.3, 1.0), "mean_weight_bits": (-0.5, 1.5),
    "mean_activation_bits": (-0.5, 1.5), "layers": (-0.1, 0.2), "log2_least_channels": (-0.2, 0.5),
    "log2_classifier_inputs": (-1.0, 0.3),
}  # fmt: skip
"""Feature -> ends of what a unit of it may be worth in a capacity."""


def sample(space: SearchSpace, count: int) -> Iterator[tuple[str, Ints]]:
    """Yield ``count`` networks, each as its kind, ``front`` or ``random``, and a candidate."""
    area = model_file.load()
    problems = [Problem(space, area, Budget(luts=LUTS, min_throughput=floor)) for floor in FLOORS]
    searches = [InnerSearch(problem, "guided", seed=0) for problem in problems]
    drawn = np.concatenate([search.feasible().candidates for search in searches])
    features = network_features(space.layers(drawn))
    macs = 2 ** features[:, FEATURES.index("log2_macs")]
    fits = (macs > LEAST_MACS) & (macs < MOST_MACS["random"])
    apart = farthest(features[fits], features[:0], count // 2)
    others = [("random", one) for one in drawn[fits][apart]]
    fronts = (("front", one) for one in _of_fronts(space, searches))
    for _ in range(count - len(others)):
        yield next(fronts)
        if others:
            yield others.pop(0)


def _of_fronts(space: SearchSpace, searches: list[InnerSearch]) -> Iterator[Ints]:
    """Yield the best network of one more capacity, for one number of stages after the other."""
    random, known = np.random.default_rng([0, 11]), set()
    for turn in range(1000):
        worths = np.zeros(len(FEATURES))
        for name, ends in WORTHS.items():
            worths[FEATURES.index(name)] = random.uniform(*ends)
        score = functools.partial(_capacity, worths)
        search, kind = searches[turn % len(searches)], turn % KINDS
        search.strive(score, EVALUATIONS, kind=kind)
        found = search.feasible().candidates
        found = found[space.kinds(found) == kind]
        for row in np.argsort(-score(space.layers(found))):
            key = network_key(space, found[row])
            if key not in known:
                known.add(key)
                yield found[row]
                break


def _capacity(worths: Floats, layers: LayerTable) -> Floats:
    features = network_features(layers)
    excess = features[:, FEATURES.index("log2_macs")] - np.log2(MOST_MACS["front"])
    score: Floats = features @ worths - 100 * np.maximum(excess, 0)
    return score


def believed(space: SearchSpace, rows: list[Brief], count: int) -> Iterator[tuple[str, Ints]]:
    """Yield up to ``count`` networks that are most worth training after those of ``rows``."""
    problem = Problem(space, model_file.load(), Budget(luts=LUTS, min_throughput=BELIEVED_FLOOR))
    inner = InnerSearch(problem, "guided", seed=len(rows))
    centre = network_features(inner.feasible().layers).mean(axis=0)
    genes = np.array([[int(gene) for gene in row.genes.split()] for row in rows])
    fit = np.array([with_all_npus(problem, one).feasible.any() for one in genes])
    features = network_features(space.layers(genes))
    accuracies = np.array([row.validation for row in rows])
    others = [Source("cifar10", features[~fit], accuracies[~fit], VALIDATION_IMAGES)]
    belief = TransferBelief("cifar10", VALIDATION_IMAGES, others, centre)
    picker = Picker(inner, belief, prefer="throughput", one_bits=False)
    picker.learn(list(genes[fit]), accuracies[fit], np.ones(int(fit.sum())))
    inner.spread(picker.score, BELIEVED_EVALUATIONS // 4)
    pool = inner.run(picker.score, BELIEVED_EVALUATIONS)
    for row in picker.pick(pool, count):
        yield "believed", pool.candidates[row]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.photos")
    parser.add_argument("data", help="zip or folder of CIFAR-10's pictures")
    parser.add_argument("--networks", type=int, default=48)
    parser.add_argument("--believed", type=int, default=0, help="networks after them")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=study_data.SHIPPED / study_data.BRIEFS)
    args = parser.parse_args(argv)
    dataset = pipeline.load_data(DatasetSpec(args.data), None, 0)
    space = SearchSpace(load_declaration("photos"), dataset.shape, dataset.classes)
    rows = study_data.read(args.out, Brief) if args.out.exists() else []

    how = ShortTraining(
        EPOCHS, TRAIN_IMAGES, VALIDATION_IMAGES, seed=0, compile="auto", norm_share=0.75,
        training=TrainingChoices().settled(dataset),
    )  # fmt: skip
    one_training = functools.partial(train_one, dataset=how.subset(dataset), how=how)

    def train(chosen: Iterable[tuple[str, Ints]]) -> int:
        """Train those networks of ``chosen`` that have no row; return how many."""
        known = {row.key for row in rows}
        new = {network_key(space, one): (kind, one) for kind, one in chosen}
        missing = {key: one for key, one in new.items() if key not in known}
        tasks = [TrainingTask(key, *network(space, one), 8) for key, (_, one) in missing.items()]
        for outcome in spread(one_training, tasks, args.jobs):
            rows.append(_row(space, outcome, *missing[outcome.key]))
            study_data.write(args.out, Brief, rows)
            print(f"{len(rows)}: {rows[-1].network}, {rows[-1].validation:.2%}", flush=True)
        return len(tasks)

    train(sample(space, args.networks))
    while (left := args.believed - sum(row.kind == "believed" for row in rows)) > 0:
        if not train(believed(space, rows, min(left, 2 * args.jobs))):
            break  # nothing is expected to be better


def _row(space: SearchSpace, outcome: Outcome, kind: str, candidate: Ints) -> Brief:
    features = network_features(space.layers(candidate[None]))[0].round(5)
    return Brief(
        key=outcome.key,
        kind=kind,
        **dict(zip(FEATURES, map(float, features), strict=True)),
        validation=round(outcome.accuracy, 5),
        validation_images=VALIDATION_IMAGES,
        epochs=EPOCHS,
        train_images=TRAIN_IMAGES,
        seconds=round(outcome.seconds, 1),
        tool=f"torch {torch.__version__.partition('+')[0]}",
        date=datetime.date.today().isoformat(),
        network=readable_names(space, [candidate])[0],
        genes=" ".join(map(str, candidate)),
    )


if __name__ == "__main__":
    main()
