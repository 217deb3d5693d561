"""Random integer networks and random NPUs that hold them, for the compiler's tests and the sweep.

All sizes lie in the ranges of tests/sweep/domain.py, mostly at their small end: ``tail`` is the
share of the draws that may go up to the end of a range (0: networks and NPUs that run in
milliseconds). The same random.Random gives the same network and the same NPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random

import numpy as np

from codesign.compiler import accumulator_bits, minimal_depths, plan
from codesign.results import InfeasibleError
from models.integer.network import IntegerNetwork, MacLayer, PoolWindow
from models.quantisation.plan import ONES_WEIGHT_BITS
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import (
    DEPTH_RANGES,
    DIGIT_BITS,
    LEAST_REUSE_LANES,
    MEMORY_PORT_BITS,
    PACKED_PIXELS,
    RANGES,
    SPARSITIES,
    ConfigError,
)
from tests.codesign.compiler.network_builder import NetworkBuilder, Pair
from tests.sweep import domain

DSP_SHARE = 0.2
"""Share of the NPUs that multiply in DSP slices."""
SHARED_DSP_SHARE = 0.7
"""Share of those in which several products share a slice, where the widths allow it."""
BINARY_SHARE = 0.7
"""Share of the NPUs that take weights of +1 and -1 in one pass, where the network has any."""
STACKED_SHARE = 0.5
"""Share of the NPUs whose weight memory may be a stack of block RAMs, where that is shallower."""
ANY_ZERO_SHARE = 0.4
"""Share of the tensors whose zero point is any code; the others' follows from their sign."""
UNEVEN_SHARE = 0.4
"""Share of the windows, by rows and by columns, whose padding below or right is drawn by itself."""
DILATED_SHARE = 0.2
"""Share of the convolutions that may be dilated, where the map is large enough."""
REUSE_SHARE = 0.7
"""Share of the NPUs with column reuse in depthwise layers, where they have lanes enough for it."""


def random_network(
    pick: random.Random, bits: int, tail: float = 0.0, scale_bits: int = 8
) -> IntegerNetwork:
    """Return a network of a few layers of any kind, with codes of at most ``bits`` bits and random
    weights."""
    return _RandomNetwork(pick, bits, tail, scale_bits).build()


class _RandomNetwork:
    """A chain of randomly drawn blocks; every block reads the output of the one before."""

    def __init__(self, pick: random.Random, bits: int, tail: float, scale_bits: int) -> None:
        self.pick, self.bits, self.tail = pick, bits, tail
        shape = (pick.randint(1, 5), self.size(domain.MAP), self.size(domain.MAP))
        if pick.random() < tail:
            shape = (self.size(domain.CHANNELS), *shape[1:])
        signed, width = pick.random() < 0.2, pick.randint(1, bits)
        self.net = NetworkBuilder(pick, shape, width, signed, scale_bits, self._zero_point(width))

    def build(self) -> IntegerNetwork:
        last = "image"
        blocks = (self._conv, self._conv, self._depthwise, self._overlapping_depthwise,
                  self._max_pool, self._average_pool, self._residual, self._branches,
                  self._copy)  # fmt: skip
        wanted = min(self.size(domain.LAYERS), domain.LAYERS.most - domain.REACH - 2)
        while len(self.net.tensors) < wanted:
            last = self.pick.choice(blocks)(last)
        if self.pick.random() < 0.2:
            last = self.net.linear(
                last, self.size(domain.CHANNELS), raw=False, **self._bit_widths()
            )
        self.net.linear(
            last,
            self.size(domain.CHANNELS),
            weight_bits=self.pick.randint(1, 8),
            sparsity=self.net.random_sparsity(),
        )
        return self.net.build()

    def size(self, sizes: domain.Sizes) -> int:
        return sizes.draw(self.pick, self.tail)

    def _zero_point(self, bits: int) -> int | None:
        """Return any code as the zero point of a tensor, or None for that of its sign."""
        return self.pick.randrange(1 << bits) if self.pick.random() < ANY_ZERO_SHARE else None

    def _codes(self) -> dict[str, int | None]:
        bits = self.pick.randint(1, self.bits)
        return {"output_bits": bits, "zero_point": self._zero_point(bits)}

    def _bit_widths(self) -> dict[str, int | None]:
        return {**self._codes(), "weight_bits": self.pick.randint(1, 8)}

    def _window(
        self, shape: tuple[int, int, int], *, half: bool = False
    ) -> tuple[Pair, Pair, Pair, Pair]:
        """Return kernel, stride and padding (before and after) of a window that fits a map.

        shape: of the map. half: padding is at most half of the kernel, as poolings have it.
        """
        rows, cols = (self._window_side(size, half) for size in shape[1:])
        kernel, stride, before, after = zip(rows, cols, strict=True)
        return kernel, stride, before, after

    def _window_side(self, size: int, half: bool) -> tuple[int, int, int, int]:
        kernel = self.size(domain.KERNEL)
        most = kernel // 2 if half else kernel - 1
        before = after = self.pick.randint(0, most)
        if self.pick.random() < UNEVEN_SHARE:
            after = self.pick.randint(0, most)
        kernel = min(kernel, size + before + after)
        most = kernel // 2 if half else kernel - 1
        before, after = min(before, most), min(after, most)
        kernel = min(kernel, size + before + after)
        return kernel, self.size(domain.STRIDE), before, after

    def _dilation(self, kernel: int, size: int) -> int:
        """Return a dilation with which a kernel still fits a map of ``size``, without padding."""
        most = min(domain.DILATION[-1], (size - 1) // max(1, kernel - 1))
        return self.pick.randint(1, max(1, most))

    def _fused_pool(self, rows: int, cols: int) -> PoolWindow | None:
        """Return a max pooling to fuse into a layer with that output map, or None."""
        if self.pick.random() >= 0.4:
            return None
        most = 3 if self.pick.random() >= self.tail else domain.KERNEL.most
        window = (self.pick.randint(1, min(most, rows)), self.pick.randint(1, min(most, cols)))
        return PoolWindow(window, (self.size(domain.STRIDE), self.size(domain.STRIDE)))

    def _conv(self, source: str) -> str:
        channels = self.net.tensors[source].shape[0]
        groups = self.pick.choice([g for g in range(1, channels + 1) if channels % g == 0])
        wanted = self.size(domain.CHANNELS)
        return self._convolution(source, groups, max(1, wanted // groups) * groups)

    def _depthwise(self, source: str) -> str:
        channels = self.net.tensors[source].shape[0]
        return self._convolution(source, channels, channels * self.pick.randint(1, 2))

    def _overlapping_depthwise(self, source: str) -> str:
        """Add a depthwise layer whose windows overlap (column reuse), with half the kernel as
        padding."""
        rows = self.net.tensors[source].shape[1]
        kernel = (self.pick.randint(1, min(3, rows)), self.pick.randint(2, 4))
        return self.net.depthwise(
            source,
            kernel,
            stride=(self.pick.randint(1, 2), self.pick.randint(1, kernel[1] - 1)),
            padding=(kernel[0] // 2, kernel[1] // 2),
            signed=self.pick.random() < 0.4,
            **self._bit_widths(),
        )

    def _convolution(self, source: str, groups: int, channels: int) -> str:
        shape = self.net.tensors[source].shape
        kernel, stride, before, after = self._window(shape)
        dilation = (1, 1)
        if self.pick.random() < DILATED_SHARE:
            dilation = self._dilation(kernel[0], shape[1]), self._dilation(kernel[1], shape[2])
        rows, cols = (
            (size + before[i] + after[i] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
            for i, size in enumerate(shape[1:])
        )
        return self.net.conv(
            source,
            min(channels, domain.CHANNELS.most // groups * groups),
            kernel,
            stride=stride,
            padding=before,
            after=after,
            dilation=dilation,
            groups=groups,
            signed=self.pick.random() < 0.4,
            pool=self._fused_pool(rows, cols),
            sparsity=self.net.random_sparsity() if groups == 1 else None,
            **self._bit_widths(),
        )

    def _max_pool(self, source: str) -> str:
        """Add a max pooling that is a layer of its own: a 1x1 layer of ones with a window."""
        spec = self.net.tensors[source]
        kernel, stride, before, after = self._window(spec.shape, half=True)
        if whole := self.pick.random() < 0.1:
            kernel, stride, before, after = spec.shape[1:], (1, 1), (0, 0), (0, 0)
        return self._depthwise_ones(
            source,
            op="global_pool" if whole else "max_pool",
            padding=before,
            after=after,
            signed=spec.signed,
            pool=PoolWindow(kernel, stride),
        )

    def _average_pool(self, source: str) -> str:
        shape = self.net.tensors[source].shape
        kernel, stride, before, after = self._window(shape, half=True)
        if whole := self.pick.random() < 0.3:
            kernel, stride, before, after = shape[1:], (1, 1), (0, 0), (0, 0)
        op = "global_pool" if whole else "avg_pool"
        return self._depthwise_ones(
            source, kernel, op=op, stride=stride, padding=before, after=after
        )

    def _copy(self, source: str) -> str:
        """Add a layer that requantises, with or without cutting negative values off."""
        signed = self.pick.random() < 0.5
        return self._depthwise_ones(source, op="requantise" if signed else "relu", signed=signed)

    def _depthwise_ones(self, source: str, kernel: Pair = (1, 1), **options: object) -> str:
        """Add a layer that sums each channel over its kernel: all weights are 1."""
        return self.net.depthwise(
            source,
            kernel,
            weight_bits=ONES_WEIGHT_BITS,
            largest_weights=True,
            **self._codes(),
            **options,
        )

    def _residual(self, source: str) -> str:
        """Add ``source`` and the output of some convolutions of it, in either order."""
        channels, rows, cols = self.net.tensors[source].shape
        other = source
        if self.pick.random() < 0.8:
            inner = self.size(domain.CHANNELS)
            widths = [inner] * (self.pick.choice(domain.BRANCH) - 1) + [channels]
            side = 2 * self.pick.randint(0, 2) + 1
            for width in widths:
                other = self._same_map(other, width, side)
        pair = [source, other]
        self.pick.shuffle(pair)
        return self.net.add(
            *pair,
            signed=self.pick.random() < 0.2,
            pool=self._fused_pool(rows, cols),
            **self._bit_widths(),
        )

    def _same_map(self, source: str, channels: int, side: int) -> str:
        return self.net.conv(
            source,
            channels,
            (side, side),
            padding=(side // 2, side // 2),
            signed=self.pick.random() < 0.5,
            sparsity=self.net.random_sparsity(),
            **self._bit_widths(),
        )

    def _branches(self, source: str) -> str:
        """Concatenate convolutions of ``source``, all of the same bits and sign."""
        bit_widths = self._bit_widths()
        parts = [
            self.net.conv(source, self.pick.randint(1, 9), (k, k), padding=(k // 2, k // 2),
                         sparsity=self.net.random_sparsity(), **bit_widths)
            for k in (1, 3, 5)[: self.pick.choice(domain.PARTS)]
        ]  # fmt: skip
        return self.net.concat(parts)


def random_config(
    pick: random.Random,
    network: IntegerNetwork,
    bits: int,
    tail: float = 0.0,
    most_macs: float = math.inf,
) -> NpuConfig:
    """Return an NPU with memories as shallow as the network allows, and often with the narrowest
    accumulators.

    ``bits``: width of the network's widest codes. ``most_macs``: limit on the products per cycle.
    Raises InfeasibleError when the network fits no memory.
    """
    while True:
        lanes = max(2, domain.LANES.draw(pick, tail))
        columns = lanes * max(1, domain.COLUMNS.draw(pick, tail) // lanes)
        pixels = domain.PIXELS.draw(pick, tail)
        if pixels * lanes * columns <= most_macs:
            break
    sparsity = pick.choice([s for s, (_, group) in SPARSITIES.items() if lanes % group == 0])
    reuses = sparsity == "dense" and lanes >= LEAST_REUSE_LANES and pick.random() < REUSE_SHARE
    fewest, most = RANGES["accumulator_bits"]
    least = min(max(fewest, accumulator_bits(network)), most)
    config = NpuConfig(
        pixels=pixels,
        lanes=lanes,
        columns=columns,
        weight_digit_bits=pick.choice(DIGIT_BITS),
        activation_bits=pick.randint(bits, domain.BITS[-1]),
        accumulator_bits=least if pick.random() < 0.6 else pick.randint(least, most),
        scale_bits=pick.choice([b for b in domain.SCALE_BITS if b >= network.scale_bits]),
        post_units=pick.choice([u for u in range(1, lanes + 1) if lanes % u == 0]),
        multiplier="dsp" if pick.random() < DSP_SHARE else "lut",
        sparsity=sparsity,
        depthwise_taps=3 if reuses else 1,
    )
    pick = random.Random(config.hash)  # options behind the others change nothing before them
    config = with_binary_weights(pick, network, with_shared_dsps(pick, network, config))
    stacked = pick.random() < STACKED_SHARE
    return dataclasses.replace(config, **minimal_depths(network, config, stacked))


def with_shared_dsps(pick: random.Random, network: IntegerNetwork, config: NpuConfig) -> NpuConfig:
    """Return ``config`` with several products a DSP slice, mostly, where it has a slice for each
    product and the widths allow sharing; else ``config``."""
    if config.multiplier != "dsp" or pick.random() > SHARED_DSP_SHARE:
        return config
    found: list[NpuConfig] = []
    for form in PACKED_PIXELS:
        with contextlib.suppress(ConfigError):
            found.append(dataclasses.replace(config, multiplier=form))
    if not found:
        return config
    config = pick.choice([*found, found[-1]])
    least = min(accumulator_bits(network, config), 32)
    return dataclasses.replace(config, accumulator_bits=max(least, config.accumulator_bits))


def with_binary_weights(
    pick: random.Random, network: IntegerNetwork, config: NpuConfig
) -> NpuConfig:
    """Return ``config`` with weights of +1 and -1 taken in one pass, mostly, where the network has
    such weights and the other parameters allow it; else ``config``."""
    ones = any(layer.weight_bits == 1 for layer in network.mac_layers)
    if not ones or pick.random() > BINARY_SHARE:
        return config
    with contextlib.suppress(ConfigError):
        return dataclasses.replace(config, weight_digit_bits=1, binary_weights=True)
    return config


def with_memory_port(
    pick: random.Random, network: IntegerNetwork, config: NpuConfig
) -> NpuConfig | None:
    """Return ``config`` with a memory port and the shallowest weight memory with which the network
    still runs, its weights fetched in parts; None if that is no shallower than before."""
    port_bits = pick.choice([bits for bits in MEMORY_PORT_BITS if bits])
    depth = DEPTH_RANGES["weight_depth"][0]
    while depth < config.weight_depth:
        option = dataclasses.replace(
            config, memory_port_bits=port_bits, weight_depth=depth, program_depth=4096
        )
        try:
            plan(network, option)
        except InfeasibleError:
            depth *= 2
            continue
        return option
    return None


def with_tiles(pick: random.Random, network: IntegerNetwork, config: NpuConfig) -> NpuConfig | None:
    """Return ``config`` with feature maps in external memory and the shallowest activation memory
    that the network runs with (depth-first tiling); None if that is no shallower than before.

    The memory port stays as it is, where there is one.
    """
    port_bits = config.memory_port_bits or pick.choice([bits for bits in MEMORY_PORT_BITS if bits])
    depth = DEPTH_RANGES["activation_depth"][0]
    while depth < config.activation_depth:
        option = dataclasses.replace(
            config,
            memory_port_bits=port_bits,
            memory_tiles=True,
            activation_depth=depth,
            program_depth=4096,
        )
        try:
            plan(network, option)
        except InfeasibleError:
            depth *= 2
            continue
        return option
    return None


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
