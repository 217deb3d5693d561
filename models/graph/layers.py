"""Layer specifications: frozen dataclasses that check their fields and know their output shape.

Shapes are (channels, rows, columns) of one image; kernels, strides, dilations and paddings are
(rows, columns), paddings also (top, left, bottom, right). A specification knows nothing of its
neighbours or of bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from models.errors import ModelError
from models.graph import activations, spec, windows
from models.graph.windows import at_least, check_pair

LayerSpec = spec.LayerSpec
Activation = activations.Activation
Shape = windows.Shape
Pair = windows.Pair
Padding = windows.Padding
Axes = tuple[windows.Windows, windows.Windows]


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
        at_least("shape", 1, *self.shape)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return self.shape


@dataclass(frozen=True)
class Conv2d(LayerSpec):
    """2-D convolution with bias or (if ``batch_norm``) batch norm, then ReLU if ``relu`` is set.

    kernel, stride, dilation: (rows, columns); a dilated kernel has its values ``dilation`` rows and
    columns apart. padding: zeros, (rows, columns) on both sides or (top, left, bottom, right), less
    than the kernel's extent. groups: divides both input and output channels.

    >>> Conv2d(16, (3, 3), stride=(2, 2), padding=(1, 1)).output_shape([(3, 32, 32)])
    (16, 16, 16)
    """

    op: ClassVar[str] = "conv2d"
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0)
    groups: int = 1
    batch_norm: bool = False
    relu: bool = False
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        at_least("out_channels", 1, self.out_channels)
        at_least("groups", 1, self.groups)
        check_pair("kernel", 1, self.kernel)
        check_pair("stride", 1, self.stride)
        check_pair("dilation", 1, self.dilation)
        spans = windows.extent(self.kernel, self.dilation)
        most, rule = (spans[0] - 1, spans[1] - 1), f"smaller than kernel {spans}"
        object.__setattr__(self, "padding", windows.checked_padding(self.padding, most, rule))
        if self.out_channels % self.groups:
            raise ModelError(f"groups {self.groups} must divide out_channels {self.out_channels}")

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        (shape,) = inputs
        if shape[0] % self.groups:
            raise ModelError(f"groups {self.groups} must divide the {shape[0]} input channels")
        rows, cols = self.axes(shape)
        return self.out_channels, rows.count, cols.count

    def axes(self, shape: Shape) -> Axes:
        """Return the windows over the rows and columns of an input of ``shape``."""
        return windows.windows(shape, self.kernel, self.stride, self.padding, self.dilation)


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
        at_least("out_features", 1, self.out_features)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return self.out_features, 1, 1


@dataclass(frozen=True)
class _Pool(LayerSpec):
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0)
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        check_pair("kernel", 1, self.kernel)
        check_pair("stride", 1, self.stride)
        most = self.kernel[0] // 2, self.kernel[1] // 2
        rule = f"at most half of the pooling kernel {self.kernel}"
        object.__setattr__(self, "padding", windows.checked_padding(self.padding, most, rule))

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        rows, cols = self.axes(inputs[0])
        return inputs[0][0], rows.count, cols.count

    def axes(self, shape: Shape) -> Axes:
        """Return the windows over the rows and columns of an input of ``shape``."""
        return windows.windows(shape, self.kernel, self.stride, self.padding, ceil=self.ceil_mode)


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Maximum of each window; padding is never the maximum.

    kernel, stride: (rows, columns); padding: (rows, columns) on both sides or (top, left, bottom,
    right), at most half of the kernel. ceil_mode: a last window that is incomplete counts, too.

    >>> MaxPool((2, 2), stride=(2, 2)).output_shape([(16, 8, 8)])
    (16, 4, 4)
    """

    op: ClassVar[str] = "max_pool"


@dataclass(frozen=True)
class AvgPool(_Pool):
    """Mean of each window; padding counts as zeros, or not at all (count_include_pad: false).

    kernel, stride: (rows, columns); padding: (rows, columns) on both sides or (top, left, bottom,
    right), at most half of the kernel. ceil_mode: a last window that is incomplete counts, too; it
    averages what lies in the input and its padding. All windows must average equally many values.

    >>> AvgPool((3, 3), stride=(1, 1), padding=(1, 1)).output_shape([(16, 8, 8)])
    (16, 8, 8)
    """

    op: ClassVar[str] = "avg_pool"
    count_include_pad: bool = True

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        self.divisor(inputs[0])
        return super().output_shape(inputs)

    def divisor(self, shape: Shape) -> int:
        """Return how many values each window over an input of ``shape`` averages.

        Raises ModelError where windows differ in it.
        """
        return windows.one_divisor(self.axes(shape), self.count_include_pad)


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
    """Sum of tensors of equal shape (residual connection), then ReLU if ``relu`` is set.

    More than two are added one after another, in layers named after it with ``.part``.

    >>> Add(relu=True).output_shape([(16, 8, 8), (16, 8, 8)])
    (16, 8, 8)
    """

    op: ClassVar[str] = "add"
    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int | None] = None
    relu: bool = False

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        other = next((shape for shape in inputs if shape != inputs[0]), None)
        if other:
            raise ModelError(
                f"inputs of add must have equal shapes, not {inputs[0]} and {other}; "
                "put a 1x1 conv2d on the shorter branch"
            )
        return inputs[0]


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
    one.op: one
    for one in (
        Input, Conv2d, Linear, MaxPool, AvgPool, GlobalPool, Add, Concat, Relu, Activation,
        Requantise,
    )
}  # fmt: skip
"""Layer specification class of every operator, by the name used in YAML files."""
