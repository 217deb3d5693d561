"""The domain of the sweep: ranges of networks and NPUs that it draws from, and a test for them.

Small values are drawn mostly, as they are quick to simulate, and every other value of a range with
some probability. ``outside`` names what of a design no case could have.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from codesign.compiler import minimal_depths
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer, convolved, extent
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import CHOICES, RANGES, is_stacked


@dataclass(frozen=True)
class Sizes:
    """The sizes 1 to ``most``, drawn from 1 to ``usual`` except in the tail."""

    usual: int
    most: int

    def draw(self, pick: random.Random, tail: float) -> int:
        """Draw a size; a share ``tail`` of the draws is log-uniform from ``usual`` to ``most``."""
        if pick.random() < tail:
            return round(self.usual * (self.most / self.usual) ** pick.random())
        return pick.randint(1, self.usual)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and 1 <= value <= self.most


def whole(name: str) -> range:
    """Return the whole range of a numeric NPU parameter."""
    low, high = RANGES[name]
    return range(low, high + 1)


BITS = whole("activation_bits")
SCALE_BITS = whole("scale_bits")
LANES = Sizes(8, max(whole("lanes")))
COLUMNS = Sizes(24, max(whole("columns")))
PIXELS = Sizes(5, max(whole("pixels")))
NPU: Mapping[str, Container[object]] = {
    **{name: whole(name) for name in RANGES},
    **CHOICES,
    "pixels": PIXELS,
    "lanes": LANES,
    "columns": COLUMNS,
    "post_units": LANES,
}
"""Parameter of NpuConfig -> values. Memory depths are not in it: each is the least that the network
needs, or that parts of it need where the rest is fetched or spilled."""

CHANNELS = Sizes(20, 256)
MAP = Sizes(11, 64)
"""Rows or columns of a feature map."""
KERNEL = Sizes(5, 11)
STRIDE = Sizes(3, 8)
DILATION = range(1, 5)
LAYERS = Sizes(6, 30)
"""Layers of a network; the cycle log could not hold the instructions of more."""
BRANCH = range(1, 4)
"""Convolutions between the two tensors of a residual addition."""
PARTS = range(2, 4)
"""Tensors that a concat joins."""
REACH = 1 + max(*BRANCH, *PARTS)
"""Largest distance, in layers, from a tensor to a layer that reads it."""
OPS = frozenset(
    (
        "conv2d",
        "linear",
        "max_pool",
        "avg_pool",
        "global_pool",
        "add",
        "relu",
        "requantise",
        "activation",
    )
)
POOLED_OPS = frozenset(("conv2d", "add", "max_pool", "global_pool"))
"""Kinds of layer into which max pooling may be fused."""


def outside(network: IntegerNetwork, config: NpuConfig) -> list[str]:
    """Return what of a network and its NPU no case of the sweep could have; [] if one could be it.

    Weights, biases and requantisation scales are not looked at. Raises InfeasibleError when the
    network fits no memory.
    """
    return [*_outside_npu(network, config), *_outside_network(network)]


def _outside_npu(network: IntegerNetwork, config: NpuConfig) -> Iterator[str]:
    depths = minimal_depths(network, config, is_stacked(config.weight_depth))
    if config.memory_port_bits:
        depths |= {name: getattr(config, name) for name in ("weight_depth", "program_depth")}
    if config.memory_tiles:
        depths |= {"activation_depth": config.activation_depth}
    for name, value in config.to_dict().items():
        allowed = [depths[name]] if name in depths else NPU.get(name, ())
        if value not in allowed:
            yield f"npu.{name} = {value}"


def _outside_network(network: IntegerNetwork) -> Iterator[str]:
    made = {network.input: 0}
    if network.scale_bits not in SCALE_BITS:
        yield f"scale_bits = {network.scale_bits}"
    if len(network.layers) not in LAYERS:
        yield f"{len(network.layers)} layers"
    for name, spec in network.tensors.items():
        channels, *sizes = spec.shape
        if channels not in CHANNELS or any(size not in MAP for size in sizes):
            yield f"{name}: shape {spec.shape}"
        if spec.bits not in BITS and name != network.layers[-1].output:
            yield f"{name}: {spec.bits} bits"
    for index, layer in enumerate(network.layers, start=1):
        made[layer.output] = index
        if isinstance(layer, ConcatLayer):
            sources: Sequence[str] = layer.inputs
            found = [] if len(sources) in PARTS else [f"{len(sources)} parts"]
        else:
            sources = [source.tensor for source in layer.sources]
            found = list(_outside_layer(network, layer))
        found += [f"reads {name}" for name in sources if index - made[name] > REACH]
        yield from (f"{layer.name}: {text}" for text in found)


def padding_after(layer: MacLayer, network: IntegerNetwork) -> tuple[int, int]:
    """Return the padding below and right; that above and left where windows stop short of it.

    They stop short where the stride leaves rows or columns over.
    """
    source, spans = layer.sources[0], extent(layer)
    found = []
    for axis, count in enumerate(convolved(layer, network.tensors[layer.output].shape)):
        pool = layer.pool.stride[axis] if layer.pool else 1
        size, before = network.tensors[source.tensor].shape[1 + axis], layer.padding[axis]
        least = (count - 1) * layer.stride[axis] + spans[axis] - before - size
        most = least + layer.stride[axis] * pool - 1
        found.append(before if least <= before <= most else max(least, 0))
    return found[0], found[1]


def _outside_layer(network: IntegerNetwork, layer: MacLayer) -> Iterator[str]:
    if layer.op not in OPS:
        yield f"op {layer.op}"
    yield from _outside_windows(network, layer)
    if layer.weight_bits not in BITS:
        yield f"{layer.weight_bits}-bit weights"
    if len(layer.sources) != (2 if layer.op == "add" else 1):
        yield f"{len(layer.sources)} sources"
    if layer.raw != (layer is network.layers[-1]) or (layer.raw and layer.op != "linear"):
        yield "raw"


def _outside_windows(network: IntegerNetwork, layer: MacLayer) -> Iterator[str]:
    first = layer.sources[0]
    kernel = first.weights.shape[2:]
    whole = network.tensors[first.tensor].shape[1:] if layer.op != "conv2d" else None
    if kernel != whole and any(size not in KERNEL for size in kernel):
        yield f"kernel {kernel}"
    if any(step not in STRIDE for step in layer.stride):
        yield f"stride {layer.stride}"
    if any(step not in DILATION for step in layer.dilation):
        yield f"dilation {layer.dilation}"
    # A max pooling's kernel is its window; half of that is the most it may be padded.
    padded = layer.pool.kernel if layer.pool and layer.op == "max_pool" else extent(layer)
    paddings = (*layer.padding, *padding_after(layer, network))
    if any(pad >= size for pad, size in zip(paddings, (*padded, *padded), strict=True)):
        yield f"padding {paddings}"
    if layer.pool:
        window = layer.pool.kernel
        if layer.op not in POOLED_OPS:
            yield f"pooling after {layer.op}"
        if layer.op != "global_pool" and any(size not in KERNEL for size in window):
            yield f"pooling window {window}"
        if any(step not in STRIDE for step in layer.pool.stride):
            yield f"pooling stride {layer.pool.stride}"
