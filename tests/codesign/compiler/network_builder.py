"""Integer networks with random weights, written layer by layer.

For tests of the compiler: no training, no torch, any shape and any bit widths.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.untrained import random_mask
from models import arithmetic
from models.integer.network import (
    ConcatLayer,
    IntegerNetwork,
    MacLayer,
    PoolWindow,
    Source,
    TensorSpec,
)
from models.quantisation.sparsity import PATTERNS, Sparsity

Pair = tuple[int, int]
"""Rows and columns: of a kernel, a stride or a padding."""
SCALE_BITS = 8
ANY_SCALE_SHARE = 1 / 8
"""Share of output channels whose requantisation multiplier and shift are any that hardware can
hold; the others' map the range of the sums to that of the codes."""


class NetworkBuilder:
    """A network under construction.

    Every method adds a layer and returns the name of the tensor that it makes; the input is
    "image". Kernels, strides and paddings are (rows, columns). Layers have ``weight_bits`` 4 and
    unsigned outputs of ``output_bits`` 4 unless told otherwise (the options of ``mac_layer``).
    """

    def __init__(
        self,
        pick: random.Random,
        shape: tuple[int, int, int],
        bits: int,
        signed: bool = False,
        scale_bits: int = SCALE_BITS,
        zero_point: int | None = None,
    ) -> None:
        """Start from an image of ``shape`` (channels, rows, columns) in codes of ``bits`` bits."""
        self.scale_bits = scale_bits
        self._numbers = np.random.default_rng(pick.getrandbits(32))
        self._layers: list[MacLayer | ConcatLayer] = []
        self.tensors = {"image": TensorSpec("image", shape, bits, signed, 1.0, zero_point)}  # type: ignore[arg-type]

    def build(self) -> IntegerNetwork:
        return IntegerNetwork("net", "image", tuple(self._layers), self.tensors, self.scale_bits)

    def conv(self, source: str, channels: int, kernel: Pair = (1, 1), **options: Any) -> str:
        """Add a convolution, by default a 1x1 one."""
        return self.mac_layer([source], channels, kernel, **options)

    def conv3x3(self, source: str, channels: int, **options: Any) -> str:
        """Add a 3x3 convolution with padding 1: the map keeps its size at stride 1."""
        return self.mac_layer([source], channels, (3, 3), padding=(1, 1), **options)

    def depthwise(self, source: str, kernel: Pair, **options: Any) -> str:
        """Add a depthwise convolution with one output channel per input channel."""
        channels = self.channels(source)
        return self.mac_layer([source], channels, kernel, groups=channels, **options)

    def add(self, first: str, second: str, **options: Any) -> str:
        """Add the sum of two tensors of the same shape, each channel with weights of its own."""
        channels = self.channels(first)
        return self.mac_layer([first, second], channels, op="add", groups=channels, **options)

    def linear(self, source: str, channels: int, *, raw: bool = True, **options: Any) -> str:
        """Add a fully connected layer: with ``raw`` the classifier, whose sums are the logits."""
        kernel = self.tensors[source].shape[1:]
        return self.mac_layer([source], channels, kernel, op="linear", raw=raw, **options)

    def concat(self, sources: Sequence[str]) -> str:
        """Stack tensors of one map size along their channels."""
        name = f"t{len(self.tensors)}"
        first = self.tensors[sources[0]]
        channels = sum(self.channels(source) for source in sources)
        self._layers.append(ConcatLayer(f"layer_{name}", tuple(sources), name))
        self.tensors[name] = dataclasses.replace(
            first, name=name, shape=(channels, *first.shape[1:])
        )
        return name

    def mac_layer(
        self,
        sources: Sequence[str],
        channels: int,
        kernel: Pair = (1, 1),
        *,
        op: str = "conv2d",
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        after: Pair | None = None,
        dilation: Pair = (1, 1),
        groups: int = 1,
        weight_bits: int = 4,
        output_bits: int = 4,
        signed: bool = False,
        zero_point: int | None = None,
        pool: PoolWindow | None = None,
        largest_weights: bool = False,
        raw: bool = False,
        sparsity: Sparsity | None = None,
    ) -> str:
        """Add any layer that the array computes; the other methods call this one.

        ``largest_weights``: every weight has the largest value of its bits, instead of a random
        one. ``pool``: max pooling fused into the layer. ``raw``: the layer puts out its sums, not
        codes. ``sparsity``: the N:M pattern that the random weights keep. ``after``: padding below
        and right where it is not that above and left.
        """
        name = f"t{len(self.tensors)}"
        specs = [self.tensors[source] for source in sources]
        high = arithmetic.weight_range(weight_bits)[1]
        shape = (channels, specs[0].shape[0] // groups, *kernel)
        weights = [
            np.full(shape, high) if largest_weights else self._weights(weight_bits, shape)
            for _ in sources
        ]
        if sparsity:
            weights = [weight * random_mask(self._numbers, shape, sparsity) for weight in weights]
        rows, cols = (
            (size + padding[i] + (after or padding)[i] - (kernel[i] - 1) * dilation[i] - 1)
            // stride[i]
            + 1
            for i, size in enumerate(specs[0].shape[1:])
        )
        if pool:
            rows = (rows - pool.kernel[0]) // pool.stride[0] + 1
            cols = (cols - pool.kernel[1]) // pool.stride[1] + 1
        largest_code = max((1 << spec.bits) - 1 for spec in specs)
        spread = max(4, int(high * largest_code * np.sqrt(weights[0][0].size * len(weights))))
        scales = self._scales(channels, 1 << output_bits, spread)
        self._layers.append(
            MacLayer(
                name=f"layer_{name}",
                op=op,
                sources=tuple(
                    Source(source, weight) for source, weight in zip(sources, weights, strict=True)
                ),
                output=name,
                groups=groups,
                stride=stride,
                padding=padding,
                dilation=dilation,
                pad_code=0 if op == "max_pool" else specs[0].zero_point,
                weight_bits=weight_bits,
                bias=self._numbers.integers(-spread // 2, spread // 2, channels),
                requant_multiplier=np.array([multiplier for multiplier, _ in scales]),
                requant_shift=np.array([shift for _, shift in scales]),
                pool=pool,
                raw=raw,
                sparsity=sparsity,
            )
        )
        self.tensors[name] = TensorSpec(
            name,
            (channels, rows, cols),
            32 if raw else output_bits,
            signed or raw,
            1.0,
            zero_point,  # type: ignore[arg-type]
        )
        return name

    def _scales(self, channels: int, codes: int, spread: int) -> list[tuple[int, int]]:
        """Return (multiplier, shift) of each channel: sums of ``spread`` to 0.2 .. 1 times
        ``codes``, or anything that hardware can hold."""
        largest = (1 << self.scale_bits - 1) - 1  # beyond it no shift is left
        found = [
            arithmetic.nearest_scale(min(share * codes / spread, largest), self.scale_bits)
            for share in self._numbers.uniform(0.2, 1.0, channels).tolist()
        ]
        for channel in np.flatnonzero(self._numbers.random(channels) < ANY_SCALE_SHARE):
            found[channel] = (
                int(self._numbers.integers(1 << self.scale_bits)),
                int(self._numbers.integers(1, arithmetic.MAX_SHIFT + 1)),
            )
        return found

    def _weights(self, bits: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        low, high = arithmetic.weight_range(bits)
        if bits == 1:
            return self._numbers.choice([low, high], shape)
        return self._numbers.integers(low, high + 1, shape)

    def channels(self, tensor: str) -> int:
        return self.tensors[tensor].shape[0]

    def random_sparsity(self) -> Sparsity | None:
        """Return an N:M pattern for the next layer, or None in half the cases.

        Drawn from the weights' own source, so that the shapes drawn from ``pick`` do not depend on
        it.
        """
        number = int(self._numbers.integers(2 * len(PATTERNS)))
        return Sparsity(*PATTERNS[number]) if number < len(PATTERNS) else None
