"""Settings of training: the choices of a user, and recipes where nothing is chosen.

Needs no torch.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.data.datasets import AUGMENTATIONS, Dataset
from models.errors import ModelError
from models.tasks.kinds import TASKS

if TYPE_CHECKING:
    from models.data.augmentation import Augmentation

MOST_SHIFT = 256
RECIPE = (
    "batch_size", "optimizer", "learning_rate", "weight_decay", "label_smoothing", "float_share",
    "norm_share", "quantised_rate_share", "average_epochs", "bfloat16",
)  # fmt: skip
"""Choices about full trainings, which ``models.training.schedule`` checks."""
STEPS_PER_EPOCH = 16
"""Fewest steps of an epoch, for which small data sets get smaller batches (``largest_batch``)."""
EPOCHS = (12, 100)
"""(Fewest, most) epochs that are chosen by the size of the data set."""


LONG_IMAGES = 3_000_000
"""Images seen by a training of large images from which on it is long: 2.3 times as many as where
the number of epochs is not given."""
LONG_CHOICES = {"weight_decay": 0.02, "label_smoothing": 0.1}
"""Hyperparameters of long trainings, by which (with shifts and cutout) a network of CIFAR-10 kept
1.3 points more (docs/measurements/cifar10.md)."""
LONG_SHIFT, LONG_CUTOUT = 8, 4
"""Sides of the images over their shifts and cutouts in long trainings."""


@dataclass(frozen=True)
class _Recipe:
    """Hyperparameters of full training for images of one size."""

    images_seen: int
    """Training images over all epochs, which set the number of epochs when it is not given."""
    batch_size: int
    weight_decay: float
    label_smoothing: float
    threads: int | None
    """Threads of torch; None: torch's own setting."""
    norm_share: float
    average_epochs: float
    worthwhile: int
    """Times the epochs up to which, in little time, more of them are worth more than to train a
    further network."""


_CPUINFO = Path("/proc/cpuinfo")
_BFLOAT16 = "amx_bf16"
"""Flag of CPUs with tiles of products in bfloat16. With AVX-512's instructions alone training took
1.4 times as long as in float32 (docs/measurements/training.md); others were not measured."""
_SMALL_MAP = 16 * 16
"""Most pixels per image (rows x columns) for which training uses _SMALL and one thread: on digits,
two threads took 4 to 10 times the processor time of one, for the same wall time."""
_SMALL = _Recipe(
    600_000, 64, 1e-4, label_smoothing=0.1, threads=1,
    norm_share=0.0, average_epochs=0.0, worthwhile=1,
)  # fmt: skip
"""Recipe for small images, with label smoothing (Szegedy et al., arXiv 1512.00567).

On digits (data splits 1 and 2, validation images shifted by up to a pixel) smoothing raised the
accuracy of the full training from 98.6 to 99.4 %.
"""
_LARGE = _Recipe(
    1_300_000, 128, 1e-3, label_smoothing=0.0, threads=None,
    norm_share=0.85, average_epochs=1.0, worthwhile=5,
)  # fmt: skip
"""Recipe for larger images; batch norms that stay for most quantised epochs take less time, too
(docs/measurements/training.md). What further epochs are worth is seen in
docs/measurements/cifar10.md alone: 0.6 points by 130 after 200."""


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
    images that are not small do, if the CPU has tiles for it (AMX)."""

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

        Where ``LONG_IMAGES`` large images are seen and more, networks over-fit: kernels
        decay more and labels are smoothed, and if images are shifted, they are further, and lose
        a square. Other choices stay open.
        """
        if not is_long(dataset, epochs):
            return self
        found: dict[str, Any] = dict(LONG_CHOICES)
        if not TASKS[dataset.task].takes_class_weights:
            found["label_smoothing"] = 0.0
        if "shift" in (self.augment or dataset.augmentation):
            rows, columns = (side // LONG_SHIFT for side in dataset.shape[1:])
            cutout = min(dataset.shape[1:]) // LONG_CUTOUT
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
        return _recipe(dataset) | chosen

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


def largest_batch(images: int) -> int:
    """Return the largest power of two that, as batch size, gives STEPS_PER_EPOCH steps or more.

    It is at least 8: with few images an epoch has fewer steps. images: number of training images.

    >>> largest_batch(1222), largest_batch(49)
    (64, 8)
    """
    return 1 << max(3, (images // STEPS_PER_EPOCH).bit_length() - 1)


def large_images(dataset: Dataset) -> bool:
    """Return True for images of more pixels than the recipe of small ones is for."""
    return math.prod(dataset.shape[1:]) > _SMALL_MAP


def is_long(dataset: Dataset, epochs: int) -> bool:
    """Return True if a full training of so many epochs is long enough to need LONG_CHOICES."""
    return large_images(dataset) and epochs * len(dataset.train) >= LONG_IMAGES


def worthwhile_epochs(dataset: Dataset, epochs: int) -> int:
    """Return the epochs up to which more are worth more than a further network trained in full.

    epochs: the number that is chosen by the size of the data set.
    """
    return (_LARGE if large_images(dataset) else _SMALL).worthwhile * epochs


def fast_bfloat16() -> bool:
    """Return True if bfloat16 is faster on this CPU than float32, as far as Linux says."""
    try:
        words = _CPUINFO.read_text().split()
    except OSError:
        return False
    return _BFLOAT16 in words


def _recipe(dataset: Dataset) -> dict[str, Any]:
    """Return the settings of full training on ``dataset`` where no choice is made."""
    large = large_images(dataset)
    recipe = _LARGE if large else _SMALL
    images, (low, high) = len(dataset.train), EPOCHS
    return {
        "epochs": min(max(round(recipe.images_seen / images), low), high),
        "batch_size": min(recipe.batch_size, largest_batch(images)),
        "weight_decay": recipe.weight_decay,
        "label_smoothing": recipe.label_smoothing,
        "threads": recipe.threads,
        "norm_share": recipe.norm_share,
        "average_epochs": recipe.average_epochs,
        "bfloat16": large and fast_bfloat16(),
    }
