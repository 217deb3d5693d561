"""IntegerNetwork: the layers, tensors and integer weights that hardware must compute with.

Arithmetic layers of a quantised network are MacLayers: convolution, linear (a kernel as large as
its input), average pooling (a depthwise convolution with ones), residual addition (two sources with
depthwise 1x1 weights), ReLU, copy and max pooling (depthwise 1x1 weights; max pooling has a pooling
window, too). A max pooling that ``assemble.fused_pools`` names is part of the MacLayer before it. A
concat only names a tensor made of others.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import arithmetic
from models.errors import ModelError
from models.files.reading import quoted
from models.integer.parts import OutputPart
from models.quantisation.sparsity import Sparsity

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TensorSpec:
    """Activation tensor of one image: ``value = scale * (code - zero_point)``.

    The outputs are accumulators: ``value = scale * accumulator``, and zero_point has no meaning.

    >>> TensorSpec("conv1", (16, 8, 8), bits=4, signed=True, scale=0.1).zero_point
    8
    >>> TensorSpec("conv1", (16, 8, 8), bits=8, signed=True, scale=0.1, zero_point=37).zero_point
    37
    """

    name: str
    shape: tuple[int, int, int]
    """(channels, rows, columns)."""
    bits: int
    signed: bool
    scale: float | tuple[float, ...]
    """Real value of one step; of the network's output also a sequence, one for each channel."""
    zero_point: int = None  # type: ignore[assignment]
    """Code of the real value 0, 0..2**bits - 1. None given stands for ``arithmetic.zero_point``:
    the middle of signed codes, 0 of unsigned ones."""

    def __post_init__(self) -> None:
        if self.zero_point is None:
            object.__setattr__(self, "zero_point", arithmetic.zero_point(self.bits, self.signed))
        if np.ndim(self.scale):
            object.__setattr__(self, "scale", tuple(map(float, np.asarray(self.scale))))

    @property
    def step(self) -> float:
        """``scale`` of a tensor of codes, which is one number."""
        assert not isinstance(self.scale, tuple)
        return self.scale


@dataclass(frozen=True, eq=False)
class Source:
    """Input tensor of a MacLayer (its name) with its weights.

    Made by ``assemble``. weights: int64 (out_channels, in_channels / groups, kernel_rows,
    kernel_cols).
    """

    tensor: str
    weights: Ints


@dataclass(frozen=True)
class PoolWindow:
    """Window of the max pooling of a layer's codes; it never leaves the layer's output.

    kernel, stride: (rows, columns). Made by ``assemble``.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Lookup:
    """Table of an activation function: the output code of each code that a layer's sums round to.

    Made by ``lookups.lookup``.

    >>> Lookup(np.array([0, 0, 1, 3]), bits=2, zero_point=2).codes.tolist()
    [0, 0, 1, 3]
    """

    codes: Ints
    """Output codes, int64 (2**bits,)."""
    bits: int
    """Bits of the codes that are looked up."""
    zero_point: int
    """Code that is looked up for a sum of 0."""
    table: str = ""
    """Name that layers of one table have before their scales are known; not stored."""


@dataclass(frozen=True, eq=False)
class MacLayer:
    """Multiply-accumulate layer: sums of products, then requantisation and optional max pooling.

    ``acc = sum over sources of conv(code - zero_point, weights) + bias``; ``raw`` layers (the last
    one) output ``acc`` itself. If there are several sources, their kernels are 1x1 and their groups
    the same. Made by ``assemble``.
    """

    name: str
    op: str
    """Operator of the graph's layer, for reports: conv2d, linear, max_pool, avg_pool, add, ..."""
    sources: tuple[Source, ...]
    output: str
    """Name of the output tensor: the layer's, or that of the max pooling fused into it."""
    groups: int
    """Groups of the convolution; 1 for linear, the number of channels for all other layers."""
    stride: tuple[int, int]
    padding: tuple[int, int]
    """Padding by ``pad_code`` (rows above, columns left). Below and right there is as much of it
    as the output's shape makes windows reach; a window may also end short of the last input row."""
    pad_code: int
    weight_bits: int
    bias: Ints
    """Bias in accumulator units, int64 (out_channels,)."""
    requant_multiplier: Ints
    """Requantisation multipliers, unsigned, shape (out_channels,); unused if ``raw``."""
    requant_shift: Ints
    """Requantisation shifts, 1..31, shape (out_channels,); unused if ``raw``."""
    pool: PoolWindow | None = None
    """Window of max pooling over the requantised codes; None without."""
    raw: bool = False
    dilation: tuple[int, int] = (1, 1)
    """Rows and columns of the input from one kernel position to the next."""
    lookup: Lookup | None = None
    """Table that replaces the requantised codes, before max pooling; None without."""
    thresholds: Ints | None = None
    """Learned thresholds: the least accumulators of the codes 1 and up, int64 (out_channels,
    2**bits - 1), not falling along a channel. A code is the number of them that its accumulator
    reaches; multipliers and shifts say what an accumulator unit is worth. None: codes are
    requantised. Never with a ``lookup``."""
    sparsity: Sparsity | None = None
    """N:M pattern that the weights of the only source keep, in the order of its channels; groups is
    1. Code that reorders channels (unfolded image, words with unused lanes) must check it again."""


def requantised(layer: MacLayer, spec: TensorSpec) -> tuple[int, int]:
    """Return zero point and bits of the codes that a layer's sums round to.

    spec: its output tensor, which has them itself unless the layer looks its codes up.
    """
    if layer.lookup:
        return layer.lookup.zero_point, layer.lookup.bits
    return spec.zero_point, spec.bits


def extent(layer: MacLayer) -> tuple[int, int]:
    """Return the rows and columns from a layer's first to its last kernel position, inclusive."""
    rows, cols = layer.sources[0].weights.shape[2:]
    return (rows - 1) * layer.dilation[0] + 1, (cols - 1) * layer.dilation[1] + 1


def convolved(layer: MacLayer, out_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return the rows and columns of a layer's convolution that its max pooling reads, if any.

    out_shape: (channels, rows, columns) of its output, which is after pooling.
    """
    _, rows, cols = out_shape
    if layer.pool is None:
        return rows, cols
    (high, wide), (down, right) = layer.pool.kernel, layer.pool.stride
    return (rows - 1) * down + high, (cols - 1) * right + wide


@dataclass(frozen=True)
class ConcatLayer:
    """Concatenation of tensors along channels: codes side by side, all of the same bits.

    Scale and zero point are those of the inputs, but for what joins the outputs of an imported
    network: there its one reader has the differences in its weights' units and its bias. Made by
    ``assemble``. An input belongs to at most one ConcatLayer, once, and is not the
    network's input.
    """

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Quantised network in integers: its layers in execution order, and its tensors by name.

    The last layer is raw: its accumulators are the network's outputs, the logits of a classifier,
    or a map of several positions.

    >>> from models.graph.layers import Linear
    >>> from models.graph.network import sequential
    >>> from models.integer.lower import shape_only
    >>> from models.quantisation.plan import Quantisation
    >>> graph = sequential("tiny", (1, 8, 8), Linear(10))
    >>> network = shape_only(graph, Quantisation(), scale_bits=8)
    >>> network.classes, network.mac_layers[0].sources[0].weights.shape
    (10, (10, 1, 8, 8))
    """

    name: str
    input: str
    layers: tuple[MacLayer | ConcatLayer, ...]
    tensors: Mapping[str, TensorSpec]
    scale_bits: int
    """Width of the requantisation multipliers: each is below 2**scale_bits."""
    blank: bool = False
    """True if the weights are not known yet (``lower.shape_only``): their zeros mean nothing."""
    order: Ints | None = None
    """Position in the last tensor (channels, rows, columns) of each output, for an imported network
    whose file has them otherwise: maps larger than the last layer's, say. None: they are alike."""
    parts: tuple[OutputPart, ...] = ()
    """Outputs of the file, in turn along ``classes``, where it has several; one if the outputs are
    no classes of the input; else empty."""
    offset: tuple[float, ...] = ()
    """Real value of accumulator 0 of each output channel, where it is not 0: numbers lie around
    their mean, which accumulators need not hold."""

    @property
    def mac_layers(self) -> tuple[MacLayer, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, MacLayer))

    @property
    def input_readers(self) -> tuple[MacLayer, ...]:
        """The MacLayers that read the input, in execution order."""
        return tuple(
            layer
            for layer in self.mac_layers
            if any(source.tensor == self.input for source in layer.sources)
        )

    @property
    def classes(self) -> int:
        """Number of outputs: channels times positions of the last layer, or as ``order`` has."""
        return math.prod(self.output.shape) if self.order is None else len(self.order)

    @property
    def output(self) -> TensorSpec:
        """Tensor of the last layer, whose values are accumulators."""
        return self.tensors[self.layers[-1].output]

    def outputs(self, last: Ints) -> Ints:
        """Return the outputs (n, classes) in the last tensor (n, channels, rows, columns)."""
        flat = last.reshape(len(last), -1)
        return flat if self.order is None else flat[:, self.order]

    def real(self, outputs: Ints) -> NDArray[np.float64]:
        """Return outputs (n, classes) as real values: of each channel times its scale.

        The offset is added.
        """
        channels, *sizes = self.output.shape
        steps, starts = (
            np.repeat(np.broadcast_to(np.asarray(each, np.float64), channels), math.prod(sizes))
            for each in (self.output.scale, self.offset or 0.0)
        )
        if self.order is not None:
            steps, starts = steps[self.order], starts[self.order]
        values: NDArray[np.float64] = outputs * steps + starts
        return values

    def only(self, name: str) -> IntegerNetwork:
        """Return the network with one of its parts as all its outputs. Raises ModelError."""
        order, start = np.arange(math.prod(self.output.shape)), 0
        for part in self.parts:
            if part.name == name:
                order = order if self.order is None else self.order
                own = order[start : start + part.size]
                return dataclasses.replace(self, order=own, parts=(part,))
            start += part.size
        known = ", ".join(quoted(part.name) for part in self.parts) or "one, whatever its name"
        raise ModelError(
            f"network {self.name} has no output {quoted(name)} to choose; it has {known}"
        )

    def answers(self, outputs: Ints) -> NDArray[np.int64]:
        """Return the number of the largest of each row of outputs (n, classes), the first if equal.

        Outputs of one scale without offsets are compared as integers, others as real values.
        """
        several = isinstance(self.output.scale, tuple) or bool(self.offset)
        return (self.real(outputs) if several else outputs).argmax(axis=1)
