"""Random networks whose weights are zero in whole regions, and NPUs for them.

The compiler leaves taps, words and digit passes out where all weights of a tile are zero
(codesign.compiler.zeros); single zeros among other weights would give it nothing to leave out.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from models.integer.network import IntegerNetwork, Ints, MacLayer, PoolWindow
from rtl_gen.config import NpuConfig
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.random_networks import random_config, random_network


def with_zeros(pick: random.Random, network: IntegerNetwork) -> IntegerNetwork:
    """Return ``network`` with zeros in every layer: runs of output channels lose the weights
    outside a random box of input channels and kernel positions, their upper bits, or all."""

    def changed(layer: MacLayer) -> MacLayer:
        sources = tuple(
            dataclasses.replace(source, weights=_with_zeros(pick, source.weights))
            for source in layer.sources
        )
        return dataclasses.replace(layer, sources=sources)

    layers = [changed(layer) if isinstance(layer, MacLayer) else layer for layer in network.layers]
    return dataclasses.replace(network, layers=tuple(layers))


def _with_zeros(pick: random.Random, weights: Ints) -> Ints:
    weights, first = weights.copy(), 0
    while first < len(weights):
        run = weights[first : first + pick.randint(1, 12)]
        first += len(run)
        left = np.zeros_like(run)
        if pick.random() < 0.8:
            box = tuple(_places(pick, size) for size in run.shape[1:])
            left[:, *box] = run[:, *box]
        largest = pick.choice((0, 1, 3, 7, 127))
        run[:] = np.clip(left, -largest - 1, largest)
    return weights


def _places(pick: random.Random, size: int) -> slice:
    """Return all indices below ``size`` in half the cases, else a range of them, which may be every
    second one."""
    if pick.random() < 0.5:
        return slice(None)
    first = pick.randrange(size)
    return slice(first, pick.randint(first + 1, size), pick.choice((1, 1, 2)))


def wide_network(pick: random.Random) -> IntegerNetwork:
    """Return a network of layers with several tiles of output channels, on maps so large that
    leaving taps out saves cycles."""
    shape = (pick.randint(1, 9), pick.randint(5, 9), pick.randint(5, 9))
    net = NetworkBuilder(pick, shape, 4, signed=pick.random() < 0.5)
    weights = {"weight_bits": pick.randint(2, 8)}
    channels = 4 * pick.randint(3, 8)
    last = net.conv3x3("image", channels, **weights, sparsity=net.random_sparsity())
    pool = PoolWindow(kernel=(2, 2), stride=(1, 1)) if pick.random() < 0.5 else None

    def pooled_convolution(last: str) -> str:
        return net.conv3x3(last, channels, **weights, pool=pool, signed=True)

    def grouped_convolution(last: str) -> str:
        return net.conv3x3(last, channels, **weights, groups=4)

    def strided_depthwise(last: str) -> str:
        return net.depthwise(last, (3, 3), padding=(1, 1), stride=(2, 1), **weights)

    def doubled(last: str) -> str:
        return net.add(last, last, weight_bits=8)

    def concat_with_a_second_branch(last: str) -> str:
        return net.conv(net.concat([last, net.conv3x3("image", 5, **weights)]), channels)

    kinds = (
        pooled_convolution,
        grouped_convolution,
        strided_depthwise,
        doubled,
        concat_with_a_second_branch,
    )
    for add_layer in pick.sample(kinds, 2):
        if net.tensors[last].shape[1:] == shape[1:]:
            last = add_layer(last)
    net.linear(last, pick.randint(2, 20))
    return net.build()


def random_case(seed: int, bits: int) -> tuple[IntegerNetwork, NpuConfig]:
    """Return a network with zeros and an NPU that just holds it.

    Odd seeds give a ``wide_network``, even ones a ``random_network`` of codes of at most ``bits``
    bits.
    """
    pick = random.Random(seed)
    if seed % 2:
        network, bits = wide_network(pick), 4
    else:
        network = random_network(pick, bits)
    network = with_zeros(pick, network)
    return network, random_config(pick, network, bits)
