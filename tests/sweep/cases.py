"""The case of a seed: a random NPU, a random network that fits it, random images and stalls.

The same seed gives the same case on every machine.
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler import CompiledNetwork, compile_network
from codesign.results import InfeasibleError
from models.arithmetic import zero_point
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer, TensorSpec
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import ACTIVATION_TABLES, DEPTH_RANGES
from tests.codesign.compiler.random_networks import (
    random_config,
    random_network,
    with_memory_port,
    with_tiles,
)
from tests.sweep.domain import padding_after
from tests.sweep.tables import with_lookups, with_tables
from tests.sweep.thresholds import with_thresholds
from tests.sweep.wide_inputs import with_wide_input

LARGE_SHARE = 0.4
"""Share of the cases in which some sizes may go beyond the usual ones."""
TAIL_SHARE = 0.4
"""Share of the sizes that may, in such a case."""
LARGE_FACTOR = 4
"""Limits on array and simulated clocks of such a case, relative to the others'."""
SIZE_EXPONENT = -2 / 3
"""A limit is ``least * u ** SIZE_EXPONENT`` with u uniform in 0..1: it has no upper end, but a mean
of three times ``least``, so large cases are rare and cost no more than the many small ones."""
MEMORY_SHARE = 0.25
"""Share of the cases that fetch weights from memory, where the network has enough of them."""
TILES_SHARE = 0.15
"""Share of the cases with feature maps in memory, where these are large enough."""
WIDE_SHARE = 0.25
"""Share of the cases whose image is wider than the array's activations, where that is possible."""
TABLES_SHARE = 0.2
"""Share of the cases with activation tables."""
THRESHOLDS_SHARE = 0.7
"""Share of the cases whose post units compare with thresholds, where codes are narrow enough."""
LEAST_MACS = 48
"""Least limit on the products per cycle, which decide how long the simulator takes to build."""
LEAST_CLOCKS = 30_000
"""Least limit on the simulated clocks."""
CLOCKS_PER_WEIGHT_WORD = 6
"""Simulated clocks to write 32 bits over AXI4-Lite, stalls not counted."""


@dataclass(frozen=True, eq=False)
class Case:
    """A network compiled for an NPU, with images and stalls, and how it was drawn."""

    seed: int
    network: IntegerNetwork
    compiled: CompiledNetwork
    images: NDArray[np.uint8]
    """Pixels, shape (images, channels, rows, columns)."""
    stalls: float
    """Share of the cycles in which each channel of a bus is held back."""
    refused: tuple[str, ...] = ()
    """Resources that ran out at each of the points that were drawn before and refused."""
    too_long: int = 0
    """Points drawn before that fit, but take longer than this seed's limit."""

    @property
    def config(self) -> NpuConfig:
        return self.compiled.config

    @property
    def clocks(self) -> int:
        """Estimate of the simulated clocks."""
        loading = CLOCKS_PER_WEIGHT_WORD * self.compiled.weights.size
        return loading + (len(self.images) + 1) * self.compiled.traced.cycles


def draw(seed: int) -> Case:
    """Return the case of ``seed``: its first point that the compiler accepts and that is not too
    long to simulate.

    The limits on size and length are drawn before the points and have no upper end, so every point
    can be the case of some seed.
    """
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
    """Draw NPU, network, images and stalls. Raises InfeasibleError when the compiler refuses."""
    bits = pick.randint(1, 8)
    network = random_network(pick, bits, tail, pick.randint(4, 16))
    config = random_config(pick, network, bits, tail, most_macs)
    if random.Random(f"wide {config.hash}").random() < WIDE_SHARE:
        network, config = with_wide_input(pick, network, config) or (network, config)
    chance = random.Random(config.hash)
    if chance.random() < MEMORY_SHARE:
        config = with_memory_port(chance, network, config) or config
    if chance.random() < TILES_SHARE:
        config = with_tiles(chance, network, config) or config
    chance = random.Random(f"tables {config.hash}")
    if chance.random() < TABLES_SHARE:
        tables = chance.choice(ACTIVATION_TABLES[1:])
        network = with_lookups(chance, network, tables)
        config = with_tables(network, config, tables)
    elif chance.random() < THRESHOLDS_SHARE:
        config = with_thresholds(network, config) or config
    compiled = compile_network(network, config)
    numbers = np.random.default_rng(pick.getrandbits(32))
    shape = (pick.randint(2, 4), *network.tensors[network.input].shape)
    images = numbers.integers(0, 256, shape, dtype=np.uint8)
    images[1] = np.where(images[1] < 128, 0, 255)  # the ends of the range alone
    stalls = round(pick.uniform(0.05, 0.6), 2) if pick.random() < 0.8 else 0.0
    return Case(seed, network, compiled, images, stalls)


def knobs(case: Case) -> dict[str, list[str]]:
    """Return which values of each parameter the case exercises, as words."""
    config, layers = case.config, case.network.mac_layers
    schedule = case.compiled.plan.schedule
    npu = {
        field.name: [_word(getattr(config, field.name))]
        for field in dataclasses.fields(config)
        if field.name not in DEPTH_RANGES
    }
    specs = [case.network.tensors[layer.output] for layer in layers if not layer.raw]
    found = {
        **npu,
        "layer": [_kind(layer) for layer in case.network.layers],
        "kernel": [_by(layer.sources[0].weights.shape[2:]) for layer in layers],
        "stride": [_by(layer.stride) for layer in layers],
        "padding": [_padding(layer, case.network) for layer in layers],
        "dilation": ["yes" if layer.dilation != (1, 1) else "no" for layer in layers],
        "look-up": ["yes" if layer.lookup else "no" for layer in layers],
        "fused max pool": [_by(layer.pool.kernel) for layer in layers if _fused(layer)],
        "weight bits": [str(layer.weight_bits) for layer in layers],
        "weights": [str(layer.sparsity or "dense") for layer in layers],
        "activation bits": [str(spec.bits) for spec in specs],
        "signed activations": [_word(spec.signed) for spec in specs],
        "zero point": [_zero_point(spec) for spec in specs],
        "column reuse": [_word(tile.walk is not None) for tile in schedule.tiles],
        "activation digits": [str(tile.digits) for tile in schedule.tiles],
        "binary layers": [_word(bool(tile.binary)) for tile in schedule.tiles],
        "pixel lanes": ["all" if planned.split else "one" for planned in case.compiled.plan.layers],
    }
    return {kind: sorted(set(values)) for kind, values in found.items()}


def _padding(layer: MacLayer, network: IntegerNetwork) -> str:
    """Return whether a layer has padding, and whether that is as much below and right."""
    after = padding_after(layer, network)
    return "uneven" if after != layer.padding else _word(any(after))


def _zero_point(spec: TensorSpec) -> str:
    """Return "usual" for the zero point that follows from the sign, else "other"."""
    return "usual" if spec.zero_point == zero_point(spec.bits, spec.signed) else "other"


def _word(value: object) -> str:
    """Return yes or no for a flag, else the value as text."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _fused(layer: MacLayer) -> bool:
    return layer.pool is not None and layer.op not in ("max_pool", "global_pool")


def _kind(layer: MacLayer | ConcatLayer) -> str:
    """Return the kind of the layer; of a convolution with its grouping."""
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
    """Return NPU, layers (one line of text each), images and stalls, for people and the record."""
    tensors = case.network.tensors
    spec = tensors[case.network.input]
    layers = [f"{spec.name}: {_by(spec.shape)}, {spec.bits} bits{' signed' * spec.signed}"]
    for layer in case.network.layers:
        layers.append(_layer_line(layer, case.network))
    return {
        "npu": case.config.to_dict(),
        "layers": layers,
        "images": len(case.images),
        "stalls": case.stalls,
    }


def _layer_line(layer: MacLayer | ConcatLayer, network: IntegerNetwork) -> str:
    out = network.tensors[layer.output]
    if isinstance(layer, ConcatLayer):
        return f"{layer.output} = concat({', '.join(layer.inputs)}): {_by(out.shape)}"
    sources = ", ".join(source.tensor for source in layer.sources)
    parts = [f"{layer.output} = {_kind(layer)}({sources}): {_by(out.shape)}"]
    parts.append("logits" if layer.raw else f"{out.bits} bits{' signed' * out.signed}")
    parts.append(f"kernel {_by(layer.sources[0].weights.shape[2:])}")
    parts.append(f"{layer.weight_bits}-bit weights")
    if layer.stride != (1, 1):
        parts.append(f"stride {_by(layer.stride)}")
    if layer.dilation != (1, 1):
        parts.append(f"dilation {_by(layer.dilation)}")
    after = padding_after(layer, network)
    if any(layer.padding) or any(after):
        parts.append(f"padding {_by(layer.padding)} and {_by(after)}")
    if _zero_point(out) == "other" and not layer.raw:
        parts.append(f"zero point {out.zero_point}")
    if layer.sparsity:
        parts.append(f"{layer.sparsity} sparse")
    if layer.groups > 1:
        parts.append(f"groups {layer.groups}")
    if layer.pool:
        parts.append(f"max pool {_by(layer.pool.kernel)} stride {_by(layer.pool.stride)}")
    return ", ".join(parts)
