"""Sensitivity: what a network loses when one layer alone is made coarser, measured on examples.

Every other layer stays in floating point, so the losses of several changes add up roughly, and a
choice of bits per layer needs no run of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.calibration import loading
from models.calibration.calibrating import check_images, lack
from models.data.datasets import Split
from models.errors import ModelError
from models.importing.floating import FloatNetwork
from models.quantisation.fake_quantisers import ActivationQuantiser, WeightQuantiser
from models.quantisation.masks import masked
from models.quantisation.plan import Quantisation, can_be_sparse
from models.quantisation.sparsity import Sparsity
from models.tasks.lessons import CLASS_LESSON, ClassLesson, Lesson
from models.training.layers.weight_layer import WeightLayer
from models.training.network import QuantNetwork


@dataclass(frozen=True)
class Change:
    """One layer and how it is made coarser; None leaves it in floating point.

    >>> Change("conv1", weight_bits=4).activation_bits is None
    True
    """

    layer: str
    weight_bits: int | None = None
    activation_bits: int | None = None
    """Bits of the layer's output."""
    sparsity: Sparsity | None = None
    """N:M pattern that the weights get, the largest of each group kept."""
    cut: float = 0.0
    """Share (0..1) of the output channels, those of the smallest weights, that become 0."""


@dataclass(frozen=True)
class Effect:
    """Losses of a network by one change. Made by ``sensitivity``."""

    change: Change
    divergence: float
    """Mean Kullback-Leibler divergence, in nats, of the class probabilities from the float
    network's: 0 or more, and of less noise than the others. Of other outputs than classes what the
    task takes instead (``Lesson.divergence``)."""
    loss: float
    """Rise of the mean cross-entropy."""
    accuracy: float
    """Rise of the accuracy, -1..1: a loss is negative."""


def sensitivity(
    floating: FloatNetwork,
    changes: Iterable[Change],
    split: Split,
    zero_point: int = 0,
    lesson: Lesson = CLASS_LESSON,
) -> tuple[Effect, ...]:
    """Measure the effect of each change, alone, on the examples of ``split``.

    floating: with an input as of ``inputs.fit`` for 8 bits, and its zero point. lesson: says how
    far outputs are apart; loss and accuracy are NaN where they are no classes. Raises ModelError
    for a layer that the network lacks or that cannot be changed so, and as calibrating.calibrate
    does for images.
    """
    network = loading.load(floating, Quantisation(input_zero_point=zero_point))
    check_images(network.graph, split.images)
    with torch.no_grad():
        real = network.tensors(torch.from_numpy(split.images))
        return tuple(_effect(network, one, real, split, lesson) for one in changes)


@dataclass(frozen=True, eq=False)
class _Answers:
    logs: Tensor
    """Logarithms of the class probabilities, (n, classes)."""

    @staticmethod
    def of(logits: Tensor) -> _Answers:
        return _Answers(F.log_softmax(logits.flatten(1), dim=1))

    def loss(self, labels: Tensor) -> float:
        return float(F.nll_loss(self.logs, labels))

    def accuracy(self, labels: Tensor) -> float:
        return float((self.logs.argmax(dim=1) == labels).double().mean())


def _effect(
    network: QuantNetwork, change: Change, real: dict[str, Tensor], split: Split, lesson: Lesson
) -> Effect:
    values = {**real, change.layer: _changed(network, change, real)}
    wanted = real[network.output_name]
    found = network.tensors_after(values, change.layer)[network.output_name]
    apart = float(lesson.divergence(found.flatten(1), wanted.flatten(1)))
    if not isinstance(lesson, ClassLesson):
        return Effect(change, apart, math.nan, math.nan)
    before, after, labels = _Answers.of(wanted), _Answers.of(found), torch.from_numpy(split.labels)
    return Effect(
        change,
        apart,
        after.loss(labels) - before.loss(labels),
        after.accuracy(labels) - before.accuracy(labels),
    )


def _changed(network: QuantNetwork, change: Change, real: dict[str, Tensor]) -> Tensor:
    """Return the output of the changed layer. Raises ModelError."""
    node = next((one for one in network.nodes if one.name == change.layer), None)
    if node is None:
        raise ModelError(f"there is no layer {change.layer} to change")
    out = real[change.layer]
    if change.weight_bits or change.sparsity or change.cut:
        if not isinstance(node.module, WeightLayer):
            raise ModelError(f"layer {change.layer} has no weights to change")
        out = _with_weights(node.module, change, real[node.inputs[0]])
        out = out if node.ceiling is None else out.clamp(max=node.ceiling)
    if change.activation_bits:
        if node.quantiser is None:
            raise ModelError(f"layer {change.layer} has no bits of its own")
        signed = network.plans[change.layer].signed
        quantiser = ActivationQuantiser(change.activation_bits, signed)
        quantiser.calibrate(out)
        out = quantiser(out)
    return out


def _with_weights(layer: WeightLayer, change: Change, values: Tensor) -> Tensor:
    """Return a layer's output of ``values`` with coarser weights, whose mean is made up for."""
    weight: Tensor = layer.weight
    if change.sparsity:
        if not can_be_sparse(layer.spec):
            raise ModelError(f"layer {change.layer} cannot be sparse")
        weight = masked(weight, change.sparsity)
    if change.weight_bits:
        sparse, per_channel = change.sparsity is not None, not layer.last
        quantiser = WeightQuantiser(change.weight_bits, len(weight), per_channel, sparse)
        quantiser.calibrate(weight)
        weight = quantiser(weight)
    bias = layer.bias + lack(layer, values, values, weight)
    out = layer.sums(values, weight) + bias[:, None, None]
    out = F.relu(out) if layer.relu else out
    if change.cut:
        norms = layer.weight.square().sum(dim=(1, 2, 3))
        least = norms.argsort()[: round(change.cut * len(norms))]
        out[:, least] = 0
    return out
