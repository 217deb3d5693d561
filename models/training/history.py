"""Learning curve of a training: what each epoch reached, and which is kept. Needs no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SETTLED_SHARE = 0.5
"""Share of the quantised epochs, the last ones, that ``settled_accuracy`` is over."""


@dataclass(frozen=True)
class Epoch:
    """Result of one epoch. Made by ``train`` (models.training.loop).

    >>> Epoch(0.31, 0.95, quantised=True).training_accuracy is None
    True
    """

    loss: float
    """Mean loss of the training batches, with the penalty on one-bits."""
    accuracy: float
    """Accuracy on the validation split after the epoch, 0..1; of outputs that are no classes the
    score that epochs are kept by, at most 1 (``Measures.number`` of models.tasks.measures)."""
    quantised: bool
    """True if the network computed as hardware does, fake-quantised and with folded batch norms;
    False before, in the floating-point phase and in one that is fake-quantised between norms."""
    training_accuracy: float | None = None
    """Accuracy on the training batches, 0..1, each before its own step and as augmented; None in
    files of release 0.2 and older, and of outputs that are no classes."""
    kept: bool = False
    """True if the weights were kept after this epoch, instead of earlier ones; False throughout in
    files of releases that kept those of the best epoch."""


def standard_error(accuracy: float, images: int) -> float:
    """Return the binomial standard error of an accuracy (0..1), smoothed so that 1 has one, too.

    It is sqrt(p (1 - p) / n) for n images of which k are right, with p = (k + 1) / (n + 2).

    >>> round(standard_error(1.0, images=216), 5)
    0.0046
    """
    share = (accuracy * images + 1) / (images + 2)
    return math.sqrt(share * (1 - share) / images)


def within(best: float, accuracy: float, images: int, errors: float = 1.0) -> bool:
    """Return True if an accuracy is at most so many standard errors of the best one below it.

    Both are 0..1, over the same number of images, and compared after Laplace's rule of succession,
    (k + 1) / (n + 2).

    >>> within(1.0, 215 / 216, images=216), within(1.0, 214 / 216, images=216)
    (True, False)
    """
    gap = (best - accuracy) * images / (images + 2)
    return gap <= errors * standard_error(best, images)


def errors_below(best: float, accuracy: float, images: int) -> float:
    """Return by how many standard errors of their difference one accuracy is below another.

    Both are 0..1, over so many images, and compared as by ``within``; negative if it is above. The
    networks' errors count as independent.

    >>> round(errors_below(1.0, 212 / 216, images=216), 2)
    1.64
    """
    gap = (best - accuracy) * images / (images + 2)
    return gap / math.hypot(standard_error(best, images), standard_error(accuracy, images))


def alike(best: float, accuracy: float, images: int) -> bool:
    """Return True if so many images cannot tell the accuracies of two networks apart.

    Then they are at most one standard error of their difference apart (``errors_below``). As the
    networks' errors count as independent, alike ones count a bit early.

    >>> alike(1.0, 215 / 216, images=216), alike(1.0, 214 / 216, images=216)
    (True, False)
    >>> alike(215 / 216, 213 / 216, images=216)
    True
    """
    return errors_below(best, accuracy, images) <= 1.0


def worth_keeping(history: Sequence[Epoch], accuracy: float, images: int | None) -> bool:
    """Return True if a further quantised epoch of that validation accuracy is to be kept.

    So it is within a standard error of the best quantised epoch, itself included: of epochs that
    so many validation images cannot tell apart, the last one has the lowest learning rate. images:
    None for another score than an accuracy, of which the best counts, the last one of equals.
    """
    best = max([accuracy, *(one.accuracy for one in history if one.quantised)])
    return accuracy == best if images is None else within(best, accuracy, images)


def kept_epoch(history: Sequence[Epoch]) -> int | None:
    """Return the number, from 1, of the epoch whose weights are kept; None without one.

    It is the last one that was worth keeping, in older files the last of the best quantised ones.
    """
    numbered = [(one.kept, one.accuracy, at) for at, one in enumerate(history, 1) if one.quantised]
    if any(kept for kept, _, _ in numbered):
        return max(at for kept, _, at in numbered if kept)
    return max(numbered)[2] if numbered else None


def settled_accuracy(history: Sequence[Epoch]) -> float | None:
    """Return the mean validation accuracy of the later epochs, 0..1; None without a quantised one.

    These are the last SETTLED_SHARE of the quantised epochs, one at least. One epoch's accuracy
    swings with the last few steps, and that of the epoch that is kept is a lucky one's.
    """
    found = [one.accuracy for one in history if one.quantised]
    last = found[-max(1, round(SETTLED_SHARE * len(found))) :]
    return sum(last) / len(last) if last else None


def to_list(history: Iterable[Epoch], score: str = "accuracy") -> list[dict[str, Any]]:
    """Return the JSON form of a learning curve, an object for each epoch.

    score: what the validation score is called; another than an accuracy takes its place, and no
    training accuracy is listed.
    """
    epochs = [dataclasses.asdict(one) for one in history]
    if score == "accuracy":
        return epochs
    of_others = ("loss", "quantised", "kept")
    return [{score: one["accuracy"], **{key: one[key] for key in of_others}} for one in epochs]


def from_list(epochs: Iterable[Mapping[str, Any]]) -> tuple[Epoch, ...]:
    """Return the learning curve of its JSON form; keys that an Epoch does not have are left out.

    Raises TypeError for a missing key other than training_accuracy.
    """
    names = [field.name for field in dataclasses.fields(Epoch)]
    return tuple(Epoch(**{name: one[name] for name in names if name in one}) for one in epochs)
