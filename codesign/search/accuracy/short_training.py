"""Many short trainings side by side: how good a network looks after a few epochs."""

from __future__ import annotations

import functools
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codesign.tools.workers import spread
from models.data.datasets import Dataset, Split
from models.graph.network import NetworkGraph
from models.integer.bits import network_bits, total
from models.quantisation.plan import Quantisation

if TYPE_CHECKING:
    from models.training.trained import TrainedNetwork


@dataclass(frozen=True)
class ShortTraining:
    """How networks are compared: same images, same epochs, same seed for all."""

    epochs: int
    train_images: int
    """Images of the training split, chosen by seed."""
    validation_images: int
    seed: int
    boo: float = 0.0
    """TrainSettings.boo"""

    @classmethod
    def of(cls, dataset: Dataset, seed: int, boo: float = 0.0) -> ShortTraining:
        """About 16,000 images seen by each network."""
        images = min(len(dataset.train), 5000)
        return cls(
            epochs=min(max(16000 // images, 4), 14),
            train_images=images,
            validation_images=min(len(dataset.validation), 2000),
            seed=seed,
            boo=boo,
        )

    def subset(self, dataset: Dataset) -> Dataset:
        """The images that short trainings see; the test split is left out altogether."""
        random = np.random.default_rng([self.seed, 2])

        def take(split: Split, count: int) -> Split:
            if count >= len(split):
                return split
            return split.take(np.sort(random.permutation(len(split))[:count]))

        empty = dataset.test.take(np.empty(0, dtype=np.int64))
        train = take(dataset.train, self.train_images)
        validation = take(dataset.validation, self.validation_images)
        return Dataset(dataset.name, dataset.shape, dataset.classes, train, validation, empty)


@dataclass(frozen=True)
class TrainingTask:
    """One network to train; ``key`` names it in the results."""

    key: str
    graph: NetworkGraph
    quantisation: Quantisation
    scale_bits: int


@dataclass(frozen=True)
class Outcome:
    key: str
    accuracy: float
    """On the validation images, 0..1."""
    seconds: float
    one_bits: int
    """Of the magnitudes of all weights (models.integer.bits)."""


def trained_network(task: TrainingTask, dataset: Dataset, how: ShortTraining) -> TrainedNetwork:
    """``dataset`` is ``how.subset`` of the whole one."""
    from models.training.loop import train
    from models.training.schedule import TrainSettings  # torch takes seconds to import

    settings = TrainSettings(
        epochs=how.epochs, compile="never", scale_bits=task.scale_bits, threads=1, seed=how.seed,
        boo=how.boo,
    )  # fmt: skip
    return train(task.graph, task.quantisation, dataset, settings)


def train_one(task: TrainingTask, dataset: Dataset, how: ShortTraining) -> Outcome:
    """``dataset`` is ``how.subset`` of the whole one."""
    from models.integer.lower import lower

    start = time.monotonic()
    trained = trained_network(task, dataset, how)
    seconds = time.monotonic() - start
    _, integer = lower(trained, task.scale_bits)
    bits = network_bits(integer, {}, 1)
    return Outcome(task.key, trained.validation_accuracy, seconds, total(bits.values()).ones)


def train_all(
    tasks: Sequence[TrainingTask], dataset: Dataset, how: ShortTraining, jobs: int
) -> Generator[Outcome]:
    """Outcomes as they come, in any order. Closing the iterator drops what has not ended."""
    small = how.subset(dataset)
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield train_one(task, small, how)
        return
    yield from spread(functools.partial(train_one, dataset=small, how=how), tasks, jobs)
