"""Training settings, learning rates and optimisers."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import nn

from models.data.augmentation import NONE, Augmentation
from models.errors import ModelError
from models.quantisation.accumulators import Accumulator
from models.quantisation.blocks import Pruning
from models.training.narrowing import Narrow

OPTIMIZERS = ("adamw", "adam", "sgd")
"""Allowed values of TrainSettings.optimizer."""
SCHEDULES = ("cosine", "one_cycle")
"""Allowed values of TrainSettings.schedule."""
COMPILE = ("auto", "always", "never")
"""Allowed values of TrainSettings.compile."""
_WARM_UP = {"cosine": 0.05, "one_cycle": 0.3}
"""Share of a phase in which the learning rate rises, by schedule."""
_FLOOR = 0.01
"""Learning rate at both ends of a phase, as a share of the phase's peak."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings of one training run.

    The learning rate runs through its schedule once in the floating-point phase and once in the
    quantised phase. Raises ModelError for a value out of range.

    >>> settings = TrainSettings(epochs=10)
    >>> settings.float_epochs, learning_rate(settings, epoch=0)
    (4, 4e-05)
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 4e-3
    """Peak learning rate of the floating-point phase."""
    float_share: float = 0.4
    """Share of the epochs in floating point, rounded half to even; the rest (at least one) are
    fake-quantised."""
    norm_share: float = 0.0
    """Share of the fake-quantised epochs, the first ones, in which batch norms still normalise by
    each batch; then they are folded, and the rest (at least one) computes as hardware does."""
    average_epochs: float = 0.0
    """Time constant of the average of the weights that is evaluated and kept, in epochs; 0: the
    weights themselves. Pruning does without, as an average fills zeros."""
    quantised_rate_share: float = 0.5
    """Peak learning rate of the quantised phase, as a share of learning_rate."""
    optimizer: str = "adamw"
    schedule: str = "cosine"
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    augmentation: Augmentation = NONE
    """Random changes to training images."""
    class_weights: tuple[float, ...] = ()
    """Weight of each class in the loss, by class number, mean 1 over the examples; empty: all the
    same."""
    compile: str = "auto"
    """Use of torch.compile: auto (if it saves time by a rough estimate), always or never."""
    bfloat16: bool = False
    """True: products of training steps round to bfloat16 until the network computes as hardware
    does; faster on CPUs with tiles for it. Evaluation is always in float32."""
    scale_bits: int = 8
    """Width of the requantisation multipliers that training rounds scales to."""
    accumulator: Accumulator | None = None
    """Accumulators that the integers keep to, throughout the quantised phase; None: any."""
    boo: float = 0.0
    """Weight of the one-bits penalty (ones per weight) in the quantised phase's loss."""
    pruning: Pruning | None = None
    """Blocks to prune: their share grows in the floating-point phase and stays in the quantised
    one, in which other blocks may still take their place."""
    narrow: tuple[Narrow, ...] = ()
    """Output channels with fewer weight bits, throughout the quantised phase."""
    threads: int | None = None
    """Threads of torch; None leaves the process's setting."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, 10000),
            ("batch_size", 2, 65536),
            ("learning_rate", 1e-8, 10.0),
            ("float_share", 0.0, 1.0),
            ("norm_share", 0.0, 1.0),
            ("average_epochs", 0.0, 1000.0),
            ("quantised_rate_share", 1e-4, 10.0),
            ("weight_decay", 0.0, 1.0),
            ("label_smoothing", 0.0, 0.5),
            ("scale_bits", 2, 16),
            ("boo", 0.0, 1000.0),
            ("seed", 0, 2**31 - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ModelError(f"train.{name} must be {low}..{high}, not {value!r}")
        for name, options in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("compile", COMPILE),
        ):
            value = getattr(self, name)
            if value not in options:
                raise ModelError(f"train.{name} must be one of {', '.join(options)}, not {value!r}")
        if self.threads is not None and not 1 <= self.threads <= 256:
            raise ModelError(f"train.threads must be 1..256 or null, not {self.threads!r}")

    @property
    def float_epochs(self) -> int:
        return min(round(self.epochs * self.float_share), self.epochs - 1)

    @property
    def folded_from(self) -> int:
        """Number of the first epoch, from 0, whose batch norms are folded."""
        quantised = self.epochs - self.float_epochs
        return self.float_epochs + min(round(quantised * self.norm_share), quantised - 1)


def calmer(settings: TrainSettings) -> TrainSettings:
    """Return settings for a training that diverged: a quarter of the rate, no product rounded."""
    return dataclasses.replace(settings, learning_rate=settings.learning_rate / 4, bfloat16=False)


def pruned_share(settings: TrainSettings, epoch: float) -> float:
    """Return the share (0..1) of zero blocks at ``epoch``, counted from 0 with fractions.

    It is final from the quantised phase on, and 0 without pruning.
    """
    if settings.pruning is None:
        return 0.0
    floats = settings.float_epochs
    return settings.pruning.share_at(epoch / floats if floats else 1.0)


def learning_rate(settings: TrainSettings, epoch: float) -> float:
    """Return the learning rate at ``epoch``, counted from 0 with fractions.

    0 <= epoch < settings.epochs (not checked). In each phase it is a linear rise, then half a
    cosine.
    """
    start, end, peak = 0, settings.float_epochs, settings.learning_rate
    if epoch >= end:
        start, end = end, settings.epochs
        peak *= settings.quantised_rate_share
    progress = (epoch - start) / (end - start)
    rise = _WARM_UP[settings.schedule]
    if progress < rise:
        return peak * (_FLOOR + (1 - _FLOOR) * progress / rise)
    fall = (progress - rise) / (1 - rise)
    return peak * (_FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * fall)) / 2)


def make_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Create the optimiser; weight decay applies to kernels (4-D weights) alone.

    Biases, batch norms and learned scales have none.
    """
    named = list(network.named_parameters())
    decayed = [p for name, p in named if name.endswith(".weight") and p.dim() == 4]
    others = [p for name, p in named if not (name.endswith(".weight") and p.dim() == 4)]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    rate = settings.learning_rate
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True)
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    return kinds[settings.optimizer](groups, lr=rate)
