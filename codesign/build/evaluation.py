"""Accuracy of an integer network with everything that says how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.design import Design
from models.data.datasets import Dataset, Split
from models.data.targets import CLASSES
from models.integer import reference
from models.integer.network import IntegerNetwork
from models.tasks.kinds import TASKS, Result
from models.tasks.measures import Measures
from models.tasks.scores import Scores
from models.training.history import Epoch, kept_epoch, to_list

ACCURACY = "accuracy"
TEST = "test"
PARTS = ("validation", TEST)
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
    def results(self) -> dict[str, Result]:
        """Accuracy by part, with its interval."""
        return {part: scores.accuracy for part, scores in self.parts.items()}

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


@dataclass(frozen=True, eq=False)
class Measured:
    """Measures of each part of a data set whose answers are no classes of the whole.

    Made by ``judged``, and by ``evaluate`` of ``other_data``.
    """

    task: str
    """One of models.data.targets.TASKS but classes."""
    parts: dict[str, Measures]
    notes: tuple[str, ...]

    @property
    def results(self) -> dict[str, Result]:
        """Measures by part."""
        return dict(self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that ``train`` and ``build`` share: task, measures, notes.

        measures: by part, each with examples, score (the name of that which networks are compared
        by), and all by name.
        """
        parts = {part: found.to_dict() for part, found in self.parts.items()}
        return {"task": self.task, "measures": parts, "notes": list(self.notes)}


Judged = Evaluation | Measured


def judged(network: IntegerNetwork, dataset: Dataset) -> Judged:
    """Run the integer network on validation and test part, and judge it by the data's task."""
    if dataset.task == CLASSES:
        return evaluate(network, dataset)
    found = {part: measures_of(network, getattr(dataset, part), dataset.task) for part in PARTS}
    return Measured(dataset.task, found, dataset.notes)


def measures_of(network: IntegerNetwork, split: Split, task: str) -> Measures:
    """Judge the integer network's outputs on one part, by a task other than classes."""
    outputs = network.real(reference.predict(network, split.images))
    found = TASKS[task].judge(outputs, split)
    assert isinstance(found, Measures)
    return found


def evaluate(network: IntegerNetwork, dataset: Dataset, parts: Sequence[str] = PARTS) -> Evaluation:
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


def training_report(
    full: Sequence[Epoch], short: Sequence[Epoch] = (), score: str = ACCURACY
) -> dict[str, Any]:
    """Return reports/training.json: learning curves of the full and of the short training.

    An epoch has the fields of history.Epoch; kept_epoch is the number, from 1, of that whose
    weights were kept, None without a quantised one. A curve without epochs is left out. Where the
    short training's network was the better one and is delivered, ``full`` is that training, which
    is then listed as ``short`` alone. score: what the epochs' score is called, if no accuracy; it
    is the key of its values then, and ``score`` says so.
    """
    said = {} if score == ACCURACY else {"score": score}
    curves = {"full": () if tuple(full) == tuple(short) else full, "short": short}
    return {
        name: {**said, "kept_epoch": kept_epoch(epochs), "epochs": to_list(epochs, score)}
        for name, epochs in curves.items()
        if epochs
    }


def score_of(found: Judged) -> str:
    """Return the key of the score that epochs were kept by, for ``training_report``."""
    result = found.results[PARTS[0]]
    return result.number_name if isinstance(result, Measures) else ACCURACY


def judged_report(
    design: Design, network: IntegerNetwork, dataset: Dataset
) -> tuple[str, dict[str, Any]]:
    """Return name and content of the report on how good a network is.

    reports/accuracy.json: accuracies (0..1), scores by class, data set and training. ``validation``
    and ``test`` hold the accuracies, ``scores`` the same with intervals, the other keys what
    Evaluation.to_dict, the data set and the training say. Or reports/measures.json: what
    Measured.to_dict, the data set and the training say, and for numbers the ``targets``: mean and
    standard deviation of each output channel in the training part, and the unit that they were
    learned in. Raises ModelError for an augmentation of the design that the images are too small
    for.
    """
    found = judged(network, dataset)
    details = found.to_dict()
    said = {
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "input": dataset.input_range.describe(),
        "augmentation": design.training.augmentation(dataset).describe(),
    }
    if isinstance(found, Measured):
        units = TASKS[dataset.task].units(dataset, network.output.shape)
        return "measures", {**details, **said, "targets": units.to_dict() if units else None}
    return ACCURACY, {**found.shares, "scores": details.pop(ACCURACY), **details, **said}
