"""Accuracy of a network that exists with other bits: what each layer's bits cost, added up.

The log odds of a correct answer that the bits of one layer cost alone are measured; a network is
predicted to lose their sum. How far that holds is learned from networks that were tried: by linear
regression with a weight for each layer, which is 1 before any is (Bayesian: Bishop, "Pattern
Recognition and Machine Learning", 2006, section 3.3).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from codesign.cost.cycles.layers import LayerTable
from codesign.search.pareto import Floats, Ints
from codesign.search.parts import in_parts
from codesign.search.space.given import INPUT_BITS, NetworkSpace
from models.quantisation.plan import ACTIVATION_BITS, MAX_BITS, SPARSITY, WEIGHT_BITS
from models.threads import one_thread
from rtl_gen.parameters import SPARSITIES

SHARED, OWN = 0.5, 0.5
"""Deviations of the weights from 1: their part that all layers share, and each layer's own."""
NOISE = 0.1
"""Deviation of log odds between a network and the prediction by the best weights."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Log odds of a correct answer, >= 0, that bits cost, each alone. Slots: LayerTable's.

    >>> Losses(np.zeros((1, 9)), np.zeros((1, 9)), np.zeros(9), np.zeros((1, 4))).slots
    1
    """

    weights: Floats
    """By slot and weight bits, shape (slots, 9)."""
    outputs: Floats
    """By slot and bits of its output, shape (slots, 9); 0 where an earlier slot's has its scale."""
    image: Floats
    """By bits of the image, shape (9,)."""
    patterns: Floats
    """By slot and N:M pattern, in the order of SPARSITIES, shape (slots, patterns)."""
    channels: Mapping[int, Floats] = field(default_factory=dict)
    """By the slot that tells how many channels a group has: by the channels of its output."""

    @classmethod
    def of_genes(cls, space: NetworkSpace, costs: Mapping[str, Mapping[str, float]]) -> Losses:
        """Return the losses by parameter of a space and by its choice as text."""
        slots = len(space.mac_layers)
        found = cls(
            np.zeros((slots, MAX_BITS + 1)),
            np.zeros((slots, MAX_BITS + 1)),
            np.zeros(MAX_BITS + 1),
            np.zeros((slots, len(SPARSITIES))),
        )
        _put(found.image, costs.get(INPUT_BITS, {}))
        seen: set[str] = set()
        for slot, layer in enumerate(space.mac_layers):
            _put(found.weights[slot], costs.get(f"{WEIGHT_BITS}.{layer.name}", {}))
            owner = space.owners.get(layer.output)
            if owner is not None and owner not in seen:
                seen.add(owner)
                _put(found.outputs[slot], costs.get(f"{ACTIVATION_BITS}.{owner}", {}))
            for pattern, lost in costs.get(f"{SPARSITY}.{layer.name}", {}).items():
                found.patterns[slot, tuple(SPARSITIES).index(pattern)] = lost
        return dataclasses.replace(found, channels=_channels(space, costs))

    @property
    def slots(self) -> int:
        """Number of layers."""
        return len(self.weights)

    @property
    def features(self) -> int:
        """Number of losses that ``of`` tells apart: those of layers, image and groups."""
        return self.slots + 1 + len(self.channels)

    def of(self, layers: LayerTable) -> Floats:
        """Return what networks lose, shape (n, features): by layer, by the image, by group."""
        found = np.zeros((len(layers), self.features))
        patterns = _patterns(layers)
        for slot in range(self.slots):
            raw = layers.raw[:, slot] == 1
            outputs = np.where(raw, 0, layers.out_bits[:, slot])
            found[:, slot] = self.weights[slot][layers.weight_bits[:, slot]]
            found[:, slot] += np.where(raw, 0.0, self.outputs[slot][outputs])
            found[:, slot] += self.patterns[slot][patterns[:, slot]]
        found[:, self.slots] = self.image[layers.in_bits[:, 0]]
        for place, (slot, lost) in enumerate(self.channels.items(), start=self.slots + 1):
            found[:, place] = lost[layers.out_channels[:, slot]]
        return found


def _channels(space: NetworkSpace, costs: Mapping[str, Mapping[str, float]]) -> dict[int, Floats]:
    """Return ``Losses.channels``."""
    found = {}
    for name, tensors in space.groups.items():
        slots = [slot for slot, layer in enumerate(space.mac_layers) if layer.output in tensors]
        # Of a concat's parts one alone need not tell the choices apart: the one of most does best.
        slot = max(slots, key=lambda slot: len(set(tensors[space.mac_layers[slot].output])))
        counts = tensors[space.mac_layers[slot].output]
        lost = np.zeros(max(counts) + 1)
        for count, choice in zip(counts, space.choices[name], strict=True):
            lost[count] = costs.get(name, {}).get(str(choice), 0.0)
        found[slot] = lost
    return found


def _put(row: Floats, costs: Mapping[str, float]) -> None:
    for bits, lost in costs.items():
        row[int(bits)] = lost


def _patterns(layers: LayerTable) -> Ints:
    """Return the N:M pattern of each layer as an index into SPARSITIES, shape (n, slots)."""
    found = np.zeros(layers.group.shape, np.int64)
    for number, (kept, group) in enumerate(SPARSITIES.values()):
        found[(layers.kept == kept) & (layers.group == group)] = number
    return found


@dataclass(frozen=True, eq=False)
class SensitivityBelief:
    """Belief of a search on a network's accuracy with other bits. Made by ``HotStart.belief``."""

    base: float
    """Log odds of a correct answer of the network as it is given."""
    losses: Losses
    images: int
    """Validation images of a trial."""

    def features(self, layers: LayerTable) -> Floats:
        """Return what networks are compared by, shape (n, features)."""
        return self.losses.of(layers)

    def after(self, features: Floats, accuracies: Floats) -> SensitivityPredictor:
        """Return what is believed once networks of these features (t, f) have accuracies (t,)."""
        odds = log_odds(accuracies, self.images)
        return SensitivityPredictor(self, features, self.base - odds)


class SensitivityPredictor:
    """Prediction of log odds by weighted losses. Made by ``SensitivityBelief.after``.

    features: of t networks that were tried, shape (t, f); lost: the log odds that they lost, (t,).
    """

    def __init__(self, belief: SensitivityBelief, features: Floats, lost: Floats) -> None:
        self._belief = belief
        size = belief.losses.features
        prior = SHARED**2 * np.ones((size, size)) + OWN**2 * np.eye(size)
        with one_thread():
            inverse = np.linalg.inv(prior)
            exact = inverse + features.T @ features / NOISE**2
            self._covariance = np.linalg.inv(exact)
            told = inverse @ np.ones(size) + features.T @ lost / NOISE**2
            # A loss is none that helps, however the few networks tried turned out.
            self._weights = np.maximum(self._covariance @ told, 0.0)

    def odds(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean log odds of a correct answer and their standard deviations, each (n,)."""
        with one_thread():
            mean = self._belief.base - features @ self._weights
            spread = np.einsum("nf,fg,ng->n", features, self._covariance, features)
        return mean, np.sqrt(np.maximum(spread, 0.0))

    def network_odds(self, layers: LayerTable, threads: int | None = None) -> Floats:
        """Return the mean log odds of n networks, shape (n,); threads: as in ``in_parts``."""
        return in_parts(
            lambda rows: (
                self._belief.base - self._belief.features(layers.take(rows)) @ self._weights
            ),
            len(layers),
            threads,
        )


def log_odds(accuracies: Floats, images: int) -> Floats:
    """Return the log odds of accuracies, 0..1, over so many images, shape as given, finite."""
    share = (np.asarray(accuracies) * images + 0.5) / (images + 1)
    found: Floats = np.log(share / (1 - share))
    return found
