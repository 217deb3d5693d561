"""Choices of a user about training: augmentation and class weights. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.data.datasets import AUGMENTATIONS, Dataset
from models.errors import ModelError

if TYPE_CHECKING:
    from models.data.augmentation import Augmentation

MOST_SHIFT = 256
STEPS_PER_EPOCH = 16
"""Fewest steps of an epoch, for which small data sets get smaller batches (``largest_batch``)."""


@dataclass(frozen=True)
class TrainingChoices:
    """The ``training`` block of a design or search file. Raises ModelError for a senseless value.

    >>> TrainingChoices(augment="shift", shift_rows=0).class_weights
    False
    """

    augment: str | None = None
    """One of AUGMENTATIONS; None: the data set's own kind, which is ``none`` but for the named
    image sets."""
    shift_rows: int | None = None
    """Largest shift in rows; None: the kind's usual one, 0 for a kind that does not shift."""
    shift_columns: int | None = None
    """Largest shift in columns; None: the kind's usual one, 0 for a kind that does not shift."""
    class_weights: bool = False
    """True: classes count the same in the loss, however many examples they have."""

    def __post_init__(self) -> None:
        if self.augment is not None and self.augment not in AUGMENTATIONS:
            raise ModelError(
                f"augment must be one of {', '.join(AUGMENTATIONS)}, not {self.augment!r}"
            )
        for name in ("shift_rows", "shift_columns"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= MOST_SHIFT:
                raise ModelError(f"{name} must be 0..{MOST_SHIFT} pixels, not {value}")
            if value and self.augment is not None and "shift" not in self.augment:
                raise ModelError(f"{name} needs augment: shift or shift+mirror")

    def augmentation(self, dataset: Dataset) -> Augmentation:
        """Return the random changes to ``dataset``'s training images.

        Raises ModelError for a shift that is not less than the images' side.
        """
        from models.data.augmentation import Augmentation  # torch takes seconds to import

        found = Augmentation.of(self.augment or dataset.augmentation, dataset.shape)
        rows = found.rows if self.shift_rows is None else self.shift_rows
        columns = found.columns if self.shift_columns is None else self.shift_columns
        wanted = Augmentation(rows, columns, found.mirror)
        wanted.check(dataset.shape)
        return wanted

    def loss_weights(self, dataset: Dataset) -> tuple[float, ...]:
        """Return the weight of each class in the loss, by class number; empty: all the same.

        They are inverse to the classes' sizes in the training part, with mean 1 over its examples
        if every class has one; a class without counts as one of a single example.
        """
        if not self.class_weights:
            return ()
        counts = np.bincount(dataset.train.labels, minlength=dataset.classes)
        weights = len(dataset.train) / (dataset.classes * np.maximum(counts, 1))
        return tuple(float(weight) for weight in weights)


def largest_batch(images: int) -> int:
    """Return the largest power of two that, as batch size, gives STEPS_PER_EPOCH steps or more.

    It is at least 8: with few images an epoch has fewer steps. images: number of training images.

    >>> largest_batch(1222), largest_batch(49)
    (64, 8)
    """
    return 1 << max(3, (images // STEPS_PER_EPOCH).bit_length() - 1)
