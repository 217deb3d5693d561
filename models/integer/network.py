"""The integer network: what hardware must compute, and its reference in numpy.

Every arithmetic layer of a quantised network is one MacLayer: convolution, linear (a kernel as
large as its input), average pooling (depthwise ones), residual addition (two sources with
diagonal weights) and max pooling (a diagonal layer with a pooling window). Concat only names a
tensor made of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import arithmetic
from models.quantisation.sparsity import Sparsity

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TensorSpec:
    """An activation tensor of one image: ``value = scale * (code - zero_point)``."""

    name: str
    shape: tuple[int, int, int]
    """Channels, rows, columns."""
    bits: int
    signed: bool
    scale: float

    @property
    def zero_point(self) -> int:
        return arithmetic.zero_point(self.bits, self.signed)


@dataclass(frozen=True, eq=False)
class Source:
    """One input of a MacLayer with its weights.

    weights: int64 [out_channels, in_channels / groups, kernel_rows, kernel_cols].
    """

    tensor: str
    weights: Ints


@dataclass(frozen=True)
class PoolWindow:
    """Max pooling applied to a layer's codes; the window never leaves the layer's output."""

    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MacLayer:
    """``acc = sum_sources conv(code - zero_point, weights) + bias``, requantised, max-pooled.

    Several sources: kernels 1x1, same groups. ``raw`` layers (the last one) put out ``acc``.
    """

    name: str
    op: str
    """What the graph called it, for reports: conv2d, linear, max_pool, avg_pool, add, ..."""
    sources: tuple[Source, ...]
    output: str
    groups: int
    stride: tuple[int, int]
    padding: tuple[int, int]
    """Rows above and below, columns left and right. They read as code ``pad_code``."""
    pad_code: int
    weight_bits: int
    bias: Ints
    """[out_channels]"""
    requant_multiplier: Ints
    """[out_channels], unsigned."""
    requant_shift: Ints
    """[out_channels], 1..31."""
    pool: PoolWindow | None = None
    raw: bool = False
    sparsity: Sparsity | None = None
    """Pattern that the weights of the one source keep, in the order of its channels; groups is 1.
    Whoever reorders channels (an unfolded image, words with holes) must look again."""


@dataclass(frozen=True)
class ConcatLayer:
    """``output`` is the inputs stacked along channels; all share bits, sign and scale.

    An input belongs to at most one ConcatLayer, once, and is not the network's input.
    """

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Layers in execution order. The last layer is raw with a 1x1 output: the logits."""

    name: str
    input: str
    layers: tuple[MacLayer | ConcatLayer, ...]
    tensors: Mapping[str, TensorSpec]
    scale_bits: int
    """Every multiplier is below 2**scale_bits."""

    @property
    def mac_layers(self) -> tuple[MacLayer, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, MacLayer))

    @property
    def classes(self) -> int:
        return self.tensors[self.layers[-1].output].shape[0]
