"""Networks with random weights, where training would change nothing that is measured."""

from __future__ import annotations

import dataclasses

import numpy as np

from models import arithmetic
from models.integer import IntegerNetwork


def random_weights(network: IntegerNetwork, scale_bits: int, seed: int) -> IntegerNetwork:
    """Random weights, biases and scales for every layer that has trained ones."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        if layer.op in ("conv2d", "linear"):
            low, high = arithmetic.weight_range(layer.weight_bits)
            sources = tuple(
                dataclasses.replace(
                    source, weights=rng.integers(low, high + 1, source.weights.shape)
                )
                for source in layer.sources
            )
            products = sum(source.weights[0].size for source in sources)
            scales = [
                arithmetic.nearest_scale(float(scale) / (high * np.sqrt(products)), scale_bits)
                for scale in rng.uniform(0.3, 1.0, len(layer.bias))
            ]
            layer = dataclasses.replace(
                layer,
                sources=sources,
                bias=rng.integers(-20, 21, layer.bias.shape),
                multiplier=np.array([multiplier for multiplier, _ in scales]),
                shift=np.array([shift for _, shift in scales]),
            )
        layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))
