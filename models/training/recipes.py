"""Hyperparameters of full trainings where nothing is chosen, by the size of the images.

Needs no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.data.datasets import Dataset

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
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags of CPUs with products in bfloat16: of x86-64, and of 64-bit Arm."""
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
    norm_share=0.85, average_epochs=1.0, worthwhile=3,
)  # fmt: skip
"""Recipe for larger images; batch norms that stay for most quantised epochs take less time, too
(docs/measurements/training.md). What further epochs are worth was not measured."""


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
    """Return True if the CPU has instructions for bfloat16, as far as Linux says."""
    try:
        words = _CPUINFO.read_text().split()
    except OSError:
        return False
    return not _BFLOAT16.isdisjoint(words)


def settings(dataset: Dataset) -> dict[str, Any]:
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
