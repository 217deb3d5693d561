"""Data sets as their files hold them: the user's values and labels, before anything is mapped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.values import InputRange
from models.errors import DatasetError

Values = NDArray[Any]
"""Numbers of any kind, shape (n, channels, rows, columns)."""
Labels = NDArray[Any]
"""Class numbers int64 (n,), or other answers (n, ...)."""
TRAIN, VALIDATION, TEST = "train", "validation", "test"
MAX_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Part:
    """Examples of one part of a data set: values (n, channels, rows, columns), labels int64 (n,).

    Where answers are no classes of the whole, labels are those of ``targets.npz``.

    >>> import numpy as np
    >>> len(Part(np.zeros((5, 1, 8, 8)), np.zeros(5, np.int64)))
    5
    """

    values: Values
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Part:
        """The examples at ``indices`` (from 0), in that order."""
        return Part(self.values[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class Raw:
    """The parts that the user made, at least ``train``, with everything that had to be guessed.

    parts: by name (TRAIN, VALIDATION, TEST). class_names: by class number. Made by
    ``models.data.array_files.npz`` and the other readers.
    """

    parts: dict[str, Part]
    class_names: tuple[str, ...]
    range: InputRange | None = None
    """The range of the values where the format fixes it (8-bit pictures: 0..255); None: to be
    found."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing that was guessed, converted or left out."""
    task: str = "classes"
    """What the labels are for (targets.TASKS)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one example: (channels, rows, columns)."""
        channels, rows, columns = self.parts[TRAIN].values.shape[1:]
        return channels, rows, columns


@dataclass
class ClassNames:
    """Numbers labels from 0 by their natural order, the same in every part.

    Names that differ only in how Unicode composes their characters, as those of different file
    systems do, are one class.

    >>> names = ClassNames.of(["dog", "cat", "cat"], "pets.npz: y")
    >>> names.names, names.numbers(["cat", "dog"], "pets.npz: y_test").tolist()
    (('cat', 'dog'), [0, 1])
    """

    names: tuple[str, ...]
    _index: dict[object, int] = field(repr=False, default_factory=dict)

    @classmethod
    def of(cls, labels: Sequence[object], where: str) -> ClassNames:
        """Return the classes of the training labels, numbered in natural order.

        Ints are ordered by value, other labels by ``natural``, those of equal keys (case
        alone differs) by their characters. where: what messages name. Raises DatasetError for fewer
        than 2 or more than MAX_CLASSES classes.
        """
        numbers = all(isinstance(label, int) for label in labels)
        texts = sorted(set(map(_composed, labels)), key=str)
        found = sorted(texts, key=int if numbers else lambda label: natural(str(label)))  # type: ignore[call-overload, arg-type]
        if not 2 <= len(found) <= MAX_CLASSES:
            raise DatasetError(f"{where}: must hold 2..{MAX_CLASSES} classes, not {len(found)}")
        return cls(tuple(map(str, found)), {label: i for i, label in enumerate(found)})

    def numbers(self, labels: Sequence[object], where: str) -> Labels:
        """Return class numbers int64 (n,) of labels.

        where: what messages name. Raises DatasetError for a label that training does not have.
        """
        composed = list(map(_composed, labels))
        for label in composed:
            if label not in self._index:
                raise DatasetError(f"{where}: class {label} is not among the training labels")
        return np.array([self._index[label] for label in composed], np.int64)


def _composed(label: object) -> object:
    """Return a label with its characters composed (Unicode's form NFC), if it is a text."""
    return unicodedata.normalize("NFC", label) if isinstance(label, str) else label


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that orders numbers in text by value: ``class 2`` before ``class 10``.

    >>> sorted(["10", "2", "b", "a1"], key=natural)
    ['2', '10', 'a1', 'b']
    """
    parts = re.findall(r"\d+|\D+", text.casefold())
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)
