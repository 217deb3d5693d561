"""Lessons: the targets and the loss that a network is trained with, by its task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.datasets import Split
from models.data.targets import LEFT_OUT
from models.data.values import PIXEL_HIGH
from models.errors import ModelError
from models.tasks.measures import Reals
from models.tasks.units import Units

_NONE_LEFT_OUT = -100
"""Label that no pixel has."""


def divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence, in nats, of the class probabilities of logits.

    found, wanted: (n, classes), of which ``wanted`` are right.
    """
    right, other = (F.log_softmax(logits, dim=1) for logits in (wanted, found))
    return F.kl_div(other, right, log_target=True, reduction="batchmean")


def by_class(weights: tuple[float, ...], classes: int) -> Tensor | None:
    """Return the weights of classes in the loss, (classes,), with 1 for those that have none.

    None for no weights at all. Raises ModelError for more weights than classes.
    """
    if len(weights) > classes:
        raise ModelError(f"train.class_weights has {len(weights)} values, for {classes} classes")
    padded = (*weights, *(1.0,) * (classes - len(weights)))
    return torch.tensor(padded, dtype=torch.float32) if weights else None


class Lesson(ABC):
    """Targets and loss that a network learns by. Made by ``Task.lesson``."""

    units: Units | None = None
    """Units of the outputs of training; None: they are those of the data."""

    def targets(self, split: Split) -> Tensor:
        """Return what ``loss`` takes for the examples of a split, (n, ...)."""
        return torch.from_numpy(split.labels)

    def real(self, outputs: Reals) -> Reals:
        """Return outputs (n, outputs) of training in units of the data."""
        return self.units.real(outputs) if self.units else outputs

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, images: Tensor) -> Tensor:
        """Return the mean loss of a batch.

        outputs: (n, outputs), as training has them. targets: of the batch, of ``targets``. images:
        levels (n, C, H, W), as augmented.
        """

    @abstractmethod
    def divergence(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return how far outputs are from those of a better network, both (n, outputs); 0: equal.

        It falls with the square of small differences.
        """

    def right(self, outputs: Tensor, targets: Tensor) -> int | None:
        """Return how many answers are right; None where none is plainly right or wrong."""
        return None


@dataclass(frozen=True, eq=False)
class ClassLesson(Lesson):
    """Cross-entropy of one class for each example.

    >>> ClassLesson().right(torch.eye(3), torch.tensor([0, 1, 1]))
    2
    """

    weights: Tensor | None = None
    """Of each class in the loss; None: all the same."""
    smoothing: float = 0.0
    """Share of the labels that is spread over all classes."""

    def loss(self, outputs: Tensor, targets: Tensor, images: Tensor) -> Tensor:
        return F.cross_entropy(
            outputs, targets, weight=self.weights, label_smoothing=self.smoothing
        )

    def divergence(self, found: Tensor, wanted: Tensor) -> Tensor:
        return divergence(found, wanted)

    def right(self, outputs: Tensor, targets: Tensor) -> int:
        return int((outputs.argmax(dim=1) == targets).sum())


CLASS_LESSON = ClassLesson()
"""That of plain classes."""


@dataclass(frozen=True, eq=False)
class PixelLesson(Lesson):
    """Cross-entropy of one class for each pixel; those of the label LEFT_OUT do not count.

    Made by ``Task.lesson``.
    """

    classes: int
    """Output channels."""
    weights: Tensor | None = None
    smoothing: float = 0.0

    def loss(self, outputs: Tensor, targets: Tensor, images: Tensor) -> Tensor:
        left_out = LEFT_OUT if self.classes <= LEFT_OUT else _NONE_LEFT_OUT
        if not (targets != left_out).any():
            return outputs.sum() * 0
        return F.cross_entropy(
            outputs.unflatten(1, (self.classes, *targets.shape[1:])), targets,
            weight=self.weights, label_smoothing=self.smoothing, ignore_index=left_out,
        )  # fmt: skip

    def divergence(self, found: Tensor, wanted: Tensor) -> Tensor:
        by_pixel = (
            maps.unflatten(1, (self.classes, -1)).transpose(1, 2).flatten(0, 1)
            for maps in (found, wanted)
        )
        return divergence(*by_pixel)


@dataclass(frozen=True, eq=False)
class NumberLesson(Lesson):
    """Mean squared error of numbers, each in standard deviations of its channel's targets.

    Made by ``Task.lesson``.
    """

    units: Units

    def targets(self, split: Split) -> Tensor:
        flat = split.labels.reshape(len(split), -1)
        return torch.from_numpy(self.units.learned(flat).astype(np.float32))

    def loss(self, outputs: Tensor, targets: Tensor, images: Tensor) -> Tensor:
        return self.divergence(outputs, targets)

    def divergence(self, found: Tensor, wanted: Tensor) -> Tensor:
        weight = torch.from_numpy((self.units.unit / self.units.spread) ** 2).float()
        apart = (found - wanted).unflatten(1, (len(weight), -1)).square().mean(dim=2)
        return (apart * weight).mean()


@dataclass(frozen=True, eq=False)
class InputLesson(Lesson):
    """Mean squared error to the input, whose levels count 0..1, over the targets' variance.

    Made by ``Task.lesson``.
    """

    units: Units

    def loss(self, outputs: Tensor, targets: Tensor, images: Tensor) -> Tensor:
        levels = images.flatten(1).float() / PIXEL_HIGH
        means = torch.from_numpy(self.units.mean).float()
        means = means.repeat_interleave(levels.shape[1] // len(means))
        return self.divergence(outputs, (levels - means) / self.units.unit)

    def divergence(self, found: Tensor, wanted: Tensor) -> Tensor:
        return F.mse_loss(found, wanted)
