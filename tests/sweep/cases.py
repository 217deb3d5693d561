"""One seed -> one case: a random NPU, a random network that fits it, random images and stalls."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler import CompiledNetwork, compile_network
from codesign.results import InfeasibleError
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DEPTH_RANGES
from tests.codesign.compiler.random_networks import (
    random_config,
    random_network,
    with_memory_port,
    with_tiles,
)

LARGE_SHARE = 0.4
"""Share of cases whose sizes may leave the usual range."""
TAIL_SHARE = 0.4
"""Share of such a case's sizes that do."""
LARGE_FACTOR = 4
"""Such a case's limits, relative to the others'."""
SIZE_EXPONENT = -2 / 3
"""A limit of ``least * u ** SIZE_EXPONENT``, u even in 0..1, has no upper end, but a finite mean of
three times ``least``: large cases come, seldom, and cost no more than the many small ones."""
MEMORY_SHARE = 0.25
"""Share of cases whose weights come through a memory port, where they are enough for that."""
TILES_SHARE = 0.15
"""Share of cases whose feature maps go to memory, where they are large enough for that."""
LEAST_MACS = 48
"""Limit on NpuConfig.macs, which sets what compiling the simulator takes."""
LEAST_CLOCKS = 30_000
CLOCKS_PER_WEIGHT_WORD = 6
"""Simulated clocks to write 32 bits over AXI4-Lite, stalls not counted."""


@dataclass(frozen=True, eq=False)
class Case:
    """What is simulated, and how it was found."""

    seed: int
    network: IntegerNetwork
    compiled: CompiledNetwork
    images: NDArray[np.uint8]
    """Pixels [images, channels, rows, columns]."""
    stalls: float
    refused: tuple[str, ...] = ()
    """Points drawn before this one that the compiler refused: the resources that ran out."""
    too_long: int = 0
    """Points drawn before this one that fit, but take longer than this seed's limit."""

    @property
    def config(self) -> NpuConfig:
        return self.compiled.config

    @property
    def clocks(self) -> int:
        """About what simulation takes."""
        loading = CLOCKS_PER_WEIGHT_WORD * self.compiled.weights.size
        return loading + (len(self.images) + 1) * self.compiled.traced.cycles


def draw(seed: int) -> Case:
    """The case of ``seed``: the first of its points that the compiler takes and that is not too
    long. How large and how long it may be is drawn first, so that no point is left out for good."""
    pick = random.Random(f"sweep {seed}")
    most_macs = LEAST_MACS * pick.random() ** SIZE_EXPONENT
    most_clocks = LEAST_CLOCKS * pick.random() ** SIZE_EXPONENT
    tail = 0.0
    if pick.random() < LARGE_SHARE:
        tail, most_macs, most_clocks = (
            TAIL_SHARE,
            most_macs * LARGE_FACTOR,
            most_clocks * LARGE_FACTOR,
        )
    refused: list[str] = []
    too_long = 0
    while True:
        try:
            case = _point(pick, seed, tail, most_macs)
        except InfeasibleError as error:
            refused.append(", ".join(sorted({reason.resource for reason in error.reasons})))
            continue
        if case.clocks <= most_clocks:
            return dataclasses.replace(case, refused=tuple(refused), too_long=too_long)
        too_long += 1


def _point(pick: random.Random, seed: int, tail: float, most_macs: float) -> Case:
    """Raises InfeasibleError."""
    bits = pick.randint(1, 8)
    network = random_network(pick, bits, tail, pick.randint(4, 16))
    config = random_config(pick, network, bits, tail, most_macs)
    chance = random.Random(config.hash)
    if chance.random() < MEMORY_SHARE:
        config = with_memory_port(chance, network, config) or config
    if chance.random() < TILES_SHARE:
        config = with_tiles(chance, network, config) or config
    compiled = compile_network(network, config)
    numbers = np.random.default_rng(pick.getrandbits(32))
    shape = (pick.randint(2, 4), *network.tensors[network.input].shape)
    images = numbers.integers(0, 256, shape, dtype=np.uint8)
    images[1] = np.where(images[1] < 128, 0, 255)  # the ends of the range alone
    stalls = round(pick.uniform(0.05, 0.6), 2) if pick.random() < 0.8 else 0.0
    return Case(seed, network, compiled, images, stalls)


def knobs(case: Case) -> dict[str, list[str]]:
    """What the case exercises: kind of choice -> the values it has, as words."""
    config, layers = case.config, case.network.mac_layers
    schedule = case.compiled.plan.schedule
    npu = {
        field.name: [str(getattr(config, field.name))]
        for field in dataclasses.fields(config)
        if field.name not in DEPTH_RANGES
    }
    specs = [case.network.tensors[layer.output] for layer in layers if not layer.raw]
    found = {
        **npu,
        "layer": [_kind(layer) for layer in case.network.layers],
        "kernel": [_by(layer.sources[0].weights.shape[2:]) for layer in layers],
        "stride": [_by(layer.stride) for layer in layers],
        "padding": ["yes" if any(layer.padding) else "no" for layer in layers],
        "fused max pool": [_by(layer.pool.kernel) for layer in layers if _fused(layer)],
        "weight bits": [str(layer.weight_bits) for layer in layers],
        "weights": [str(layer.sparsity or "dense") for layer in layers],
        "activation bits": [str(spec.bits) for spec in specs],
        "signed activations": ["yes" if spec.signed else "no" for spec in specs],
        "column reuse": ["yes" if tile.walk else "no" for tile in schedule.tiles],
        "binary layers": ["yes" if tile.binary else "no" for tile in schedule.tiles],
        "pixel lanes": ["all" if planned.split else "one" for planned in case.compiled.plan.layers],
    }
    return {kind: sorted(set(values)) for kind, values in found.items()}


def _fused(layer: MacLayer) -> bool:
    return layer.pool is not None and layer.op not in ("max_pool", "global_pool")


def _kind(layer: MacLayer | ConcatLayer) -> str:
    """The layer's word, with its grouping where it is a convolution."""
    if isinstance(layer, ConcatLayer):
        return "concat"
    if layer.op == "global_pool":
        return "global max pool" if layer.pool else "global average pool"
    if layer.op != "conv2d" or layer.groups == 1:
        return layer.op
    return "depthwise conv2d" if layer.sources[0].weights.shape[1] == 1 else "grouped conv2d"


def _by(pair: tuple[int, ...]) -> str:
    return "x".join(map(str, pair))


def describe(case: Case) -> dict[str, Any]:
    """The case for people and for the record: NPU, layers, images, stalls."""
    tensors = case.network.tensors
    spec = tensors[case.network.input]
    layers = [f"{spec.name}: {_by(spec.shape)}, {spec.bits} bits{' signed' * spec.signed}"]
    for layer in case.network.layers:
        layers.append(_layer_line(layer, tensors))
    return {
        "npu": case.config.to_dict(),
        "layers": layers,
        "images": len(case.images),
        "stalls": case.stalls,
    }


def _layer_line(layer: MacLayer | ConcatLayer, tensors: Mapping[str, Any]) -> str:
    out = tensors[layer.output]
    if isinstance(layer, ConcatLayer):
        return f"{layer.output} = concat({', '.join(layer.inputs)}): {_by(out.shape)}"
    sources = ", ".join(source.tensor for source in layer.sources)
    parts = [f"{layer.output} = {_kind(layer)}({sources}): {_by(out.shape)}"]
    parts.append("logits" if layer.raw else f"{out.bits} bits{' signed' * out.signed}")
    parts.append(f"kernel {_by(layer.sources[0].weights.shape[2:])}")
    parts.append(f"{layer.weight_bits}-bit weights")
    if layer.stride != (1, 1):
        parts.append(f"stride {_by(layer.stride)}")
    if layer.padding != (0, 0):
        parts.append(f"padding {_by(layer.padding)}")
    if layer.sparsity:
        parts.append(f"{layer.sparsity} sparse")
    if layer.groups > 1:
        parts.append(f"groups {layer.groups}")
    if layer.pool:
        parts.append(f"max pool {_by(layer.pool.kernel)} stride {_by(layer.pool.stride)}")
    return ", ".join(parts)
