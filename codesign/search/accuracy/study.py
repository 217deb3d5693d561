"""Train sampled networks of a shipped search space from scratch, as data for accuracy prediction.

``python -m codesign.search.accuracy.study --dataset fashion-mnist --data-dir D --networks 64
--repeats 16``

Writes two tables per data set to ``--out``: ``networks_*.csv`` (features, zero-cost proxies and
supernet figures of each network, none of which needs its training; the supernet is trained first)
and ``trainings_*.csv``. Each row is written when it is complete and made only once, so a killed run
resumes where it ended. The same seed samples the same networks. Training uses one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codesign.results import UserError
from codesign.search.accuracy import study_data, supernet
from codesign.search.accuracy.features import FEATURES, network_features
from codesign.search.accuracy.predictor import farthest
from codesign.search.accuracy.short_training import ShortTraining, TrainingTask, trained_network
from codesign.search.accuracy.study_data import Description, Training
from codesign.search.space.declaration import dense_only, load_declaration, shipped_name
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import Ints, network_key
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from models.data import datasets
from models.data.datasets import Dataset
from models.errors import DatasetError
from models.supernet.network import Supernet
from models.supernet.proxies import proxies
from models.supernet.training import SupernetSettings

POOL = 4096
"""Random candidates that the sample is taken from; those above MAX_MACS are left out."""
MAX_MACS = 1_500_000
"""Largest number of multiply-accumulates per image of a sampled network, to limit training time."""
SCALE_BITS = 8
PROXY_IMAGES = 64
"""Training images on which zero-cost proxies are computed."""
SUPERNET_STEPS = 2000
Progress = Callable[[str], None]


def space_of(shape: tuple[int, int, int], classes: int) -> SearchSpace:
    """Return the shipped space that a search on such images would use, without N:M sparsity.

    shape: channels, rows, columns of the images.
    """
    shipped = dense_only(load_declaration(shipped_name(shape)))
    npu = dataclasses.replace(shipped.npu, wide_inputs=(False,))  # a gene would change the sample
    return SearchSpace(dataclasses.replace(shipped, npu=npu), shape, classes)


def sample(space: SearchSpace, count: int, seed: int) -> Ints:
    """Return up to ``count`` networks far from each other in their features, shape (n, genes).

    They are taken from those of POOL random candidates that are within MAX_MACS, all on the first
    NPU. A larger count begins with the same networks.
    """
    random = np.random.default_rng([seed, 3])
    pool = supernet.affordable(space, supernet.random_networks(space, POOL, random), MAX_MACS)
    features = network_features(layer_table(space, pool))
    chosen: Ints = pool[farthest(features, features[:0], count)]
    return chosen


def recipe(dataset: Dataset, seed: int) -> ShortTraining:
    """Return training settings by which each network sees up to 15,000 images.

    A search uses a little more (ShortTraining.of).
    """
    images = min(len(dataset.train), 3000)
    return ShortTraining(
        epochs=min(max(15_000 // images, 5), 14),
        train_images=images,
        validation_images=min(len(dataset.validation), 1000),
        seed=seed,
    )


def train(space: SearchSpace, candidate: Ints, dataset: Dataset, seed: int) -> Training:
    """Train a network by ``recipe`` and evaluate it on the full validation and test splits.

    candidate: shape (genes,). Accuracies are rounded to 5 decimals.
    """
    how = recipe(dataset, seed)
    key = network_key(space, candidate)
    task = TrainingTask(key, *network(space, candidate), SCALE_BITS)
    start = time.process_time()
    trained, _ = trained_network(task, how.subset(dataset), how)
    return Training(
        key=key,
        seed=seed,
        epochs=how.epochs,
        train_images=how.train_images,
        seconds=round(time.process_time() - start, 1),
        validation=round(trained.evaluate(dataset.validation), 5),
        test=round(trained.evaluate(dataset.test), 5),
        genes=" ".join(map(str, candidate)),
        **_versions(),
    )


def describe(
    space: SearchSpace, candidate: Ints, dataset: Dataset, shared: Supernet, seed: int
) -> Description:
    """Compute features, zero-cost proxies and supernet figures of a network, which is not trained.

    candidate: shape (genes,); shared: trained supernet of the space; seed: draws the PROXY_IMAGES
    training images of the proxies and those that calibrate the supernet. Figures are rounded to 5
    decimals.
    """
    start = time.process_time()
    random = np.random.default_rng([seed, 6])
    batch = dataset.train.take(random.permutation(len(dataset.train))[:PROXY_IMAGES])
    graph, quantisation = network(space, candidate)
    judgement = supernet.judged(shared, supernet.subnet(space, candidate), dataset, seed)
    features = network_features(layer_table(space, candidate[None]))[0]
    numbers: dict[str, Any] = {
        **dict(zip(FEATURES, map(float, features), strict=True)),
        **proxies(graph, quantisation, batch, seed),
        "supernet_accuracy": judgement.accuracy,
        "supernet_loss": judgement.loss,
        "supernet_refit": judgement.refit_accuracy,
    }
    return Description(
        key=network_key(space, candidate),
        seconds=round(time.process_time() - start, 1),
        **{name: round(value, 5) for name, value in numbers.items()},
        **_versions(),
    )


def _versions() -> dict[str, Any]:
    tool = f"torch {torch.__version__.partition('+')[0]}"
    return {"tool": tool, "date": datetime.date.today().isoformat()}


def describe_all(
    space: SearchSpace, candidates: Ints, dataset: Dataset, out: Path, seed: int, progress: Progress
) -> None:
    """Describe the networks that the table ``networks_*.csv`` in ``out`` lacks, and add their rows.

    candidates: shape (n, genes). The weights of the supernet (``supernet_*.pt``) lie beside the
    table until all networks are described; if they are there already, they are used. Raises
    UserError for a bad file, OSError if one cannot be written.
    """
    path = out / f"networks_{dataset.name}.csv"
    rows = {row.key: row for row in (study_data.read(path, Description) if path.exists() else [])}
    missing = [one for one in candidates if network_key(space, one) not in rows]
    if not missing:
        return
    weights = out / f"supernet_{dataset.name}.pt"
    settings = SupernetSettings(SUPERNET_STEPS, seed=seed)
    shared = supernet.trained(space, dataset, settings, MAX_MACS, weights, progress)
    for done, candidate in enumerate(missing, start=1):
        row = describe(space, candidate, dataset, shared, seed)
        rows[row.key] = row
        study_data.write(path, Description, rows.values())
        progress(f"described {done}/{len(missing)}: {row.key} in {row.seconds:.1f} s")
    weights.unlink()


def train_all(
    space: SearchSpace, candidates: Ints, dataset: Dataset, out: Path, seed: int, progress: Progress
) -> None:
    """Train the networks that ``trainings_*.csv`` in ``out`` lacks for ``seed``; add their rows.

    candidates: shape (n, genes). Raises UserError for a bad file, OSError if one cannot be written.
    """
    path = out / f"trainings_{dataset.name}.csv"
    found = study_data.read(path, Training) if path.exists() else []
    rows = {row.identity: row for row in found}
    missing = [one for one in candidates if (network_key(space, one), seed) not in rows]
    for done, candidate in enumerate(missing, start=1):
        row = train(space, candidate, dataset, seed)
        rows[row.identity] = row
        study_data.write(path, Training, rows.values())
        progress(
            f"trained {done}/{len(missing)}: {row.key} with seed {seed} in {row.seconds:.0f} s, "
            f"{row.validation:.2%} validation accuracy"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="codesign.search.accuracy.study", description=__doc__)
    parser.add_argument("--dataset", choices=("digits", "fashion-mnist"), default="digits")
    parser.add_argument("--data-dir", type=Path, help="where the files of fashion-mnist are")
    parser.add_argument("--networks", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=16, help="networks trained a second time")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other networks")
    parser.add_argument("--out", type=Path, default=study_data.SHIPPED, help="folder of the tables")
    options = parser.parse_args(arguments)
    if not 0 <= options.repeats <= options.networks:
        parser.error(f"--repeats must be 0..{options.networks}, not {options.repeats}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    try:
        dataset = datasets.load(options.dataset, options.data_dir)
        space = space_of(dataset.shape, dataset.classes)
        chosen = sample(space, options.networks, options.seed)
        again = np.linspace(0, len(chosen) - 1, options.repeats).round().astype(np.int64)
        common = (dataset, options.out)
        describe_all(space, chosen, *common, options.seed, logging.info)
        train_all(space, chosen, *common, options.seed, logging.info)
        train_all(space, chosen[again], *common, options.seed + 1, logging.info)
    except (UserError, DatasetError, OSError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
