"""Penalty on one-bits in training: models.integer.bits' count, made differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

from models.quantisation.fake_quantisers import WeightQuantiser
from models.training.weight_layer import WeightLayer


def ones_per_weight(layers: list[WeightLayer]) -> Tensor:
    """Return the mean number of one-bits of the weights' magnitudes, 1-bit weights left out.

    It is 0 if all weights have 1 bit. Between two integers the count is interpolated: where it
    falls (3 to 4, 7 to 8) the gradient drives a magnitude up, where it rises (0 to 1, 4 to 5) down.
    At integers it is exact.
    """
    priced = [layer for layer in layers if layer.quantiser.bits > 1]
    weights = sum(layer.weight.numel() for layer in priced)
    total = sum((_ones(layer.quantiser, layer.kept_weight()) for layer in priced), torch.zeros(()))
    return total / max(weights, 1)


def _ones(quantiser: WeightQuantiser, weights: Tensor) -> Tensor:
    """Return the interpolated number of one-bits of all ``weights``, a scalar.

    Scales get no gradient: a larger scale would be the cheapest way to fewer ones.
    """
    counts = torch.tensor([n.bit_count() for n in range(quantiser.high + 1)], dtype=weights.dtype)
    sizes = (weights.abs() / quantiser.scale).clamp(max=quantiser.high)
    below = sizes.detach().floor().clamp(max=quantiser.high - 1).long()
    slope = counts[below + 1] - counts[below]
    return (counts[below] + slope * (sizes - below)).sum()
