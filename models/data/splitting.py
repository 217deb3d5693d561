"""Parts of a data set that the user did not make: test and validation, taken from training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data.raw import TEST, TRAIN, VALIDATION, Labels, Part, Raw
from models.data.targets import CLASSES, RECONSTRUCTION
from models.errors import DatasetError
from models.files.reading import printable

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2
"""Share of each class of the training data that becomes the test part, where there is none."""
SMALL_SET = 5000
SMALL_VALIDATION_SHARE = 0.15
"""Share of each class that becomes validation, in place of VALIDATION_SHARE, if the training data
(without the test part) has fewer than SMALL_SET examples: a tenth would measure too coarsely."""


def split_off(parts: dict[str, Part], rng: np.random.Generator, raw: Raw) -> list[str]:
    """Add a missing test, then validation part to ``parts`` in place, taken from training.

    It is taken by class (``stratified``), or at random where answers are no classes. An
    auto-encoder learns from normal examples alone: anomalous ones of the training part go to the
    parts that are split off, in equal numbers. Returns notes: on a test part that was split off,
    not on validation, and on anomalous examples that are left out. raw: what the parts are of.
    Raises DatasetError for a class of a single training example.
    """
    notes, made = [], [part for part in (TEST, VALIDATION) if part not in parts]
    anomalous = _anomalous(parts) if raw.task == RECONSTRUCTION else None
    names = raw.class_names if raw.task == CLASSES else None
    if TEST in made:
        _take_from_training(parts, TEST, TEST_SHARE, rng, names)
    if VALIDATION in made:
        small = len(parts[TRAIN]) < SMALL_SET
        share = SMALL_VALIDATION_SHARE if small else VALIDATION_SHARE
        _take_from_training(parts, VALIDATION, share, rng, names)
    if anomalous and made:
        order = rng.permutation(len(anomalous))
        for number, part in enumerate(made):
            parts[part] = _joined(parts[part], anomalous.take(order[number :: len(made)]))
    elif anomalous:
        notes.append(f"{len(anomalous)} anomalous examples of the training part are left out")
    if TEST in made:
        notes.append(f"there is no test part: {len(parts[TEST])} examples were split off at random")
    return notes


def _anomalous(parts: dict[str, Part]) -> Part | None:
    """Take the anomalous examples out of the training part, in place; None if there are none.

    Raises DatasetError if nothing is left.
    """
    train = parts[TRAIN]
    if train.labels.all():
        raise DatasetError("the training part has no normal example to learn from")
    parts[TRAIN] = train.take(np.flatnonzero(train.labels == 0))
    return train.take(np.flatnonzero(train.labels)) if train.labels.any() else None


def _joined(one: Part, other: Part) -> Part:
    return Part(
        np.concatenate([one.values, other.values]), np.concatenate([one.labels, other.labels])
    )


def _take_from_training(
    parts: dict[str, Part],
    name: str,
    share: float,
    rng: np.random.Generator,
    names: tuple[str, ...] | None,
) -> None:
    """Move a share of the training part to another; names: of its classes, None if it has none."""
    train = parts[TRAIN]
    labels = np.zeros(len(train), np.int64) if names is None else train.labels
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        if count < 2:
            of = f"class {printable(names[label])}" if names else "the data set"
            raise DatasetError(
                f"{of} has a single training example left, so no "
                f"{name} part can be split off: give more of it, or a {name} part"
            )
    kept, taken = stratified(labels, share, rng)
    parts[TRAIN], parts[name] = train.take(kept), train.take(taken)


def stratified(
    labels: Labels, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return positions in two parts, each ascending; the second has ``share`` of every class.

    Of each class that is round(share * its examples), half to even, at least one; ``rng`` picks
    them. labels: (n,), at least two of each class.
    """
    second = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        second[members[: max(1, round(share * len(members)))]] = True
    return np.flatnonzero(~second), np.flatnonzero(second)
