"""Costs of the bits of each layer and tensor of a network that exists, as log odds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from codesign.search.accuracy.sensitivity import log_odds
from codesign.search.pareto import Floats
from codesign.search.space.given import INPUT_BITS, NetworkSpace
from models.calibration import loading
from models.calibration.cutting import Cutter
from models.calibration.sensitivity import Change, sensitivity
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
    cutter: Cutter | None,
    dataset: Dataset,
    progress: Callable[[float, float], None],
) -> dict[str, Any]:
    """Return the float network's accuracy and what each choice of a gene costs, as JSON values.

    ``accuracy`` (0..1) is over the validation images of ``dataset``, ``costs`` are Costs. How far
    answers diverge from the float network's is measured, over IMAGES images; what log odds a
    divergence costs follows from all changes together, as single accuracies are too noisy. network:
    with an input as of models.calibration.inputs.fit. cutter: of the network, if channels may be
    cut. progress: called with (measured, in all).
    """
    split = dataset.validation.spread(IMAGES)
    wanted, others = list(_wanted(space)), list(_others(space, network, cutter))
    count = len(wanted) + len(others)

    def changes() -> Iterator[Change]:
        for done, one in enumerate(wanted):
            progress(done, count)
            yield one.change

    zero = space.zero_point
    found: list[tuple[str, str, float, float]] = []
    for one, effect in zip(wanted, sensitivity(network, changes(), split, zero), strict=True):
        found.append((one.parameter, one.choice, effect.divergence, effect.accuracy))
    answers = _Answers.of(network, Quantisation(input_zero_point=zero), split)
    for done, (parameter, choice, changed, quantisation) in enumerate(others, start=len(wanted)):
        progress(done, count)
        other = _Answers.of(changed(), quantisation, split)
        lost = other.accuracy - answers.accuracy
        found.append((parameter, choice, answers.divergence(other), lost))
    effects = np.array([effect for _, _, *effect in found]).reshape(-1, 2)
    scale = _odds_per_nat(effects, answers.accuracy, len(split))
    costs: Costs = {}
    for parameter, choice, divergence, _ in found:
        choices = costs.setdefault(parameter, {})
        choices[choice] = choices.get(choice, 0.0) + scale * divergence
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


def _others(
    space: NetworkSpace, network: FloatNetwork, cutter: Cutter | None
) -> Iterator[tuple[str, str, Callable[[], FloatNetwork], Quantisation]]:
    """Yield parameter, choice, network and its input for what changes more than one layer."""
    zero = space.zero_point
    for bits in space.choices[INPUT_BITS]:
        if bits != WIDEST:
            yield INPUT_BITS, str(bits), lambda: network, Quantisation(input_bits=int(bits))
    for name in space.groups:
        *fewer, size = map(int, space.choices[name])
        assert cutter is not None
        for count in fewer:
            lost = {name.partition(".")[2]: size - count}
            changed = functools.partial(cutter.without, lost)
            yield name, str(count), changed, Quantisation(input_zero_point=zero)


def _odds_per_nat(effects: Floats, accuracy: float, images: int) -> float:
    """Return the log odds of a correct answer that a nat of divergence costs, above 0.

    By least squares over the changes that were measured: their divergences and rises of the
    accuracy, shape (n, 2). accuracy: of the float network.
    """
    nats, rises = effects.T
    after = np.clip(accuracy + rises, 0, 1)
    lost = log_odds(np.array(accuracy), images) - log_odds(after, images)
    slope = float((nats * lost).sum() / max(float((nats**2).sum()), 1e-12))
    return max(slope, LEAST_SLOPE)


@dataclass(frozen=True, eq=False)
class _Answers:
    logs: torch.Tensor
    """Logarithms of the class probabilities, (n, classes)."""
    accuracy: float

    @classmethod
    @torch.no_grad()
    def of(cls, network: FloatNetwork, quantisation: Quantisation, split: Split) -> _Answers:
        """Return the answers in floating point, of an input as ``quantisation`` says."""
        images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
        logs = torch.log_softmax(loading.load(network, quantisation)(images), dim=1)
        return cls(logs, float((logs.argmax(dim=1) == labels).double().mean()))

    def divergence(self, other: _Answers) -> float:
        """Return the mean divergence of others from these, in nats."""
        return float(F.kl_div(other.logs, self.logs, log_target=True, reduction="batchmean"))


def float_accuracy(network: FloatNetwork, zero_point: int, split: Split) -> float:
    """Return the accuracy (0..1) in floating point, for images of WIDEST bits.

    zero_point: code of the image that is the network's value 0.
    """
    return evaluate(loading.load(network, Quantisation(input_zero_point=zero_point)), split)
