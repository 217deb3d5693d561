"""Random networks with weights that are zero together, as programs leave them out, and NPUs."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from models.integer.network import IntegerNetwork, Ints, MacLayer, PoolWindow
from rtl_gen.config import NpuConfig
from tests.codesign.compiler.compiler_networks import NetworkBuilder
from tests.codesign.compiler.random_networks import random_config, random_network


def with_zeros(pick: random.Random, network: IntegerNetwork) -> IntegerNetwork:
    """Output channels of every layer lose weights outside a box, their upper bits, or all."""

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
        some = weights[first : first + pick.randint(1, 12)]
        first += len(some)
        left = np.zeros_like(some)
        if pick.random() < 0.8:
            box = tuple(_some_of(pick, size) for size in some.shape[1:])
            left[:, *box] = some[:, *box]
        largest = pick.choice((0, 1, 3, 7, 127))
        some[:] = np.clip(left, -largest - 1, largest)
    return weights


def _some_of(pick: random.Random, size: int) -> slice:
    """All places in half the cases; else a range of them, or every other one."""
    if pick.random() < 0.5:
        return slice(None)
    first = pick.randrange(size)
    return slice(first, pick.randint(first + 1, size), pick.choice((1, 1, 2)))


def wide_network(pick: random.Random) -> IntegerNetwork:
    """Layers of several tiles, of all kinds, on maps that are worth a cut."""
    shape = (pick.randint(1, 9), pick.randint(5, 9), pick.randint(5, 9))
    net = NetworkBuilder(pick, shape, 4, signed=pick.random() < 0.5)
    same = {"padding": (1, 1), "weight_bits": pick.randint(2, 8)}
    channels = 4 * pick.randint(3, 8)
    first = net.mac(["image"], channels, (3, 3), **same, sparsity=net.any_sparsity())
    pool = PoolWindow((2, 2), (1, 1)) if pick.random() < 0.5 else None
    steps = (
        lambda last: net.mac([last], channels, (3, 3), **same, pool=pool, signed=True),
        lambda last: net.mac([last], channels, (3, 3), **same, groups=4),
        lambda last: net.mac([last], channels, (3, 3), **same, groups=channels, stride=(2, 1)),
        lambda last: net.mac([last, last], channels, op="add", groups=channels, weight_bits=8),
        lambda last: net.mac([net.concat([last, net.mac(["image"], 5, (3, 3), **same)])], channels),
    )
    last = first
    for step in pick.sample(steps, 2):
        if net.tensors[last].shape[1:] == shape[1:]:
            last = step(last)
    net.linear(last, pick.randint(2, 20))
    return net.build()


def drawn(seed: int, bits: int) -> tuple[IntegerNetwork, NpuConfig]:
    """A network of either kind and an NPU that just holds it."""
    pick = random.Random(seed)
    if seed % 2:
        network, bits = wide_network(pick), 4
    else:
        network = random_network(pick, bits)
    network = with_zeros(pick, network)
    return network, random_config(pick, network, bits)
