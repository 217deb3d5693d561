"""Networks with random weights, for measurements that do not depend on trained ones."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from models import arithmetic
from models.integer.network import IntegerNetwork
from models.quantisation.sparsity import Sparsity


def random_mask(
    rng: np.random.Generator, shape: tuple[int, ...], sparsity: Sparsity
) -> NDArray[np.bool_]:
    """Return a mask of weights of ``shape`` that keeps as many as the pattern allows, at random."""
    groups = -(-shape[1] // sparsity.group)
    order = rng.random((shape[0], groups, sparsity.group, *shape[2:])).argsort(axis=2)
    kept: NDArray[np.bool_] = order.argsort(axis=2) < sparsity.kept
    return kept.reshape(shape[0], -1, *shape[2:])[:, : shape[1]]


def random_weights(network: IntegerNetwork, scale_bits: int, seed: int) -> IntegerNetwork:
    """Return ``network`` with random weights, biases and scales in every layer that is trained."""
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
            if layer.sparsity:
                sources = tuple(
                    dataclasses.replace(
                        source,
                        weights=source.weights
                        * random_mask(rng, source.weights.shape, layer.sparsity),
                    )
                    for source in sources
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
                requant_multiplier=np.array([multiplier for multiplier, _ in scales]),
                requant_shift=np.array([shift for _, shift in scales]),
            )
        layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers), blank=False)
