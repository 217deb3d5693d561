"""Average of a network's weights over the last steps of training."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
_WARM_UP_STEPS = 10
"""Steps after which the average forgets its start as fast as later ones at most do."""


class Average(Generic[AnyNetwork]):
    """Network whose numbers are a moving average of another's, of so many steps.

    Exponential, with a faster decay at first (Polyak averaging; the ramp is TensorFlow's
    ExponentialMovingAverage). Few-bit weights flip between codes until the end of training; the
    average settles where they are most of the time.

    >>> line = nn.Linear(1, 1)
    >>> average = Average(line, steps=100)
    >>> average.update()
    >>> torch.equal(average.network.weight, line.weight)
    True
    """

    def __init__(self, network: AnyNetwork, steps: float) -> None:
        """steps: time constant, above 1 (not checked)."""
        self.source, self.network = network, copy.deepcopy(network)
        self.decay, self.done = 1 - 1 / steps, 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the network's numbers after a further step into the average."""
        self.done += 1
        share = 1 - min(self.decay, self.done / (self.done + _WARM_UP_STEPS))
        mine, theirs = self.network.state_dict(), self.source.state_dict()
        for name, tensor in mine.items():
            if tensor.is_floating_point():
                tensor.lerp_(theirs[name], share)
            else:
                tensor.copy_(theirs[name])
