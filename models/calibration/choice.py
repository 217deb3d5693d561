"""Bits per layer: as few as an average allows, taken where they cost the network least."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from models.calibration.sensitivity import Change, Effect
from models.errors import ModelError
from models.importing.floating import FloatNetwork
from models.quantisation.plan import Quantisation


def weight_counts(floating: FloatNetwork) -> dict[str, int]:
    """Return the number of weights, without biases, of each layer that has some, by name."""
    ends = ".weight"
    return {
        name.removesuffix(ends): values.size
        for name, values in floating.weights.items()
        if name.endswith(ends)
    }


def weight_changes(floating: FloatNetwork, bits: Iterable[int]) -> list[Change]:
    """Return the changes that ``mixed`` chooses among: all ``bits`` of each layer's weights."""
    widths = sorted(set(bits))
    return [Change(name, one) for name in weight_counts(floating) for one in widths]


def mixed(
    effects: Sequence[Effect],
    counts: Mapping[str, int],
    average: float,
    base: Quantisation,
) -> Quantisation:
    """Return ``base`` with weight bits chosen per layer, on average of all weights at most so many.

    effects: of ``weight_changes``. counts: weights of each layer. average: of the weights' bits.
    Every layer starts at its most bits; then those are lowered, one after another, whose divergence
    rises least for each bit that is saved. Raises ModelError where the fewest bits are more than
    the average.
    """
    costs: dict[str, dict[int, float]] = {}
    for effect in effects:
        if effect.change.weight_bits and effect.change.layer in counts:
            layer = costs.setdefault(effect.change.layer, {})
            layer[effect.change.weight_bits] = effect.divergence
    chosen = {name: max(found) for name, found in costs.items()}
    most = average * sum(counts.values())
    while sum(counts[name] * bits for name, bits in chosen.items()) > most:
        steps = [
            (
                (found[bits] - found[chosen[name]]) / (counts[name] * (chosen[name] - bits)),
                name,
                bits,
            )
            for name, found in costs.items()
            for bits in found
            if bits < chosen[name]
        ]
        if not steps:
            least = min(min(found) for found in costs.values())
            raise ModelError(f"an average of {average:g} weight bits is below the fewest, {least}")
        _, name, bits = min(steps)
        chosen[name] = bits
    layers = {
        name: dataclasses.replace(base.spec(name), weight_bits=bits)
        for name, bits in chosen.items()
    }
    return dataclasses.replace(base, layers={**base.layers, **layers})


def average_bits(quantisation: Quantisation, counts: Mapping[str, int]) -> float:
    """Return the mean bits of a weight over all layers. counts: weights of each layer."""
    bits = sum(quantisation.spec(name).weight_bits * count for name, count in counts.items())
    return bits / sum(counts.values())
