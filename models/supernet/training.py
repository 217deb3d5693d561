"""Training of a supernet, and how good each network of it is."""

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
"""Step -> the network to train in it."""
Progress = Callable[[int, float], None]
"""Called now and then with (steps done, mean loss since the last call)."""

CALIBRATION_IMAGES = 1000
_RIDGE = 0.1
"""Of the classifier's ridge regression, as a share of the features' mean square."""
_EVALUATION_BATCH = 1000
_REPORT_STEPS = 250


@dataclass(frozen=True)
class SupernetSettings:
    """``steps`` of ``batch_size`` images, a ``float_share`` of them in floating point."""

    steps: int
    batch_size: int = 64
    learning_rate: float = 1e-2
    float_share: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class Judgement:
    """A sub-network with shared weights on a split; accuracies are shares, 0..1."""

    accuracy: float
    loss: float
    """Mean cross-entropy."""
    refit_accuracy: float
    """With a classifier of its own: by ridge regression on the calibration images."""


def train(
    supernet: Supernet, draw: Draw, dataset: Dataset, settings: SupernetSettings,
    progress: Progress = lambda done, loss: None,
) -> None:  # fmt: skip
    """One sampled network a step (single path, Guo et al., ECCV 2020, arXiv 1904.00420)."""
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
        logits = supernet(changes.apply(images[chosen], generator), subnet)
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
    """``subnet`` on ``split``; what is its own (batch norms, steps, the refitted classifier) is
    measured on ``calibration``."""
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
    """Features [n, d] -> classes, by least squares on the labels' indicators in its dual form."""
    centre, spread = features.mean(dim=0), features.std()
    place = ((features - centre) / spread).double()
    targets = F.one_hot(labels).double()
    middle = targets.mean(dim=0)
    kernel = place @ place.T
    kernel.diagonal().add_(_RIDGE * float(kernel.diagonal().mean()))
    weights = place.T @ torch.linalg.solve(kernel, targets - middle)
    return lambda new: (((new - centre) / spread).double() @ weights + middle).argmax(dim=1)
