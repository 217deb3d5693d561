"""Train a teacher for networks of few bits, in as few epochs as is known how to.

``python -m benchmarks.training.teacher DATA --out FILE [--epochs N] [--threads N]``

DATA: a data set of colour images of 32 x 32 pixels and 10 classes, as CIFAR-10, by name or path.
FILE: weights of 8 bits, for ``codesign train --teacher FILE``; FILE.log.json has the curve. The
test split is not looked at. 45,000 images take three minutes an epoch on two cores with AVX-512.

Network and training follow airbench94 (Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
arXiv 2404.00498): a first layer that whitens patches and is not trained; convolutions that begin as
the identity; biases of batch norms that learn 64 times as fast, without their factors; SGD with a
large rate; each image mirrored in every other epoch; averaging with weights of before (lookahead).
What is not theirs: ReLU instead of GELU, pooling behind the batch norm, batches of 500, and labels
hardly smoothed, as smooth ones make bad teachers (Mueller et al., arXiv 1906.02629).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.data import datasets
from models.data.augmentation import Augmentation
from models.data.datasets import Dataset
from models.files.writing import atomic_file
from models.graph.layers import Conv2d, Linear, MaxPool
from models.graph.network import NetworkGraph, sequential
from models.quantisation.plan import Quantisation, QuantSpec
from models.training import speed
from models.training.history import Epoch
from models.training.network import QuantNetwork
from models.training.trained import TrainedNetwork, evaluate

BATCH, EPOCHS = 500, 8
MOMENTUM = 0.85
RATE = 11.5 / (1024 * (1 + 1 / (1 - MOMENTUM)))
"""Peak learning rate of a loss that is summed over a batch."""
DECAY = 0.0153 * BATCH / 11.5
NORM_BIAS_RATE = 64
SMOOTHING = 0.05
FIRST_BIAS_EPOCHS = 3
"""Epochs in which the bias of the whitening layer is trained."""
LOGITS_DIVISOR = 9
"""The last layer's outputs are divided by it in training, and its weights afterwards."""
AHEAD_STEPS = 5


def network() -> NetworkGraph:
    """Return the teacher, for images of 3 x 32 x 32 and 10 classes: 118 million products."""

    def conv(channels: int) -> Conv2d:
        return Conv2d(channels, (3, 3), padding=(1, 1), batch_norm=True, relu=True)

    pool = MaxPool((2, 2), (2, 2))
    return sequential(
        "teacher", (3, 32, 32), Conv2d(24, (2, 2), relu=True), conv(64), pool, conv(64),
        conv(256), pool, conv(256), conv(256), pool, conv(256), MaxPool((3, 3), (3, 3)), Linear(10),
    )  # fmt: skip


class Teacher:
    """A training of the teacher, an epoch at a time. Made by ``main``.

    Seed 0 decides all draws; the result is the same on the same machine and number of threads.
    """

    def __init__(self, dataset: Dataset, epochs: int) -> None:
        torch.manual_seed(0)
        self.dataset, self.epochs = dataset, epochs
        self.images = torch.from_numpy(dataset.train.images)
        self.labels = torch.from_numpy(dataset.train.labels).long()
        self.graph, self.quantisation = network(), Quantisation(8, QuantSpec(8, 8))
        self.network = QuantNetwork(self.graph, self.quantisation)
        self.layers = self.network.weight_layers
        self._begin()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward = torch.compile(self.network, dynamic=False)
        self.steps = len(self.images) // BATCH
        self.optimizer = self._optimizer()
        trained = [one for one in self.network.parameters() if one.requires_grad]
        self.slow = [(one, one.detach().clone()) for one in trained]
        self.draws = torch.Generator().manual_seed(0)
        self.mirrored = torch.rand(len(self.images), generator=self.draws) < 0.5
        self.step = 0

    def _begin(self) -> None:
        whiten(self.network, self.images)
        for layer in self.layers[1:]:
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
            if layer.batch_norm is not None:
                nn.init.dirac_(layer.weight[: layer.weight.shape[1]])
                layer.batch_norm.momentum = 0.4
                layer.batch_norm.weight.requires_grad_(False)
        self.layers[0].weight.requires_grad_(False)
        self.layers[-1].bias.requires_grad_(False)

    def _optimizer(self) -> torch.optim.SGD:
        norms = [one.batch_norm for one in self.layers if one.batch_norm is not None]
        weights = [one.weight for one in self.layers[1:]] + [self.layers[0].bias]
        fast = {"params": [norm.bias for norm in norms], "weight_decay": DECAY / NORM_BIAS_RATE}
        others = {"params": weights, "weight_decay": DECAY}
        fast["share"], others["share"] = NORM_BIAS_RATE, 1
        return torch.optim.SGD([fast, others], lr=RATE, momentum=MOMENTUM, nesterov=True)

    def run(self) -> Iterator[Epoch]:
        """Train, and yield each epoch."""
        changes = Augmentation(2, 2)
        for epoch in range(self.epochs):
            self.network.train()
            order = torch.randperm(len(self.images), generator=self.draws)
            total, right = 0.0, 0
            for chosen in order[: self.steps * BATCH].split(BATCH):
                images, _ = changes.apply(self.images[chosen], self.draws)
                mirrored = self.mirrored[chosen] ^ bool(epoch % 2)
                images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
                loss, found = self._step(images, self.labels[chosen])
                total, right = total + loss, right + found
            seen = self.steps * BATCH
            validation = evaluate(self.network, self.dataset.validation)
            yield Epoch(total / seen, validation, quantised=False, training_accuracy=right / seen)

    def _step(self, images: Tensor, labels: Tensor) -> tuple[float, int]:
        """Make a step and return its summed loss and the number of right answers."""
        if self.step == FIRST_BIAS_EPOCHS * self.steps:
            self.layers[0].bias.requires_grad_(False)
        progress = self.step / (self.epochs * self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * group["share"] * rate_share(progress)
        logits = self.forward(images) / LOGITS_DIVISOR
        loss = F.cross_entropy(logits, labels, label_smoothing=SMOOTHING, reduction="sum")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        if self.step % AHEAD_STEPS == 0:
            self._look_ahead(self.step / (self.epochs * self.steps))
        return float(loss.detach()), int((logits.argmax(1) == labels).sum())

    @torch.no_grad()
    def _look_ahead(self, progress: float) -> None:
        """Average with weights of before (Zhang et al., arXiv 1907.08610), ever more of them."""
        for weights, slow in self.slow:
            if weights.requires_grad:
                slow.lerp_(weights, 1 - 0.95**AHEAD_STEPS * progress**3)
                weights.copy_(slow)

    def result(self, history: tuple[Epoch, ...]) -> TrainedNetwork:
        """Return the teacher rounded to 8 bits, with ``history`` and what rounding left of it."""
        with torch.no_grad():
            self.layers[-1].weight.div_(LOGITS_DIVISOR)
        self.network.eval()
        self.network.quantise(self.images[:: -(-len(self.images) // 256)])
        accuracy = evaluate(self.network, self.dataset.validation)
        rounded = Epoch(history[-1].loss, accuracy, quantised=True, kept=True)
        return TrainedNetwork(self.graph, self.quantisation, self.network, (*history, rounded))


@torch.no_grad()
def whiten(network: QuantNetwork, images: Tensor) -> None:
    """Have the first layer whiten patches of images (n, C, H, W), and give their negatives, too.

    Its bias centres the results. It has twice as many channels as a patch has values.
    """
    first, pixels = network.weight_layers[0], network.input(images[::9])
    channels, rows, columns = first.weight.shape[1:]
    patches = pixels.unfold(2, rows, 1).unfold(3, columns, 1).permute(0, 2, 3, 1, 4, 5)
    patches = patches.reshape(-1, channels * rows * columns)[::7]
    patches = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    least = 5e-4 * pixels.std() ** 2
    kernels = vectors.flip(1).T / torch.sqrt(values.flip(0) + least)[:, None]
    kernels = kernels.reshape(-1, channels, rows, columns)
    first.weight.copy_(torch.cat([kernels, -kernels]))
    first.bias.copy_(-(first.weight.sum((2, 3)) @ pixels.mean((0, 2, 3))))


def rate_share(progress: float) -> float:
    """Return the learning rate at ``progress``, 0..1, as a share of its peak: a triangle.

    >>> rate_share(0.0), rate_share(0.23), round(rate_share(1.0), 2)
    (0.2, 1.0, 0.07)
    """
    if progress < 0.23:
        return 0.2 + 0.8 * progress / 0.23
    return 1 - 0.93 * (progress - 0.23) / 0.77


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.teacher")
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args(argv)
    dataset = datasets.load(args.data)
    if (dataset.shape, dataset.classes) != ((3, 32, 32), 10) or len(dataset.train) < BATCH:
        parser.error(
            f"{args.data}: needs {BATCH} or more training images of 3 x 32 x 32, 10 classes"
        )
    if min(args.epochs, args.threads) < 1:
        parser.error("--epochs and --threads must be 1 or more")
    history: list[Epoch] = []
    with torch.random.fork_rng(devices=[]), speed.threads(args.threads):
        speed.keep_memory()
        teacher = Teacher(dataset, args.epochs)
        for epoch in teacher.run():
            history.append(epoch)
            print(f"{len(history)} of {args.epochs}: validation {epoch.accuracy:.2%}", flush=True)
        trained = teacher.result(tuple(history))
    trained.save(args.out)
    curve = [vars(one) for one in trained.history]
    with atomic_file(args.out.with_name(f"{args.out.name}.log.json")) as file:
        file.write(json.dumps(curve, indent=1).encode())
    print(f"8 bits: validation {trained.validation_accuracy:.2%}")


if __name__ == "__main__":
    main()
