"""Settings of training: the choices of a user, and recipes where nothing is chosen.

Needs no torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.data.datasets import AUGMENTATIONS, Dataset
from models.errors import ModelError
from models.tasks.kinds import TASKS
from models.training import recipes

if TYPE_CHECKING:
    from models.data.augmentation import Augmentation

MOST_SHIFT = 256
RECIPE = (
    "batch_size", "optimizer", "learning_rate", "weight_decay", "label_smoothing", "float_share",
    "norm_share", "quantised_rate_share", "average_epochs", "bfloat16",
)  # fmt: skip
"""Choices about full trainings, which ``models.training.schedule`` checks."""


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
    cutout: int | None = None
    """Side in pixels of a square that every training image loses at random; None: 0."""
    class_weights: bool = False
    """True: classes count the same in the loss, however many examples they have."""
    batch_size: int | None = None
    """Images of a step of full trainings; None, here and below: as the images' size has it."""
    optimizer: str | None = None
    """Optimiser of full trainings (OPTIMIZERS of models.training.schedule)."""
    learning_rate: float | None = None
    """Peak learning rate of full trainings' floating-point phase."""
    weight_decay: float | None = None
    """Decay of kernels in full trainings; a step takes it times the learning rate."""
    label_smoothing: float | None = None
    """Share of the labels that full trainings spread over all classes."""
    float_share: float | None = None
    """Share of full trainings' epochs in floating point (TrainSettings.float_share)."""
    norm_share: float | None = None
    """Share of full trainings' quantised epochs with batch norms (TrainSettings.norm_share)."""
    quantised_rate_share: float | None = None
    """Peak learning rate of full trainings' quantised phase, as a share of ``learning_rate``."""
    average_epochs: float | None = None
    """Epochs over which full trainings average weights (TrainSettings.average_epochs)."""
    bfloat16: bool | None = None
    """True: trainings round products to bfloat16 at first (TrainSettings.bfloat16). None: those of
    images that are not small do, if the CPU has instructions for it."""

    def __post_init__(self) -> None:
        if self.augment is not None and self.augment not in AUGMENTATIONS:
            raise ModelError(
                f"augment must be one of {', '.join(AUGMENTATIONS)}, not {self.augment!r}"
            )
        for name in ("shift_rows", "shift_columns", "cutout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= MOST_SHIFT:
                raise ModelError(f"{name} must be 0..{MOST_SHIFT} pixels, not {value}")
        for name in ("shift_rows", "shift_columns"):
            value = getattr(self, name)
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
        wanted = Augmentation(rows, columns, found.mirror, self.cutout or 0)
        wanted.check(dataset.shape)
        return wanted

    def notes(self, dataset: Dataset) -> tuple[str, ...]:
        """Return a sentence on what training on ``dataset`` does that was guessed from its images.

        It is for commands that train.
        """
        if self.augment is not None or dataset.known_as is None:
            return ()
        guess = f"shape and classes are {dataset.known_as}'s: training changes images as there"
        return (f"{guess} (--augment {dataset.augmentation})",)

    def settled(self, dataset: Dataset) -> TrainingChoices:
        """Return the choices with that of bfloat16 made, if this machine makes it True.

        All machines of a study then train alike.
        """
        wanted = self.settings(dataset)["bfloat16"]
        return dataclasses.replace(self, bfloat16=True) if wanted else self

    def lasting(self, dataset: Dataset, epochs: int) -> TrainingChoices:
        """Return the choices for full trainings of so many ``epochs``, made where they were open.

        Where ``recipes.LONG_IMAGES`` large images are seen and more, networks over-fit: kernels
        decay more and labels are smoothed, and if images are shifted, they are further, and lose
        a square. Other choices stay open.
        """
        if not recipes.is_long(dataset, epochs):
            return self
        found: dict[str, Any] = dict(recipes.LONG_CHOICES)
        if not TASKS[dataset.task].takes_class_weights:
            found["label_smoothing"] = 0.0
        if "shift" in (self.augment or dataset.augmentation):
            rows, columns = (side // recipes.LONG_SHIFT for side in dataset.shape[1:])
            cutout = min(dataset.shape[1:]) // recipes.LONG_CUTOUT
            found |= {"shift_rows": rows, "shift_columns": columns, "cutout": cutout}
        open_ = {name: value for name, value in found.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **open_)

    def settings(self, dataset: Dataset) -> dict[str, Any]:
        """Return settings of full training on ``dataset``, by TrainSettings' names.

        They are those of the recipe for the images' size where nothing is chosen here. Raises
        ModelError for smoothed labels that are no classes.
        """
        chosen = {name: getattr(self, name) for name in RECIPE if getattr(self, name) is not None}
        if not TASKS[dataset.task].takes_class_weights:
            if self.label_smoothing:
                raise ModelError(f"label_smoothing is for classes, not for {dataset.task}")
            chosen["label_smoothing"] = 0.0
        return recipes.settings(dataset) | chosen

    def loss_weights(self, dataset: Dataset) -> tuple[float, ...]:
        """Return the weight of each class in the loss, by class number; empty: all the same.

        They are inverse to the classes' sizes in the training part, with mean 1 over its examples,
        or pixels, if every class has one; a class without counts as one of a single example. Raises
        ModelError where answers are no classes.
        """
        if not self.class_weights:
            return ()
        if not TASKS[dataset.task].takes_class_weights:
            raise ModelError(f"class_weights is for classes, not for {dataset.task}")
        labels = dataset.train.labels.ravel()
        counts = np.bincount(labels[labels < dataset.classes], minlength=dataset.classes)
        weights = counts.sum() / (dataset.classes * np.maximum(counts, 1))
        return tuple(float(weight) for weight in weights)
