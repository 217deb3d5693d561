"""Networks with learned thresholds, for tests."""

from __future__ import annotations

import dataclasses

import numpy as np

from models.integer.network import IntegerNetwork, MacLayer


def learned(network: IntegerNetwork, seed: int) -> IntegerNetwork:
    """The network with thresholds of its own in every layer that can have them, at any distances.

    They lie within the sums that random codes give, some of them equal, some far beyond.
    """
    rng, layers = np.random.default_rng(seed), []
    for layer in network.layers:
        if isinstance(layer, MacLayer) and not layer.raw:
            size = 3 + int(np.abs(layer.sources[0].weights).sum(axis=(1, 2, 3)).max())
            codes = 1 << network.tensors[layer.output].bits
            found = rng.integers(-size, size + 1, (len(layer.bias), codes - 1))
            found += layer.bias[:, None]
            found[rng.random(found.shape) < 0.05] += 1 << 40
            layer = dataclasses.replace(layer, thresholds=np.sort(found, axis=1))
        layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))
