"""Costs of the bits of each layer and tensor of a network that exists, as log odds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from codesign.search.accuracy.sensitivity import log_odds
from codesign.search.space.given import INPUT_BITS, NetworkSpace
from models.calibration import loading
from models.calibration.sensitivity import Change, Effect, sensitivity
from models.data.datasets import Dataset, Split
from models.importing.floating import FloatNetwork
from models.quantisation.plan import ACTIVATION_BITS, SPARSITY, WEIGHT_BITS, Quantisation
from models.quantisation.sparsity import Sparsity
from models.training.trained import evaluate

IMAGES = 512
"""Most validation images that answers are compared on."""
WIDEST = Quantisation().input_bits
"""Bits of an image that nothing is lost of."""
LEAST_SLOPE = 0.1
"""Least log odds a nat: fewer would say that nothing costs anything."""
Costs = dict[str, dict[str, float]]
"""Log odds that are lost, by parameter (of sparsity by layer, too) and by choice as text."""


@dataclass(frozen=True)
class _Measurement:
    """One change, and the choice of a parameter whose cost it is."""

    parameter: str
    choice: str
    change: Change


def measure(
    space: NetworkSpace,
    network: FloatNetwork,
    dataset: Dataset,
    progress: Callable[[float, float], None],
) -> dict[str, Any]:
    """Return the float network's accuracy and what each choice of a gene costs, as JSON values.

    ``accuracy`` (0..1) is over the validation images of ``dataset``, ``costs`` are Costs. How far
    answers diverge from the float network's is measured, over IMAGES images; what log odds a
    divergence costs follows from all changes together, as single accuracies are too noisy. network:
    with an input as of models.calibration.inputs.fit. progress: called with (measured, in all).
    """
    split = dataset.validation.spread(IMAGES)
    wanted = list(_wanted(space))

    def changes() -> Iterator[Change]:
        for done, one in enumerate(wanted):
            progress(done, len(wanted))
            yield one.change

    effects = sensitivity(network, changes(), split)
    zero = space.zero_point
    full = float_accuracy(network, zero, split)
    scale = _odds_per_nat(effects, full, len(split))
    costs: Costs = {}
    for one, effect in zip(wanted, effects, strict=True):
        choices = costs.setdefault(one.parameter, {})
        choices[one.choice] = choices.get(one.choice, 0.0) + scale * effect.divergence
    costs[INPUT_BITS] = {
        str(bits): scale * _divergence(network, int(bits), split)
        for bits in space.choices[INPUT_BITS]
        if bits != WIDEST
    }
    return {"accuracy": float_accuracy(network, zero, dataset.validation), "costs": costs}


def _wanted(space: NetworkSpace) -> list[_Measurement]:
    found = []
    for parameter in space.parameters:
        field, _, layer = parameter.name.partition(".")
        for choice in parameter.choices:
            if field == WEIGHT_BITS:
                changes = [(parameter.name, Change(layer, weight_bits=int(choice)))]
            elif field == ACTIVATION_BITS:
                changes = [
                    (parameter.name, Change(one, activation_bits=int(choice)))
                    for one in space.sharing(layer)
                ]
            elif field == SPARSITY and ":" in str(choice):
                pattern = Sparsity.parse(choice)
                changes = [
                    (f"{SPARSITY}.{one}", Change(one, sparsity=pattern))
                    for one in sorted(space.sparse)
                ]
            else:
                continue
            found += [_Measurement(name, str(choice), change) for name, change in changes]
    return found


def _odds_per_nat(effects: Sequence[Effect], accuracy: float, images: int) -> float:
    """Return the log odds of a correct answer that a nat of divergence costs, above 0.

    By least squares over the changes that were measured. accuracy: of the float network.
    """
    nats = np.array([effect.divergence for effect in effects])
    after = np.clip(accuracy + np.array([effect.accuracy for effect in effects]), 0, 1)
    lost = log_odds(np.array(accuracy), images) - log_odds(after, images)
    slope = float((nats * lost).sum() / max(float((nats**2).sum()), 1e-12))
    return max(slope, LEAST_SLOPE)


@torch.no_grad()
def _divergence(network: FloatNetwork, bits: int, split: Split) -> float:
    """Return the mean divergence, in nats, that an input of fewer bits makes."""
    images = torch.from_numpy(split.images)
    before, after = (
        torch.log_softmax(loading.load(network, Quantisation(input_bits=width))(images), dim=1)
        for width in (WIDEST, bits)
    )
    return float(F.kl_div(after, before, log_target=True, reduction="batchmean"))


def float_accuracy(network: FloatNetwork, zero_point: int, split: Split) -> float:
    """Return the accuracy (0..1) in floating point, for images of WIDEST bits.

    zero_point: code of the image that is the network's value 0.
    """
    return evaluate(loading.load(network, Quantisation(input_zero_point=zero_point)), split)
