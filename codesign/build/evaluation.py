"""Accuracy of an integer network with everything that says how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.design import Design
from models.data.datasets import Dataset, Split
from models.integer import reference
from models.integer.network import IntegerNetwork
from models.tasks.scores import Scores
from models.training.history import Epoch, kept_epoch, to_list

TEST = "test"
WHOLE = "all of the data, which have no test part"
"""What a line calls the images of ``test`` where they are no such part."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of each part of a data set that was evaluated.

    Made by ``evaluate``, here and in ``other_data``.
    """

    parts: dict[str, Scores]
    """Scores by part, such as ``validation`` and ``test``; figures by class are of the last one."""
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    """Sentences on everything that was guessed, cut or is doubtful."""
    whole: bool = False
    """True where ``test`` is all of a data set that has no test part."""

    @property
    def shares(self) -> dict[str, float]:
        """Accuracy, 0..1, by part."""
        return {part: scores.accuracy.share for part, scores in self.parts.items()}

    @property
    def last(self) -> Scores:
        """Scores of the last part, which the figures by class are of."""
        return list(self.parts.values())[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that ``train``, ``build``, ``evaluate`` and accuracy.json share.

        accuracy by part (share, images and low and high of its 95 % interval), classes (names),
        per_class (recall and images by name), confusion (rows: true class, columns: answer) and
        notes.
        """
        return {
            "accuracy": {part: scores.accuracy.to_dict() for part, scores in self.parts.items()},
            "classes": list(self.classes),
            "per_class": self.last.per_class(self.classes),
            "confusion": self.last.confusion.tolist(),
            "notes": list(self.notes),
        }


def evaluate(
    network: IntegerNetwork, dataset: Dataset, parts: Sequence[str] = ("validation", TEST)
) -> Evaluation:
    """Run the integer network on parts of a data set (by name), all images of each.

    parts: at least one. Only the last one's doubts (``Scores.doubts``) are noted.

    >>> from benchmarks.untrained import random_weights
    >>> from codesign import design
    >>> from models.data import datasets
    >>> from models.integer.lower import shape_only
    >>> from pathlib import Path
    >>> tiny = design.load(Path("examples/digits_tiny.yaml"))
    >>> network = random_weights(shape_only(tiny.network, tiny.quantisation, 8), 8, seed=0)
    >>> found = evaluate(network, datasets.load("digits"), ["test"])
    >>> found.parts["test"].accuracy.images
    359
    """
    scores = {part: scores_of(network, getattr(dataset, part), dataset.classes) for part in parts}
    doubts = [
        note
        for part, found in scores.items()
        if part == parts[-1]
        for note in found.doubts(dataset.names, part)
    ]
    return Evaluation(scores, dataset.names, (*dataset.notes, *doubts))


def scores_of(network: IntegerNetwork, split: Split, classes: int) -> Scores:
    """Count the integer network's answers (the first of the largest logits) on one part.

    classes: number of classes.
    """
    answers = network.answers(reference.predict(network, split.images))
    return Scores.of(answers, split.labels, classes)


def training_report(full: Sequence[Epoch], short: Sequence[Epoch] = ()) -> dict[str, Any]:
    """Return reports/training.json: learning curves of the full and of the short training.

    An epoch has the fields of history.Epoch; kept_epoch is the number, from 1, of that whose
    weights were kept, None without a quantised one. A curve without epochs is left out. Where the
    short training's network was the better one and is delivered, ``full`` is that training, which
    is then listed as ``short`` alone.
    """
    curves = {"full": () if tuple(full) == tuple(short) else full, "short": short}
    return {
        name: {"kept_epoch": kept_epoch(epochs), "epochs": to_list(epochs)}
        for name, epochs in curves.items()
        if epochs
    }


def accuracy_report(design: Design, network: IntegerNetwork, dataset: Dataset) -> dict[str, Any]:
    """Return reports/accuracy.json: accuracies (0..1), scores by class, data set and training.

    ``validation`` and ``test`` hold the accuracies, ``scores`` the same with intervals, the other
    keys what Evaluation.to_dict, the data set and the training say. Raises ModelError for an
    augmentation of the design that the images are too small for.
    """
    found = evaluate(network, dataset)
    details = found.to_dict()
    return {
        **found.shares,
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "scores": details.pop("accuracy"),
        **details,
        "input": dataset.input_range.describe(),
        "augmentation": design.training.augmentation(dataset).describe(),
    }
