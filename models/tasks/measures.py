"""Measures of outputs that are no classes: reconstruction, regression, a class for each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.targets import LEFT_OUT
from models.tasks.scores import Z95, Scores

Reals = NDArray[np.float64]
_ERROR = "mean_squared_error"
NAMES = {
    "r_squared": "R2",
    "roc_area": "ROC area",
    "mean_iou": "mean IoU",
    _ERROR: "mean squared error",
}
"""What the measures that networks are compared by are called, by their keys."""


@dataclass(frozen=True, eq=False)
class Measures:
    """Measures of outputs that are no classes of the whole. Made by ``Task.judge``.

    >>> found = Measures(2, {"mean_squared_error": 0.5, "r_squared": None})
    >>> found.score, found.number, found.describe()
    ('mean_squared_error', -0.5, 'mean squared error 0.5 of 2 examples')
    """

    examples: int
    values: dict[str, Any]
    """By name, such as ``regression`` has them."""

    @property
    def score(self) -> str:
        """Key of the measure that networks are compared by: the first of NAMES that is known."""
        return next(name for name in NAMES if self.values.get(name) is not None)

    @property
    def number(self) -> float:
        """The score as a number that is larger for better outputs: an error is negative."""
        value = self.values[self.score]
        number = float(value["area"] if isinstance(value, dict) else value)
        return -number if self.score == _ERROR else number

    @property
    def number_name(self) -> str:
        """Name of ``number`` in files: the score, or ``negative_mean_squared_error``."""
        return f"negative_{self.score}" if self.score == _ERROR else self.score

    @property
    def name(self) -> str:
        """Name of ``number`` in words."""
        return f"minus {NAMES[self.score]}" if self.score == _ERROR else NAMES[self.score]

    def describe(self) -> str:
        """Return the score in words: ``R2 0.9132 of 120 examples``."""
        value = self.values[self.score]
        between = ""
        if isinstance(value, dict):
            value, between = value["area"], f" ({value['low']:.4g} - {value['high']:.4g})"
        return f"{NAMES[self.score]} {value:.4g}{between} of {self.examples:,} examples"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: examples, score (the key), and all measures by name."""
        return {"examples": self.examples, "score": self.score, **self.values}


@dataclass(frozen=True)
class RocArea:
    """Area under the ROC curve, 0..1, with the ends of its 95 % interval. Made by ``roc_area``."""

    area: float
    low: float
    high: float
    positive: int
    negative: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: area, low, high, positive and negative (counts)."""
        return dict(vars(self))


def roc_area(scores: Reals, positive: NDArray[np.bool_]) -> RocArea:
    """Return how often a positive example scores above a negative one; equal scores count half.

    scores, positive: (n,), at least one example of each kind. The interval is that of Hanley and
    McNeil (Radiology, 1982).

    >>> roc_area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).area
    0.75
    """
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    high, low = int(positive.sum()), int((~positive).sum())
    area = float((ranks[positive].sum() - high * (high + 1) / 2) / (high * low))
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (high - 1) * (first - area**2) + (low - 1) * (second - area**2)
    half = Z95 * math.sqrt(max(variance, 0) / (high * low))
    ends = max(0.0, area - half), min(1.0, area + half)
    return RocArea(area, round(ends[0], 4), round(ends[1], 4), high, low)


def errors(outputs: Reals, targets: Reals) -> Reals:
    """Return the mean squared error of each example (n,); both (n, values)."""
    found: Reals = ((outputs - targets) ** 2).mean(axis=1)
    return found


def reconstruction(outputs: Reals, inputs: Reals, anomalous: NDArray[np.bool_]) -> dict[str, Any]:
    """Return errors of outputs against inputs, both (n, values), n >= 1.

    mean_squared_error, of all examples, and roc_area (``roc_area`` of the examples' errors, as a
    dict) where some are ``anomalous`` (n,) and others not.

    >>> one, other = np.zeros((3, 1)), np.array([[1.0], [0.0], [2.0]])
    >>> reconstruction(one, other, np.array([False, False, True]))["roc_area"]["area"]
    1.0
    """
    missed = errors(outputs, inputs)
    result: dict[str, Any] = {"mean_squared_error": float(missed.mean())}
    if anomalous.any() and not anomalous.all():
        result["roc_area"] = roc_area(missed, anomalous).to_dict()
    return result


def regression(outputs: Reals, targets: Reals) -> dict[str, Any]:
    """Return errors of outputs against targets, both (n, values), n >= 1.

    mean_squared_error, mean_absolute_error, and r_squared, the coefficient of determination over
    all values, each about the mean of its column; None where the targets do not vary.

    >>> regression(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]]))["r_squared"]
    0.5
    """
    spread = float(((targets - targets.mean(axis=0)) ** 2).sum())
    missed = float(((outputs - targets) ** 2).sum())
    return {
        "mean_squared_error": missed / outputs.size,
        "mean_absolute_error": float(np.abs(outputs - targets).mean()),
        "r_squared": 1 - missed / spread if spread else None,
    }


def pixels(outputs: Reals, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Return how many pixels get their class: the largest of their outputs, the first if equal.

    outputs: (n, classes, rows, columns), at least two classes. labels: (n, rows, columns), class
    numbers; LEFT_OUT is left out. pixel_accuracy (share, 0..1), pixels (count), mean_iou: mean over
    all classes that are there or answered of intersection over union, iou: of each (None where a
    class is neither).
    """
    classes = outputs.shape[1]
    kept = labels != LEFT_OUT if classes <= LEFT_OUT else np.ones(labels.shape, bool)
    found = Scores.of(outputs.argmax(axis=1)[kept], labels[kept], classes).confusion
    right, union = found.diagonal(), found.sum(axis=0) + found.sum(axis=1) - found.diagonal()
    shares = [float(r / u) if u else None for r, u in zip(right, union, strict=True)]
    known = [share for share in shares if share is not None]
    count = int(found.sum())
    return {
        "pixel_accuracy": float(right.sum() / count) if count else None,
        "pixels": count,
        "mean_iou": float(np.mean(known)) if known else None,
        "iou": shares,
    }
