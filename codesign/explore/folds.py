"""Repeated splits: the finalists of a search are judged on more images than one validation part.

Cross-validation over the training and validation parts: each fold takes other images for
validation, as many as the data set has, and a network is trained anew on the rest. The parts of all
folds are disjoint, so that accuracies are over as many different images; the first fold is the data
set's own split, whose network is delivered. The test part is in none of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.build import pipeline
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.folder import read_stored
from codesign.explore.search import Progress
from codesign.explore.training import FullTraining, Told, settings_of
from codesign.results import UserError
from codesign.tools.workers import Pool
from models.data.datasets import Dataset, Split
from models.files import json_io
from models.training.history import settled_accuracy

_FORM = {"settled": float}


@dataclass(frozen=True)
class _Training:
    """A training of a network on a fold, from 1 on: 0 is the data set's own split."""

    task: FullTraining
    fold: int

    @property
    def name(self) -> str:
        return f"{self.task.design.name}.fold{self.fold}"


def check(folds: int, dataset: Dataset) -> None:
    """Raise UserError unless the training part holds validation parts for all other folds.

    Every fold trains on as many images as the data set's own split.
    """
    part, images = len(dataset.validation), len(dataset.train)
    most = 1 + images // part if part else 1
    if folds > most:
        raise UserError(
            f"folds must be 1..{most} for {images} training and {part} validation images, "
            f"not {folds}"
        )


def split(dataset: Dataset, fold: int, seed: int) -> Dataset:
    """Return the data set with the validation part of a fold, from 1 on, and without test images.

    The same seed gives disjoint validation parts of all folds.
    """
    part = len(dataset.validation)
    order = np.random.default_rng([seed, 3]).permutation(len(dataset.train))
    held = np.zeros(len(order), dtype=np.bool_)
    held[order[(fold - 1) * part : fold * part]] = True
    rest, own = dataset.train.take(np.flatnonzero(~held)), dataset.validation
    joined = Split(
        np.concatenate([rest.images, own.images]), np.concatenate([rest.labels, own.labels])
    )
    nothing = dataset.test.take(np.empty(0, dtype=np.int64))
    held_out = dataset.train.take(np.flatnonzero(held))
    return dataclasses.replace(dataset, train=joined, validation=held_out, test=nothing)


def settled(
    tasks: Sequence[FullTraining], wanted: FinishSettings, pool: Pool, progress: Progress
) -> Mapping[str, tuple[float, ...]]:
    """Return the settled accuracies of networks on all folds but the first, by network key.

    What an earlier run measured is not measured again. pool: as ``training.train_all`` takes it,
    as which it raises.
    """
    every = [_Training(task, fold) for fold in range(1, wanted.settings.folds) for task in tasks]
    done: dict[str, tuple[int, int]] = {}

    def heard(told: Told) -> None:
        name, *epochs, accuracy = told
        done[name] = (epochs[0], epochs[1])
        at, of = (sum(column) for column in zip(*done.values(), strict=True))
        progress("folds", at, of, f"validation {100 * accuracy:.2f} %")

    for one in every:
        heard((one.name, 0, settings_of(one.task, wanted).epochs, 0.0))
    missing = [one for one in every if not _file(one, wanted).exists()]
    work = functools.partial(_train, wanted=wanted.blind)
    if wanted.settings.jobs == 1:
        for one in missing:
            work(one, heard)
    else:
        with contextlib.closing(pool.spread(work, missing, heard)) as results:
            for _ in results:
                pass
    found: dict[str, tuple[float, ...]] = {}
    for one in every:
        accuracy = float(read_stored(_file(one, wanted), _FORM)["settled"])
        found[one.task.key] = (*found.get(one.task.key, ()), accuracy)
    return found


def _file(one: _Training, wanted: FinishSettings) -> Path:
    return wanted.training / f"{one.name}.json"


def _train(one: _Training, tell: Callable[[Told], None], wanted: FinishSettings) -> None:
    """Train a network on a fold and store its settled accuracy."""
    task = one.task
    dataset = split(wanted.dataset, one.fold, wanted.settings.seed)
    settings = settings_of(task, wanted)
    # Another start, too, so that the mean is over what training leaves to chance.
    settings = dataclasses.replace(settings, seed=settings.seed + one.fold, threads=1)
    checkpoint = wanted.training / f"{one.name}.checkpoint"

    def progress(done: int, epochs: int, loss: float, accuracy: float, left_s: float) -> None:
        tell((one.name, done, epochs, accuracy))

    trained = pipeline.train_design(
        task.design, dataset, settings, checkpoint=checkpoint, progress=progress
    )
    accuracy = settled_accuracy(trained.history)
    assert accuracy is not None  # every full training has quantised epochs
    json_io.write(_file(one, wanted), {"settled": accuracy})
    checkpoint.unlink(missing_ok=True)
