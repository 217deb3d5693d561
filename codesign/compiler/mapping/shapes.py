"""Loop bounds of the MacLayers, which every pass of the compiler reads.

A MacLayer is a loop nest over output channels, output rows and columns, the pooling window, the
kernel and input channels; padding, stride and dilation say where in the input each iteration reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.integer.network import IntegerNetwork, MacLayer, convolved, extent


@dataclass(frozen=True)
class LayerShape:
    """Loop bounds of one MacLayer; pairs are (rows, columns). Made by ``layer_shapes``."""

    layer: MacLayer
    index: int
    """Position among the network's MacLayers, in execution order."""
    in_shape: tuple[int, int, int]
    """Channels, rows, columns of each of its sources."""
    in_bits: int
    """Bits of the widest codes of its sources."""
    out_shape: tuple[int, int, int]
    """Channels, rows, columns of the output, after max pooling."""
    kernel: tuple[int, int]
    pool: tuple[int, int]
    """Max-pooling window; (1, 1) without pooling."""
    pool_stride: tuple[int, int]

    @property
    def step(self) -> tuple[int, int]:
        """Input (rows, columns) from one output, after max pooling, to the next.

        Stride times pooling stride.
        """
        stride = self.layer.stride
        return self.pool_stride[0] * stride[0], self.pool_stride[1] * stride[1]

    @property
    def positions(self) -> int:
        """Rows times columns of the output."""
        return self.out_shape[1] * self.out_shape[2]

    @property
    def kernel_taps(self) -> int:
        """Positions of the kernel: its rows times its columns."""
        return self.kernel[0] * self.kernel[1]

    @property
    def macs(self) -> int:
        """Multiplications of the layer's definition for one image.

        Kernel positions in the padding are included, all sources too. A convolution output that
        several pooling windows read counts once, one that none reads does not count.
        """
        per_output = self.in_shape[0] // self.layer.groups * self.kernel_taps
        positions = 1
        for count, window, stride in zip(
            self.out_shape[1:], self.pool, self.pool_stride, strict=True
        ):
            positions *= (count - 1) * min(window, stride) + window
        return len(self.layer.sources) * per_output * self.out_shape[0] * positions


def layer_shapes(network: IntegerNetwork) -> tuple[LayerShape, ...]:
    """Return the loop bounds of each MacLayer, in execution order."""
    return tuple(_shape(network, layer, i) for i, layer in enumerate(network.mac_layers))


def _shape(network: IntegerNetwork, layer: MacLayer, index: int) -> LayerShape:
    in_shape = network.tensors[layer.sources[0].tensor].shape
    kernel = layer.sources[0].weights.shape[2:]
    return LayerShape(
        layer=layer,
        index=index,
        in_shape=in_shape,
        in_bits=max(network.tensors[source.tensor].bits for source in layer.sources),
        out_shape=network.tensors[layer.output].shape,
        kernel=(kernel[0], kernel[1]),
        pool=layer.pool.kernel if layer.pool else (1, 1),
        pool_stride=layer.pool.stride if layer.pool else (1, 1),
    )


def reads_padding(layer: MacLayer, network: IntegerNetwork) -> bool:
    """Return True if a window of the layer reaches beyond its input, on any side."""
    in_shape = network.tensors[layer.sources[0].tensor].shape
    sides = zip(
        convolved(layer, network.tensors[layer.output].shape),
        layer.stride, extent(layer), layer.padding, in_shape[1:], strict=True,
    )  # fmt: skip
    return any(
        before > 0 or (count - 1) * stride + reach - before > size
        for count, stride, reach, before, size in sides
    )
