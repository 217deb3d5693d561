"""Layer specifications: frozen dataclasses that check their fields and know their output shape.

Shapes are (channels, rows, columns) of one image; kernels, strides and paddings are (rows,
columns). A specification knows nothing of its neighbours or of bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from models.errors import ModelError

Shape = tuple[int, int, int]
Pair = tuple[int, int]


def _at_least(what: str, low: int, *values: object) -> None:
    for value in values:
        if type(value) is not int or value < low:
            raise ModelError(f"{what} must be an integer >= {low}, not {value!r}")


def _pair(what: str, low: int, value: object) -> None:
    if not isinstance(value, tuple) or len(value) != 2:
        raise ModelError(f"{what} must be (rows, columns), not {value!r}")
    _at_least(what, low, *value)


def _window(shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Return (rows, columns) of a sliding window's output; incomplete windows are left out.

    shape: input (channels, rows, columns); kernel, stride, padding (on both sides): (rows,
    columns). Raises ModelError if the kernel is larger than the padded input.
    """
    rows, cols = (size + 2 * pad for size, pad in zip(shape[1:], padding, strict=True))
    if kernel[0] > rows or kernel[1] > cols:
        raise ModelError(
            f"kernel {kernel[0]}x{kernel[1]} is larger than its padded input {rows}x{cols}; "
            "use a smaller kernel, more padding or less pooling before it"
        )
    return (rows - kernel[0]) // stride[0] + 1, (cols - kernel[1]) // stride[1] + 1


@dataclass(frozen=True)
class LayerSpec:
    """Base class of all layer specifications; constructors raise ModelError for a bad field.

    Types of the flags ``relu`` and ``batch_norm`` are not checked.

    >>> [spec.op for spec in OPS.values() if spec.most_inputs is None]
    ['concat']
    """

    op: ClassVar[str]
    """Name of the operator in YAML files and reports."""
    least_inputs: ClassVar[int] = 1
    """Smallest number of inputs."""
    most_inputs: ClassVar[int | None] = 1
    """Largest number of inputs; None: no limit."""

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the output shape for these input shapes, all (channels, rows, columns).

        The number of inputs must be an allowed one (not checked). Raises ModelError for shapes that
        do not fit.
        """
        return inputs[0]


@dataclass(frozen=True)
class Input(LayerSpec):
    """Input images of a network: unsigned values 0..1.

    >>> Input((3, 32, 32)).output_shape([])
    (3, 32, 32)
    """

    op: ClassVar[str] = "input"
    least_inputs: ClassVar[int] = 0
    most_inputs: ClassVar[int | None] = 0
    shape: Shape

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple) or len(self.shape) != 3:
            raise ModelError(f"shape must be (channels, rows, columns), not {self.shape!r}")
        _at_least("shape", 1, *self.shape)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return self.shape


@dataclass(frozen=True)
class Conv2d(LayerSpec):
    """2-D convolution with bias or (if ``batch_norm``) batch norm, then ReLU if ``relu`` is set.

    kernel, stride, padding: (rows, columns); padding is with zeros on both sides and smaller than
    the kernel. groups: divides both input and output channels.

    >>> Conv2d(16, (3, 3), stride=(2, 2), padding=(1, 1)).output_shape([(3, 32, 32)])
    (16, 16, 16)
    """

    op: ClassVar[str] = "conv2d"
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    batch_norm: bool = False
    relu: bool = False

    def __post_init__(self) -> None:
        _at_least("out_channels", 1, self.out_channels)
        _at_least("groups", 1, self.groups)
        _pair("kernel", 1, self.kernel)
        _pair("stride", 1, self.stride)
        _pair("padding", 0, self.padding)
        if any(pad >= size for pad, size in zip(self.padding, self.kernel, strict=True)):
            raise ModelError(f"padding {self.padding} must be smaller than kernel {self.kernel}")
        if self.out_channels % self.groups:
            raise ModelError(f"groups {self.groups} must divide out_channels {self.out_channels}")

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        (shape,) = inputs
        if shape[0] % self.groups:
            raise ModelError(f"groups {self.groups} must divide the {shape[0]} input channels")
        return (self.out_channels, *_window(shape, self.kernel, self.stride, self.padding))


@dataclass(frozen=True)
class Linear(LayerSpec):
    """Fully connected layer over all channels, rows and columns; it flattens its input itself.

    It has a bias or (if ``batch_norm``) batch norm, then ReLU if ``relu`` is set.

    >>> Linear(10).output_shape([(16, 4, 4)])
    (10, 1, 1)
    """

    op: ClassVar[str] = "linear"
    out_features: int
    batch_norm: bool = False
    relu: bool = False

    def __post_init__(self) -> None:
        _at_least("out_features", 1, self.out_features)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return self.out_features, 1, 1


@dataclass(frozen=True)
class _Pool(LayerSpec):
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        _pair("kernel", 1, self.kernel)
        _pair("stride", 1, self.stride)
        _pair("padding", 0, self.padding)
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel, strict=True)):
            raise ModelError(
                f"padding {self.padding} must be at most half of the pooling kernel {self.kernel}"
            )

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        (shape,) = inputs
        return (shape[0], *_window(shape, self.kernel, self.stride, self.padding))


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Maximum of each window; padding is never the maximum.

    kernel, stride, padding: (rows, columns); padding is at most half of the kernel.

    >>> MaxPool((2, 2), stride=(2, 2)).output_shape([(16, 8, 8)])
    (16, 4, 4)
    """

    op: ClassVar[str] = "max_pool"


@dataclass(frozen=True)
class AvgPool(_Pool):
    """Mean of each window; padding counts as zeros (torch: count_include_pad=True).

    kernel, stride, padding: (rows, columns); padding is at most half of the kernel.

    >>> AvgPool((3, 3), stride=(1, 1), padding=(1, 1)).output_shape([(16, 8, 8)])
    (16, 8, 8)
    """

    op: ClassVar[str] = "avg_pool"


POOL_KINDS = ("max", "avg")
"""Allowed values of GlobalPool's ``kind``."""


@dataclass(frozen=True)
class GlobalPool(LayerSpec):
    """Maximum or mean (``kind``: max, avg) of each channel over its whole feature map.

    >>> GlobalPool("max").output_shape([(16, 8, 8)])
    (16, 1, 1)
    """

    op: ClassVar[str] = "global_pool"
    kind: str = "avg"

    def __post_init__(self) -> None:
        if self.kind not in POOL_KINDS:
            raise ModelError(f"kind must be one of {', '.join(POOL_KINDS)}, not {self.kind!r}")

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0][0], 1, 1


@dataclass(frozen=True)
class Add(LayerSpec):
    """Sum of two tensors of equal shape (residual connection), then ReLU if ``relu`` is set.

    >>> Add(relu=True).output_shape([(16, 8, 8), (16, 8, 8)])
    (16, 8, 8)
    """

    op: ClassVar[str] = "add"
    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int | None] = 2
    relu: bool = False

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        first, second = inputs
        if first != second:
            raise ModelError(
                f"inputs of add must have equal shapes, not {first} and {second}; "
                "put a 1x1 conv2d on the shorter branch"
            )
        return first


@dataclass(frozen=True)
class Concat(LayerSpec):
    """Concatenation of the inputs along channels, in their order; rows and columns are equal.

    >>> Concat().output_shape([(16, 8, 8), (4, 8, 8)])
    (20, 8, 8)
    """

    op: ClassVar[str] = "concat"
    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int | None] = None

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        maps = {shape[1:] for shape in inputs}
        if len(maps) > 1:
            sizes = ", ".join(f"{rows}x{cols}" for _, rows, cols in inputs)
            raise ModelError(f"inputs of concat must have equal rows and columns, not {sizes}")
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])


@dataclass(frozen=True)
class Relu(LayerSpec):
    """Rectifier max(x, 0); ``passes.fuse_relu`` fuses it into the layer before it if it can.

    >>> Relu().output_shape([(16, 8, 8)])
    (16, 8, 8)
    """

    op: ClassVar[str] = "relu"


@dataclass(frozen=True)
class Requantise(LayerSpec):
    """Copy of a tensor with a scale of its own, inserted where a concat needs one.

    >>> Requantise().output_shape([(16, 8, 8)])
    (16, 8, 8)
    """

    op: ClassVar[str] = "requantise"


OPS: dict[str, type[LayerSpec]] = {
    spec.op: spec
    for spec in (
        Input, Conv2d, Linear, MaxPool, AvgPool, GlobalPool, Add, Concat, Relu, Requantise,
    )
}  # fmt: skip
"""Layer specification class of every operator, by the name used in YAML files."""
