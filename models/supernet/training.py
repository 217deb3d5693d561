"""Training of a supernet, and evaluation of sub-networks with its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.augmentation import Augmentation
from models.data.datasets import Dataset, Split
from models.supernet.network import Statistics, Subnet, Supernet
from models.training.schedule import TrainSettings, learning_rate, make_optimizer

Draw = Callable[[int], Subnet]
"""Function from a training step's number (from 0) to the sub-network trained in it."""
Progress = Callable[[int, float], None]
"""Callback with (steps done, mean training loss since the last call), every 250 steps."""

CALIBRATION_IMAGES = 1000
"""Usual number of training images on which ``judge`` measures statistics."""
_RIDGE = 0.1
"""Regularisation of the ridge regression, as a share of the features' mean squared norm."""
_EVALUATION_BATCH = 1000
_REPORT_STEPS = 250


@dataclass(frozen=True)
class SupernetSettings:
    """Settings of a supernet's training.

    The first ``float_share`` (0..1) of the steps, but at most all but one, is in floating point.
    steps: 1..10000. learning_rate: at its peak; that of the quantised steps is half of it. Nothing
    is checked before ``train``.

    >>> SupernetSettings(steps=1000).batch_size
    64
    """

    steps: int
    batch_size: int = 64
    learning_rate: float = 1e-2
    float_share: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class Judgement:
    """Accuracy (0..1) and loss of a sub-network with shared weights on a split.

    Made by ``judge``.
    """

    accuracy: float
    loss: float
    """Mean cross-entropy."""
    refit_accuracy: float
    """Accuracy with a classifier refitted to the calibration images by ridge regression."""


def train(
    supernet: Supernet, draw: Draw, dataset: Dataset, settings: SupernetSettings,
    progress: Progress = lambda done, loss: None,
) -> None:  # fmt: skip
    """Train the shared weights in place, one sampled sub-network per step.

    draw: its quantisation is ignored in the steps that train in floating point, the first ones.
    Images are augmented by the data set's own kind. Raises ModelError for steps, learning rate or
    share that TrainSettings refuses, and errors of ``Supernet.tensors``.

    Single path one-shot, Guo et al., ECCV 2020, arXiv 1904.00420.
    """
    rates = TrainSettings(
        epochs=settings.steps, learning_rate=settings.learning_rate,
        float_share=settings.float_share,
    )  # fmt: skip
    optimizer = make_optimizer(supernet, rates)
    generator = torch.Generator().manual_seed(settings.seed)
    split = dataset.train
    changes = Augmentation.of(dataset.augmentation, dataset.shape)
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    total = 0.0
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(rates, step)
        chosen = torch.randint(len(images), (settings.batch_size,), generator=generator)
        subnet = draw(step)
        if step < rates.float_epochs:
            subnet = Subnet(subnet.graph, None)
        changed, _ = changes.apply(images[chosen], generator)
        logits = supernet(changed, subnet)
        loss = F.cross_entropy(logits, labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += float(loss.detach())
        if (step + 1) % _REPORT_STEPS == 0:
            progress(step + 1, total / _REPORT_STEPS)
            total = 0.0


@torch.no_grad()
def judge(supernet: Supernet, subnet: Subnet, calibration: Split, split: Split) -> Judgement:
    """Evaluate ``subnet`` on ``split`` (at least one image) with the shared weights.

    Batch-norm statistics, activation scales and the refitted classifier come from ``calibration``,
    usually CALIBRATION_IMAGES training images. The weights stay as they are.
    """
    output = subnet.graph.output
    seen = Statistics()
    known = supernet.tensors(_images(calibration), subnet, None, seen)
    classify = _ridge(known[output.inputs[0]].flatten(1), torch.from_numpy(calibration.labels))
    right, refit_right, loss = 0, 0, 0.0
    for start in range(0, len(split), _EVALUATION_BATCH):
        part = split.take(np.arange(start, min(start + _EVALUATION_BATCH, len(split))))
        labels = torch.from_numpy(part.labels)
        tensors = supernet.tensors(_images(part), subnet, seen)
        logits = tensors[output.name].flatten(1)
        right += int((logits.argmax(dim=1) == labels).sum())
        refit_right += int((classify(tensors[output.inputs[0]].flatten(1)) == labels).sum())
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    return Judgement(right / len(split), loss / len(split), refit_right / len(split))


def _images(split: Split) -> Tensor:
    return torch.from_numpy(split.images)


def _ridge(features: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Fit a classifier of features (n, d) and return it; it maps features to classes (n,).

    labels: int64 (n,). Ridge regression on one-hot labels; the kernel matrix (n, n) is solved (dual
    form).
    """
    centre, spread = features.mean(dim=0), features.std()
    place = ((features - centre) / spread).double()
    targets = F.one_hot(labels).double()
    middle = targets.mean(dim=0)
    kernel = place @ place.T
    kernel.diagonal().add_(_RIDGE * float(kernel.diagonal().mean()))
    weights = place.T @ torch.linalg.solve(kernel, targets - middle)
    return lambda new: (((new - centre) / spread).double() @ weights + middle).argmax(dim=1)
