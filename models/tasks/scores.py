"""Scores of a classifier: accuracy with its interval, recall by class, the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""
MAJORITY_MARGIN = 0.02


def wilson(right: int, of: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share, 0..1, ``right`` of ``of`` >= 1 draws.

    Wilson's score interval (J. Am. Stat. Assoc., 1927).

    >>> tuple(round(end, 4) for end in wilson(9, 10))
    (0.5958, 0.9821)
    """
    share, square = right / of, Z95**2
    centre = (share + square / (2 * of)) / (1 + square / of)
    half = Z95 / (1 + square / of)
    half *= math.sqrt(share * (1 - share) / of + square / (4 * of**2))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Share:
    """A share (0..1) of ``images`` test images, with the ends low and high of its 95 % interval.

    >>> Share.of(9, 10)
    Share(share=0.9, images=10, low=0.5958, high=0.9821)
    """

    share: float
    images: int
    low: float
    high: float

    @classmethod
    def of(cls, right: int, images: int) -> Share:
        """Return ``right / images`` with Wilson's score interval (J. Am. Stat. Assoc., 1927).

        The interval's ends are rounded to 4 decimals. Of no images the share is 0, the interval
        0..1.
        """
        if not images:
            return cls(0.0, 0, 0.0, 1.0)
        low, high = wilson(right, images)
        return cls(right / images, images, round(low, 4), round(high, 4))

    @property
    def number(self) -> float:
        """The share, as what networks are compared by."""
        return self.share

    @property
    def name(self) -> str:
        """Name of ``number``."""
        return "accuracy"

    def to_dict(self) -> dict[str, float]:
        """Return the JSON form: share, images, low, high."""
        return {"share": self.share, "images": self.images, "low": self.low, "high": self.high}

    def describe(self) -> str:
        """Return the share in words: ``97.50 % (94.3 - 98.9 %) of 200 images``."""
        return (
            f"{100 * self.share:.2f} % ({100 * self.low:.1f} - {100 * self.high:.1f} %) "
            f"of {self.images:,} images"
        )


@dataclass(frozen=True, eq=False)
class Scores:
    """A classifier's answers on one part of a data set. Made by ``Scores.of``."""

    confusion: NDArray[np.int64]
    """(classes, classes): number of images of class i that were answered with class j."""

    @classmethod
    def of(cls, answers: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> Scores:
        """Count answers (n,) against labels (n,), both class numbers 0..classes-1 (int64).

        >>> Scores.of(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).confusion.tolist()
        [[1, 0], [1, 1]]
        """
        flat = np.bincount(labels * classes + answers, minlength=classes * classes)
        return cls(flat.reshape(classes, classes).astype(np.int64))

    @property
    def accuracy(self) -> Share:
        """Share of all images that got the right answer."""
        return Share.of(int(self.confusion.trace()), int(self.confusion.sum()))

    def per_class(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return ``recall`` (0..1, None without images) and ``images`` (count) by class name.

        names: one per class number.
        """
        images = self.confusion.sum(axis=1)
        right = self.confusion.diagonal()
        return {
            name: {"recall": float(right[i] / images[i]) if images[i] else None,
                   "images": int(images[i])}
            for i, name in enumerate(names)
        }  # fmt: skip

    def doubts(self, names: Sequence[str], part: str) -> list[str]:
        """Return warnings: classes never answered, and an accuracy that guessing reaches, too.

        A class without images is not warned of. Guessing always answers the most frequent class; an
        accuracy of less than MAJORITY_MARGIN above it is warned of, unless all images are of one
        class. names: by class number. part: the data's name in the texts, such as ``test``, if any.
        """
        images, answers = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        of = f"{part} " if part else ""
        never = [name for i, name in enumerate(names) if images[i] and not answers[i]]
        found = []
        if never:
            what = "class" if len(never) == 1 else "classes"
            found.append(f"{what} {', '.join(never)} never answered on the {of}images")
        total = int(images.sum())
        if total and len(names) > 1:
            majority = float(images.max() / total)
            if self.accuracy.share < majority + MAJORITY_MARGIN and majority < 1:
                largest = names[int(images.argmax())]
                found.append(
                    f"{of}accuracy {100 * self.accuracy.share:.1f} % is no better than always "
                    f"answering {largest}, {100 * majority:.1f} %"
                )
        return found
