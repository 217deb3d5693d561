"""Measures of outputs that are no classes: reconstruction, regression, a class for each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.integer.scores import Z95, Scores

Reals = NDArray[np.float64]
LEFT_OUT = 255
"""Label of pixels that have no class, where there are fewer classes."""


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
